//! Port-forward: pairs of streams, one for bytes and one for what went wrong.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::WebSocket;
use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;

use crate::Backend;
use crate::io::{Input, Output};
use crate::spdy::{Accepted, Connection};
use crate::websocket::Channels;

/// The version over SPDY.
pub(crate) const PROTOCOL: &str = "portforward.k8s.io";

/// The same in the messages of a WebSocket.
pub(crate) const CARRIED: &str = "SPDY/3.1+portforward.k8s.io";

/// How long the other half of a pair may take.
const PAIRING: Duration = Duration::from_secs(30);

/// Halves that wait for the other.
const WAITING: usize = 256;

/// A port's two streams.
struct Pair {
    port: u16,
    input: Input,
    output: Output,
    error: Output,
}

impl Pair {
    /// Carries bytes until either side ends, and tells what went wrong.
    async fn run(self, pod: String, backend: Arc<impl Backend>) {
        let Pair { port, input, output, error } = self;
        let told = backend.forward(pod, port, input, output.clone()).await;
        if let Err(message) = told {
            let _ = error.write(Bytes::from(message)).await;
        }
        let _ = output.end().await;
        let _ = error.end().await;
    }
}

/// Forwards ports over SPDY until the client goes.
pub(crate) async fn over_spdy<T: AsyncRead + AsyncWrite + Send + 'static>(io: T, pod: &str, backend: &Arc<impl Backend>) {
    let mut connection = Connection::serve(io);
    let (mut halves, mut running) = (Halves::default(), JoinSet::new());
    loop {
        tokio::select! {
            stream = connection.accept() => match stream {
                Some(stream) => match halves.add(stream) {
                    Ok(Some(pair)) => drop(running.spawn(pair.run(pod.to_owned(), Arc::clone(backend)))),
                    Ok(None) => {}
                    Err(()) => break,
                },
                None => break,
            },
            Some(_) = running.join_next(), if !running.is_empty() => {}
        }
    }
    // Whatever still runs has lost its client.
    running.shutdown().await;
    connection.close().await;
}

/// Streams whose other half has not come.
#[derive(Default)]
struct Halves(HashMap<String, (Instant, Half)>);

enum Half {
    Data(u16, Input, Output),
    Error(u16, Output),
}

impl Halves {
    /// Adds a stream; its pair when the other half was here.
    fn add(&mut self, stream: Accepted) -> Result<Option<Pair>, ()> {
        let Accepted { headers, input, output } = stream;
        let port: u16 = headers.get("port").and_then(|port| port.parse().ok()).filter(|port| *port != 0).ok_or(())?;
        let error = match headers.get("streamtype") {
            Some("data") => false,
            Some("error") => true,
            _ => return Err(()),
        };
        // Old clients do not number their pairs: they open the error stream, then at once the data stream.
        let key = headers.get("requestid").map_or_else(|| unnumbered(output.channel, error), str::to_owned);
        match (self.0.remove(&key), error) {
            (None, _) => {
                let half = if error { Half::Error(port, output) } else { Half::Data(port, input, output) };
                self.0.retain(|_, (since, _)| since.elapsed() < PAIRING);
                if self.0.len() >= WAITING {
                    return Err(());
                }
                self.0.insert(key, (Instant::now(), half));
                Ok(None)
            }
            (Some((_, Half::Data(first, input, data))), true) if first == port => {
                Ok(Some(Pair { port, input, output: data, error: output }))
            }
            (Some((_, Half::Error(first, error))), false) if first == port => Ok(Some(Pair { port, input, output, error })),
            // Two of a kind, or two ports.
            _ => Err(()),
        }
    }
}

fn unnumbered(stream: u32, error: bool) -> String {
    format!("#{}", if error { stream } else { stream.saturating_sub(2) })
}

