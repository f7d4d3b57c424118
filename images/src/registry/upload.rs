//! Writing to a registry: blobs, then the manifests that name them (distribution-spec, "Push").
//!
//! ```text
//! HEAD blob ─> it is there
//!     └─ POST uploads/?mount=…&from=… ─201─> taken over from another repository
//!                                      └202─> PUT all of it ─413─> POST, PATCH a piece, PATCH a piece, …, PUT
//! ```
//!
//! A request that breaks is made again from the HEAD on: a PUT whose answer was lost is then found done. Only pieces go on
//! where the registry says it is.

mod pieces;

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use futures_util::stream::LocalBoxStream;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::sync::mpsc;

use self::pieces::Pieces;
use super::attempts::Attempts;
use super::auth::Access;
use super::endpoint::{Endpoint, Outgoing};
use super::error::Failure;
use super::registries::Purpose;
use super::retry::Patience;
use super::{Credentials, DIGEST, Error, Inner, Registries, Registry};
use crate::manifest::About;
use crate::pull::{Event, Progress};
use crate::{Digest, Reference};

/// Bytes of a piece, where a registry does not take all at once.
const PIECE: u64 = 8 << 20;
/// Pieces that a registry asks to be larger than this are not sent.
const PIECE_LIMIT: u64 = 256 << 20;
/// Pieces of the source that wait for the network.
const WAITING: usize = 4;

/// Where the bytes of a blob come from.
pub(crate) trait Content {
    /// The bytes from `offset` on.
    fn read(&self, offset: u64) -> impl Future<Output = crate::Result<LocalBoxStream<'_, crate::Result<Bytes>>>>;
}

/// How a blob got into the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Uploaded {
    Existed,
    /// From this repository.
    Mounted(String),
    Sent,
}

/// Why an upload ended.
enum Trouble {
    /// The bytes could not be read.
    Source(crate::Error),
    Registry(Failure),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Trouble::Registry(failure)
    }
}

/// A blob to upload.
pub(crate) struct Upload<'a, C> {
    pub(crate) digest: &'a Digest,
    pub(crate) size: u64,
    /// Repositories of the same registry that may have it.
    pub(crate) mounts: &'a [String],
    pub(crate) content: &'a C,
}

impl<'a> Registry<'a> {
    /// For writing: never to a mirror, unless `hosts.toml` says that it takes pushes. `from` are repositories of the same registry whose blobs may be taken over.
    pub(crate) fn to_push(
        reference: &Reference,
        registries: &Registries,
        credentials: &Credentials,
        from: Vec<String>,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        Self::to_push_patiently(reference, registries, credentials, from, progress, Patience::default())
    }

    pub(super) fn to_push_patiently(
        reference: &Reference,
        registries: &Registries,
        credentials: &Credentials,
        from: Vec<String>,
        progress: &'a dyn Progress,
        patience: Patience,
    ) -> Result<Self, Error> {
        let places = registries.places(reference, Purpose::Push)?;
        let access = Access::Push { from };
        let endpoints = places.iter().flat_map(|place| Endpoint::of(place, &access, credentials)).collect();
        Ok(Self::at(reference, endpoints, &registries.proxies, progress, patience))
    }

    /// Whether the repository has a manifest.
    pub(crate) async fn has_manifest(&self, digest: &Digest) -> Result<bool, Error> {
        let mut attempts = self.writing(format!("manifest {}", digest.short()));
        loop {
            match self.inner.has(attempts.endpoint(), &format!("manifests/{digest}"), super::accept()).await {
                Ok(has) => return Ok(has),
                Err(failure) => attempts.failed(failure).await?,
            }
        }
    }

    /// Writes a manifest or index under a tag or its digest, and lists it with what it is about.
    pub(crate) async fn put_manifest(&self, what: &str, digest: &Digest, media_type: &str, bytes: &[u8]) -> Result<(), Error> {
        let listed = self.put_document(what, digest, media_type, bytes).await?;
        let subject = About::read(bytes).ok().and_then(|about| about.subject().cloned());
        match subject {
            Some(subject) if !listed => self.refer(&subject, digest, media_type, bytes).await,
            _ => Ok(()),
        }
    }

    /// The same without a look into it. Answers whether the registry lists referrers by itself.
    pub(super) async fn put_document(&self, what: &str, digest: &Digest, media_type: &str, bytes: &[u8]) -> Result<bool, Error> {
        let mut attempts = self.writing(format!("manifest {what}"));
        loop {
            match self.inner.put_manifest(attempts.endpoint(), what, digest, media_type, bytes).await {
                Ok(listed) => return Ok(listed),
                Err(failure) => attempts.failed(failure).await?,
            }
        }
    }

