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

mod download;
mod tags;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::header::HeaderMap;
use tokio::sync::{Mutex as AsyncMutex, watch};

use self::download::{Coming, Download, follow};
use super::blobs::{kept, send};
use super::refusal::{Code, Refusal};
use super::reply::Outcome;
use super::route::Repository;
use super::storage::Storage;
use super::{Limits, Notice, blocking};
use crate::registry::{Registry, chain};
use crate::{Credentials, Digest, Reference, Registries, RegistryError};

/// Repositories whose logins are remembered.
const KNOWN: usize = 256;
/// How long a login, and what is known of hosts that cannot be reached, may be old.
const FRESH: Duration = Duration::from_secs(600);
/// How often it is looked for what nobody asks for any more.
const TIDY: Duration = Duration::from_secs(3600);

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

/// What it means that the upstream did not give something. `unknown`: that it has no such thing.
fn upstream(error: &RegistryError, unknown: Code) -> Refusal {
    let code = if error.is_unknown() { unknown } else { Code::Upstream };
    Refusal::new(code, chain(error))
}
