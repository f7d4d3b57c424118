//! A layer's compressed bytes become a folder tree or an EROFS image, in one pass.
//!
//! ```text
//! download (async)          thread "inflate"                        thread "unpack"
//! Bytes ──bounded channel──> digest of the blob ─> inflate ──ring──> digest of the tar ─> members ─> files
//! ```
//!
//! The two threads share a few buffers of fixed size, so that memory is bounded whatever the layer's size. Nothing is
//! decided here on the digests: the caller compares them before it publishes the tree.
//!
//! | module | |
//! |---|---|
//! | `inflate` | the thread that decompresses (`crate::decode`) |
//! | `ring` | the buffers between the threads |
//! | `header`, `pax`, `sparse`, `archive` | tar: blocks, extended headers, maps of holes, members |
//! | `members` | what they mean, whatever they become |
//! | `path`, `dirs` | names, and folders that cannot lead out of the layer |
//! | `budget` | how much is remembered of them |
//! | `tree`, `content`, `attributes` | members to files of a folder tree (`crate::erofs`: to an image) |

pub(crate) mod archive;
mod attributes;
pub(crate) mod budget;
mod content;
mod dirs;
pub(crate) mod hash;
pub(crate) mod header;
mod inflate;
mod members;
pub(crate) mod path;
mod pax;
pub(crate) mod ring;
mod sparse;
mod tree;

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod formats;
#[cfg(test)]
mod semantics;
#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, allow(dead_code, unused_imports, unused_macros, reason = "tests use more of it"))]
pub(crate) mod testing;

pub(crate) use attributes::{is_wanted as is_wanted_xattr, xattrs_of};
pub(crate) use dirs::{Dirs, bytes as os, is_whiteout};
pub(crate) use members::{Failed, Target, write as members_of};
pub(crate) use path::{escape, unescape};

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use crate::erofs::{self, Written};

use self::hash::{Algorithm, Hasher};

/// Pieces of the download that wait for the inflate thread.
const WAITING: usize = 8;

/// A tree that was written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    /// Sizes of all files.
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    /// Folders that no member describes: overlayfs would show them instead of what the layers below say about them.
    pub(crate) implicit: Vec<Vec<u8>>,
    /// Hard links to files of the layers below: name and target.
    pub(crate) foreign: Vec<(Vec<u8>, Vec<u8>)>,
    /// The image, if it became one.
    pub(crate) erofs: Option<Written>,
    /// The file that says what the tree is made of, if it is one.
    pub(crate) sums: Option<Written>,
    /// Where large files are in the archive, and in the image.
    pub(crate) places: Vec<Place>,
}

/// The same bytes in an archive and in the image that was made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// Where they begin in the archive.
    pub(crate) blob: u64,
    /// Where they begin in the image.
    pub(crate) image: u64,
    /// How many there are.
    pub(crate) length: u64,
}

/// What came of a layer.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Digest and size of the compressed bytes, if all of them were seen: a layer that cannot be unpacked may be a blob that
    /// is not what it should be.
    pub(crate) blob: Option<(String, u64)>,
    /// The tree, and the digest of the tar.
    pub(crate) tree: Result<(Layer, String), Error>,
}

