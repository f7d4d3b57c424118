//! What a pull tells while it runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Digest;

/// Hears about a pull. Called from the thread that runs the pull; it should return soon.
pub trait Progress: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);
}

/// Nobody listens.
impl Progress for () {
    fn event(&self, _: Event<'_>) {}
}

/// A step of a pull, a push, a load or a save.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The registry told what the name means.
    Resolved {
        /// Index or manifest.
        digest: &'a Digest,
    },
    /// The image's layers, lowest first, with the sizes of their blobs in bytes.
    Layers(&'a [(Digest, u64)]),
    /// A layer is in the store.
    Exists(&'a Digest),
    /// Another process downloads this layer.
    Waiting(&'a Digest),
    /// A part of a layer's blob came.
    Downloaded {
        /// The layer.
        digest: &'a Digest,
        /// Bytes so far.
        bytes: u64,
    },
    /// A part of a layer's blob went out.
    Uploaded {
        /// The layer.
        digest: &'a Digest,
        /// Bytes so far.
        bytes: u64,
    },
    /// The registry took a layer over from another of its repositories.
    Mounted {
        /// The layer.
        digest: &'a Digest,
        /// The repository.
        from: &'a str,
    },
    /// A layer was downloaded, verified, unpacked and published; or it was pushed or saved.
    Done(&'a Digest),
    /// A request failed and will be made again.
    Retrying {
        /// The request.
        what: String,
        /// What went wrong.
        why: String,
        /// Until the next try.
        after: Duration,
    },
}

/// Notes when a pull last came on, and tells whoever listens. A retry is no progress: a registry that refuses for ever gets nowhere.
pub(super) struct Watched<'a> {
    inner: &'a dyn Progress,
    since: Instant,
    /// Milliseconds from `since` to the last step.
    last: AtomicU64,
}

impl<'a> Watched<'a> {
    pub(super) fn new(inner: &'a dyn Progress) -> Self {
        Watched { inner, since: Instant::now(), last: AtomicU64::new(0) }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Ends once there was no step for so long.
    pub(super) async fn stalled(&self, patience: Duration) {
        loop {
            let idle = Duration::from_millis(self.now().saturating_sub(self.last.load(Ordering::Relaxed)));
            match patience.checked_sub(idle) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => return,
            }
        }
    }
}

impl Progress for Watched<'_> {
    fn event(&self, event: Event<'_>) {
        if !matches!(event, Event::Retrying { .. } | Event::Waiting(_)) {
            self.last.store(self.now(), Ordering::Relaxed);
        }
        self.inner.event(event);
    }
}
