//! The folders of containers. One is locked by who makes or changes it (flock(2) on the folder itself), so a process that was killed
//! holds nothing; readers do not lock, as `state.json` is replaced in one step.

use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use container::Shared;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, fstat, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use sys::Call;

use crate::error::{Doing, Failed, Result};
use crate::record::Record;

const STATE: &str = "state.json";
const SHARED: &str = "shared";
/// The socket that a created init waits at.
pub(crate) const GATE: &str = "start";
const LIMIT: usize = 16 << 20;

/// A container's folder.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) folder: OwnedFd,
    parent: OwnedFd,
}

/// The ids that runc takes: no path, no option, nothing that needs quotes.
pub(crate) fn check_id(id: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    // A file name may have 255 bytes, a temporary one beside it some more.
    if id.is_empty() || id == "." || id == ".." || id.len() > 200 || !id.bytes().all(plain) {
        let shown: String = id.chars().take(64).collect();
        return Err(Failed::new(format!("invalid container ID format: {shown:?}")));
    }
    Ok(())
}

/// Makes the folder of a new container, locked. One that was left by a process killed before it had written anything is taken over.
pub(crate) fn create(root: &Path, id: &str) -> Result<Entry> {
    check_id(id)?;
    let taken = || Failed::new(format!("container {id:?}: container with given ID already exists"));
    if !root.is_dir() {
        // The sticky bit keeps a user's runtime folder from being tidied up (XDG Base Directory Specification).
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o1700)
            .create(root)
            .doing(|| format!("make {}, where containers are kept (--root)", root.display()))?;
    }
    let parent = sys::fs::open_dir(root)?;
    match mkdirat(&parent, id, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(sys::Error::new(format!("mkdirat({id:?})"), errno).into()),
    }
    let entry = open_at(parent, id)?.ok_or_else(taken)?;
    if !entry.lock(false)? || !entry.linked() || entry.read()?.is_some() {
        return Err(taken());
    }
    // Of a process that was killed between this and its first record.
    let _ = unlinkat(&entry.folder, GATE, AtFlags::empty());
    Ok(entry)
}

/// Opens a container to look at it.
pub(crate) fn open(root: &Path, id: &str) -> Result<(Entry, Record)> {
    check_id(id)?;
    let entry = find(root, id)?.ok_or_else(|| Failed::missing(id))?;
    let record = entry.read()?.ok_or_else(|| Failed::missing(id))?;
    Ok((entry, record))
}

/// Opens a container to change it: waits for whoever does so now.
pub(crate) fn lock(root: &Path, id: &str) -> Result<(Entry, Record)> {
    let (entry, _) = open(root, id)?;
    entry.lock(true)?;
    // It may be another by now, or none.
    match entry.linked().then(|| entry.read()).transpose()?.flatten() {
        Some(record) => Ok((entry, record)),
        None => Err(Failed::missing(id)),
    }
}

/// A container's folder, if there is one.
pub(crate) fn find(root: &Path, id: &str) -> Result<Option<Entry>> {
    match sys::fs::open_dir(root) {
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        parent => open_at(parent?, id),
    }
}

fn open_at(parent: OwnedFd, id: &str) -> Result<Option<Entry>> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(&parent, id, flags, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        folder => {
            let folder = folder.call(|| format!("openat({id:?})"))?;
            Ok(Some(Entry { id: id.to_owned(), folder, parent }))
        }
    }
}

/// All containers, in the order of their names.
pub(crate) fn all(root: &Path) -> Result<Vec<Entry>> {
    let parent = match sys::fs::open_dir(root) {
        Err(error) if error.errno() == Errno::NOENT => return Ok(Vec::new()),
        parent => parent?,
    };
    let mut names: Vec<String> = sys::fs::list(&parent)?.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    names.iter().filter(|name| check_id(name).is_ok()).filter_map(|id| find(root, id).transpose()).collect()
}

