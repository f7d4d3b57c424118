//! The rest of an upload that a registry does not take at once.

use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::super::Inner;
use super::super::endpoint::{Endpoint, Outgoing};
use super::super::error::Failure;
use super::{Trouble, text, with_digest};
use crate::Digest;

/// An upload in pieces that is under way.
pub(super) struct Pieces<'a, 'r> {
    pub(super) registry: &'a Inner<'r>,
    pub(super) endpoint: &'a Endpoint,
    pub(super) location: Url,
    /// Bytes that the registry has.
    pub(super) at: u64,
    /// Failures in a row.
    pub(super) failed: u32,
    /// Bytes of each piece but the last.
    pub(super) length: u64,
}

impl Pieces<'_, '_> {
    /// Sends a piece. `false`: the bytes from [`Pieces::at`] on are needed once more.
    pub(super) async fn send(&mut self, piece: Bytes) -> Result<bool, Failure> {
        let length = piece.len() as u64;
        let range = format!("{}-{}", self.at, self.at + length - 1);
        let response = match self.request(Method::PATCH, self.location.clone(), Some(&range), piece).await {
            Ok(response) if response.status() == StatusCode::ACCEPTED => response,
            // It has more or less than we think.
            Ok(response) if response.status() == StatusCode::RANGE_NOT_SATISFIABLE => {
                return self.ask(Failure::Protocol("it lost a piece".into())).await.map(|()| false);
            }
            Ok(response) => {
                let failure = self.endpoint.refusal(&self.registry.http, response, "no upload").await;
                return self.ask(failure).await.map(|()| false);
            }
            Err(failure) => return self.ask(failure).await.map(|()| false),
        };
        self.location = self.endpoint.location(&response)?;
        self.failed = 0;
        self.at += length;
        Ok(true)
    }

    /// After `failure`: finds out how far the upload is, if it is worth it.
    async fn ask(&mut self, failure: Failure) -> Result<(), Failure> {
        self.failed += 1;
        let lost = matches!(failure, Failure::Protocol(_)) && self.failed < self.registry.patience.tries;
        match self.registry.patience.next(self.failed, &failure) {
            Some(pause) => self.registry.patience.wait(pause).await,
            None if lost => {}
            None => return Err(failure),
        }
        let response = self.request(Method::GET, self.location.clone(), None, Bytes::new()).await?;
        if !response.status().is_success() {
            return Err(failure);
        }
        let range = response.headers().get(RANGE).and_then(|range| range.to_str().ok());
        self.at = range.and_then(held).unwrap_or(0);
        if response.headers().contains_key(LOCATION) {
            self.location = self.endpoint.location(&response)?;
        }
        Ok(())
    }

    pub(super) async fn end(self, digest: &Digest) -> Result<(), Trouble> {
        let url = with_digest(self.location.clone(), digest);
        let response = self.request(Method::PUT, url, None, Bytes::new()).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(()),
            _ => Err(self.endpoint.refusal(&self.registry.http, response, "no upload").await.into()),
        }
    }

    async fn request(&self, method: Method, url: Url, range: Option<&str>, body: Bytes) -> Result<Response, Failure> {
        let mut headers = HeaderMap::new();
        if let Some(range) = range {
            // Without a unit, unlike everywhere else in HTTP.
            headers.insert(CONTENT_RANGE, text(range)?);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        }
        let size = body.len() as u64;
        let request = Outgoing { method, url, headers, size, body: Body::from(body) };
        self.endpoint.send(&self.registry.http, request, &AtomicU64::new(0)).await
    }
}

/// Bytes behind `0-1023` or `bytes=0-1023`. Of an empty upload some say `0-0`: one byte that is sent twice is refused, and asked
/// for again.
fn held(range: &str) -> Option<u64> {
    let (_, last) = range.rsplit_once('-')?;
    let last: u64 = last.trim().parse().ok()?;
    Some(if last == 0 { 0 } else { last + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_an_upload_is() {
        assert_eq!((held("0-1023"), held("bytes=0-9"), held("0-0"), held("x")), (Some(1024), Some(10), Some(0), None));
    }
}
