//! What a pull tells while it runs.

use std::time::Duration;

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
