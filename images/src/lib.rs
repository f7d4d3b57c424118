//! reference -> registry -> layers -> a list of folders and mounts for overlayfs; and the other ways between registries, archives and the
//! store.
//!
//! ```text
//!            pull ─────────────────────┐                ┌─ load, import <── archives
//! registries <──── copy, lists ────>   ├──> store ──────┤
//!            push ─────────────────────┘                └─ save ──────────> archives
//! serve: a registry of our own
//! ```
//!
//! | module | |
//! |---|---|
//! | `reference`, `digest`, `platform`, `manifest`, `config` | names and documents |
//! | `registry` | the client: where registries are, how to get in, what moves |
//! | [`pull`], `push`, `copy`, `list` | images from, to and between registries, and lists of platforms |
//! | `policy` | which images are let in, and by whose signature |
//! | `decode` | gzip, zstd, xz and bzip2, by their first bytes |
//! | `unpack`, `erofs`, `sums`, `store` | layers as folder trees or as images to mount, how damage is found, and what keeps them |
//! | `archive`, `change` | images in files, and root file systems that become images |
//! | `make` | what a container has written as a layer, and layers as an image |
//! | `cache` | what builds remember, in registries and folders |
//! | [`serve`] | the other end of the protocol |
#![forbid(unsafe_code)]

mod archive;
mod cache;
mod change;
mod config;
mod copy;
mod decode;
mod digest;
mod erofs;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod image;
mod list;
mod make;
mod manifest;
mod platform;
mod policy;
pub mod pull;
mod push;
mod reference;
mod registry;
pub mod serve;
mod store;
mod sums;
mod unpack;
mod waiting;

pub use archive::{ImportOptions, InvalidArchive, LoadOptions, Loaded, SaveOptions, import, load, plain, save};
pub use cache::{CachePlace, CacheStep, RemoteCache, export_cache, import_cache, inline as inline_cache};
pub use change::{Change, InvalidChange, apply as apply_changes};
pub use config::{History, ImageConfig, RootFs, RunConfig};
pub use copy::{Copied, CopyOptions, copy};
pub use digest::{Digest, InvalidDigest};
pub use error::{Error, Result};
pub use image::{Image, Layer};
pub use list::{
    Annotation, List, ListOptions, RawManifest, annotate_list, create_list, manifest_of, push_list, remove_from_list, search, tags,
};
pub use make::{LayerOptions, NewImage, NewLayer, Owners, Passing, Upper, archive, pack, unpack};
pub use manifest::InvalidManifest;
pub use platform::{InvalidPlatform, Platform};
pub use policy::Policy;
pub use pull::{Event, Progress, PullOptions, Pulled, pull};
pub use push::{PushOptions, Pushed, push};
pub use reference::{InvalidReference, Reference};
pub use registry::{
    Credentials, Downloaded, Error as RegistryError, Failure, Found, Given, Invalid as InvalidRegistries, LoggedIn, MirrorTable,
    Proxies, PullFrom, Registries, RegistryTable, download, login, logout,
};
pub use store::{
    CacheEntry, Cached, Checked, Damage, Driver, Examined, Fault, Flaw, InvalidDriver, Lease, Listing, Lower, Remedy, Removed,
    RootFolder, Store, Usage, Users, Variant,
};
pub use unpack::Error as UnpackError;
pub use waiting::Stop;