    /// Brings a blob into the repository.
    pub(crate) async fn upload<C: Content>(&self, blob: &Upload<'_, C>) -> crate::Result<Uploaded> {
        let mut attempts = self.writing(format!("blob {}", blob.digest.short()));
        // Once a registry has refused a body for its size, it gets smaller ones.
        let mut pieces = false;
        loop {
            let tried = self.inner.upload(attempts.endpoint(), blob, pieces).await;
            match tried {
                Ok(Some(uploaded)) => return Ok(uploaded),
                Ok(None) => pieces = true,
                Err(Trouble::Source(error)) => return Err(error),
                Err(Trouble::Registry(failure)) => attempts.failed(failure).await?,
            }
        }
    }

    fn writing(&self, what: String) -> Attempts<'a> {
        let what = format!("push {what} of {}", self.inner.reference.repository());
        Attempts::writing(self.inner.clone(), what)
    }
}

impl Inner<'_> {
    async fn has(&self, endpoint: &Endpoint, path: &str, headers: HeaderMap) -> Result<bool, Failure> {
        let response = endpoint.request(&self.http, Method::HEAD, path, &headers).await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(endpoint.refusal(&self.http, response, "nothing").await),
        }
    }

    async fn put_manifest(
        &self,
        endpoint: &Endpoint,
        what: &str,
        digest: &Digest,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<bool, Failure> {
        let request = Outgoing {
            method: Method::PUT,
            url: parse(&endpoint.url(&format!("manifests/{what}")))?,
            headers: HeaderMap::from_iter([(CONTENT_TYPE, text(media_type)?)]),
            size: bytes.len() as u64,
            body: Body::from(bytes.to_vec()),
        };
        let response = endpoint.send(&self.http, request, &AtomicU64::new(0)).await?;
        if !response.status().is_success() {
            return Err(endpoint.refusal(&self.http, response, &format!("no manifest {what}")).await);
        }
        let listed = response.headers().contains_key("oci-subject");
        let said = response.headers().get(DIGEST).and_then(|said| said.to_str().ok()?.parse::<Digest>().ok());
        match said {
            // Another algorithm is no contradiction.
            Some(found) if found != *digest && found.algorithm() == digest.algorithm() => {
                Err(Failure::DigestMismatch { expected: digest.clone(), found })
            }
            _ => Ok(listed),
        }
    }

    /// One try. `None`: the registry takes no body of this size.
    async fn upload<C: Content>(
        &self,
        endpoint: &Endpoint,
        blob: &Upload<'_, C>,
        pieces: bool,
    ) -> Result<Option<Uploaded>, Trouble> {
        if self.has(endpoint, &format!("blobs/{}", blob.digest), HeaderMap::new()).await? {
            return Ok(Some(Uploaded::Existed));
        }
        let mut begun = None;
        // Of the repositories that may have it, those which are most likely to: each refusal leaves an upload behind.
        for from in blob.mounts.iter().take(2) {
            let (status, response) = self.begin(endpoint, &format!("?mount={}&from={}", blob.digest, encoded(from))).await?;
            if status == StatusCode::CREATED {
                return Ok(Some(Uploaded::Mounted(from.clone())));
            }
            begun = Some(response);
        }
        let begun = match begun {
            Some(begun) => begun,
            None => self.begin(endpoint, "").await?.1,
        };
        let location = endpoint.location(&begun)?;
        if pieces {
            let least = begun.headers().get("oci-chunk-min-length").and_then(|least| least.to_str().ok()?.parse().ok());
            return self.in_pieces(endpoint, blob, location, least.unwrap_or(0)).await.map(|()| Some(Uploaded::Sent));
        }
        let response = self.whole(endpoint, blob, with_digest(location, blob.digest)).await?;
        match response.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(Some(Uploaded::Sent)),
            StatusCode::PAYLOAD_TOO_LARGE => Ok(None),
            _ => Err(endpoint.refusal(&self.http, response, "no upload").await.into()),
        }
    }

    /// Opens an upload.
    async fn begin(&self, endpoint: &Endpoint, query: &str) -> Result<(StatusCode, Response), Failure> {
        let response = endpoint.request(&self.http, Method::POST, &format!("blobs/uploads/{query}"), &HeaderMap::new()).await?;
        match response.status() {
            status @ (StatusCode::ACCEPTED | StatusCode::CREATED) => Ok((status, response)),
            _ => Err(endpoint.refusal(&self.http, response, "no uploads").await),
        }
    }

    /// Sends all of a blob in one request.
    async fn whole<C: Content>(&self, endpoint: &Endpoint, blob: &Upload<'_, C>, url: Url) -> Result<Response, Trouble> {
        let sent = AtomicU64::new(0);
        let (feed, pieces) = mpsc::channel::<Result<Bytes, std::io::Error>>(WAITING);
        let body = futures_util::stream::unfold(pieces, |mut pieces| async { Some((pieces.recv().await?, pieces)) });
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))]);
        let request = Outgoing { method: Method::PUT, url, headers, size: blob.size, body: Body::wrap_stream(body) };
        let pump = async {
            let mut stream = blob.content.read(0).await?;
            while let Some(piece) = stream.try_next().await? {
                let length = piece.len() as u64;
                // Whoever does not take it has an answer already.
                if feed.send(Ok(piece)).await.is_err() {
                    return Ok(());
                }
                let bytes = sent.fetch_add(length, Ordering::Relaxed) + length;
                self.progress.event(Event::Uploaded { digest: blob.digest, bytes });
            }
            drop(feed);
            match sent.load(Ordering::Relaxed) {
                found if found < blob.size => Err(truncated(blob.digest, blob.size, found)),
                _ => Ok(()),
            }
        };
        let answer = endpoint.send(&self.http, request, &sent);
        tokio::select! {
            response = answer => Ok(response?),
            Err(error) = pump => Err(Trouble::Source(error)),
        }
    }

    /// Sends a blob piece by piece.
    async fn in_pieces<C: Content>(
        &self,
        endpoint: &Endpoint,
        blob: &Upload<'_, C>,
        location: Url,
        least: u64,
    ) -> Result<(), Trouble> {
        if least > PIECE_LIMIT {
            return Err(Failure::Protocol(format!("it wants pieces of {least} bytes at least")).into());
        }
        let mut upload = Pieces { registry: self, endpoint, location, at: 0, failed: 0, length: PIECE.max(least) };
        while upload.at < blob.size {
            let mut stream = blob.content.read(upload.at).await.map_err(Trouble::Source)?;
            let mut rest = BytesMut::new();
            loop {
                while (rest.len() as u64) < upload.length {
                    let Some(piece) = stream.try_next().await.map_err(Trouble::Source)? else { break };
                    rest.extend_from_slice(&piece);
                }
                let length = rest.len().min(usize::try_from(upload.length).unwrap_or(usize::MAX));
                if length == 0 || !upload.send(rest.split_to(length).freeze()).await? {
                    break;
                }
                self.progress.event(Event::Uploaded { digest: blob.digest, bytes: upload.at });
            }
            if upload.failed == 0 && upload.at < blob.size {
                return Err(Trouble::Source(truncated(blob.digest, blob.size, upload.at)));
            }
        }
        upload.end(blob.digest).await
    }
}

