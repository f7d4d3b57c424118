//! Blobs that come in: all at once, or piece by piece over several requests (distribution-spec, "Push").
//!
//! ```text
//! POST uploads/ ─202─> PATCH … PATCH ─> PUT ?digest=…   each may carry a piece; GET tells how much is there, DELETE forgets it
//!      └ ?mount=D&from=R ─201─> taken over             └> digest compared, data synced, linked: 201
//!      └ ?digest=D, with the blob ─201─> stored
//! ```
//!
//! What is open is known to this process only: after a restart clients begin anew.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONTENT_RANGE, HeaderMap, HeaderName, HeaderValue, LOCATION, RANGE};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};
use tokio::time::Instant;

use super::Shared;
use super::incoming::Source;
use super::refusal::{Code, Refusal};
use super::reply::{DIGEST, Outcome, Reply};
use super::route::{Query, Repository, UploadId, digest};
use super::sink::Sink;
use super::storage::Kind;
use crate::Digest;
use crate::unpack::hash::Algorithm;

/// An upload that nobody goes on with is forgotten after this time, when another one needs its place.
const IDLE: Duration = Duration::from_secs(3600);
/// How long a request waits for another one that writes the same upload.
const TURN: Duration = Duration::from_secs(5);
const UUID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// All that are open.
#[derive(Default)]
pub(super) struct Uploads(Mutex<HashMap<UploadId, Arc<Upload>>>);

/// One that is open.
struct Upload {
    id: UploadId,
    repository: Repository,
    /// `None`: it has ended.
    sink: AsyncMutex<Option<Sink>>,
    touched: Mutex<Instant>,
}

type Turn<'a> = MutexGuard<'a, Option<Sink>>;

impl Shared {
    /// `POST uploads/`.
    pub(super) async fn begin(&self, repository: Repository, query: &Query, mut body: Source) -> Outcome {
        if let Some(mount) = query.get("mount") {
            let mount = digest(mount)?;
            let from = query.get("from").map(Repository::parse).transpose()?;
            let (to, wanted) = (repository.clone(), mount.clone());
            if self.blocking(move |storage| storage.mount(&to, &wanted, from.as_ref())).await? {
                return created(&repository, "blobs", &mount);
            }
        }
        let whole = query.get("digest").map(digest).transpose()?;
        let upload = self.open(repository).await?;
        let Some(whole) = whole else { return accepted(StatusCode::ACCEPTED, &upload, 0) };
        let mut turn = upload.turn().await?;
        self.receive(&upload, &mut turn, &mut body, None).await?;
        self.complete(&upload, turn, &whole).await
    }

    /// `PATCH uploads/ID`.
    pub(super) async fn patch(&self, repository: Repository, id: &UploadId, headers: &HeaderMap, mut body: Source) -> Outcome {
        let upload = self.upload(&repository, id)?;
        let mut turn = upload.turn().await?;
        let range = content_range(headers)?;
        self.receive(&upload, &mut turn, &mut body, range).await?;
        accepted(StatusCode::ACCEPTED, &upload, length(&turn)?)
    }

    /// `PUT uploads/ID?digest=…`.
    pub(super) async fn put(
        &self,
        repository: Repository,
        id: &UploadId,
        query: &Query,
        headers: &HeaderMap,
        mut body: Source,
    ) -> Outcome {
        let upload = self.upload(&repository, id)?;
        let whole = query.get("digest").ok_or_else(|| Refusal::new(Code::DigestInvalid, "the query has no digest"))?;
        let whole = digest(whole)?;
        let mut turn = upload.turn().await?;
        let range = content_range(headers)?;
        self.receive(&upload, &mut turn, &mut body, range).await?;
        self.complete(&upload, turn, &whole).await
    }

    /// `GET uploads/ID`.
    pub(super) async fn how_far(&self, repository: &Repository, id: &UploadId) -> Outcome {
        let upload = self.upload(repository, id)?;
        let turn = upload.turn().await?;
        accepted(StatusCode::NO_CONTENT, &upload, length(&turn)?)
    }

    /// `DELETE uploads/ID`.
    pub(super) async fn cancel(&self, repository: &Repository, id: &UploadId) -> Outcome {
        let upload = self.upload(repository, id)?;
        let turn = upload.turn().await?;
        self.forget(&upload, turn).await?;
        Ok(Reply::new(StatusCode::NO_CONTENT))
    }