/// Forwards `ports` over WebSocket until the client goes: channels 2n and 2n+1 for the n-th one, each opened by the port's number in two
/// bytes, the low one first.
pub(crate) async fn over_websocket(socket: WebSocket, pod: &str, ports: &[u16], backend: &Arc<impl Backend>) {
    let count = ports.len().min(usize::from(u8::MAX / 2));
    let mut channels = Channels::serve(socket, (0..count as u8).map(|at| at * 2));
    let mut running = JoinSet::new();
    for (at, port) in (0u8..).zip(&ports[..count]) {
        let (output, error) = (channels.output(at * 2), channels.output(at * 2 + 1));
        let Some(input) = channels.input(at * 2) else { continue };
        for channel in [&output, &error] {
            let _ = channel.write(Bytes::copy_from_slice(&port.to_le_bytes())).await;
        }
        running.spawn(Pair { port: *port, input, output, error }.run(pod.to_owned(), Arc::clone(backend)));
    }
    let gone = channels.output(0);
    tokio::select! {
        () = gone.closed() => running.shutdown().await,
        () = async { while running.join_next().await.is_some() {} } => {}
    }
    channels.close().await;
}

/// Carries bytes between a client and a connection. When the client has sent all, the connection's writing half is closed; when the
/// connection has ended, so has everything.
///
/// # Errors
/// The connection broke.
pub async fn carry<T: AsyncRead + AsyncWrite>(connection: T, mut input: Input, output: Output) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut read, mut write) = tokio::io::split(connection);
    let up = async {
        while let Some(mut bytes) = input.next().await {
            while bytes.has_remaining() {
                write.write_buf(&mut bytes).await?;
            }
        }
        write.shutdown().await
    };
    let down = async {
        loop {
            let mut piece = bytes::BytesMut::with_capacity(crate::io::PIECE);
            if read.read_buf(&mut piece).await? == 0 || output.write(piece.freeze()).await.is_err() {
                return std::io::Result::Ok(());
            }
        }
    };
    tokio::pin!(down);
    tokio::select! {
        done = &mut down => return done,
        done = up => done?,
    }
    // One side has said all; the other may take a while for its answer, but not for ever after the client has gone.
    tokio::select! {
        done = down => done,
        () = output.closed() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spdy::Headers;
    use tokio::sync::mpsc;

    fn stream(id: u32, headers: &[(&str, &str)]) -> Accepted {
        let (sender, _) = mpsc::channel(1);
        let (_, input) = mpsc::channel(1);
        Accepted {
            headers: Headers::from_pairs(headers),
            input: Input(input),
            output: Output { channel: id, sender, reset: Arc::default() },
        }
    }

    #[test]
    fn halves_find_each_other() {
        let mut halves = Halves::default();
        let add = |halves: &mut Halves, id, headers: &[(&str, &str)]| {
            halves.add(stream(id, headers)).map(|pair| pair.map(|pair| pair.port))
        };
        assert_eq!(add(&mut halves, 1, &[("streamtype", "error"), ("port", "80"), ("requestid", "0")]), Ok(None));
        assert_eq!(add(&mut halves, 3, &[("streamtype", "error"), ("port", "81"), ("requestid", "1")]), Ok(None));
        assert_eq!(add(&mut halves, 5, &[("streamtype", "data"), ("port", "81"), ("requestid", "1")]), Ok(Some(81)));
        assert_eq!(add(&mut halves, 7, &[("streamtype", "data"), ("port", "80"), ("requestid", "0")]), Ok(Some(80)));
        // without numbers
        assert_eq!(add(&mut halves, 9, &[("streamtype", "error"), ("port", "80")]), Ok(None));
        assert_eq!(add(&mut halves, 11, &[("streamtype", "data"), ("port", "80")]), Ok(Some(80)));
        assert!(halves.0.is_empty());
        for wrong in
            [&[("streamtype", "data")][..], &[("streamtype", "data"), ("port", "0")], &[("streamtype", "x"), ("port", "1")]]
        {
            assert_eq!(add(&mut halves, 13, wrong), Err(()));
        }
        assert_eq!(add(&mut halves, 15, &[("streamtype", "error"), ("port", "80"), ("requestid", "2")]), Ok(None));
        assert_eq!(add(&mut halves, 17, &[("streamtype", "data"), ("port", "81"), ("requestid", "2")]), Err(()));
    }
}
