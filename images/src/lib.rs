//! reference -> registry -> layers -> a list of folders to mount.
#![forbid(unsafe_code)]

mod archive;
mod change;
mod config;
mod copy;
mod digest;
mod error;
mod image;
mod list;
mod manifest;
mod platform;
pub mod pull;
mod push;
mod reference;
mod registry;
pub mod serve;
mod store;
mod unpack;

pub use archive::{ImportOptions, InvalidArchive, LoadOptions, Loaded, SaveOptions, import, load, save};
pub use change::{Change, InvalidChange};
pub use config::{History, ImageConfig, RootFs, RunConfig};
pub use copy::{Copied, CopyOptions, copy};
pub use digest::{Digest, InvalidDigest};
pub use error::{Error, Result};
pub use image::{Image, Layer};
pub use list::{Annotation, List, ListOptions, RawManifest, annotate_list, create_list, manifest_of, push_list};
pub use manifest::InvalidManifest;
pub use platform::{InvalidPlatform, Platform};
pub use pull::{Event, Progress, PullOptions, Pulled, pull};
pub use push::{PushOptions, Pushed, push};
pub use reference::{InvalidReference, Reference};
pub use registry::{
    Credentials, Error as RegistryError, Failure, Invalid as InvalidRegistries, LoggedIn, Proxies, Registries, login, logout,
};
pub use store::{Damage, Lease, Listing, Removed, Store};
pub use unpack::Error as UnpackError;