    /// A new upload, in the place of one that was forgotten if there are too many.
    async fn open(&self, repository: Repository) -> Result<Arc<Upload>, Refusal> {
        let id = super::random_id()?;
        let touched = Mutex::new(Instant::now());
        let upload = Arc::new(Upload { id: id.clone(), repository, sink: AsyncMutex::new(None), touched });
        // Nobody knows the id yet.
        let mut turn = upload.turn_to_begin().await;
        let old = {
            let mut open = self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner);
            let old: Vec<UploadId> = open.values().filter(|upload| upload.is_idle()).map(|upload| upload.id.clone()).collect();
            old.iter().for_each(|old| drop(open.remove(old)));
            if open.len() >= self.limits.uploads {
                return Err(Code::TooManyRequests.into());
            }
            open.insert(id.clone(), upload.clone());
            old
        };
        let file = self.blocking(move |storage| {
            old.iter().try_for_each(|old| storage.discard(old))?;
            storage.incoming(&id)
        });
        match file.await {
            Ok(file) => *turn = Some(Sink::new(file, Algorithm::Sha256)),
            Err(refusal) => {
                self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&upload.id);
                return Err(refusal);
            }
        }
        drop(turn);
        Ok(upload)
    }

    fn upload(&self, repository: &Repository, id: &UploadId) -> Result<Arc<Upload>, Refusal> {
        let open = self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner);
        let upload = open.get(id).filter(|upload| upload.repository == *repository);
        upload.cloned().ok_or_else(|| Code::BlobUploadUnknown.into())
    }

    /// Takes a body. When it breaks off, what came stays, and the client may go on from there.
    async fn receive(
        &self,
        upload: &Upload,
        turn: &mut Turn<'_>,
        body: &mut Source,
        range: Option<(u64, u64)>,
    ) -> Result<(), Refusal> {
        let sink = turn.as_mut().ok_or(Code::BlobUploadUnknown)?;
        let start = sink.length();
        if let Some((first, last)) = range {
            if first != start {
                return Err(out_of_order(upload, start)?);
            }
            if body.told().is_some_and(|told| told != last - first + 1) {
                return Err(Refusal::new(Code::SizeInvalid, "Content-Range and Content-Length disagree"));
            }
        }
        if body.told().is_some_and(|told| told.saturating_add(start) > self.limits.blob) {
            return Err(self.too_large());
        }
        let received = loop {
            match body.piece().await {
                Ok(None) => break Ok(()),
                Ok(Some(piece)) if sink.length() + piece.len() as u64 > self.limits.blob => break Err(self.too_large()),
                Ok(Some(piece)) => sink.put(piece).await.map_err(|error| self.unwritten(error))?,
                Err(refusal) => break Err(refusal),
            }
        };
        sink.flush().await.map_err(|error| self.unwritten(error))?;
        *upload.touched.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        received?;
        match range {
            Some((first, last)) if sink.length() - first != last - first + 1 => {
                Err(Refusal::new(Code::SizeInvalid, "Content-Range says another size than the body has"))
            }
            _ => Ok(()),
        }
    }

    /// Compares the digest and gives the blob to the repository.
    async fn complete(&self, upload: &Upload, mut turn: Turn<'_>, whole: &Digest) -> Outcome {
        let sink = turn.take().ok_or(Code::BlobUploadUnknown)?;
        let (found, file) = match sink.finish(whole).await {
            Ok(finished) => finished,
            Err(error) => {
                self.forget(upload, turn).await?;
                return Err(self.unwritten(error));
            }
        };
        if found != *whole {
            self.forget(upload, turn).await?;
            return Err(Refusal::new(Code::DigestInvalid, format!("what came has the digest {found}")));
        }
        let (repository, id, to) = (upload.repository.clone(), upload.id.clone(), whole.clone());
        let stored = self.blocking(move |storage| storage.publish(&repository, Kind::Blob, &to, &id, &file)).await;
        self.forget(upload, turn).await?;
        stored?;
        created(&upload.repository, "blobs", whole)
    }

    async fn forget(&self, upload: &Upload, mut turn: Turn<'_>) -> Result<(), Refusal> {
        *turn = None;
        self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&upload.id);
        let id = upload.id.clone();
        self.blocking(move |storage| storage.discard(&id)).await.map(drop)
    }

    fn too_large(&self) -> Refusal {
        Refusal::new(Code::TooLarge, format!("a blob has at most {} bytes here", self.limits.blob))
    }
}