impl Entry {
    /// Locks the folder; without `wait` false when another process has it.
    pub(crate) fn lock(&self, wait: bool) -> Result<bool> {
        let how = if wait { FlockOperation::LockExclusive } else { FlockOperation::NonBlockingLockExclusive };
        loop {
            match rustix::fs::flock(&self.folder, how) {
                Ok(()) => return Ok(true),
                Err(Errno::WOULDBLOCK) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(sys::Error::new("flock()", errno).into()),
            }
        }
    }

    /// Whether somebody is making or changing it now. The lock is given back at once.
    pub(crate) fn busy(&self) -> bool {
        match rustix::fs::flock(&self.folder, FlockOperation::NonBlockingLockShared) {
            Ok(()) => {
                let _ = rustix::fs::flock(&self.folder, FlockOperation::Unlock);
                false
            }
            Err(_) => true,
        }
    }

    /// Whether the folder is still the one of its name.
    fn linked(&self) -> bool {
        let named = rustix::fs::statat(&self.parent, self.id.as_str(), AtFlags::SYMLINK_NOFOLLOW);
        matches!((named, fstat(&self.folder)), (Ok(named), Ok(own)) if (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino))
    }

    /// What is known; `None` when nothing was ever written.
    pub(crate) fn read(&self) -> Result<Option<Record>> {
        let bytes = match openat(&self.folder, STATE, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => file.call(|| format!("openat({STATE:?})")).and_then(|file| sys::fs::read_all(file, LIMIT))?,
        };
        serde_json::from_slice(&bytes).map(Some).doing(|| format!("container {:?}: {STATE}", self.id))
    }

    /// Writes what is known.
    pub(crate) fn write(&self, record: &Record) -> Result<()> {
        Ok(sys::fs::replace(&self.folder, STATE, &serde_json::to_vec(record)?)?)
    }

    /// What the container's processes have in common, for one that joins.
    pub(crate) fn shared(&self) -> Result<Shared> {
        let file = openat(&self.folder, SHARED, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let bytes = file.call(|| format!("openat({SHARED:?})")).and_then(|file| sys::fs::read_all(file, LIMIT))?;
        Ok(postcard::from_bytes(&bytes)?)
    }

    /// Keeps it.
    pub(crate) fn keep_shared(&self, shared: &Shared) -> Result<()> {
        Ok(sys::fs::replace(&self.folder, SHARED, &postcard::to_stdvec(shared)?)?)
    }

    /// Removes the folder, whatever is in it.
    pub(crate) fn remove(&self) -> Result<()> {
        // First the record: from here on there is no such container, whatever happens.
        let _ = unlinkat(&self.folder, STATE, AtFlags::empty());
        Ok(sys::fs::remove_tree(&self.parent, &self.id)?)
    }

    /// Who made it.
    pub(crate) fn owner(&self) -> String {
        match fstat(&self.folder).map_or(0, |stat| stat.st_uid) {
            0 => "root".to_owned(),
            uid => format!("#{uid}"),
        }
    }
}

/// A path that does not depend on the working folder, links resolved.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let mut failed = Err::<(), _>(error).doing_to(path, || path.display().to_string()).unwrap_err();
        if missing {
            // As callers look for it.
            failed.message = format!("{}: no such file or directory", path.display());
        }
        failed
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_name() {
        assert!(["a", "a_b+c-d.e", "..a"].iter().all(|id| check_id(id).is_ok()));
        let long = "a".repeat(5000);
        for id in ["", ".", "..", "a/b", "../a", "a b", "a\n", &long, "ä"] {
            assert!(check_id(id).is_err(), "{id}");
        }
    }

    #[test]
    fn a_folder_without_a_record_is_taken_over() {
        let root = tempfile::tempdir().unwrap();
        drop(create(root.path(), "x").unwrap());
        let entry = create(root.path(), "x").unwrap();
        assert!(create(root.path(), "x").unwrap_err().message.contains("already exists"));
        entry.write(&Record::default()).unwrap();
        drop(entry);
        assert!(create(root.path(), "x").unwrap_err().message.contains("already exists"));
        lock(root.path(), "x").unwrap().0.remove().unwrap();
        assert!(open(root.path(), "x").unwrap_err().message.contains("does not exist"));
        assert!(root.path().metadata().unwrap().is_dir() && all(root.path()).unwrap().is_empty());
    }
}
