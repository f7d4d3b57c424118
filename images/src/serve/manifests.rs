//! Manifests and indexes, by tag and by digest.

use hyper::StatusCode;
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, IF_NONE_MATCH};

use super::Shared;
use super::blobs::matches;
use super::incoming::Source;
use super::refusal::{Code, Refusal};
use super::reply::{DIGEST, Outcome, Reply};
use super::route::{Query, Repository, What};
use super::storage::{Kind, Storage};
use super::uploads::created;
use crate::manifest::{self, About, Document, InvalidManifest};
use crate::registry::chain;
use crate::{Digest, Result};

/// The manifest that the one that was pushed is about: its registry keeps the list of referrers.
const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// A tag that was set by a push with `?tag=`.
const TAG: HeaderName = HeaderName::from_static("oci-tag");

impl Shared {
    /// `GET manifests/WHAT`, and `HEAD`.
    pub(super) async fn manifest(&self, repository: Repository, what: What, headers: &HeaderMap) -> Outcome {
        if let Some(mirror) = &self.mirror {
            mirror.refresh(self, &repository, &what).await?;
        }
        let note = self.mirror.is_some();
        let found = self.blocking(move |storage| find(storage, &repository, &what, note)).await?;
        let (digest, bytes) = found.ok_or(Code::ManifestUnknown)?;
        let media_type = manifest::media_type(&bytes, "").map_err(refused)?;
        if !accepts(headers, &media_type) {
            let message = format!("it is {media_type}, which the request does not accept");
            return Err(Refusal::new(Code::ManifestUnknown, message));
        }
        let tag = format!("\"{digest}\"");
        if matches(headers.get(IF_NONE_MATCH), &tag) {
            return Reply::new(StatusCode::NOT_MODIFIED).text(ETAG, &tag)?.text(DIGEST, digest.as_str());
        }
        let reply = Reply::new(StatusCode::OK).text(CONTENT_TYPE, media_type)?.text(ETAG, tag)?.text(DIGEST, digest.as_str())?;
        Ok(reply.with(CONTENT_LENGTH, bytes.len().into()).bytes(bytes))
    }

    /// `PUT manifests/WHAT`, which is complete once the answer is there: with `?tag=` it may set further tags.
    pub(super) async fn put_manifest(
        &self,
        repository: Repository,
        what: What,
        query: &Query,
        headers: &HeaderMap,
        body: Source,
    ) -> Outcome {
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let mut tags = query.all("tag").map(tag).collect::<std::result::Result<Vec<_>, _>>()?;
        let bytes = body.all(manifest::LIMIT, Code::ManifestTooLarge).await?;
        let document = checked(&bytes, &content_type).map_err(refused)?;
        let about = About::read(&bytes).map_err(refused)?;
        let digest = match &what {
            What::Tag(_) => Digest::sha256(&bytes),
            What::Digest(digest) if digest.same_kind(&bytes) == *digest => digest.clone(),
            What::Digest(digest) => {
                let found = digest.same_kind(&bytes);
                return Err(Refusal::new(Code::DigestInvalid, format!("what came has the digest {found}")));
            }
        };
        let told = tags.clone();
        if let What::Tag(tag) = what {
            tags.push(tag);
        }
        let missing = {
            let repository = repository.clone();
            self.blocking(move |storage| Ok(missing(storage, &repository, &document))).await?
        };
        if let Some(missing) = missing {
            return Err(Refusal::new(Code::ManifestBlobUnknown, format!("the repository has not {missing}: push that first")));
        }
        let subject = about.subject().cloned();
        self.keep_manifest(&repository, &digest, bytes.into(), subject.clone(), tags).await?;
        let mut reply = created(&repository, "manifests", &digest)?;
        if let Some(subject) = subject {
            reply = reply.text(SUBJECT, subject.as_str())?;
        }
        told.into_iter().try_fold(reply, |reply, tag| reply.text(TAG, tag))
    }

    /// Writes a manifest whose digest was compared, then what it is about, then its tags.
    pub(super) async fn keep_manifest(
        &self,
        repository: &Repository,
        digest: &Digest,
        bytes: Vec<u8>,
        subject: Option<Digest>,
        tags: Vec<String>,
    ) -> std::result::Result<(), Refusal> {
        let (id, repository, digest) = (super::random_id()?, repository.clone(), digest.clone());
        let keep = move |storage: &Storage| {
            if !storage.has(&repository, Kind::Manifest, &digest) {
                let file = storage.incoming(&id)?;
                let written = sys::fs::write_all(&file, &bytes).map_err(|source| storage.full_or(source, "write a manifest"));
                let published = written.and_then(|()| storage.publish(&repository, Kind::Manifest, &digest, &id, &file));
                published.inspect_err(|_| drop(storage.discard(&id)))?;
            }
            if let Some(subject) = &subject {
                storage.refer(&repository, subject, &digest)?;
            }
            tags.iter().try_for_each(|tag| storage.set_tag(&repository, tag, &digest, &id))
        };
        self.blocking(keep).await
    }

