//! What a request is about. Nothing of a path goes further than here but names that were parsed: a repository, a tag, a digest, the id of an upload.

use std::fmt;

use hyper::Uri;
use reqwest::Url;

use super::refusal::{Code, Refusal};
use crate::Digest;
use crate::reference::{check_repository, check_tag};

/// Longest name of a repository (distribution-spec, "Pulling manifests").
const NAME_LIMIT: usize = 255;

/// A valid name of a repository, which is safe as a path below a folder: no part of it is `.` or `..`, and none begins with anything
/// but a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Repository(String);

impl Repository {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let checked = if text.len() > NAME_LIMIT { Err("it is longer than 255 characters") } else { check_repository(text) };
        checked.map_err(|problem| Refusal::new(Code::NameInvalid, problem))?;
        Ok(Repository(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a manifest is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Tag(String),
    Digest(Digest),
}

impl What {
    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        if text.contains(':') {
            return Ok(What::Digest(digest(text)?));
        }
        check_tag(text).map_err(|problem| Refusal::new(Code::ManifestInvalid, problem))?;
        Ok(What::Tag(text.to_owned()))
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            What::Tag(tag) => f.write_str(tag),
            What::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

/// The id of an upload: 32 hexadecimal digits that nobody can guess.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct UploadId(String);

impl UploadId {
    pub(super) fn new(random: [u8; 16]) -> Self {
        UploadId(format!("{:032x}", u128::from_be_bytes(random)))
    }

    fn parse(text: &str) -> Result<Self, Refusal> {
        let valid = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if valid { Ok(UploadId(text.to_owned())) } else { Err(Code::BlobUploadUnknown.into()) }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    Base,
    Catalog,
    Tags(Repository),
    Manifest(Repository, What),
    Referrers(Repository, Digest),
    Blob(Repository, Digest),
    Uploads(Repository),
    Upload(Repository, UploadId),
}

/// Reads the path of a request.
///
/// The names of repositories may have parts such as `blobs` and `manifests`: what counts is the end of the path.
pub(super) fn parse(path: &str) -> Result<Route, Refusal> {
    let path = decoded(path).ok_or_else(nothing)?;
    let rest = path.strip_prefix("/v2").ok_or_else(nothing)?;
    if rest.is_empty() || rest == "/" {
        return Ok(Route::Base);
    }
    let parts: Vec<&str> = rest.strip_prefix('/').ok_or_else(nothing)?.split('/').collect();
    let name = |parts: &[&str]| Repository::parse(&parts.join("/"));
    match parts.as_slice() {
        ["_catalog"] => Ok(Route::Catalog),
        [repository @ .., "tags", "list"] => Ok(Route::Tags(name(repository)?)),
        [repository @ .., "manifests", what] => Ok(Route::Manifest(name(repository)?, What::parse(what)?)),
        [repository @ .., "referrers", of] => Ok(Route::Referrers(name(repository)?, digest(of)?)),
        [repository @ .., "blobs", "uploads"] | [repository @ .., "blobs", "uploads", ""] => Ok(Route::Uploads(name(repository)?)),
        [repository @ .., "blobs", "uploads", id] => Ok(Route::Upload(name(repository)?, UploadId::parse(id)?)),
        [repository @ .., "blobs", of] => Ok(Route::Blob(name(repository)?, digest(of)?)),
        _ => Err(nothing()),
    }
}

/// What becomes of a path as names of files and folders.
#[cfg(any(test, fuzzing))]
pub(crate) fn names_in(path: &str) -> Option<Vec<String>> {
    let text = |what: &dyn fmt::Display| what.to_string();
    Some(match parse(path).ok()? {
        Route::Base | Route::Catalog => Vec::new(),
        Route::Tags(name) | Route::Uploads(name) => vec![text(&name)],
        Route::Manifest(name, what) => vec![text(&name), text(&what)],
        Route::Referrers(name, digest) | Route::Blob(name, digest) => vec![text(&name), text(&digest)],
        Route::Upload(name, id) => vec![text(&name), id.as_str().to_owned()],
    })
}

fn nothing() -> Refusal {
    Refusal::new(Code::NotFound, "there is nothing of this name")
}

pub(super) fn digest(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|invalid: crate::digest::InvalidDigest| Refusal::new(Code::DigestInvalid, invalid.problem))
}

/// A path without percent signs (RFC 3986, section 2.1).
fn decoded(path: &str) -> Option<String> {
    let mut pieces = path.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| valid)?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

/// The parameters of a query.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        // Url has the parser of forms.
        let mut url: Url = match "http://localhost".parse() {
            Ok(url) => url,
            Err(_) => return Query::default(),
        };
        url.set_query(uri.query());
        Query(url.query_pairs().into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn repository(name: &str) -> Repository {
        Repository::parse(name).unwrap()
    }

    #[test]
    fn every_resource() {
        let digest: Digest = format!("sha256:{HEX}").parse().unwrap();
        let id = "0".repeat(32);
        for (path, route) in [
            ("/v2", Route::Base),
            ("/v2/", Route::Base),
            ("/v2/_catalog", Route::Catalog),
            ("/v2/a/tags/list", Route::Tags(repository("a"))),
            ("/v2/a/b/manifests/v1", Route::Manifest(repository("a/b"), What::Tag("v1".into()))),
            (&format!("/v2/a/manifests/sha256:{HEX}"), Route::Manifest(repository("a"), What::Digest(digest.clone()))),
            (&format!("/v2/a/referrers/sha256:{HEX}"), Route::Referrers(repository("a"), digest.clone())),
            (&format!("/v2/a/blobs/sha256:{HEX}"), Route::Blob(repository("a"), digest.clone())),
            (&format!("/v2/a/blobs/sha256%3A{HEX}"), Route::Blob(repository("a"), digest.clone())),
            ("/v2/a/blobs/uploads/", Route::Uploads(repository("a"))),
            ("/v2/a/blobs/uploads", Route::Uploads(repository("a"))),
            (&format!("/v2/a/blobs/uploads/{id}"), Route::Upload(repository("a"), UploadId(id.clone()))),
            // Names that look like ends of paths.
            (
                "/v2/manifests/manifests/tags/manifests/x",
                Route::Manifest(repository("manifests/manifests/tags"), What::Tag("x".into())),
            ),
            (&format!("/v2/blobs/uploads/blobs/sha256:{HEX}"), Route::Blob(repository("blobs/uploads"), digest)),
        ] {
            assert_eq!(parse(path).unwrap(), route, "{path}");
        }
    }

    #[test]
    fn what_leads_nowhere() {
        let long = format!("/v2/{}/tags/list", "a/".repeat(200));
        for (path, code) in [
            ("/", Code::NotFound),
            ("/v1/search", Code::NotFound),
            ("/v2x", Code::NotFound),
            ("/v2/a", Code::NotFound),
            ("/v2/../../etc/passwd", Code::NotFound),
            ("/v2/%zz/tags/list", Code::NotFound),
            ("/v2/%ff/tags/list", Code::NotFound),
            ("/v2/../tags/list", Code::NameInvalid),
            ("/v2/%2e%2e/%2e%2e/tags/list", Code::NameInvalid),
            ("/v2/a%2f..%2f..%2fb/tags/list", Code::NameInvalid),
            ("/v2/a%00/tags/list", Code::NameInvalid),
            ("/v2/A/tags/list", Code::NameInvalid),
            ("/v2//tags/list", Code::NameInvalid),
            ("/v2/tags/list", Code::NameInvalid),
            ("/v2/:v1/tags/list", Code::NameInvalid),
            (&long, Code::NameInvalid),
            ("/v2/a/manifests/..", Code::ManifestInvalid),
            ("/v2/a/manifests/.hidden", Code::ManifestInvalid),
            ("/v2/a/manifests/a%2fb", Code::NotFound),
            ("/v2/a/manifests/md5:0", Code::DigestInvalid),
            ("/v2/a/blobs/sha256:../../../x", Code::NotFound),
            ("/v2/a/blobs/sha256:xyz", Code::DigestInvalid),
            ("/v2/a/blobs/uploads/..", Code::BlobUploadUnknown),
            ("/v2/a/blobs/uploads/%2e%2e%2fx", Code::NotFound),
        ] {
            assert_eq!(parse(path).map_err(|refusal| refusal.code), Err(code), "{path}");
        }
    }

    #[test]
    fn parameters() {
        let query = Query::of(&"/v2/a?mount=sha256%3Aabc&from=b%2Fc&tag=1&tag=2&x".parse().unwrap());
        assert_eq!((query.get("mount"), query.get("from"), query.get("none")), (Some("sha256:abc"), Some("b/c"), None));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["1", "2"]);
    }
}
