//! The network half: from a name to manifests and blobs.
//!
//! ```text
//! Reference ─> Registries: mirrors, then the registry ─> Endpoint ─ Auth ─> Http ─> manifest: whole, capped, verified
//!                                    Attempts: which one, again when? ──┘        └> blob: a stream that resumes
//! ```
//!
//! Who does what: the documents of the protocol (manifests, indexes, errors, media types) are read with `oci-distribution`, and
//! requests are made with the `reqwest` below it. Its own `Client` is not used: it reads answers of any size into memory,
//! shows neither `Retry-After` nor `Content-Type` nor `Content-Range`, knows neither refresh tokens nor mirrors that fail,
//! looks names up through the C library, and reads the host's certificates twice before the first request.
//!
//! | module | |
//! |---|---|
//! | `registries`, `hosts`, `docker`, `proxies` | the administrator's files: where registries are, and how to reach them |
//! | `credentials`, `login`, `helper` | the user's files, and programs that keep passwords |
//! | `endpoint`, `auth`, `challenge` | one host: where, and how to get in |
//! | `http`, `dns`, `tls` | clients, limits, deadlines, what failures mean |
//! | `attempts`, `retry` | when to try again, and where |
//! | `blob`, `content`, `upload` | downloads, what need not be downloaded, or is elsewhere, and the other way |
//! | `referrers` | what is about a manifest |
//! | `tags`, `search` | what there is |
//! | `error` | one line for people |

mod attempts;
mod auth;
mod blob;
mod challenge;
mod content;
mod credentials;
mod dns;
mod docker;
mod download;
mod endpoint;
mod error;
mod helper;
mod hosts;
mod http;
mod login;
mod proxies;
mod referrers;
mod registries;
mod retry;
mod search;
mod tags;
mod tls;
mod upload;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode};

use self::attempts::Attempts;
use self::auth::Access;
use self::blob::Download;
#[cfg(any(test, fuzzing))]
pub(crate) use self::challenge::challenges;
pub use self::credentials::{Credentials, Given};
pub use self::download::{Downloaded, download};
use self::endpoint::Endpoint;
pub(crate) use self::error::chain;
pub use self::error::{Error, Failure};
use self::http::Http;
pub use self::login::{LoggedIn, login, logout};
pub use self::proxies::Proxies;
use self::registries::Purpose;
pub use self::registries::{Invalid, MirrorTable, PullFrom, Registries, RegistryTable};
use self::retry::Patience;
pub use self::search::Found;
pub(crate) use self::search::search;
pub(crate) use self::upload::{Content, Upload, Uploaded};
use crate::error::has_size;
use crate::manifest::Entry;
use crate::pull::Progress;
use crate::{Digest, Reference, manifest};

/// Where registries say the digest of what they send.
const DIGEST: &str = "docker-content-digest";

/// A manifest or index, verified.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) media_type: String,
}

/// One repository, at whichever of its endpoints answers.
pub(crate) struct Registry<'a> {
    inner: Arc<Inner<'a>>,
}

struct Inner<'a> {
    reference: Reference,
    /// In the order of asking.
    endpoints: Vec<Endpoint>,
    http: Http,
    patience: Patience,
    /// Hears about retries.
    progress: &'a dyn Progress,
}

impl<'a> Registry<'a> {
    /// Makes no request.
    pub(crate) fn new(
        reference: &Reference,
        registries: &Registries,
        credentials: &Credentials,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        Self::patient(reference, registries, credentials, progress, Patience::default())
    }

    /// One that is asked for others, who are impatient too: `stall` is how long nothing may come.
    pub(crate) fn on_behalf(
        reference: &Reference,
        registries: &Registries,
        credentials: &Credentials,
        progress: &'a dyn Progress,
        stall: Duration,
    ) -> Result<Self, Error> {
        Self::patient(reference, registries, credentials, progress, Patience { tries: 3, stall, ..Patience::default() })
    }

    fn patient(
        reference: &Reference,
        registries: &Registries,
        credentials: &Credentials,
        progress: &'a dyn Progress,
        patience: Patience,
    ) -> Result<Self, Error> {
        let places = registries.places(reference, Purpose::Pull)?;
        let endpoints = places.iter().flat_map(|place| Endpoint::of(place, &Access::Pull, credentials)).collect();
        Ok(Self::at(reference, endpoints, &registries.proxies, progress, patience))
    }

    fn at(
        reference: &Reference,
        endpoints: Vec<Endpoint>,
        proxies: &Proxies,
        progress: &'a dyn Progress,
        patience: Patience,
    ) -> Self {
        let http = Http::new(patience.stall, proxies.clone());
        Registry { inner: Arc::new(Inner { reference: reference.clone(), endpoints, http, patience, progress }) }
    }

