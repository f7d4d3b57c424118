//! What builds remember, for other hosts: steps by their keys with the layers that came of them, in a repository, in a folder, or in the config
//! of an image.
//!
//! ```text
//! steps ──document──▶ cacheconfig.v0 + layers ──export──▶ a manifest in a registry · a folder with an OCI layout
//!                                             └─ inline ─▶ a member of the image's config
//! the same ◀──document── import: steps are known at once, a layer comes when a build has use for it
//! ```
//!
//! The form is BuildKit's (its `cache/remotecache/v1/doc.go`), so registries and tools that know such caches know these. The keys are ours:
//! neither builder finds the other's steps.

mod document;
mod export;
mod import;

use std::path::PathBuf;

use crate::image::Layer;
use crate::{Digest, Reference};

pub use document::inline;
pub use export::export_cache;
pub use import::{RemoteCache, import_cache};

/// A step of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheStep {
    /// What its result depends on.
    pub key: Digest,
    /// Its layer; nothing if it changed no file.
    pub layer: Option<Layer>,
    /// The layer below.
    pub parent: Option<Digest>,
    /// Its instruction, for people.
    pub what: String,
    /// When it was done, as RFC 3339 has it.
    pub created: String,
}

/// Where a cache is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CachePlace {
    /// A manifest in a registry, or an image there that has it in its config.
    Registry(Reference),
    /// A folder with an OCI layout (image-spec, image-layout.md), and the tag of the cache in it.
    Folder(PathBuf, String),
}

const CONFIG: &str = "application/vnd.buildkit.cacheconfig.v0";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The member of an image's config.
const INLINE: &str = "moby.buildkit.cache.v0";
/// On a layer: the digest of its tar archive.
const DIFF_ID: &str = "containerd.io/uncompressed";
/// On a layer: when it was made.
const CREATED: &str = "buildkit/createdat";
/// The largest document that is read.
const LIMIT: u64 = 16 << 20;

impl std::fmt::Display for CachePlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CachePlace::Registry(name) => write!(f, "{}", name.familiar()),
            CachePlace::Folder(path, tag) => write!(f, "{} in {}", tag, path.display()),
        }
    }
}