    /// `DELETE manifests/WHAT`: a tag goes alone, a manifest with its tags.
    pub(super) async fn delete_manifest(&self, repository: Repository, what: What) -> Outcome {
        let removed = self.blocking(move |storage| match &what {
            What::Tag(tag) => storage.remove_tag(&repository, tag),
            What::Digest(digest) => storage.remove_manifest(&repository, digest),
        });
        if removed.await? { Ok(Reply::empty(StatusCode::ACCEPTED)) } else { Err(Code::ManifestUnknown.into()) }
    }
}

/// A further tag for a manifest.
fn tag(text: &str) -> std::result::Result<String, Refusal> {
    match What::parse(text)? {
        What::Tag(tag) => Ok(tag),
        What::Digest(_) => Err(Refusal::new(Code::ManifestInvalid, "a tag has no colon")),
    }
}

/// A manifest. `note`: that it was asked for.
fn find(storage: &Storage, repository: &Repository, what: &What, note: bool) -> Result<Option<(Digest, Vec<u8>)>> {
    let digest = match what {
        What::Digest(digest) => Some(digest.clone()),
        What::Tag(tag) => storage.tag(repository, tag)?,
    };
    let Some(digest) = digest else { return Ok(None) };
    if note {
        storage.read(repository, Kind::Manifest, &digest)?.iter().for_each(Storage::note_use);
    }
    Ok(storage.manifest(repository, &digest)?.map(|bytes| (digest, bytes)))
}

/// Reads a document. What it is must be told by itself, as nothing else is kept of it: a `Content-Type` alone, which the next client would
/// not see, is not enough.
fn checked(bytes: &[u8], content_type: &str) -> std::result::Result<Document, InvalidManifest> {
    let (content_type, says) = (manifest::media_type(bytes, content_type)?, manifest::media_type(bytes, "")?);
    if content_type != says {
        return Err(InvalidManifest::Confused { content_type, media_type: says });
    }
    manifest::parse(bytes, "")
}

/// Something that a document names and the repository has not. Layers that may not be given to others are not asked for.
fn missing(storage: &Storage, repository: &Repository, document: &Document) -> Option<Digest> {
    let has = |kind, digest: &Digest| storage.has(repository, kind, digest);
    match document {
        Document::Index(entries) => {
            let mut entries = entries.iter().map(|entry| &entry.digest);
            entries.find(|digest| !has(Kind::Manifest, digest) && !has(Kind::Blob, digest)).cloned()
        }
        Document::Manifest { config, layers } => {
            let ours = layers.iter().filter(|layer| !layer.is_foreign());
            let mut blobs = std::iter::once(config).chain(ours).map(|blob| &blob.digest);
            blobs.find(|digest| !has(Kind::Blob, digest)).cloned()
        }
    }
}

/// Whether a client can read documents of this type. Without `Accept` it takes what there is.
fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let given: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let mut ranges = given.iter().flat_map(|line| line.split(',')).map(|range| range.split(';').next().unwrap_or_default().trim());
    let fits =
        |range: &str| matches!(range, "*/*" | "application/*" | "application/json") || range.eq_ignore_ascii_case(media_type);
    given.is_empty() || ranges.any(fits)
}

fn refused(invalid: InvalidManifest) -> Refusal {
    Refusal::new(Code::ManifestInvalid, chain(&invalid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_reads() {
        let oci = "application/vnd.oci.image.manifest.v1+json";
        let with = |lines: &[&'static str]| {
            let headers: HeaderMap = lines.iter().map(|line| (ACCEPT, line.parse().unwrap())).collect();
            accepts(&headers, oci)
        };
        assert!(with(&[]) && with(&["*/*"]) && with(&["text/html, */*;q=0.1"]) && with(&[oci]));
        assert!(with(&[
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.oci.image.manifest.v1+json;q=0.5"
        ]));
        assert!(!with(&["application/vnd.docker.distribution.manifest.v2+json"]) && !with(&["text/html"]));
    }
}
