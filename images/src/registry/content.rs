//! What a descriptor names, from wherever it is: in the manifest itself, in the registry, or with whoever made it.
//!
//! Layers that may not be given to others (Docker: foreign; image-spec: non-distributable) are at addresses which their manifest gives.
//! The registry is asked first, as in Docker: it may have them nevertheless. The addresses are a stranger's, so they count for nothing but such
//! layers, and whoever answers there is told nothing: no credentials, no certificate, no header of a mirror (CVE-2020-15157).

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::Either;
use futures_util::{Stream, TryStreamExt};
use reqwest::Url;

use super::endpoint::Endpoint;
use super::{Error, Inner, Registry};
use crate::manifest::Descriptor;

/// Addresses of one layer that are tried.
const ADDRESSES: usize = 4;

impl<'a> Registry<'a> {
    /// The bytes behind a descriptor from `offset` on, its size in all and never more. Their digest is not verified.
    pub(crate) async fn content(
        &self,
        blob: &Descriptor,
        offset: u64,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + use<'a>, Error> {
        if let Some(data) = &blob.data {
            let rest = data.slice(usize::try_from(offset).unwrap_or(data.len()).min(data.len())..);
            return Ok(Either::Left(futures_util::stream::iter([Ok(rest)])));
        }
        let asked = self.blob(&blob.digest, blob.size, offset).await;
        match asked {
            Err(unknown) if unknown.is_unknown() => match self.elsewhere(blob) {
                Some(others) => others.blob(&blob.digest, blob.size, offset).await.map(Either::Right),
                None => Err(unknown),
            },
            asked => asked.map(Either::Right),
        }
    }

    /// All bytes behind a descriptor of something small, with its digest, of at most `limit` bytes. `what` is for messages.
    pub(crate) async fn small(&self, what: &str, blob: &Descriptor, limit: u64) -> crate::Result<Vec<u8>> {
        let Descriptor { digest, size, .. } = blob;
        let what = || format!("{what} {digest}");
        if *size > limit {
            return Err(crate::Error::TooLarge { what: what(), limit });
        }
        let mut stream = std::pin::pin!(self.content(blob, 0).await?);
        let mut bytes = Vec::new();
        while let Some(piece) = stream.try_next().await? {
            bytes.extend_from_slice(&piece);
        }
        let found = digest.same_kind(&bytes);
        if found != *digest {
            let (expected, found) = (digest.to_string(), found.to_string());
            return Err(crate::Error::DigestMismatch { what: what(), expected, found });
        }
        Ok(bytes)
    }

    /// The places where a layer is that registries may not give to others.
    fn elsewhere(&self, blob: &Descriptor) -> Option<Registry<'a>> {
        let foreign = blob.is_foreign().then_some(&blob.urls)?;
        let endpoints: Vec<Endpoint> = foreign.iter().filter_map(|url| address(url)).take(ADDRESSES).map(Endpoint::file).collect();
        if endpoints.is_empty() {
            return None;
        }
        let Inner { reference, http, patience, progress, .. } = &*self.inner;
        let (reference, http, patience) = (reference.clone(), http.anew(), patience.clone());
        Some(Registry { inner: Arc::new(Inner { reference, endpoints, http, patience, progress: *progress }) })
    }
}

/// An address of http or https, without a name and password.
fn address(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = url.username().is_empty() && url.password().is_none() && url.has_host();
    (matches!(url.scheme(), "http" | "https") && plain).then_some(url)
}
