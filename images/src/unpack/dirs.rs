//! Folders of a layer by path, as open descriptors. Nothing outside the layer can be reached: every path is resolved with
//! the layer as root, the way a process in the container would see it.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, mkdirat, openat, readlinkat, statat, unlinkat};
use rustix::io::Errno;
use sys::Call;
use sys::fs::open_without_links;

use super::path::{below, join, show};

/// Descriptors kept open: an archive visits few folders at a time.
const KEPT: usize = 16;

/// As many symbolic links as the kernel follows.
const LINKS: usize = 40;

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The folders of one layer.
pub(crate) struct Dirs {
    root: Rc<OwnedFd>,
    /// By the path that was asked for, most recently used last.
    kept: Vec<(Vec<u8>, Place)>,
    /// Folders which were made because something below them came first; their attributes belong to the layers below.
    pub(crate) implicit: BTreeSet<Vec<u8>>,
    /// Bytes of their paths, those that have gone included.
    pub(crate) implicit_bytes: usize,
    /// Folders that hide what the layers below have in them.
    pub(crate) opaque: BTreeSet<Vec<u8>>,
}

/// An open folder.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    fd: Rc<OwnedFd>,
    /// Where it really is: no part of it is a symbolic link. A folder has only one such path.
    pub(crate) path: Rc<[u8]>,
}

impl Place {
    /// The path of what is in the folder.
    pub(crate) fn join(&self, name: &[u8]) -> Vec<u8> {
        let mut path = self.path.to_vec();
        join(&mut path, name);
        path
    }
}

impl AsFd for Place {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Dirs {
    pub(crate) fn new(root: OwnedFd) -> Self {
        Dirs {
            root: Rc::new(root),
            kept: Vec::with_capacity(KEPT),
            implicit: BTreeSet::from([Vec::new()]),
            implicit_bytes: 0,
            opaque: BTreeSet::new(),
        }
    }

    pub(crate) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The folder `path`, which is made if there is none.
    pub(crate) fn get(&mut self, path: &[u8]) -> sys::Result<Place> {
        self.place(path, true)
    }

    /// The folder `path`, which is there.
    pub(crate) fn find(&mut self, path: &[u8]) -> sys::Result<Place> {
        self.place(path, false)
    }

    fn place(&mut self, path: &[u8], make: bool) -> sys::Result<Place> {
        if path.is_empty() {
            return Ok(Place { fd: self.root.clone(), path: Rc::new([]) });
        }
        if let Some(at) = self.kept.iter().rposition(|(known, _)| known == path) {
            let last = self.kept.len() - 1;
            self.kept.swap(at, last);
            return Ok(self.kept[last].1.clone());
        }
        let found = match open_without_links(&self.root, bytes(path), FOLDER, Mode::empty()) {
            Ok(fd) => Place { fd: Rc::new(fd), path: path.into() },
            Err(error) if error.errno() == Errno::LOOP => self.walk(path, make)?,
            Err(error) if make && matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => self.walk(path, make)?,
            Err(error) => return Err(error),
        };
        if self.kept.len() == KEPT {
            self.kept.remove(0);
        }
        self.kept.push((path.to_vec(), found.clone()));
        Ok(found)
    }

    /// Something was removed at this path, which no symbolic link is part of: other paths may lead elsewhere now.
    pub(crate) fn forget(&mut self, path: &[u8]) {
        self.kept.clear();
        for folders in [&mut self.implicit, &mut self.opaque] {
            folders.remove(path);
            let gone: Vec<_> = folders.range(below(path)).cloned().collect();
            for folder in &gone {
                folders.remove(folder);
            }
        }
    }

