//! A read-through cache of another registry: what is not here is fetched, kept, and handed on while it comes.
//!
//! ```text
//! GET blob ─> here? send it ─ no ─> is it coming? follow it
//!                                        └ no ─> one download: upstream ─> file ─> all who follow
//! ```
//!
//! What a tag means is asked upstream each time (a HEAD, which no registry counts); when nobody answers, what was kept is served, and when
//! nobody answers for seconds, nobody is asked for a while. The last byte of a blob is held back until its digest is right, so no client takes a
//! wrong one for complete. What was asked for longest ago goes when there is too much ([`Keep`]).

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{FutureExt, TryStreamExt};
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Frame;
use hyper::header::HeaderMap;
use tokio::sync::{Mutex as AsyncMutex, watch};

use super::blobs::{kept, send};
use super::refusal::{Code, Refusal};
use super::reply::{Body, Outcome};
use super::route::{Repository, What};
use super::sink::Sink;
use super::storage::{Kind, Storage};
use super::{Limits, Notice, Shared, blocking, random_id};
use crate::manifest::About;
use crate::registry::{Registry, chain};
use crate::unpack::hash::Algorithm;
use crate::{Credentials, Digest, Reference, Registries, RegistryError};

/// Repositories whose logins are remembered.
const KNOWN: usize = 256;
/// How long a login, and what is known of hosts that cannot be reached, may be old.
const FRESH: Duration = Duration::from_secs(600);
/// How long an upstream may take to say what a tag means, when the answer to the last such question is here.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an upstream that took longer is not asked.
const SILENCE: Duration = Duration::from_secs(30);
/// How often it is looked for what nobody asks for any more.
const TIDY: Duration = Duration::from_secs(3600);
/// Bytes of a piece that is handed on.
const PIECE: u64 = 256 << 10;

/// The registry behind a mirror.
#[derive(Debug)]
pub struct Upstream {
    /// Its name: `docker.io`, `localhost:5000`.
    pub registry: String,
    /// Its own mirrors, and whether it is insecure.
    pub registries: Registries,
    /// Who asks.
    pub credentials: Credentials,
    /// How much of it stays here.
    pub keep: Keep,
}

/// How much a mirror keeps. What was asked for longest ago goes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Bytes of manifests and blobs; `None`: as many as there is room for. A blob that comes just then may be more.
    pub bytes: Option<u64>,
    /// How long something stays that nobody asks for; `None`: for ever.
    pub unused: Option<Duration>,
}

pub(super) struct Mirror {
    upstream: Upstream,
    storage: Arc<Storage>,
    /// Largest blob in bytes.
    limit: u64,
    /// How long nothing may come.
    stall: Duration,
    /// Until when the upstream is not asked what a tag means.
    silent: Mutex<Option<Instant>>,
    known: Mutex<HashMap<Repository, Arc<Known>>>,
    coming: Arc<Mutex<HashMap<Digest, watch::Receiver<Coming>>>>,
}

/// A repository upstream.
struct Known {
    registry: Registry<'static>,
    since: Instant,
    /// Manifests are fetched one after the other: the second of two who want the same finds it here.
    turn: AsyncMutex<()>,
}

/// How far a download is.
#[derive(Debug, Clone, Default)]
struct Coming {
    file: Option<(Arc<File>, u64)>,
    /// Bytes that may be handed on.
    ready: u64,
    failed: Option<(Code, String)>,
}

impl Mirror {
    pub(super) fn new(upstream: Upstream, storage: Arc<Storage>, limits: &Limits) -> Self {
        let (limit, stall) = (limits.blob, limits.upstream);
        Mirror { upstream, storage, limit, stall, silent: Mutex::default(), known: Mutex::default(), coming: Arc::default() }
    }