/// Why a layer cannot be unpacked. Names of entries are shortened and escaped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A member's name, or what a link names, lies outside the layer.
    #[error("entry {entry} reaches outside its layer")]
    Outside {
        /// The member.
        entry: String,
    },
    /// A member cannot be written.
    #[error("entry {entry}")]
    Entry {
        /// The member.
        entry: String,
        /// The failed call.
        source: sys::Error,
    },
    /// A member cannot be what it says.
    #[error("entry {entry}")]
    Name {
        /// The member.
        entry: String,
        /// What is wrong.
        source: Malformed,
    },
    /// The archive cannot be read.
    #[error("tar archive, after {after} entries")]
    Malformed {
        /// Members read before.
        after: u64,
        /// What is wrong.
        source: Malformed,
    },
    /// The compressed bytes cannot be read.
    #[error("{format} data")]
    Compressed {
        /// `gzip`, `zstd`, `xz` or `bzip2`.
        format: &'static str,
        /// What the decoder says.
        source: io::Error,
    },
    /// The tar stream ended too early.
    #[error("layer data")]
    Input(#[source] io::Error),
    /// The threads cannot be set up.
    #[error("unpack thread")]
    Thread(#[source] sys::Error),
}

impl Error {
    /// The number of the failed system call.
    pub(crate) fn errno(&self) -> Option<rustix::io::Errno> {
        match self {
            Error::Entry { source, .. } | Error::Thread(source) => Some(source.errno()),
            _ => None,
        }
    }
}

/// What is wrong with an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) &'static str);

/// Why there is no next member.
#[derive(Debug)]
pub(crate) enum ReadError {
    Malformed(Malformed),
    Input(io::Error),
}

impl From<Malformed> for ReadError {
    fn from(error: Malformed) -> Self {
        ReadError::Malformed(error)
    }
}

/// Where a layer goes.
#[derive(Debug)]
pub(crate) enum Destination {
    /// An empty folder, and an empty file for what it will be made of (`crate::sums`), if anybody wants to know.
    Tree(OwnedFd, Option<File>),
    /// An empty file, open for reading and writing.
    Erofs(File),
}

/// A layer on its way: feed it, then wait for what comes out.
pub(crate) struct Unpacking {
    feed: mpsc::Sender<Bytes>,
    inflated: oneshot::Receiver<inflate::Inflated>,
    written: oneshot::Receiver<Result<(Layer, String), Error>>,
    failed: Option<Error>,
}

impl Unpacking {
    /// Starts to unpack. The digests are made with the algorithms of those that are expected.
    pub(crate) fn start(into: Destination, blob: Algorithm, diff_id: Algorithm) -> Result<Self, Error> {
        let (feed, input) = mpsc::channel(WAITING);
        let (writer, reader) = ring::ring(diff_id);
        let (inflated_tx, inflated) = oneshot::channel();
        let (written_tx, written) = oneshot::channel();
        spawn("inflate", move || {
            let _ = inflated_tx.send(inflate::run(input, Hasher::new(blob), writer));
        })?;
        spawn("unpack", move || {
            let _ = written_tx.send(write(into, reader));
        })?;
        Ok(Unpacking { feed, inflated, written, failed: None })
    }

    /// Passes on a piece of the blob; waits while the layer is behind. `false`: go no further, a call failed. Whatever else is wrong
    /// with the layer, the rest is taken for the digest's sake.
    pub(crate) async fn feed(&mut self, bytes: Bytes) -> bool {
        if self.failed.is_none()
            && let Ok(Err(error)) = self.written.try_recv()
        {
            self.failed = Some(error);
        }
        self.failed.as_ref().and_then(Error::errno).is_none() && self.feed.send(bytes).await.is_ok()
    }

    /// Waits until both threads are done: nothing writes to the tree any more.
    pub(crate) async fn finish(self, complete: bool) -> Outcome {
        let Unpacking { feed, inflated, written, failed } = self;
        if complete {
            // An empty piece is the end; without it the threads take the closed channel for a broken download.
            let _ = feed.send(Bytes::new()).await;
        }
        drop(feed);
        let gone = || Error::Input(io::Error::other("a thread ended early"));
        let inflated = inflated.await.unwrap_or(inflate::Inflated { blob: None, failed: None });
        let written = match failed {
            Some(error) => Err(error),
            None => written.await.unwrap_or_else(|_| Err(gone())),
        };
        // The one that failed first broke the other one's pipe.
        let tree = match (inflated.failed, written) {
            (Some(first), Ok(_) | Err(Error::Input(_))) => Err(first),
            (_, written) => written,
        };
        Outcome { blob: inflated.blob, tree }
    }
}

/// Writes an archive, to its end. Answers the digest of all that came.
pub(crate) fn write(into: Destination, input: ring::Reader) -> Result<(Layer, String), Error> {
    let (layer, input) = match into {
        Destination::Tree(root, sums) => {
            sys::fs::private_umask().map_err(Error::Thread)?;
            members::write(tree::Tree::new(root, sums), input)?
        }
        Destination::Erofs(file) => {
            let image = erofs::Image::new(file).map_err(|source| Error::Entry { entry: "/".to_owned(), source })?;
            members::write(image, input)?
        }
    };
    Ok((layer, input.drain().map_err(Error::Input)?))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    use sys::Call;
    let spawned = thread::Builder::new().name(name.to_owned()).stack_size(512 << 10).spawn(body);
    spawned.map(drop).call(|| "clone(CLONE_THREAD)").map_err(Error::Thread)
}
