//! Manifests that are about another one: signatures, bills of materials (distribution-spec, "Listing Referrers").
//!
//! A registry that keeps no such list answers 404. Then an index under the tag `sha256-HEX` is the list, and whoever pushes such a
//! manifest adds it there ("Referrers Tag Schema").

use reqwest::header::{HeaderMap, LINK};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::attempts::Attempts;
use super::endpoint::Endpoint;
use super::error::Failure;
use super::{Error, Inner, Registry};
use crate::Digest;
use crate::manifest::{self, About};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Pages of a list that are read.
const PAGES: usize = 100;
/// Manifests about one other: more are nobody's signatures.
const MOST: usize = 10_000;

impl Registry<'_> {
    /// The manifests that are about `subject`.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>, Error> {
        let what = format!("referrers of {} of {}", subject.short(), self.inner.reference.familiar());
        let mut attempts = Attempts::new(self.inner.clone(), what, true);
        loop {
            match self.inner.referrers(attempts.endpoint(), subject).await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => return Ok(self.tagged(subject).await?.iter().filter_map(digest_of).collect()),
                Err(failure) => attempts.failed(failure).await?,
            }
        }
    }

    /// The descriptors under the tag that stands in for a list; none if there is no such tag.
    async fn tagged(&self, subject: &Digest) -> Result<Vec<Value>, Error> {
        match self.manifest(&tag(subject)).await {
            Ok(fetched) => {
                let index: Value = serde_json::from_slice(&fetched.bytes).unwrap_or_default();
                Ok(index["manifests"].as_array().cloned().unwrap_or_default())
            }
            Err(error) if error.is_unknown() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Adds a manifest to the list of what it is about, where the registry keeps no list itself.
    pub(super) async fn refer(&self, subject: &Digest, digest: &Digest, media_type: &str, bytes: &[u8]) -> Result<(), Error> {
        let mut listed = self.tagged(subject).await?;
        if listed.iter().filter_map(digest_of).any(|known| known == *digest) {
            return Ok(());
        }
        let mut descriptor = json!({"mediaType": media_type, "digest": digest, "size": bytes.len()});
        if let Ok(about) = About::read(bytes) {
            about.artifact_type().into_iter().for_each(|kind| descriptor["artifactType"] = kind.into());
            about.annotations().into_iter().for_each(|notes| descriptor["annotations"] = notes.clone().into());
        }
        listed.push(descriptor);
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).to_string();
        self.put_document(&tag(subject), &Digest::sha256(index.as_bytes()), INDEX, index.as_bytes()).await.map(drop)
    }
}

impl Inner<'_> {
    /// `None`: the registry keeps no lists.
    async fn referrers(&self, endpoint: &Endpoint, subject: &Digest) -> Result<Option<Vec<Digest>>, Failure> {
        let mut found = Vec::new();
        let mut path = format!("referrers/{subject}");
        for _ in 0..PAGES {
            let response = endpoint.request(&self.http, Method::GET, &path, &HeaderMap::new()).await?;
            match response.status() {
                StatusCode::OK => {}
                // 405 and 400 come from registries that never heard of it.
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::BAD_REQUEST => return Ok(None),
                _ => return Err(endpoint.refusal(&self.http, response, "no referrers").await),
            }
            let next = response.headers().get(LINK).and_then(|link| next_query(link.to_str().ok()?));
            let body = self.http.body(response, manifest::LIMIT).await?;
            let index: Value =
                serde_json::from_slice(&body).map_err(|_| Failure::Protocol("the list of referrers is no JSON".into()))?;
            let listed = index["manifests"].as_array();
            found.extend(listed.into_iter().flatten().filter_map(digest_of));
            if found.len() > MOST {
                return Err(Failure::Protocol(format!("its list of referrers has more than {MOST}")));
            }
            match next {
                Some(query) => path = format!("referrers/{subject}?{query}"),
                None => break,
            }
        }
        Ok(Some(found))
    }
}

/// The query of the next page. Its path is our own: no registry sends us elsewhere.
pub(super) fn next_query(link: &str) -> Option<String> {
    let (address, relation) = link.trim().strip_prefix('<')?.split_once('>')?;
    let next = relation.split(';').any(|part| matches!(part.trim(), "rel=\"next\"" | "rel=next"));
    address.split_once('?').filter(|_| next).map(|(_, query)| query.to_owned())
}

fn digest_of(descriptor: &Value) -> Option<Digest> {
    descriptor["digest"].as_str()?.parse().ok()
}

/// The tag that stands in for a list. Long digests are cut, as no tag is longer than 128 characters.
fn tag(subject: &Digest) -> String {
    format!("{}-{:.64}", subject.algorithm(), subject.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_list_goes_on() {
        assert_eq!(next_query("</v2/a/referrers/x?n=1&last=y>; rel=\"next\""), Some("n=1&last=y".into()));
        assert_eq!(next_query("<https://elsewhere/x?y>;rel=next"), Some("y".into()));
        for other in ["", "x", "</v2/a?x>; rel=\"prev\"", "</v2/a>; rel=\"next\"", "</v2/a?x"] {
            assert_eq!(next_query(other), None, "{other}");
        }
        assert_eq!(tag(&Digest::sha256(b"")).len(), 71);
    }
}
