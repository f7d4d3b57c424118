//! Answers.

use api::status::Status;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::Value;

/// The body of an answer: whole, or as it comes. One that breaks off tells the client so.
pub type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// JSON that is there already.
pub(super) fn json(code: u16, bytes: impl Into<Bytes>) -> Response<Body> {
    typed(code, "application/json", bytes)
}

/// Any text.
pub(super) fn typed(code: u16, media: &'static str, bytes: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// An object.
pub(super) fn object(code: u16, object: &Value) -> Response<Body> {
    json(code, object.to_string())
}

/// What went wrong.
pub(super) fn status(status: &Status) -> Response<Body> {
    let mut response = object(status.code, &status.object());
    if let Some(seconds) = status.details["retryAfterSeconds"].as_u64()
        && let Ok(value) = HeaderValue::from_str(&seconds.to_string())
    {
        response.headers_mut().insert("retry-after", value);
    }
    response
}

/// Pieces as they come.
pub(super) fn stream(pieces: impl futures_util::Stream<Item = Bytes> + Send + 'static) -> Response<Body> {
    use futures_util::StreamExt;
    let body = StreamBody::new(pieces.map(|bytes| Ok(Frame::data(bytes)))).boxed_unsync();
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Adds warnings, which clients show to people.
pub(super) fn warn(response: &mut Response<Body>, warnings: &[String]) {
    for warning in warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append("warning", value);
        }
    }
}
