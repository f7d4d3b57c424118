//! What the registry keeps, in files. A hard link says that a repository has some content, so the number of links of a file in `blobs` tells
//! whether anybody still needs it, and no database has to.
//!
//! ```text
//! ROOT/                                    0700
//!   blobs/sha256/HEX                       content, once for all repositories: layers, configs, manifests
//!   refs/REPOSITORY/:TAG                   the digest of a manifest
//!   refs/REPOSITORY/@sha256:HEX            a manifest of the repository: a link to its content
//!   refs/REPOSITORY/+sha256:HEX            a blob of the repository: the same
//!   refs/REPOSITORY/^sha256:HEX/sha256:HEX empty: the second manifest is about the first one (its `subject`)
//!   uploads/ID                             coming in
//!   serve.lock                             held by the one process that serves the folder
//! ```
//!
//! **Publishing.** Content is written to `uploads`, its digest compared, its data synced, then linked to `blobs` and into the repository. A tag
//! comes last, by rename and sync, so whoever got the answer 201 has it after a power cut. A process killed at any instruction leaves a file
//! in `uploads`, or one in `blobs` with no other link: the next start removes both.

mod evict;
mod lists;
mod remove;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use sys::Call;

use super::route::{Repository, UploadId};
use crate::error::{Doing, Error, Result};
use crate::store::create;
use crate::{Digest, manifest};

/// What a repository may have under a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Blob,
    Manifest,
}

impl Kind {
    fn sigil(self) -> char {
        match self {
            Kind::Blob => '+',
            Kind::Manifest => '@',
        }
    }
}

/// The folder. Its functions block; those that write wait for each other.
#[derive(Debug)]
pub(super) struct Storage {
    root: PathBuf,
    /// Held while links come and go.
    links: Mutex<()>,
    _served: File,
}

