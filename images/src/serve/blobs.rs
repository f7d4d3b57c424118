//! Blobs that go out.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH,
    IF_RANGE, RANGE,
};

use sys::Call;

use super::refusal::{Code, Refusal};
use super::reply::{self, Body, DIGEST, Outcome, Reply};
use super::route::Repository;
use super::storage::{Kind, Storage};
use super::{Shared, blocking};
use crate::Digest;
use crate::error::Doing;

impl Shared {
    /// `GET blobs/DIGEST`, and `HEAD`.
    pub(super) async fn blob(&self, repository: Repository, digest: Digest, headers: &HeaderMap, head: bool) -> Outcome {
        let note = self.mirror.is_some();
        match (kept(&self.storage, repository.clone(), digest.clone(), headers, note).await?, &self.mirror) {
            (Some(reply), _) => Ok(reply),
            (None, Some(mirror)) => mirror.blob(repository, digest, headers, head).await,
            (None, None) => Err(Code::BlobUnknown.into()),
        }
    }

    /// `DELETE blobs/DIGEST`.
    pub(super) async fn delete_blob(&self, repository: Repository, digest: Digest) -> Outcome {
        match self.blocking(move |storage| storage.remove_blob(&repository, &digest)).await? {
            true => Ok(Reply::empty(StatusCode::ACCEPTED)),
            false => Err(Code::BlobUnknown.into()),
        }
    }
}

/// The answer with a blob that is here. `note`: that it was asked for.
pub(super) async fn kept(
    storage: &Arc<Storage>,
    repository: Repository,
    digest: Digest,
    headers: &HeaderMap,
    note: bool,
) -> Result<Option<Reply>, Refusal> {
    let wanted = digest.clone();
    let opened = blocking(storage, move |storage| match storage.read(&repository, Kind::Blob, &wanted)? {
        None => Ok(None),
        Some(file) => {
            if note {
                Storage::note_use(&file);
            }
            let size = file.metadata().call(|| "fstat()").doing(|| format!("read {wanted}"))?.len();
            Ok(Some((Arc::new(file), size)))
        }
    });
    let Some((file, size)) = opened.await? else { return Ok(None) };
    send(&digest, size, headers, |start, end| reply::file(file, start, end)).map(Some)
}

/// A blob, or the part of it that is asked for.
pub(super) fn send(digest: &Digest, size: u64, headers: &HeaderMap, body: impl FnOnce(u64, u64) -> Body) -> Outcome {
    let tag = format!("\"{digest}\"");
    if matches(headers.get(IF_NONE_MATCH), &tag) {
        return Reply::new(StatusCode::NOT_MODIFIED).text(ETAG, &tag);
    }
    let same = headers.get(IF_RANGE).is_none_or(|value| value.as_bytes() == tag.as_bytes());
    let range = headers.get(RANGE).filter(|_| same).and_then(|value| value.to_str().ok());
    let (status, start, end) = match range.map_or(Part::All, |range| part(range, size)) {
        Part::All => (StatusCode::OK, 0, size),
        Part::Of(start, end) => (StatusCode::PARTIAL_CONTENT, start, end),
        Part::Nothing => {
            let whole = HeaderValue::from_str(&format!("bytes */{size}")).map_err(|_| Refusal::from(Code::Internal))?;
            return Err(Refusal::new(Code::RangeInvalid, "the blob has no such bytes").with(CONTENT_RANGE, whole));
        }
    };
    let mut reply = Reply::new(status)
        .with(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"))
        .with(ACCEPT_RANGES, HeaderValue::from_static("bytes"))
        // A digest means the same for ever.
        .with(CACHE_CONTROL, HeaderValue::from_static("max-age=31536000"))
        .with(CONTENT_LENGTH, (end - start).into())
        .text(ETAG, &tag)?
        .text(DIGEST, digest.as_str())?;
    if status == StatusCode::PARTIAL_CONTENT {
        reply = reply.text(CONTENT_RANGE, format!("bytes {start}-{}/{size}", end - 1))?;
    }
    Ok(reply.stream(body(start, end)))
}

/// Whether one of the entity tags is this one (RFC 9110, section 13.1.2). Some clients give the digest without quotes.
pub(super) fn matches(header: Option<&HeaderValue>, tag: &str) -> bool {
    let text = header.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let weak = |given: &str| given.trim().trim_start_matches("W/").trim_matches('"') == tag.trim_matches('"');
    text.split(',').any(weak)
}

/// What of a blob is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    All,
    /// First byte, and the one behind the last.
    Of(u64, u64),
    Nothing,
}

/// Reads `Range` (RFC 9110, section 14.2). Anything but one range of bytes is ignored, as the section allows.
fn part(range: &str, size: u64) -> Part {
    let parse = || {
        let (first, last) = range.trim().strip_prefix("bytes=")?.split_once('-')?;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().unwrap_or(u64::MAX));
        match (first, last) {
            ("", "") => None,
            ("", last) => match number(last)? {
                0 => Some(Part::Nothing),
                last => Some(Part::Of(size.saturating_sub(last), size)),
            },
            (first, "") => Some(Part::Of(number(first)?, size)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then(|| Part::Of(first, last.saturating_add(1).min(size)))
            }
        }
    };
    match parse() {
        None => Part::All,
        Some(Part::Of(start, end)) if start >= end => Part::Nothing,
        Some(part) => part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        for (range, expected) in [
            ("bytes=0-0", Part::Of(0, 1)),
            ("bytes=10-19", Part::Of(10, 20)),
            ("bytes=90-", Part::Of(90, 100)),
            ("bytes=90-1000", Part::Of(90, 100)),
            ("bytes=-10", Part::Of(90, 100)),
            ("bytes=-1000", Part::Of(0, 100)),
            ("bytes=100-", Part::Nothing),
            ("bytes=100-200", Part::Nothing),
            ("bytes=-0", Part::Nothing),
            ("bytes=99999999999999999999999-", Part::Nothing),
            ("bytes=0-1,5-6", Part::All),
            ("bytes=5-4", Part::All),
            ("bytes=x-", Part::All),
            ("bytes=-", Part::All),
            ("lines=1-2", Part::All),
        ] {
            assert_eq!(part(range, 100), expected, "{range}");
        }
        assert_eq!(part("bytes=0-", 0), Part::Nothing);
    }

    #[test]
    fn entity_tags() {
        let tag = "\"sha256:a\"";
        let given = |text: &'static str| matches(Some(&HeaderValue::from_static(text)), tag);
        assert!(given("\"sha256:a\"") && given("sha256:a") && given("W/\"sha256:a\"") && given("\"x\", \"sha256:a\""));
        assert!(!given("\"sha256:b\"") && !given("") && !matches(None, tag));
    }
}
