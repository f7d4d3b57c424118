//! Lists: tags, repositories, and the manifests that are about another one. Each is given in pages, and `Link` leads to the next one
//! (distribution-spec, "Listing Tags"; RFC 8288).

use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LINK};
use serde_json::{Value, json};

use super::Shared;
use super::refusal::{Code, Refusal};
use super::reply::{Outcome, Reply};
use super::route::{Query, Repository};
use super::storage::Storage;
use crate::manifest::{self, About};
use crate::{Digest, Result};

/// Names of a page, unless the client wants fewer.
const PAGE: usize = 10_000;
/// Referrers of a page: they have annotations, and a client reads 4 MiB at most.
const REFERRERS: usize = 500;
const LIMIT: usize = manifest::LIMIT as usize;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Says by what the referrers were filtered.
const FILTERED: HeaderName = HeaderName::from_static("oci-filters-applied");

impl Shared {
    /// `GET tags/list`.
    pub(super) async fn tags(&self, repository: Repository, query: &Query) -> Outcome {
        let (most, last) = page(query, PAGE)?;
        let (of, behind) = (repository.clone(), last.clone());
        let found = self.blocking(move |storage| storage.tag_page(&of, &behind, most.saturating_add(1))).await?;
        let tags = found.ok_or(Code::NameUnknown)?;
        let (tags, next) = cut(tags, most);
        let reply = Reply::json(&json!({"name": repository.as_str(), "tags": tags}));
        linked(reply, next.map(|last| format!("/v2/{repository}/tags/list?n={most}&last={last}")))
    }

    /// `GET _catalog`.
    pub(super) async fn catalog(&self, query: &Query) -> Outcome {
        let (most, last) = page(query, PAGE)?;
        let found = self.blocking(move |storage| storage.catalog(&last, most.saturating_add(1))).await?;
        let (repositories, next) = cut(found, most);
        let reply = Reply::json(&json!({"repositories": repositories}));
        linked(reply, next.map(|last| format!("/v2/_catalog?n={most}&last={}", last.replace('/', "%2F"))))
    }

    /// `GET referrers/DIGEST`. A manifest that nobody knows has none: that is no error.
    pub(super) async fn referrers(&self, repository: Repository, subject: Digest, query: &Query) -> Outcome {
        let (most, last) = page(query, REFERRERS)?;
        let wanted = query.get("artifactType").filter(|wanted| !wanted.is_empty()).map(str::to_owned);
        let (of, about, filter) = (repository.clone(), subject.clone(), wanted.clone());
        let found = self.blocking(move |storage| referrers(storage, &of, &about, filter.as_deref(), &last, most)).await?;
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": found.descriptors});
        let mut reply = Reply::json(&index);
        reply.replace(CONTENT_TYPE, HeaderValue::from_static(INDEX));
        if wanted.is_some() {
            reply = reply.with(FILTERED, HeaderValue::from_static("artifactType"));
        }
        let filter = wanted.map(|wanted| format!("&artifactType={}", escaped(&wanted))).unwrap_or_default();
        linked(reply, found.next.map(|last| format!("/v2/{repository}/referrers/{subject}?n={most}&last={last}{filter}")))
    }
}

#[derive(Default)]
struct Found {
    descriptors: Vec<Value>,
    /// The last one, if there are more.
    next: Option<Digest>,
}

fn referrers(
    storage: &Storage,
    repository: &Repository,
    subject: &Digest,
    filter: Option<&str>,
    last: &str,
    most: usize,
) -> Result<Found> {
    let (mut found, mut size) = (Found::default(), 0);
    let mut latest: Option<Digest> = None;
    for digest in storage.referring(repository, subject)?.into_iter().filter(|digest| digest.as_str() > last) {
        // It may have been removed a moment ago.
        let Some(bytes) = storage.manifest(repository, &digest)? else { continue };
        let Some(descriptor) = describe(&digest, &bytes, filter) else { continue };
        size += descriptor.to_string().len();
        if found.descriptors.len() >= most || (size > LIMIT / 2 && !found.descriptors.is_empty()) {
            found.next = latest;
            break;
        }
        found.descriptors.push(descriptor);
        latest = Some(digest);
    }
    Ok(found)
}

/// The descriptor of a referrer, if it is of the wanted type.
fn describe(digest: &Digest, bytes: &[u8], filter: Option<&str>) -> Option<Value> {
    let about = About::read(bytes).ok()?;
    if filter.is_some_and(|filter| about.artifact_type() != Some(filter)) {
        return None;
    }
    let mut descriptor = json!({"mediaType": manifest::media_type(bytes, "").ok()?, "digest": digest, "size": bytes.len()});
    if let Some(artifact_type) = about.artifact_type() {
        descriptor["artifactType"] = artifact_type.into();
    }
    if let Some(annotations) = about.annotations() {
        descriptor["annotations"] = annotations.clone().into();
    }
    Some(descriptor)
}

/// How many are wanted, and behind which one.
fn page(query: &Query, limit: usize) -> std::result::Result<(usize, String), Refusal> {
    let most = match query.get("n").map(str::parse::<usize>) {
        None => limit,
        Some(Ok(most)) => most.min(limit),
        Some(Err(_)) => return Err(Refusal::new(Code::PaginationNumberInvalid, "n is no number")),
    };
    Ok((most, query.get("last").unwrap_or_default().to_owned()))
}

/// The first `most` names, and the last of them if there are more. Of nothing there is no last one.
fn cut(mut names: Vec<String>, most: usize) -> (Vec<String>, Option<String>) {
    let more = names.len() > most;
    names.truncate(most);
    let last = names.last().filter(|_| more).cloned();
    (names, last)
}

fn linked(reply: Reply, next: Option<String>) -> Outcome {
    match next {
        None => Ok(reply),
        Some(next) => reply.text(LINK, format!("<{next}>; rel=\"next\"")),
    }
}

/// A value in a query.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages() {
        let names = || vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        assert_eq!(cut(names(), 3), (names(), None));
        assert_eq!(cut(names(), 2), (names()[..2].to_vec(), Some("b".into())));
        assert_eq!(cut(names(), 0), (Vec::new(), None));
        assert_eq!(escaped("application/vnd.x+json; a"), "application/vnd.x%2Bjson%3B%20a");
    }
}