impl Storage {
    /// Opens the folder for this process alone, makes what is missing and removes what a killed process left.
    pub(super) fn open(root: &Path) -> Result<Self> {
        for folder in ["blobs/sha256", "refs", "uploads"] {
            create(&root.join(folder))?;
        }
        let path = root.join("serve.lock");
        let open = || {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            file.try_lock().map_err(io::Error::from)?;
            Ok::<_, io::Error>(file)
        };
        let served = match open() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Error::Served { folder: root.to_owned() }),
            served => served.call(|| format!("flock({path:?}, LOCK_EX)")).doing(|| "serve")?,
        };
        let storage = Storage { root: root.to_owned(), links: Mutex::new(()), _served: served };
        storage.sweep()?;
        Ok(storage)
    }

    /// A new file for what comes in.
    pub(super) fn incoming(&self, id: &UploadId) -> Result<File> {
        let path = self.upload(id);
        let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        made.call(|| format!("open({path:?}, O_CREAT | O_EXCL)")).map_err(|source| self.full_or(source, "begin an upload"))
    }

    /// Forgets what came in.
    pub(super) fn discard(&self, id: &UploadId) -> Result<()> {
        unlink(&self.upload(id)).map(drop)
    }

    /// Gives what came in to a repository. It is complete, and has this digest.
    pub(super) fn publish(&self, repository: &Repository, kind: Kind, digest: &Digest, id: &UploadId, file: &File) -> Result<()> {
        let what = || format!("store {digest}");
        file.sync_data().call(|| "fdatasync()").map_err(|source| self.full_or(source, what()))?;
        let (upload, content) = (self.upload(id), self.content(digest));
        {
            let _links = self.links();
            create(content.parent().unwrap_or(&self.root))?;
            self.link(&upload, &content)?;
            self.give(repository, kind, digest)?;
        }
        unlink(&upload)?;
        self.sync(content.parent().unwrap_or(&self.root))?;
        self.sync(&self.folder(repository))
    }

    /// Gives content that another repository has to this one. Answers whether it was there.
    pub(super) fn mount(&self, repository: &Repository, digest: &Digest, from: Option<&Repository>) -> Result<bool> {
        let links = self.links();
        let source = from.map_or_else(|| self.content(digest), |from| self.member(from, Kind::Blob, digest));
        if !source.exists() {
            return Ok(false);
        }
        self.give(repository, Kind::Blob, digest)?;
        drop(links);
        self.sync(&self.folder(repository))?;
        Ok(true)
    }

    /// The content of a blob or manifest of a repository.
    pub(super) fn read(&self, repository: &Repository, kind: Kind, digest: &Digest) -> Result<Option<File>> {
        let path = self.member(repository, kind, digest);
        match File::open(&path) {
            Err(error) if is_missing(&error) => Ok(None),
            file => file.map(Some).call(|| format!("open({path:?})")).doing(|| format!("read {digest}")),
        }
    }

    pub(super) fn has(&self, repository: &Repository, kind: Kind, digest: &Digest) -> bool {
        self.member(repository, kind, digest).exists()
    }

    /// The bytes of a manifest of a repository.
    pub(super) fn manifest(&self, repository: &Repository, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.read(repository, Kind::Manifest, digest)? else { return Ok(None) };
        let limit = usize::try_from(manifest::LIMIT).unwrap_or(usize::MAX);
        sys::fs::read_all(file, limit).map(Some).doing(|| format!("read {digest}"))
    }

    /// What a tag means.
    pub(super) fn tag(&self, repository: &Repository, tag: &str) -> Result<Option<Digest>> {
        let path = self.tag_file(repository, tag);
        match fs::read_to_string(&path) {
            Err(error) if is_missing(&error) => Ok(None),
            text => {
                let text = text.call(|| format!("read({path:?})")).doing(|| format!("read tag {tag}"))?;
                text.trim_end().parse().map(Some).map_err(|_| Error::Damaged { what: format!("tag {tag} of {repository}") })
            }
        }
    }

    /// Lets a tag mean a manifest of the repository.
    pub(super) fn set_tag(&self, repository: &Repository, tag: &str, digest: &Digest, id: &UploadId) -> Result<()> {
        let what = || format!("write tag {tag} of {repository}");
        let (temporary, folder) = (self.upload(id), self.folder(repository));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            writeln!(file, "{digest}")?;
            file.sync_data()
        };
        let moved = write().and_then(|()| {
            let _links = self.links();
            // The manifest may be gone since, with the folder.
            fs::rename(&temporary, self.tag_file(repository, tag))
        });
        if let Err(source) = moved.call(|| format!("write({:?})", self.tag_file(repository, tag))) {
            let _ = unlink(&temporary);
            return Err(self.full_or(source, what()));
        }
        self.sync(&folder)
    }

    /// Notes that a manifest is about another one, which need not be there yet.
    pub(super) fn refer(&self, repository: &Repository, subject: &Digest, digest: &Digest) -> Result<()> {
        let folder = self.referrers(repository, subject);
        {
            let _links = self.links();
            create(&folder)?;
            let path = folder.join(digest.as_str());
            let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
            made.call(|| format!("open({path:?}, O_CREAT)")).map_err(|source| self.full_or(source, "note a referrer"))?;
        }
        self.sync(&folder)?;
        self.sync(&self.folder(repository))
    }

    /// Links content into a repository. The lock is held.
    fn give(&self, repository: &Repository, kind: Kind, digest: &Digest) -> Result<()> {
        create(&self.folder(repository))?;
        self.link(&self.content(digest), &self.member(repository, kind, digest))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        match fs::hard_link(from, to) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked.call(|| format!("link({from:?}, {to:?})")).map_err(|source| self.full_or(source, "publish")),
        }
    }

    fn links(&self) -> MutexGuard<'_, ()> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sync(&self, folder: &Path) -> Result<()> {
        match File::open(folder) {
            // Whoever emptied it removed it.
            Err(error) if is_missing(&error) => Ok(()),
            folder_file => {
                let synced = folder_file.and_then(|file| file.sync_all()).call(|| format!("fsync({folder:?})"));
                synced.map_err(|source| self.full_or(source, "publish"))
            }
        }
    }

    /// A failed write, which says so if the file system is full.
    pub(super) fn full_or(&self, source: sys::Error, what: impl Into<String>) -> Error {
        Error::written(&self.root, source, what)
    }

    /// What a failed write to a blob means.
    pub(super) fn unwritten(&self, error: io::Error) -> Error {
        let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
        self.full_or(sys::Error::new("write()", errno), "write a blob")
    }

    fn upload(&self, id: &UploadId) -> PathBuf {
        self.root.join("uploads").join(id.as_str())
    }

    fn content(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm()).join(digest.hex())
    }

    fn folder(&self, repository: &Repository) -> PathBuf {
        self.root.join("refs").join(repository.as_str())
    }

    fn member(&self, repository: &Repository, kind: Kind, digest: &Digest) -> PathBuf {
        self.folder(repository).join(format!("{}{digest}", kind.sigil()))
    }

    fn tag_file(&self, repository: &Repository, tag: &str) -> PathBuf {
        self.folder(repository).join(format!(":{tag}"))
    }

    fn referrers(&self, repository: &Repository, subject: &Digest) -> PathBuf {
        self.folder(repository).join(format!("^{subject}"))
    }
}

/// Answers whether the file was there.
fn unlink(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Err(error) if is_missing(&error) => Ok(false),
        removed => removed.map(|()| true).call(|| format!("unlink({path:?})")).doing(|| "remove"),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}