    /// Walks to `path` as a process whose root is the layer's would, and makes what is missing, through symbolic links whose targets
    /// are yet to come, too (a layer may hold `bin -> usr/bin` and `bin/x`). Nobody else writes here, so that a walk in steps is safe.
    fn walk(&mut self, path: &[u8], make: bool) -> sys::Result<Place> {
        let mut todo: Vec<Vec<u8>> = parts(path);
        let mut walked: Vec<(Vec<u8>, OwnedFd)> = Vec::new();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            if part == b".." {
                walked.pop();
                continue;
            }
            let here = walked.last().map_or(self.root.as_fd(), |(_, fd)| fd.as_fd());
            match openat(here, part.as_slice(), FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(fd) => walked.push((part, fd)),
                Err(Errno::NOENT) if make => {
                    let fd = create(here, &part)?;
                    walked.push((part, fd));
                    let path = path_of(&walked);
                    self.implicit_bytes += path.len();
                    self.implicit.insert(path);
                }
                Err(Errno::NOTDIR) => match instead(here, &part)? {
                    Instead::Whiteout if make => {
                        walked.push((part.clone(), replace_whiteout(here, &part)?));
                        self.opaque.insert(path_of(&walked));
                    }
                    Instead::Whiteout => {
                        return Err(sys::Error::new(format!("openat({}, O_DIRECTORY)", show(&part)), Errno::NOTDIR));
                    }
                    Instead::Link(target) => {
                        links += 1;
                        if links > LINKS {
                            return Err(sys::Error::new(format!("openat({})", show(path)), Errno::LOOP));
                        }
                        if target.starts_with(b"/") {
                            walked.clear();
                        }
                        todo.extend(parts(&target));
                    }
                },
                Err(errno) => return Err(sys::Error::new(format!("openat({}, O_PATH | O_DIRECTORY)", show(&part)), errno)),
            }
        }
        let path = path_of(&walked).into();
        let fd = walked.pop().map_or_else(|| self.root.clone(), |(_, fd)| Rc::new(fd));
        Ok(Place { fd, path })
    }
}

fn path_of(walked: &[(Vec<u8>, OwnedFd)]) -> Vec<u8> {
    walked.iter().fold(Vec::new(), |mut path, (name, _)| {
        join(&mut path, name);
        path
    })
}

/// What stands where a folder should be.
enum Instead {
    Whiteout,
    Link(Vec<u8>),
}

fn instead(folder: BorrowedFd<'_>, name: &[u8]) -> sys::Result<Instead> {
    let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).call(|| format!("fstatat({})", show(name)))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => {
            let target = readlinkat(folder, name, Vec::new()).call(|| format!("readlinkat({})", show(name)))?;
            Ok(Instead::Link(target.into_bytes()))
        }
        _ if is_whiteout(&stat) => Ok(Instead::Whiteout),
        _ => Err(sys::Error::new(format!("openat({}, O_DIRECTORY)", show(name)), Errno::NOTDIR)),
    }
}

/// A character device 0/0 hides the name in the layers below (kernel documentation, filesystems/overlayfs).
pub(crate) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Makes a folder that hides what is below it, in place of a whiteout.
pub(crate) fn replace_whiteout(folder: BorrowedFd<'_>, name: &[u8]) -> sys::Result<OwnedFd> {
    unlinkat(folder, name, AtFlags::empty()).call(|| format!("unlinkat({})", show(name)))?;
    let made = create(folder, name)?;
    set_opaque(&made)?;
    Ok(made)
}

/// Marks a folder so that nothing of the layers below shows in it.
pub(crate) fn set_opaque(folder: impl AsFd) -> sys::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = openat(folder, ".", flags, Mode::empty()).call(|| "openat(., O_DIRECTORY)")?;
    sys::overlay::set_opaque(open)
}

fn create(folder: BorrowedFd<'_>, name: &[u8]) -> sys::Result<OwnedFd> {
    mkdirat(folder, name, Mode::from_raw_mode(0o755)).call(|| format!("mkdirat({}, 0755)", show(name)))?;
    openat(folder, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()).call(|| format!("openat({}, O_DIRECTORY)", show(name)))
}

/// The parts of a path, last one first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}

/// A path as the standard library names it.
pub(crate) fn bytes(path: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(path)
}
