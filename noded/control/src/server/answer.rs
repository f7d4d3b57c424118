//! Answers.

use std::io::Write;

use api::status::Status;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Body as _, Frame};
use hyper::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, VARY};
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

/// Answers of this size, and greater ones, are compressed for clients that take it.
const BIG: u64 = 128 << 10;

/// Compresses a big answer that is there as a whole, if the client takes it.
pub(super) async fn compressed(response: Response<Body>, accepted: &str) -> Response<Body> {
    let takes = accepted.split(',').any(|way| {
        let (name, quality) = way.split_once(';').unwrap_or((way, ""));
        name.trim() == "gzip" && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    });
    if !takes
        || response.body().size_hint().exact().is_none_or(|size| size < BIG)
        || response.headers().contains_key(CONTENT_ENCODING)
    {
        return response;
    }
    let (mut head, body) = response.into_parts();
    // it is in memory already
    let Ok(body) = body.collect().await else { return status(&Status::internal("read an answer")) };
    let plain = body.to_bytes();
    let packed = tokio::task::spawn_blocking(move || {
        let mut out = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
        out.write_all(&plain).and_then(|()| out.finish())
    });
    let Ok(Ok(packed)) = packed.await else { return status(&Status::internal("compress an answer")) };
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    head.headers.append(VARY, HeaderValue::from_static("Accept-Encoding"));
    Response::from_parts(head, Full::new(Bytes::from(packed)).map_err(|never| match never {}).boxed_unsync())
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
