//! Answers that are a success, and bodies.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use rustix::buffer::spare_capacity;
use serde_json::Value;

use super::pieces;
use super::refusal::{Code, Refusal};

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, io::Error>;
/// An answer, good or bad.
pub(super) type Outcome = Result<Reply, Refusal>;

/// The digest of what is sent, or was stored.
pub(super) const DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// An answer in the making.
pub(super) struct Reply(Response<Body>);

impl Reply {
    pub(super) fn new(status: StatusCode) -> Self {
        let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
        *response.status_mut() = status;
        Reply(response)
    }

    /// A status whose answer has an empty body, and says so.
    pub(super) fn empty(status: StatusCode) -> Self {
        Reply::new(status).with(CONTENT_LENGTH, HeaderValue::from_static("0"))
    }

    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().append(name, value);
        self
    }

    /// The same for text that was made here.
    pub(super) fn text(self, name: HeaderName, value: impl AsRef<str>) -> Result<Self, Refusal> {
        let value = HeaderValue::from_str(value.as_ref()).map_err(|_| Refusal::from(Code::Internal))?;
        Ok(self.with(name, value))
    }

    pub(super) fn bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        *self.0.body_mut() = Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync();
        self
    }

    pub(super) fn json(value: &Value) -> Self {
        Reply::new(StatusCode::OK).with(CONTENT_TYPE, HeaderValue::from_static("application/json")).bytes(value.to_string())
    }

    /// Gives a header another value.
    pub(super) fn replace(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.headers_mut().insert(name, value);
    }

    pub(super) fn stream(mut self, body: Body) -> Self {
        *self.0.body_mut() = body;
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        self.0
    }
}

/// The answer for a refusal.
pub(super) fn refused(refusal: &Refusal) -> Response<Body> {
    let reply = Reply::new(refusal.code.status()).with(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let reply = refusal.headers.iter().cloned().fold(reply, |reply, (name, value)| reply.with(name, value));
    reply.bytes(refusal.body()).into_response()
}

/// Bytes `start` to `end` of a file. The next ones are read while the last ones are sent.
pub(super) fn file(file: Arc<File>, start: u64, end: u64) -> Body {
    let first = read(file, start, end);
    let stream = futures_util::stream::try_unfold(first, |reading| async move {
        let Some((reading, file, at, end)) = reading else { return Ok(None) };
        let piece: Bytes = reading.await.map_err(io::Error::other)??;
        if piece.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let next = at + piece.len() as u64;
        Ok(Some((piece, read(file, next, end))))
    });
    StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync()
}

type Reading = Option<(tokio::task::JoinHandle<io::Result<Bytes>>, Arc<File>, u64, u64)>;

fn read(file: Arc<File>, at: u64, end: u64) -> Reading {
    let length = usize::try_from(end.saturating_sub(at)).unwrap_or(pieces::SIZE).min(pieces::SIZE);
    if length == 0 {
        return None;
    }
    let source = file.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let mut piece = pieces::take();
        rustix::io::retry_on_intr(|| rustix::io::pread(&source, spare_capacity(&mut piece), at))?;
        piece.truncate(length);
        Ok(pieces::bytes(piece))
    });
    Some((reading, file, at, end))
}