    /// Removes what nobody asks for any more, now and again as long as the registry is served.
    pub(super) async fn tidy(self: Arc<Self>, notice: Notice) {
        let keep = self.upstream.keep;
        let pause = keep.unused.map_or(TIDY, |unused| (unused / 4).clamp(Duration::from_secs(1), TIDY));
        while keep != Keep::default() {
            let done = tokio::task::spawn_blocking({
                let storage = self.storage.clone();
                move || storage.evict(&keep)
            });
            if let Ok(Err(error)) = done.await {
                notice("remove what nobody asks for", &error);
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn known(&self, repository: &Repository) -> Result<Arc<Known>, Refusal> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(repository).filter(|known| known.since.elapsed() < FRESH) {
            return Ok(known.clone());
        }
        if known.len() >= KNOWN {
            known.clear();
        }
        let name = format!("{}/{repository}", self.upstream.registry);
        let reference: Reference = name.parse().map_err(|_| Refusal::from(Code::NameUnknown))?;
        let Upstream { registries, credentials, .. } = &self.upstream;
        let registry = Registry::on_behalf(&reference, registries, credentials, &(), self.stall);
        let registry = registry.map_err(|error| upstream(&error, Code::NameUnknown))?;
        let made = Arc::new(Known { registry, since: Instant::now(), turn: AsyncMutex::default() });
        known.insert(repository.clone(), made.clone());
        Ok(made)
    }

    /// Brings a manifest here, and what its tag means up to date.
    pub(super) async fn refresh(&self, shared: &Shared, repository: &Repository, what: &What) -> Result<(), Refusal> {
        let here = |digest: &Digest| self.storage.has(repository, Kind::Manifest, digest);
        if matches!(what, What::Digest(digest) if here(digest)) {
            return Ok(());
        }
        let known = self.known(repository)?;
        let _turn = known.turn.lock().await;
        let (wanted, tag) = match what {
            What::Digest(digest) if here(digest) => return Ok(()),
            What::Digest(digest) => (Some(digest.clone()), None),
            What::Tag(tag) => {
                let kept = self.kept_tag(repository, tag).await?.filter(here);
                let now = match &kept {
                    Some(_) => self.current_soon(&known, tag).await,
                    None => known.registry.current(tag).await,
                };
                match (now, kept) {
                    // Nobody answers: what was kept is better than nothing.
                    (None, Some(_)) => return Ok(()),
                    (Some(now), Some(kept)) if now == kept => return Ok(()),
                    (now, _) => (now, Some(tag.clone())),
                }
            }
        };
        let asked = wanted.as_ref().map_or_else(|| what.to_string(), Digest::to_string);
        let fetched = known.registry.manifest(&asked).await.map_err(|error| upstream(&error, Code::ManifestUnknown))?;
        let subject = About::read(&fetched.bytes).ok().and_then(|about| about.subject().cloned());
        let tags = tag.into_iter().collect();
        shared.keep_manifest(repository, &fetched.digest, fetched.bytes, subject, tags).await
    }

    /// What a tag means now, if the upstream says so at once.
    async fn current_soon(&self, known: &Known, tag: &str) -> Option<Digest> {
        let silent = || self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let said = tokio::time::timeout((self.stall / 2).min(PATIENCE), known.registry.current(tag)).await;
        *silent() = said.is_err().then(|| Instant::now() + SILENCE);
        said.ok().flatten()
    }

    async fn kept_tag(&self, repository: &Repository, tag: &str) -> Result<Option<Digest>, Refusal> {
        let (repository, tag) = (repository.clone(), tag.to_owned());
        blocking(&self.storage, move |storage| storage.tag(&repository, &tag)).await
    }

    /// A blob that the repository has not.
    pub(super) async fn blob(&self, repository: Repository, digest: Digest, headers: &HeaderMap, head: bool) -> Outcome {
        let (to, wanted) = (repository.clone(), digest.clone());
        // Another repository may have it: nothing is fetched twice.
        if blocking(&self.storage, move |storage| storage.mount(&to, &wanted, None)).await? {
            return kept(&self.storage, repository, digest, headers, true).await?.ok_or_else(|| Code::BlobUnknown.into());
        }
        let known = self.known(&repository)?;
        if head {
            let size = known.registry.blob_size(&digest).await.map_err(|error| upstream(&error, Code::BlobUnknown))?;
            return send(&digest, size, headers, |_, _| Empty::new().map_err(|never| match never {}).boxed_unsync());
        }
        let mut coming = self.coming(known, repository, &digest);
        let begun = coming.wait_for(|coming| coming.file.is_some() || coming.failed.is_some()).await;
        let begun = begun.map_err(|_| Refusal::from(Code::Internal))?.clone();
        match (begun.file, begun.failed) {
            (Some((file, size)), _) => send(&digest, size, headers, |start, end| follow(coming, file, start, end)),
            (None, Some((code, message))) => Err(Refusal::new(code, message)),
            (None, None) => Err(Code::Internal.into()),
        }
    }

    /// The download that is under way, or a new one.
    fn coming(&self, known: Arc<Known>, repository: Repository, digest: &Digest) -> watch::Receiver<Coming> {
        let mut all = self.coming.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(coming) = all.get(digest) {
            return coming.clone();
        }
        let (state, coming) = watch::channel(Coming::default());
        all.insert(digest.clone(), coming.clone());
        let (storage, others) = (self.storage.clone(), self.coming.clone());
        let (limit, keep) = (self.limit, self.upstream.keep);
        let download = Download { storage, known, repository, digest: digest.clone(), limit, keep, state };
        // It ends whether or not those who asked for it stay.
        tokio::spawn(async move {
            let done = download.run().await;
            others.lock().unwrap_or_else(PoisonError::into_inner).remove(&download.digest);
            if let Err(refusal) = done {
                download.state.send_modify(|coming| coming.failed = Some((refusal.code, refusal.message)));
            }
        });
        coming
    }
}

/// One blob on its way here.
struct Download {
    storage: Arc<Storage>,
    known: Arc<Known>,
    repository: Repository,
    digest: Digest,
    limit: u64,
    keep: Keep,
    state: watch::Sender<Coming>,
}

impl Download {
    async fn run(&self) -> Result<(), Refusal> {
        let asked = |error: RegistryError| upstream(&error, Code::BlobUnknown);
        let size = self.known.registry.blob_size(&self.digest).await.map_err(asked)?;
        if size > self.limit {
            return Err(Refusal::new(Code::TooLarge, format!("the blob has {size} bytes, more than {} are not kept", self.limit)));
        }
        let id = random_id()?;
        let file = {
            let id = id.clone();
            blocking(&self.storage, move |storage| storage.incoming(&id)).await?
        };
        let received = self.receive(Sink::new(file, Algorithm::of(self.digest.as_str())), size).await;
        let stored = match received {
            Err(refusal) => Err(refusal),
            Ok(file) => {
                let (repository, digest, id) = (self.repository.clone(), self.digest.clone(), id.clone());
                let publish = move |storage: &Storage| storage.publish(&repository, Kind::Blob, &digest, &id, &file);
                blocking(&self.storage, publish).await
            }
        };
        blocking(&self.storage, move |storage| storage.discard(&id)).await?;
        stored?;
        self.state.send_modify(|coming| coming.ready = size);
        let keep = self.keep;
        if keep.bytes.is_some() {
            blocking(&self.storage, move |storage| storage.evict(&keep)).await?;
        }
        Ok(())
    }

    async fn receive(&self, mut sink: Sink, size: u64) -> Result<Arc<File>, Refusal> {
        let asked = |error: RegistryError| upstream(&error, Code::BlobUnknown);
        let unwritten = |error| Refusal::from(self.storage.unwritten(error));
        let stream = self.known.registry.blob(&self.digest, size, 0).await.map_err(asked)?;
        let mut stream = std::pin::pin!(stream);
        let file = sink.file().clone();
        self.state.send_modify(|coming| coming.file = Some((file, size)));
        loop {
            let piece = match stream.try_next().now_or_never() {
                Some(piece) => piece,
                // Nothing more is there just now: those who follow get what came.
                None => {
                    sink.flush().await.map_err(unwritten)?;
                    self.hand_on(sink.written(), size);
                    stream.try_next().await
                }
            };
            let Some(piece) = piece.map_err(asked)? else { break };
            sink.put(piece).await.map_err(unwritten)?;
            self.hand_on(sink.written(), size);
        }
        let (found, file) = sink.finish(&self.digest).await.map_err(unwritten)?;
        if found == self.digest {
            return Ok(file);
        }
        Err(Refusal::new(Code::Upstream, format!("what the upstream sent has the digest {found}")))
    }

    fn hand_on(&self, written: u64, size: u64) {
        let ready = unverified(written, size);
        self.state.send_if_modified(|coming| std::mem::replace(&mut coming.ready, ready) != ready);
    }
}

/// So many bytes of a blob may be handed on before its digest is known: never all.
fn unverified(written: u64, size: u64) -> u64 {
    written.min(size.saturating_sub(1))
}

/// Bytes `start` to `end` of a file that is being written.
fn follow(coming: watch::Receiver<Coming>, file: Arc<File>, start: u64, end: u64) -> Body {
    let stream = futures_util::stream::try_unfold((coming, file, start), move |(mut coming, file, at)| async move {
        if at >= end {
            return Ok(None);
        }
        let ready = {
            let state = coming.wait_for(|coming| coming.ready > at || coming.failed.is_some()).await;
            state.map_err(io::Error::other)?.ready.min(end)
        };
        if ready <= at {
            return Err(io::Error::other("the upstream failed"));
        }
        let (source, length) = (file.clone(), usize::try_from((ready - at).min(PIECE)).unwrap_or_default());
        let reading = tokio::task::spawn_blocking(move || {
            let mut piece = vec![0; length];
            source.read_exact_at(&mut piece, at).map(|()| Bytes::from(piece))
        });
        let piece = reading.await.map_err(io::Error::other)??;
        let next = at + piece.len() as u64;
        Ok(Some((piece, (coming, file, next))))
    });
    StreamBody::new(stream.map_ok(Frame::data)).boxed_unsync()
}

/// What it means that the upstream did not give something. `unknown`: that it has no such thing.
fn upstream(error: &RegistryError, unknown: Code) -> Refusal {
    let code = if error.is_unknown() { unknown } else { Code::Upstream };
    Refusal::new(code, chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_waits_for_the_digest() {
        assert_eq!((unverified(0, 10), unverified(9, 10), unverified(10, 10), unverified(0, 0)), (0, 9, 9, 0));
    }
}