    /// The manifest or index with a tag or digest.
    pub(crate) async fn manifest(&self, what: &str) -> Result<Fetched, Error> {
        let expected = what.parse::<Digest>().ok();
        let shown = match &expected {
            Some(digest) => format!("manifest {} of {}", digest.short(), self.inner.reference.familiar()),
            None => format!("manifest {}:{what}", self.inner.reference.familiar_name()),
        };
        let mut attempts = Attempts::new(self.inner.clone(), shown, expected.is_some());
        loop {
            match self.inner.manifest(attempts.endpoint(), what, expected.as_ref()).await {
                Ok(fetched) => return Ok(fetched),
                Err(failure) => attempts.failed(failure).await?,
            }
        }
    }

    /// The manifest that an index names. One that is in the index is not asked for.
    pub(crate) async fn entry(&self, entry: &Entry) -> crate::Result<Fetched> {
        match &entry.data {
            Some(data) => {
                let media_type = manifest::media_type(data, &entry.media_type)?;
                Ok(Fetched { bytes: data.to_vec(), digest: entry.digest.clone(), media_type })
            }
            None => {
                let fetched = self.manifest(entry.digest.as_str()).await?;
                has_size(&format!("manifest {}", entry.digest), fetched.bytes.len() as u64, entry.size)?;
                Ok(fetched)
            }
        }
    }

    /// What a tag or digest means now, if the registry tells without sending the manifest: Docker Hub counts what is sent.
    /// It is asked once. Whoever gets no answer here fetches the manifest, and hears why that fails.
    pub(crate) async fn current(&self, what: &str) -> Option<Digest> {
        let attempts = Attempts::new(self.inner.clone(), String::new(), what.parse::<Digest>().is_ok());
        let path = format!("manifests/{what}");
        let endpoint = attempts.endpoint();
        let asked = endpoint.request(&self.inner.http, Method::HEAD, &path, &accept()).await;
        let response = asked.inspect_err(|failure| endpoint.note(failure)).ok()?;
        let digest = response.headers().get(DIGEST).filter(|_| response.status() == StatusCode::OK)?;
        digest.to_str().ok()?.parse().ok()
    }

    /// Bytes of a blob.
    pub(crate) async fn blob_size(&self, digest: &Digest) -> Result<u64, Error> {
        let what = format!("blob {} of {}", digest.short(), self.inner.reference.familiar());
        let mut attempts = Attempts::new(self.inner.clone(), what, true);
        loop {
            match self.inner.blob_size(attempts.endpoint(), digest).await {
                Ok(size) => return Ok(size),
                Err(failure) => attempts.failed(failure).await?,
            }
        }
    }

    /// A blob from `offset` on, `size` bytes in all and never more. Its digest is not verified.
    pub(crate) async fn blob(
        &self,
        digest: &Digest,
        size: u64,
        offset: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + use<'a>, Error> {
        let mut download = Download::new(self.inner.clone(), digest, size, offset);
        download.start().await?;
        Ok(futures_util::stream::try_unfold(download, |mut download| async {
            let piece = download.next().await?;
            Ok(piece.map(|piece| (piece, download)))
        }))
    }
}

impl Inner<'_> {
    async fn blob_size(&self, endpoint: &Endpoint, digest: &Digest) -> Result<u64, Failure> {
        let response = endpoint.request(&self.http, Method::HEAD, &format!("blobs/{digest}"), &HeaderMap::new()).await?;
        match response.status() {
            StatusCode::OK => {
                let missing = || Failure::Protocol("it does not say how large a blob is".into());
                http::length(response.headers()).ok_or_else(missing)
            }
            _ => Err(endpoint.refusal(&self.http, response, &format!("no blob {digest}")).await),
        }
    }

    async fn manifest(&self, endpoint: &Endpoint, what: &str, expected: Option<&Digest>) -> Result<Fetched, Failure> {
        let response = endpoint.request(&self.http, Method::GET, &format!("manifests/{what}"), &accept()).await?;
        if response.status() != StatusCode::OK {
            let missing = if expected.is_some() { format!("no manifest {what}") } else { format!("no tag {what:?}") };
            return Err(endpoint.refusal(&self.http, response, &missing).await);
        }
        let text = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (content_type, said) = (text(CONTENT_TYPE.as_str()), text(DIGEST));
        let bytes = self.http.body(response, manifest::LIMIT).await?;
        let expected = expected.cloned().or_else(|| said.parse().ok());
        let digest = expected.as_ref().map_or_else(|| Digest::sha256(&bytes), |expected| expected.same_kind(&bytes));
        // A web page has no digest worth to talk about.
        let media_type = manifest::media_type(&bytes, &content_type);
        match expected {
            Some(expected) if expected != digest && !matches!(media_type, Err(manifest::InvalidManifest::Html)) => {
                Err(Failure::DigestMismatch { expected, found: digest })
            }
            _ => Ok(Fetched { media_type: media_type?, bytes: bytes.into(), digest }),
        }
    }
}

fn accept() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(manifest::ACCEPT))])
}
