//! A blob as a stream that mends itself.
//!
//! When the connection breaks, the next request asks for the rest (`Range`); a server that knows no ranges sends all once more,
//! and what was there before is left out. The bytes are not verified here: whoever takes them needs their digest anyway, and
//! hashes them once.

use bytes::{Buf, Bytes};
use reqwest::header::{CONTENT_ENCODING, CONTENT_RANGE, HeaderMap, HeaderValue, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::Inner;
use super::attempts::Attempts;
use super::error::{Error, Failure};
use super::http::length;
use crate::Digest;

/// A connection that broke after this many bytes was no failure of the registry.
const PROGRESS: u64 = 256 << 10;

/// A download that is under way.
pub(super) struct Download<'a> {
    registry: std::sync::Arc<Inner<'a>>,
    attempts: Attempts<'a>,
    digest: Digest,
    size: u64,
    /// Bytes that went out.
    position: u64,
    /// The same when the connection broke last.
    broke_at: u64,
    answer: Option<Answer>,
}

/// An answer with the part of its body that is not needed.
struct Answer {
    response: Response,
    skip: u64,
}

impl<'a> Download<'a> {
    pub(super) fn new(registry: std::sync::Arc<Inner<'a>>, digest: &Digest, size: u64, offset: u64) -> Self {
        let what = format!("blob {} of {}", digest.short(), registry.reference.familiar());
        let attempts = Attempts::new(registry.clone(), what, true);
        Download { registry, attempts, digest: digest.clone(), size, position: offset, broke_at: offset, answer: None }
    }

    /// Makes the first request.
    pub(super) async fn start(&mut self) -> Result<(), Error> {
        while self.position < self.size && self.answer.is_none() {
            match self.open().await {
                Ok(answer) => self.answer = Some(answer),
                Err(failure) => self.attempts.failed(failure).await?,
            }
        }
        Ok(())
    }

    /// The next piece; `None` once `size` bytes are there.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.position < self.size {
            match self.piece().await {
                Ok(piece) => {
                    self.position += piece.len() as u64;
                    return Ok(Some(piece));
                }
                Err(failure) => {
                    self.answer = None;
                    if self.position - self.broke_at >= PROGRESS {
                        self.attempts.progressed();
                    }
                    self.broke_at = self.position;
                    self.attempts.failed(failure).await?;
                }
            }
        }
        Ok(None)
    }

    async fn piece(&mut self) -> Result<Bytes, Failure> {
        loop {
            let answer = match &mut self.answer {
                Some(answer) => answer,
                None => {
                    self.answer.insert(Self::open_at(&self.registry, &self.attempts, &self.digest, self.size, self.position).await?)
                }
            };
            let Some(mut piece) = self.registry.http.piece(&mut answer.response).await? else {
                return Err(Failure::Lost(format!("the answer ended after {} of {} bytes", self.position, self.size)));
            };
            let skipped = answer.skip.min(piece.len() as u64);
            answer.skip -= skipped;
            piece.advance(usize::try_from(skipped).unwrap_or(piece.len()));
            if piece.len() as u64 > self.size - self.position {
                return Err(Failure::TooLarge { limit: self.size });
            }
            if !piece.is_empty() {
                return Ok(piece);
            }
        }
    }

    async fn open(&self) -> Result<Answer, Failure> {
        Self::open_at(&self.registry, &self.attempts, &self.digest, self.size, self.position).await
    }

    async fn open_at(
        registry: &Inner<'a>,
        attempts: &Attempts<'a>,
        digest: &Digest,
        size: u64,
        position: u64,
    ) -> Result<Answer, Failure> {
        let mut headers = HeaderMap::new();
        if position > 0 {
            let range = HeaderValue::try_from(format!("bytes={position}-"));
            headers.insert(RANGE, range.map_err(|_| Failure::Protocol("range".into()))?);
        }
        let endpoint = attempts.endpoint();
        let response = endpoint.request(&registry.http, Method::GET, &format!("blobs/{digest}"), &headers).await?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
            StatusCode::RANGE_NOT_SATISFIABLE => return Err(Failure::Truncated { expected: size, found: position }),
            _ => return Err(endpoint.refusal(&registry.http, response, &format!("no blob {digest}")).await),
        }
        let starts = check(response.status(), response.headers(), position, size)?;
        Ok(Answer { response, skip: position - starts })
    }
}

/// Checks what an answer to a request for the bytes from `position` says about itself. Answers where its body starts.
fn check(status: StatusCode, headers: &HeaderMap, position: u64, size: u64) -> Result<u64, Failure> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Failure::Protocol("it is compressed, which was not asked for".into()));
    }
    let (starts, total) = match (status, headers.get(CONTENT_RANGE)) {
        (StatusCode::PARTIAL_CONTENT, range) => {
            let range = range.and_then(|range| content_range(range.to_str().ok()?));
            let (starts, total) = range.ok_or_else(|| Failure::Protocol("a part without a valid Content-Range".into()))?;
            (starts, total)
        }
        _ => (0, length(headers)),
    };
    if starts > position {
        return Err(Failure::Protocol(format!("bytes from {starts} when those from {position} were asked for")));
    }
    match total {
        Some(total) if total < size => Err(Failure::Truncated { expected: size, found: total }),
        Some(total) if total > size => Err(Failure::TooLarge { limit: size }),
        _ => Ok(starts),
    }
}

/// Start and total of `bytes 100-199/200` (RFC 9110, section 14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.trim().parse().ok()?, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(status: u16, headers: &[(&'static str, &'static str)], position: u64) -> Result<u64, String> {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
        let headers: HeaderMap = headers.collect();
        check(StatusCode::from_u16(status).unwrap(), &headers, position, 100).map_err(|failure| failure.to_string())
    }

    #[test]
    fn where_an_answer_starts() {
        assert_eq!(checked(200, &[("content-length", "100")], 0), Ok(0));
        assert_eq!(checked(200, &[], 40), Ok(0));
        assert_eq!(checked(206, &[("content-range", "bytes 40-99/100")], 40), Ok(40));
        assert_eq!(checked(206, &[("content-range", "bytes 30-99/*")], 40), Ok(30));
    }

    #[test]
    fn what_an_answer_must_not_be() {
        let wrong = |status, headers: &[_], position| checked(status, headers, position).unwrap_err();
        assert_eq!(wrong(200, &[("content-length", "99")], 0), "truncated: 99 of 100 bytes");
        assert_eq!(wrong(200, &[("content-length", "101")], 0), "larger than 100 bytes");
        assert_eq!(wrong(206, &[("content-range", "bytes 40-98/99")], 40), "truncated: 99 of 100 bytes");
        assert!(wrong(206, &[("content-range", "bytes 50-99/100")], 40).contains("bytes from 50"));
        assert!(wrong(206, &[], 40).contains("Content-Range"));
        assert!(wrong(206, &[("content-range", "40-99")], 40).contains("Content-Range"));
        assert!(wrong(200, &[("content-encoding", "gzip")], 0).contains("compressed"));
    }
}