impl Upload {
    /// Waits until no other request writes it.
    async fn turn(&self) -> Result<Turn<'_>, Refusal> {
        tokio::time::timeout(TURN, self.sink.lock()).await.map_err(|_| Code::Busy.into())
    }

    async fn turn_to_begin(&self) -> Turn<'_> {
        self.sink.lock().await
    }

    fn is_idle(&self) -> bool {
        let touched = *self.touched.lock().unwrap_or_else(PoisonError::into_inner);
        touched.elapsed() > IDLE && self.sink.try_lock().is_ok()
    }
}

fn length(turn: &Turn<'_>) -> Result<u64, Refusal> {
    turn.as_ref().map(Sink::length).ok_or_else(|| Code::BlobUploadUnknown.into())
}

/// The first and last byte of `Content-Range: 0-1023`, which has no unit here, though some clients send one.
fn content_range(headers: &HeaderMap) -> Result<Option<(u64, u64)>, Refusal> {
    let Some(value) = headers.get(CONTENT_RANGE) else { return Ok(None) };
    let parse = || {
        let text = value.to_str().ok()?.trim();
        let text = text.strip_prefix("bytes").map_or(text, |text| text.trim_start_matches([' ', '=']));
        let (first, last) = text.split('/').next()?.split_once('-')?;
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        (first <= last && last < u64::MAX).then_some((first, last))
    };
    parse().map(Some).ok_or_else(|| Refusal::new(Code::BlobUploadInvalid, "Content-Range is not FIRST-LAST"))
}

/// Where an upload goes on. An empty one is `0-0`, as Docker's registry has it.
fn place(upload: &Upload, length: u64) -> Result<[(HeaderName, HeaderValue); 3], Refusal> {
    let location = format!("/v2/{}/blobs/uploads/{}", upload.repository, upload.id.as_str());
    let range = format!("0-{}", length.saturating_sub(1));
    let value = |text: &str| HeaderValue::from_str(text).map_err(|_| Refusal::from(Code::Internal));
    Ok([(LOCATION, value(&location)?), (RANGE, value(&range)?), (UUID, value(upload.id.as_str())?)])
}

fn accepted(status: StatusCode, upload: &Upload, length: u64) -> Outcome {
    let reply = if status == StatusCode::NO_CONTENT { Reply::new(status) } else { Reply::empty(status) };
    Ok(place(upload, length)?.into_iter().fold(reply, |reply, (name, value)| reply.with(name, value)))
}

fn out_of_order(upload: &Upload, length: u64) -> Result<Refusal, Refusal> {
    let refusal = Refusal::new(Code::RangeInvalid, format!("the upload has {length} bytes: go on from there"));
    Ok(place(upload, length)?.into_iter().fold(refusal, |refusal, (name, value)| refusal.with(name, value)))
}

/// Something is in the repository.
pub(super) fn created(repository: &Repository, what: &str, digest: &Digest) -> Outcome {
    let reply = Reply::empty(StatusCode::CREATED).text(LOCATION, format!("/v2/{repository}/{what}/{digest}"))?;
    reply.text(DIGEST, digest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_piece_belongs() {
        let range = |text: &str| {
            let headers = HeaderMap::from_iter([(CONTENT_RANGE, HeaderValue::from_str(text).unwrap())]);
            content_range(&headers).map_err(|refusal| refusal.code)
        };
        assert_eq!(range("0-1023"), Ok(Some((0, 1023))));
        assert_eq!(range("bytes 5-5/10"), Ok(Some((5, 5))));
        assert_eq!(content_range(&HeaderMap::new()).unwrap(), None);
        for wrong in ["", "5", "5-4", "-5", "a-b", "0-18446744073709551615", "0-99999999999999999999"] {
            assert_eq!(range(wrong), Err(Code::BlobUploadInvalid), "{wrong}");
        }
    }
}
