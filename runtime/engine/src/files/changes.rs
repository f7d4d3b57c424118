//! `diff`: what a container has made of its image.

use std::ffi::OsString;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, statat};
use rustix::io::Errno;
use sys::Call;

use crate::error::During;
use crate::request::UserMap;
use crate::{Engine, Error, overlay};

/// Folders below each other: each is open meanwhile.
const MAX_DEPTH: u32 = 200;

/// One path that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// How.
    pub kind: DifferenceKind,
    /// Absolute.
    pub path: PathBuf,
}

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// The image does not have it.
    Added,
    /// The image has it, and it differs, or something in it does.
    Changed,
    /// Only the image has it.
    Deleted,
}

impl fmt::Display for DifferenceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DifferenceKind::Added => "A",
            DifferenceKind::Changed => "C",
            DifferenceKind::Deleted => "D",
        })
    }
}

impl Engine {
    /// All paths at which the files of a container differ from its image, by path. Volumes are no part of them.
    pub fn differences(&self, given: &str) -> Result<Vec<Difference>, Error> {
        let record = self.container(given)?.record;
        let during = || format!("compare container {} with its image", record.name);
        let mount = |lower: &[_]| overlay::mount_read_only(lower, "overlay");
        let image = self.below(&record, mount)?;
        let upper = sys::fs::open_dir(record.writable(&self.config).join("upper")).during(during)?;
        let image = openat(&image, ".", FOLDER, Mode::empty()).call(|| "openat(image)").during(during)?;
        let mut found = Vec::new();
        let users = record.namespaces.users.as_ref();
        folder(&upper, Some(&image), users, Path::new("/"), 0, &mut found).during(during)?;
        Ok(found)
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Compares a folder of the container, which may have its own `users`, with that of the image in its place, if it has one there.
fn folder(
    upper: &OwnedFd,
    image: Option<&OwnedFd>,
    users: Option<&UserMap>,
    path: &Path,
    depth: u32,
    found: &mut Vec<Difference>,
) -> sys::Result<()> {
    if depth == MAX_DEPTH {
        return Err(sys::Error::new(format!("more than {MAX_DEPTH} folders below each other"), Errno::NAMETOOLONG));
    }
    let mut names: Vec<OsString> = sys::fs::list(upper)?;
    if let (true, Some(image)) = (sys::overlay::is_opaque(upper), image) {
        names.extend(sys::fs::list(image)?);
    }
    names.sort();
    names.dedup();
    for name in names {
        let path = path.join(&name);
        let old = image.map(|image| look(image, &name)).transpose()?.flatten();
        let Some(new) = look(upper, &name)?.filter(|new| !is_whiteout(new)) else {
            // Hidden, if there was something to hide.
            found.extend(old.map(|_| Difference { kind: DifferenceKind::Deleted, path }));
            continue;
        };
        let at = found.len();
        let kind = if old.is_some() { DifferenceKind::Changed } else { DifferenceKind::Added };
        found.push(Difference { kind, path: path.clone() });
        if !is_folder(&new) {
            continue;
        }
        let below = |of: &OwnedFd| openat(of, &name, FOLDER, Mode::empty()).call(|| format!("openat({name:?}, O_DIRECTORY)"));
        let inner = match (image, old.as_ref().is_some_and(is_folder)) {
            (Some(image), true) => Some(below(image)?),
            _ => None,
        };
        folder(&below(upper)?, inner.as_ref(), users, &path, depth + 1, found)?;
        // It is there only because something in it was opened for writing.
        if found.len() == at + 1 && inner.is_some() && old.is_some_and(|old| same(&old, &new, users)) {
            found.pop();
        }
    }
    Ok(())
}

fn look(folder: &OwnedFd, name: &OsString) -> sys::Result<Option<Stat>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        stat => stat.call(|| format!("fstatat({name:?})")).map(Some),
    }
}

fn is_folder(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// A character device 0/0 hides the name in the layers below (kernel documentation, filesystems/overlayfs).
fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

fn same(old: &Stat, new: &Stat, users: Option<&UserMap>) -> bool {
    let attributes = |stat: &Stat| (stat.st_mode, stat.st_mtime, stat.st_mtime_nsec);
    let stored = |stat: &Stat| (stat.st_uid, stat.st_gid);
    let owner = users.map_or(stored(new), |users| users.inside(new.st_uid, new.st_gid));
    attributes(old) == attributes(new) && stored(old) == owner
}
