//! One connection: a task that reads and one that writes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::frame::{self, Head, Reset};
use super::headers::{Headers, Reader, Writer};
use super::streams::Streams;
use super::{Error, VERSION};
use crate::io::{Input, Outgoing, Output, PIECE, WAITING, hand};

/// A connection on which nothing moves for this long is given up.
const IDLE: Duration = Duration::from_secs(4 * 3600);

/// How long a client may take to hang up after it was told to.
const LINGER: Duration = Duration::from_secs(5);

/// The number of our pings: a server's are even. It does not matter which of them is answered.
const OURS: u32 = 2;

/// A stream that the client has opened.
#[derive(Debug)]
pub struct Accepted {
    /// What it is for.
    pub headers: Headers,
    /// From the client.
    pub input: Input,
    /// To the client.
    pub output: Output,
}

/// The server's end of a connection.
#[derive(Debug)]
pub struct Connection {
    accepted: mpsc::Receiver<Accepted>,
    outgoing: mpsc::Sender<Outgoing>,
    reader: JoinHandle<()>,
}

impl Connection {
    /// Serves what a client does on `io`, in two tasks of their own.
    pub fn serve<T: AsyncRead + AsyncWrite + Send + 'static>(io: T) -> Connection {
        let (read, write) = tokio::io::split(io);
        let (outgoing, waiting) = mpsc::channel(WAITING);
        let (accepts, accepted) = mpsc::channel(WAITING);
        let (streams, moved) = (Streams::default(), Arc::new(AtomicBool::new(false)));
        let writer = tokio::spawn(write_all(write, waiting, streams.clone(), Arc::clone(&moved)));
        let serving = Serving { read, accepts, outgoing: outgoing.clone(), streams, last: 0, moved };
        let reader = tokio::spawn(async move {
            serving.run().await;
            // What the client does not read any more is not written.
            writer.abort();
        });
        Connection { accepted, outgoing, reader }
    }

    /// The next stream; `None` when the client is gone.
    pub async fn accept(&mut self) -> Option<Accepted> {
        self.accepted.recv().await
    }

    /// Waits until the client is gone.
    pub async fn closed(&self) {
        self.outgoing.closed().await;
    }

    /// Says goodbye after all that was written, and waits for the client to hang up: a socket that is closed with bytes unread makes the
    /// kernel throw away what the client has not read either.
    pub async fn close(mut self) {
        let _ = self.outgoing.send(Outgoing::Close).await;
        // Whoever opens a stream now is not heard, and must not stop the reader.
        self.accepted.close();
        if timeout(LINGER, &mut self.reader).await.is_err() {
            self.reader.abort();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn write_all<T: AsyncWrite>(
    mut to: WriteHalf<T>,
    mut waiting: mpsc::Receiver<Outgoing>,
    streams: Streams,
    moved: Arc<AtomicBool>,
) {
    while let Some(next) = waiting.recv().await {
        moved.store(true, Ordering::Relaxed);
        let frame = match next {
            Outgoing::Data(id, bytes) => frame::data(id, &bytes, false),
            Outgoing::End(id) => {
                streams.end_output(id);
                frame::data(id, &[], true)
            }
            Outgoing::Frame(frame) => frame,
            Outgoing::Ask => frame::ping(OURS),
            Outgoing::Close => {
                let _ = to.write_all(&frame::go_away(0)).await;
                break;
            }
        };
        if to.write_all(&frame).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

struct Serving<T> {
    read: ReadHalf<T>,
    accepts: mpsc::Sender<Accepted>,
    outgoing: mpsc::Sender<Outgoing>,
    streams: Streams,
    /// The highest stream so far.
    last: u32,
    moved: Arc<AtomicBool>,
}

impl<T: AsyncRead> Serving<T> {
    /// Reads until the client is gone, or breaks the protocol, which ends it the same way.
    async fn run(mut self) {
        let _ = self.frames().await;
        self.streams.clear();
    }

    async fn frames(&mut self) -> Result<(), Error> {
        let (mut reader, mut writer) = (Reader::new(), Writer::new()?);
        loop {
            let mut head = [0; Head::LENGTH];
            self.head(&mut head).await?;
            match Head::parse(head) {
                Head::Data { stream, flags, length } => self.data(stream, flags, length).await?,
                Head::Control { version, .. } if version != VERSION => return Err(Error::Protocol("another version")),
                Head::Control { length, .. } if length > frame::MAX_CONTROL => return Err(Error::Protocol("a frame is too long")),
                Head::Control { kind, flags, length, .. } => {
                    let mut body = vec![0; length as usize];
                    self.read.read_exact(&mut body).await?;
                    match kind {
                        frame::SYN_STREAM => self.open(flags, &body, &mut reader, &mut writer).await?,
                        frame::RST_STREAM => self.streams.reset(frame::stream_id(word(&body, 0)?)),
                        frame::PING => match u32::from_be_bytes(word(&body, 0)?) {
                            OURS => {}
                            id => self.send(frame::ping(id)).await,
                        },
                        frame::GOAWAY => return Ok(()),
                        // SETTINGS, WINDOW_UPDATE, HEADERS: nothing here depends on them.
                        _ => {}
                    }
                }
            }
        }
    }

    /// Reads the first bytes of a frame, or gives up on a connection where nothing moves in either direction.
    async fn head(&mut self, head: &mut [u8]) -> Result<(), Error> {
        let mut read = std::pin::pin!(self.read.read_exact(head));
        loop {
            self.moved.store(false, Ordering::Relaxed);
            match timeout(IDLE, read.as_mut()).await {
                Ok(done) => return done.map(drop).map_err(Error::from),
                Err(_) if self.moved.load(Ordering::Relaxed) => {}
                Err(_) => return Err(Error::Protocol("idle for too long")),
            }
        }
    }

    async fn open(&mut self, flags: u8, body: &[u8], reader: &mut Reader, writer: &mut Writer) -> Result<(), Error> {
        let id = frame::stream_id(word(body, 0)?);
        // Even of a stream that is refused: the compression goes on from it.
        let headers = reader.read(body.get(10..).ok_or(Error::Protocol("a frame is cut off"))?)?;
        if id.is_multiple_of(2) || id <= self.last {
            self.send(frame::reset(id, Reset::Protocol)).await;
            return Ok(());
        }
        self.last = id;
        let (sender, receiver) = mpsc::channel(WAITING);
        let Some(reset) = self.streams.open(id, (flags & frame::FIN == 0).then_some(sender)) else {
            self.send(frame::reset(id, Reset::Refused)).await;
            return Ok(());
        };
        self.send(frame::reply(id, &writer.write(&[])?)).await;
        let output = Output { channel: id, sender: self.outgoing.clone(), reset };
        // If nobody waits for streams any more, the connection is being closed.
        Ok(hand(&self.accepts, Accepted { headers, input: Input(receiver), output }, &self.outgoing).await?)
    }

    /// Hands bytes on in pieces. What nobody wants to read is dropped.
    async fn data(&mut self, id: u32, flags: u8, length: u32) -> Result<(), Error> {
        let input = self.streams.input(id);
        if input.is_none() && length > 0 {
            self.send(frame::reset(id, Reset::InvalidStream)).await;
        }
        let mut left = length as usize;
        while left > 0 {
            let mut piece = BytesMut::zeroed(left.min(PIECE));
            self.read.read_exact(&mut piece).await?;
            left -= piece.len();
            if let Some(input) = &input {
                hand(input, piece.freeze(), &self.outgoing).await?;
            }
        }
        if flags & frame::FIN != 0 {
            self.streams.end_input(id);
        }
        Ok(())
    }

    /// After goodbye nothing is written, but what the client has sent is still read.
    async fn send(&mut self, frame: Bytes) {
        let _ = self.outgoing.send(Outgoing::Frame(frame)).await;
    }
}

fn word(body: &[u8], at: usize) -> Result<[u8; 4], Error> {
    body[at..].first_chunk().copied().ok_or(Error::Protocol("a frame is cut off"))
}
