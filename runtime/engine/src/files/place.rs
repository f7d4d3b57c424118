//! What a copy makes of its two ends, by the rules of `docker cp`.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, readlinkat};
use rustix::io::Errno;
use sys::Call;
use sys::fs::open_in_root;

/// Links that lead to a place that is not there yet.
const LINKS: u32 = 10;

/// Whose files they are.
#[derive(Clone, Copy)]
pub(super) enum Side<'a> {
    Host,
    /// The root folder of a container.
    Container(&'a OwnedFd),
}

impl Side<'_> {
    /// Opens what is at `path`: in a container, as its processes would see it.
    pub(super) fn open(self, path: &Path, flags: OFlags) -> sys::Result<OwnedFd> {
        match self {
            Side::Host => {
                rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?}, {flags:?})"))
            }
            Side::Container(root) => open_in_root(root, path, flags, Mode::empty()),
        }
    }
}

/// A path as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Typed {
    pub(super) path: PathBuf,
    /// It ends like a folder.
    pub(super) folder: bool,
    /// It ends in `/.`: what is in the folder is meant.
    pub(super) contents: bool,
}

impl Typed {
    pub(super) fn new(text: &str) -> Typed {
        let contents = text == "." || text.ends_with("/.");
        Typed { path: PathBuf::from(text), folder: contents || text.ends_with('/'), contents }
    }
}

/// What is copied.
#[derive(Debug)]
pub(super) struct Source {
    /// The file itself, not opened for anything.
    pub(super) file: OwnedFd,
    pub(super) is_folder: bool,
    /// What it is called at the other end, unless that says otherwise; `None`: only what is in it is meant.
    pub(super) name: Option<OsString>,
}

/// Where it goes.
#[derive(Debug)]
pub(super) struct Target {
    /// A folder.
    pub(super) folder: OwnedFd,
    /// What the copy is called there; `None`: what is in the source goes straight into it.
    pub(super) name: Option<OsString>,
}

fn is_folder(file: impl AsFd) -> sys::Result<bool> {
    let mode = fstat(file).call(|| "fstat()")?.st_mode;
    Ok(FileType::from_raw_mode(mode) == FileType::Directory)
}

/// Finds what is to be copied. A link that the path ends in is meant itself, unless `follow` says otherwise, or the path what is behind it.
pub(super) fn source(side: Side<'_>, typed: &Typed, follow: bool) -> sys::Result<Source> {
    let flags = if follow || typed.folder { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
    let file = side.open(&typed.path, flags)?;
    let is_folder = is_folder(&file)?;
    if typed.folder && !is_folder {
        return Err(sys::Error::new(format!("open({:?})", typed.path), Errno::NOTDIR));
    }
    let name = if typed.contents { None } else { last(&typed.path) };
    Ok(Source { file, is_folder, name })
}

/// The last name of a path; none for a root folder.
fn last(path: &Path) -> Option<OsString> {
    path.file_name().map(OsStr::to_owned)
}

/// Where `source` goes. What is asked for needs to be a folder, a file, or a name that is free in a folder.
///
/// # Errors
/// A folder cannot become a file, and a file that is to go into a folder needs one.
pub(super) fn target(side: Side<'_>, typed: &Typed, source: &Source) -> Result<Target, sys::Error> {
    let mut path = typed.path.clone();
    for _ in 0..LINKS {
        let wrong = |why: &str, errno| Err(sys::Error::new(format!("{}: {why}", typed.path.display()), errno));
        match side.open(&path, OFlags::PATH) {
            Ok(found) if is_folder(&found)? => return Ok(Target { folder: found, name: source.name.clone() }),
            Ok(_) if typed.folder => return wrong("it is not a folder", Errno::NOTDIR),
            Ok(_) if source.is_folder => return wrong("a folder cannot be copied to a file", Errno::NOTDIR),
            Err(error) if error.errno() != Errno::NOENT => return Err(error),
            Err(_) if typed.folder && !source.is_folder => return wrong("there is no such folder", Errno::NOENT),
            _ => {}
        }
        // It is a file, or nothing: it may be a link, which is followed as far as it leads.
        let (Some(name), Some(parent)) = (last(&path), path.parent()) else { return wrong("it has no name", Errno::INVAL) };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let folder = side.open(parent, OFlags::PATH | OFlags::DIRECTORY)?;
        match readlinkat(&folder, &name, Vec::new()) {
            Ok(content) => path = parent.join(super::walk::os(content.as_bytes())),
            Err(_) => return Ok(Target { folder, name: Some(name) }),
        }
    }
    Err(sys::Error::new(format!("open({:?})", typed.path), Errno::LOOP))
}