fn truncated(digest: &Digest, expected: u64, found: u64) -> crate::Error {
    crate::Error::Truncated { what: format!("blob {digest}"), expected, found }
}

/// The address may have a query of the registry's own: it stays as it is.
fn with_digest(mut location: Url, digest: &Digest) -> Url {
    let query = location.query().filter(|query| !query.is_empty()).map(|query| format!("{query}&")).unwrap_or_default();
    location.set_query(Some(&format!("{query}digest={}", encoded(digest.as_str()))));
    location
}

/// A part of a query: repositories and digests have only these two characters that are not taken as they are.
fn encoded(text: &str) -> String {
    text.replace('/', "%2F").replace(':', "%3A")
}

fn parse(url: &str) -> Result<Url, Failure> {
    url.parse().map_err(|_| Failure::Protocol("the registry has no valid address".into()))
}

fn text(value: &str) -> Result<HeaderValue, Failure> {
    HeaderValue::try_from(value).map_err(|_| Failure::Protocol("a header with control characters".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registrys_own_query_stays() {
        let digest = Digest::sha256(b"");
        let with = |url: &str| with_digest(url.parse().unwrap(), &digest).to_string();
        let encoded = format!("sha256%3A{}", digest.hex());
        assert_eq!(with("http://r/v2/a/blobs/uploads/1"), format!("http://r/v2/a/blobs/uploads/1?digest={encoded}"));
        assert_eq!(with("http://r/u?_state=a%2Fb%3D=&x"), format!("http://r/u?_state=a%2Fb%3D=&x&digest={encoded}"));
    }
}
