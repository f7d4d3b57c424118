//! What a session reads and writes, whichever protocol carries it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Pieces that wait for a slow reader, for each direction of each stream.
pub(crate) const WAITING: usize = 8;

/// The longest piece. Longer frames of a client are handed on in parts, so what a connection holds is bounded.
pub(crate) const PIECE: usize = 32 << 10;

/// Bytes that the client sends on one stream.
#[derive(Debug)]
pub struct Input(pub(crate) mpsc::Receiver<Bytes>);

impl Input {
    /// The next piece; `None` when the client has sent all, or is gone.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

/// The client is gone, or does not want to hear more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client has closed the stream")]
pub struct Closed;

/// One stream to the client.
#[derive(Debug, Clone)]
pub struct Output {
    pub(crate) channel: u32,
    pub(crate) sender: mpsc::Sender<Outgoing>,
    /// Set when the client has ended this stream alone.
    pub(crate) reset: Arc<AtomicBool>,
}

impl Output {
    /// Sends bytes, and waits while the client is slow.
    ///
    /// # Errors
    /// [`Closed`]
    pub async fn write(&self, mut bytes: Bytes) -> Result<(), Closed> {
        loop {
            if self.reset.load(Ordering::Relaxed) {
                return Err(Closed);
            }
            let piece = bytes.split_to(bytes.len().min(PIECE));
            self.sender.send(Outgoing::Data(self.channel, piece)).await.map_err(|_| Closed)?;
            if bytes.is_empty() {
                return Ok(());
            }
        }
    }

    /// Tells the client that no more will come.
    ///
    /// # Errors
    /// [`Closed`]
    pub async fn end(self) -> Result<(), Closed> {
        self.sender.send(Outgoing::End(self.channel)).await.map_err(|_| Closed)
    }

    /// Waits until the client is gone.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// What waits to be written to a connection.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Data(u32, Bytes),
    End(u32),
    /// A whole frame of the protocol.
    Frame(Bytes),
    /// Whether the client is still there.
    Ask,
    /// Nothing comes after this.
    Close,
}

/// How long something that nobody takes waits before its client is asked whether it is still there.
const ASKING: Duration = Duration::from_secs(1);

/// Hands what a client has sent to whoever takes it, and waits for that; what nobody wants any more is dropped. Meanwhile nothing is read, so
/// that the client has hung up would not be seen: it is asked again and again, since what is written to one that has gone fails.
///
/// # Errors
/// [`Closed`]: it has gone.
pub(crate) async fn hand<T>(to: &mpsc::Sender<T>, what: T, outgoing: &mpsc::Sender<Outgoing>) -> Result<(), Closed> {
    let what = match to.try_send(what) {
        Err(TrySendError::Full(what)) => what,
        Ok(()) | Err(TrySendError::Closed(_)) => return Ok(()),
    };
    let mut handed = std::pin::pin!(to.send(what));
    loop {
        tokio::select! {
            _ = &mut handed => return Ok(()),
            () = outgoing.closed() => return Err(Closed),
            () = tokio::time::sleep(ASKING) => drop(outgoing.try_send(Outgoing::Ask)),
        }
    }
}

/// Rows and columns of the client's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Size {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// Sizes of the client's terminal, as they come.
#[derive(Debug)]
pub struct Sizes {
    pub(crate) input: Option<Input>,
    pub(crate) text: Vec<u8>,
}

impl Sizes {
    /// The next size; waits for ever when none will come, so that it can be one of several things that are waited for.
    pub async fn next(&mut self) -> Size {
        loop {
            if let Some(size) = self.parsed() {
                return size;
            }
            match &mut self.input {
                Some(input) => match input.next().await {
                    Some(bytes) if self.text.len() + bytes.len() <= PIECE => self.text.extend_from_slice(&bytes),
                    _ => self.input = None,
                },
                None => std::future::pending().await,
            }
        }
    }

    /// Takes the first whole JSON value off the text. What is none makes the rest worthless.
    fn parsed(&mut self) -> Option<Size> {
        let mut values = serde_json::Deserializer::from_slice(&self.text).into_iter::<Size>();
        let size = match values.next()? {
            Ok(size) => Some(size),
            Err(error) if error.is_eof() => return None,
            Err(_) => None,
        };
        let read = if size.is_some() { values.byte_offset() } else { self.text.len() };
        self.text.drain(..read);
        size
    }
}

/// The streams of one exec or attach.
#[derive(Debug)]
pub struct Io {
    /// What the client types.
    pub stdin: Option<Input>,
    /// Standard output, or all output of a terminal.
    pub stdout: Option<Output>,
    /// Standard error.
    pub stderr: Option<Output>,
    /// Changes of the client's terminal.
    pub sizes: Sizes,
    /// Says when the client is gone, and carries the outcome.
    pub(crate) error: Output,
}

impl Io {
    /// Ends when the client is gone. It stands on its own, so that the streams can be used meanwhile.
    pub fn gone(&self) -> impl Future<Output = ()> + Send + use<> {
        let error = self.error.clone();
        async move { error.closed().await }
    }

    /// Waits until the client is gone.
    pub async fn closed(&self) {
        self.error.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sizes_come_in_any_pieces() {
        let (sender, receiver) = mpsc::channel(WAITING);
        let mut sizes = Sizes { input: Some(Input(receiver)), text: Vec::new() };
        for piece in [r#"{"Width":80,"#, r#""Height":24}{"Width":1,"Height":2}"#, "nonsense\n", r#"{"Width":3,"Height":4}"#] {
            sender.send(Bytes::from(piece)).await.unwrap();
        }
        for (width, height) in [(80, 24), (1, 2), (3, 4)] {
            assert_eq!(sizes.next().await, Size { width, height });
        }
    }

    #[tokio::test]
    async fn long_output_goes_in_pieces() {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        let output = Output { channel: 1, sender, reset: Arc::default() };
        output.write(Bytes::from(vec![7; PIECE + 1])).await.unwrap();
        output.write(Bytes::new()).await.unwrap();
        let mut lengths = Vec::new();
        while let Ok(Outgoing::Data(1, bytes)) = receiver.try_recv() {
            lengths.push(bytes.len());
        }
        assert_eq!(lengths, [PIECE, 1, 0]);
        drop(receiver);
        assert_eq!(output.write(Bytes::new()).await, Err(Closed));
    }
}
