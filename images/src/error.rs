//! What can go wrong with images.

use std::path::PathBuf;

use crate::{Digest, InvalidManifest, Platform, registry, unpack};

/// Why an image cannot be found, fetched, kept or removed. Callers print the chain of sources.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No image of this name or id is in the store.
    #[error("no such image: {name}")]
    NotFound {
        /// As it was asked for.
        name: String,
    },
    /// An id prefix fits several images.
    #[error("image id {id} is ambiguous: {} images start with it", matches.len())]
    Ambiguous {
        /// The prefix.
        id: String,
        /// Ids of the images.
        matches: Vec<Digest>,
    },
    /// The registry did not give what it was asked for.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A manifest is none.
    #[error("invalid manifest")]
    Manifest(#[from] InvalidManifest),
    /// Images were asked for where none can be mounted.
    #[error("this kernel cannot mount EROFS images that are in {}", folder.display())]
    NoErofs {
        /// The store.
        folder: PathBuf,
        /// The failed call.
        source: sys::Error,
    },
    /// What is there has no steps of builds.
    #[error("there is no build cache in {place}")]
    NoCache {
        /// The place.
        place: String,
    },
    /// The image is here, but for other machines.
    #[error("image {name} is here for {here}, and not for {platform}")]
    OtherPlatform {
        /// As it was asked for.
        name: String,
        /// What was asked for.
        platform: String,
        /// What is here.
        here: String,
    },
    /// An image cannot be removed because something needs it.
    #[error("image {name} is in use by {}", by.join(", "))]
    InUse {
        /// As it was asked for.
        name: String,
        /// Ids of containers, or what else holds it.
        by: Vec<String>,
        /// Whether force would help.
        forceable: bool,
    },
    /// Removing by id needs force as several names would go.
    #[error("image {id} has several names: {}", names.join(", "))]
    SeveralNames {
        /// The image.
        id: String,
        /// Its names.
        names: Vec<String>,
    },
    /// The image is for other machines.
    #[error("{reference} is not made for {wanted}, only for {}", list(have))]
    WrongPlatform {
        /// The image.
        reference: String,
        /// This host's platform, or the one that was asked for.
        wanted: Platform,
        /// What there is.
        have: Vec<Platform>,
    },
    /// What came is not what its digest says.
    #[error("{what}: digest mismatch: expected {expected}, found {found}")]
    DigestMismatch {
        /// `layer`, `config`, …
        what: String,
        /// As the manifest or config says.
        expected: String,
        /// Of the bytes that came.
        found: String,
    },
    /// The bytes ended before the size which the manifest gives.
    #[error("{what} is truncated: {found} of {expected} bytes")]
    Truncated {
        /// `layer sha256:…`, …
        what: String,
        /// Bytes.
        expected: u64,
        /// Bytes.
        found: u64,
    },
    /// A document is larger than anybody needs, or a blob larger than its manifest says.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// `config sha256:…`, …
        what: String,
        /// Bytes.
        limit: u64,
    },
    /// The file system of the store is full, in bytes or in files.
    #[error("no space left in {}", folder.display())]
    NoSpace {
        /// The store's folder.
        folder: PathBuf,
        /// The failed call.
        source: sys::Error,
    },
    /// A layer cannot be unpacked.
    #[error("unpack layer {digest}")]
    Unpack {
        /// The layer.
        digest: Digest,
        /// Why.
        source: unpack::Error,
    },
    /// A layer needs files of layers below it which are not there.
    #[error("layer {digest}: hard link {link} to {target}, which no layer below has")]
    ForeignLink {
        /// The layer.
        digest: Digest,
        /// The new name.
        link: String,
        /// The old name.
        target: String,
    },
    /// A layer was completed with files of layers below it, and this image has others there.
    #[error("layer {digest} has hard links into the layers below it and is stored on top of others: remove the other image first")]
    OtherBase {
        /// The layer.
        digest: Digest,
    },
    /// A manifest and its config do not belong together.
    #[error("image {id}: {layers} layers in the manifest, {diff_ids} in the config")]
    LayerCount {
        /// The config.
        id: Digest,
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// No file system is made of so many layers.
    #[error("image {id} has {layers} layers: more than 500 cannot be mounted")]
    TooManyLayers {
        /// The config.
        id: Digest,
        /// In the manifest.
        layers: usize,
    },
    /// A document is not what it should be.
    #[error("{what}")]
    Document {
        /// `config sha256:…`.
        what: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A manifest points to another index, or names no manifest at all.
    #[error("{what} is not an image")]
    NotAnImage {
        /// `manifest sha256:…`, with its media type.
        what: String,
    },
    /// Something in the store is missing or damaged; pulling the image again repairs it.
    #[error("image store: {what} is damaged: pull the image again")]
    Damaged {
        /// Which file.
        what: String,
    },
    /// A layer is there, and is not what it was.
    #[error("image store: layer {digest} is damaged, see {}: `image check --repair` drops it, and the next pull brings it back", path.display())]
    DamagedLayer {
        /// The layer.
        digest: Digest,
        /// The file.
        path: PathBuf,
        /// How it was noticed.
        source: sys::Error,
    },
    /// The store's files cannot be read or written.
    #[error("image store: {what}")]
    Store {
        /// What was being done.
        what: String,
        /// The failed call.
        source: sys::Error,
    },
    /// Another process serves this folder.
    #[error("{} is served by another process", folder.display())]
    Served {
        /// The registry's folder.
        folder: PathBuf,
    },
    /// The registry cannot be reached where it was told to listen.
    #[error("listen on {address}")]
    Listen {
        /// As it was asked for.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A file that a registry is served with is not what it should be.
    #[error("{}: {problem}", path.display())]
    ServeFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A layer's blob is not kept, and nobody is known who has it.
    #[error("the blob of layer {digest} is not kept here, and no registry is known to have it: pull the image again")]
    NotKept {
        /// The layer.
        digest: Digest,
    },
    /// A layer's blob is not kept, and cannot be fetched again.
    #[error("the blob of layer {digest} is not kept here, and fetching it again failed")]
    Refetch {
        /// The layer.
        digest: Digest,
        /// What the last registry said that had it.
        source: Box<Error>,
    },
    /// A file is no archive of images.
    #[error("image archive")]
    Archive(#[from] crate::archive::InvalidArchive),
    /// There is no such list of images.
    #[error("no such manifest list: {name}: make it with manifest create")]
    NoList {
        /// As it was asked for.
        name: String,
    },
    /// There is such a list already.
    #[error("manifest list {name} is there already: continue it with --amend, or remove it")]
    ListExists {
        /// As it was asked for.
        name: String,
    },
    /// A list has not this image.
    #[error("manifest list {name} has no {image}")]
    NotInList {
        /// The list.
        name: String,
        /// The image.
        image: String,
    },
    /// An image cannot be changed so.
    #[error(transparent)]
    Change(#[from] crate::InvalidChange),
    /// An archive cannot be read.
    #[error("read the archive")]
    ReadArchive(#[source] std::io::Error),
    /// A file cannot be fetched.
    #[error("fetch {address}")]
    Download {
        /// Where it should be.
        address: String,
        /// What the server says, or why it says nothing.
        source: registry::Failure,
    },
    /// The host's policy does not let an image in.
    #[error("{what} is refused by {}: {why}", policy.display())]
    Refused {
        /// The image.
        what: String,
        /// The file that says so.
        policy: PathBuf,
        /// What it asks for, and what there is.
        why: String,
    },
    /// That policy cannot be read.
    #[error("{}: {problem}", path.display())]
    PolicyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and in which line.
        problem: String,
    },
    /// An archive of files cannot be unpacked.
    #[error("unpack the archive")]
    UnpackArchive(#[source] unpack::Error),
    /// An archive cannot be written.
    #[error("write the archive")]
    WriteArchive(#[source] std::io::Error),
    /// A pull was given up because it did not come on.
    #[error("pull {reference}: nothing has come for {patience:?}")]
    Stalled {
        /// The image.
        reference: String,
        /// So long.
        patience: std::time::Duration,
    },
    /// Given up because another part of the pull failed, or because a [`crate::Stop`] said so.
    #[error("stopped")]
    Stopped,
    /// The download cannot be set up.
    #[error("network runtime")]
    Runtime(#[source] std::io::Error),
}

impl Error {
    /// A failed write below `folder`, which says so if its file system is full.
    pub(crate) fn written(folder: &std::path::Path, source: sys::Error, what: impl Into<String>) -> Self {
        use rustix::io::Errno;
        match source.errno() {
            Errno::NOSPC | Errno::DQUOT => Error::NoSpace { folder: folder.to_owned(), source },
            _ => Error::Store { what: what.into(), source },
        }
    }
}

/// The outcome of what this crate does.
pub type Result<T> = std::result::Result<T, Error>;

/// Platforms that a message names.
const NAMED: usize = 20;

fn list(platforms: &[Platform]) -> String {
    let named = platforms.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match platforms.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// Compares the size of a document, whose digest was compared, with what whoever names it says.
pub(crate) fn has_size(what: &str, found: u64, expected: u64) -> Result<()> {
    match found.cmp(&expected) {
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Less => Err(Error::Truncated { what: what.to_owned(), expected, found }),
        std::cmp::Ordering::Greater => Err(Error::TooLarge { what: what.to_owned(), limit: expected }),
    }
}

/// An error of serde quotes the text that it does not like, which is as long as a stranger has made it.
pub(crate) fn brief(error: serde_json::Error) -> serde_json::Error {
    const MOST: usize = 300;
    let text = error.to_string();
    match text.char_indices().nth(MOST) {
        None => error,
        Some((at, _)) => serde::de::Error::custom(format!("{}…", &text[..at])),
    }
}

/// Says what was being done to the store.
pub(crate) trait Doing<T> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Doing<T> for sys::Result<T> {
    fn doing<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|source| Error::Store { what: what().into(), source })
    }
}
