//! What a handler answers.

use std::fmt;
use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::Frame;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::session::Wire;
use super::{Busy, refused};
use crate::exit;

/// Pieces of a stream that wait for a slow reader.
const AHEAD: usize = 16;

/// Something that is waited for in no thread.
pub(super) type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Writes what comes by and by.
type Writer = Box<dyn FnOnce(&mut Output) -> anyhow::Result<()> + Send>;

/// An answer.
pub(super) enum Answer {
    /// Nothing but the status.
    Empty(StatusCode),
    /// A document.
    Json(StatusCode, Value),
    /// What comes by and by, with its type. It is written by the handler's thread, which ends when the client goes.
    Stream(&'static str, Vec<(&'static str, String)>, Writer),
    /// The head at once, and the document when it is there. Nothing is left when the client goes before that.
    Later(Later<Value>),
    /// The connection itself, for a process.
    Connection { tty: bool, serve: Box<dyn FnOnce(Wire) -> Later<()> + Send> },
}

/// A document with 200.
pub(super) fn json(value: Value) -> anyhow::Result<Answer> {
    Ok(Answer::Json(StatusCode::OK, value))
}

/// 204.
pub(super) fn done() -> anyhow::Result<Answer> {
    Ok(Answer::Empty(StatusCode::NO_CONTENT))
}

/// A stream of documents, one a line.
pub(super) fn lines(write: impl FnOnce(&mut Output) -> anyhow::Result<()> + Send + 'static) -> anyhow::Result<Answer> {
    Ok(Answer::Stream("application/json", Vec::new(), Box::new(write)))
}

/// Docker's document for an error.
pub(super) fn failure(error: &anyhow::Error) -> (StatusCode, Value) {
    (refused::status(error), json!({ "message": exit::chain(error) }))
}

/// The body of a response.
pub(super) enum Body {
    Whole(Option<Bytes>),
    /// The pipe tells whoever writes that nobody reads any more.
    Stream(mpsc::Receiver<io::Result<Bytes>>, #[allow(dead_code, reason = "held, and told by being closed")] PipeWriter),
    Later(Later<Value>),
}

/// A body, with what keeps the service from ending meanwhile.
pub(super) struct Answered {
    body: Body,
    _busy: Option<Busy>,
}

impl hyper::body::Body for Answered {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let bytes = match &mut self.body {
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(Ok)),
            Body::Stream(pieces, _) => pieces.poll_recv(context),
            Body::Later(value) => match value.as_mut().poll(context) {
                Poll::Ready(value) => {
                    self.body = Body::Whole(None);
                    Poll::Ready(Some(Ok(line(&value).into())))
                }
                Poll::Pending => Poll::Pending,
            },
        };
        bytes.map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match &self.body {
            Body::Whole(bytes) => hyper::body::SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            _ => hyper::body::SizeHint::default(),
        }
    }
}

/// A document with the newline that Docker's have.
pub(super) fn line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

/// The whole response, with what all of them have.
pub(super) fn response(
    status: StatusCode,
    kind: &str,
    headers: &[(&str, String)],
    body: Body,
    busy: Option<Busy>,
) -> Response<Answered> {
    let version = |(major, minor): (u32, u32)| format!("{major}.{minor}");
    let mut response = Response::builder()
        .status(status)
        .header("Api-Version", version(super::VERSION))
        .header("Ostype", "linux")
        // Without it the docker command never asks for `build --squash`.
        .header("Docker-Experimental", "true")
        .header("Server", concat!("rctr/", env!("CARGO_PKG_VERSION"), " (linux)"));
    if !kind.is_empty() {
        response = response.header("Content-Type", kind);
    }
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    let answered = |body| Answered { body, _busy: busy };
    match response.body(()) {
        Ok(response) => response.map(|()| answered(body)),
        // A header with a control character in it.
        Err(_) => {
            let mut response = Response::new(answered(Body::Whole(None)));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// Where a handler writes a stream to.
pub(super) struct Output {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    gone: PipeReader,
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Output")
    }
}

impl Output {
    /// And the body that it becomes.
    pub(super) fn new() -> io::Result<(Output, Body)> {
        let (sender, receiver) = mpsc::channel(AHEAD);
        let (gone, held) = io::pipe()?;
        Ok((Output { pieces: sender, gone }, Body::Stream(receiver, held)))
    }

    /// Its other end is closed when the client has gone.
    pub(super) fn gone(&self) -> BorrowedFd<'_> {
        self.gone.as_fd()
    }

    /// Breaks off: the client must not take what it has for the whole.
    pub(super) fn fail(&self, error: &anyhow::Error) {
        let _ = self.pieces.blocking_send(Err(io::Error::other(exit::chain(error))));
    }

    /// One document.
    pub(super) fn document(&mut self, value: &Value) -> io::Result<()> {
        self.write_all(&line(value))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// Half an archive that ends well would be taken for a whole one.
    #[test]
    fn what_fails_breaks_off() {
        let ended = |fails: bool| {
            let (mut output, body) = Output::new().unwrap();
            let writing = std::thread::spawn(move || {
                output.write_all(b"half").unwrap();
                if fails {
                    output.fail(&anyhow::anyhow!("why"));
                }
            });
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(Answered { body, _busy: None }.collect());
            writing.join().unwrap();
            read.map(|read| read.to_bytes().to_vec()).map_err(|error| error.to_string())
        };
        assert_eq!((ended(false), ended(true)), (Ok(b"half".to_vec()), Err("why".to_owned())));
    }
}
