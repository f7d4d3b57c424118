//! exec and attach: from named streams to an [`Io`], and the outcome back.

use std::time::Duration;

use axum::extract::ws::WebSocket;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::io::{Io, Output, Sizes};
use crate::spdy::{Accepted, Connection};
use crate::websocket::{self, Channels};
use crate::{Backend, Job, Outcome, Streams};

/// How long a client may take to open its streams.
const OPENING: Duration = Duration::from_secs(30);

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;

/// The versions over SPDY, best first. The first one has no name in the header of old clients.
pub(crate) const PROTOCOLS: [&str; 4] = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"];

/// The version behind the name of a protocol.
pub(crate) fn version(protocol: &str) -> u8 {
    PROTOCOLS.iter().position(|known| *known == protocol).map_or(1, |at| 4 - at as u8)
}

/// An exec or attach without its connection.
#[derive(Debug)]
pub(crate) struct Remote {
    container: String,
    /// None for attach.
    command: Option<Vec<String>>,
    streams: Streams,
}

impl Remote {
    /// The part of a job that is about a container.
    pub(crate) fn new(job: Job) -> Option<Remote> {
        match job {
            Job::Exec { container, command, streams } => Some(Remote { container, command: Some(command), streams }),
            Job::Attach { container, streams } => Some(Remote { container, command: None, streams }),
            Job::Forward { .. } => None,
        }
    }

    /// Does it over SPDY.
    pub(crate) async fn over_spdy<T: AsyncRead + AsyncWrite + Send + 'static>(self, io: T, version: u8, backend: &impl Backend) {
        let mut connection = Connection::serve(io);
        if let Ok(Some(io)) = timeout(OPENING, self.accept(&mut connection, version)).await {
            self.run(io, version, backend).await;
        }
        connection.close().await;
    }

    /// Does it over WebSocket.
    pub(crate) async fn over_websocket(self, socket: WebSocket, version: u8, backend: &impl Backend) {
        let Streams { stdin, stdout, stderr, tty } = self.streams;
        let mut channels =
            Channels::serve(socket, [(stdin, STDIN), (tty, RESIZE)].into_iter().filter_map(|(on, channel)| on.then_some(channel)));
        let io = Io {
            stdin: channels.input(STDIN),
            stdout: stdout.then(|| channels.output(STDOUT)),
            stderr: (stderr && !tty).then(|| channels.output(STDERR)),
            sizes: Sizes { input: channels.input(RESIZE), text: Vec::new() },
            error: channels.output(ERROR),
        };
        // Clients take the first message as the sign that they are connected.
        let first = io.stdout.as_ref().or(io.stderr.as_ref()).unwrap_or(&io.error);
        if first.write(Bytes::new()).await.is_ok() {
            self.run(io, version, backend).await;
        }
        channels.close().await;
    }

    async fn run(self, io: Io, version: u8, backend: &impl Backend) {
        let (outcome, io) = match self.command {
            Some(command) => backend.exec(self.container, command, self.streams.tty, io).await,
            None => backend.attach(self.container, self.streams.tty, io).await,
        };
        // A client that is gone hears none of it.
        let _ = finish(&outcome, io, version).await;
    }

    /// Waits until the client has opened all its streams; `None` when it does anything else.
    async fn accept(&self, connection: &mut Connection, version: u8) -> Option<Io> {
        let Streams { stdin, stdout, stderr, tty } = self.streams;
        let resize = tty && version >= 3;
        let mut missing = 1 + [stdin, stdout, stderr && !tty, resize].into_iter().filter(|wanted| *wanted).count();
        let (mut error, mut io) = (None, (None, None, None, None));
        while missing > 0 {
            let Accepted { headers, input, output } = connection.accept().await?;
            let new = match headers.get("streamtype")? {
                "error" => error.replace(output).is_none(),
                "stdin" if stdin => io.0.replace(input).is_none(),
                "stdout" if stdout => io.1.replace(output).is_none(),
                "stderr" if stderr && !tty => io.2.replace(output).is_none(),
                "resize" if resize => io.3.replace(input).is_none(),
                _ => false,
            };
            if !new {
                return None;
            }
            missing -= 1;
        }
        Some(Io { stdin: io.0, stdout: io.1, stderr: io.2, sizes: Sizes { input: io.3, text: Vec::new() }, error: error? })
    }
}

/// Ends the outputs before the outcome is told: a client may stop listening at the outcome.
async fn finish(outcome: &Outcome, io: Io, version: u8) -> Result<(), crate::Closed> {
    for output in [io.stdout, io.stderr].into_iter().flatten() {
        Output::end(output).await?;
    }
    if let Some(report) = outcome.report(version) {
        io.error.write(report).await?;
    }
    io.error.end().await
}

/// The best version of WebSocket channels among those that a client offers.
pub(crate) fn websocket_version(protocol: Option<&str>) -> u8 {
    protocol.map_or(1, websocket::version)
}
