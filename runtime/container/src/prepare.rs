//! Opening what a plan refers to.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use launch::{Plan, Slot};
use rustix::fs::{CWD, Mode, OFlags, PROC_SUPER_MAGIC, StatVfsMountFlags, fstat, fstatfs, fstatvfs};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::Call;

use crate::cgroup::{Cgroup, Folder};
use crate::compile::namespace_name;
use crate::{Compiled, Error, IdMap, Source, idmap};

/// Magic number of the file system that namespaces are files of (statfs(2)).
const NSFS_MAGIC: u64 = 0x6e73_6673;

/// Opens every source of a plan: descriptor N is slot N.
///
/// # Errors
/// [`Error::NoSource`] for a bind source that is missing, [`Error::NotNamespace`] for a path that is no namespace of its type.
pub fn prepare(compiled: Compiled, rootfs: OwnedFd, cgroup: &Cgroup) -> Result<(Plan, Vec<OwnedFd>), Error> {
    prepare_with(compiled, rootfs, BTreeMap::new(), cgroup)
}

/// [`prepare`] for a caller who has opened some sources of bind mounts itself: detached trees, by the path that the configuration has for
/// each. Each is used once.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_with(
    compiled: Compiled,
    rootfs: OwnedFd,
    mut trees: BTreeMap<PathBuf, OwnedFd>,
    cgroup: &Cgroup,
) -> Result<(Plan, Vec<OwnedFd>), Error> {
    let mut rootfs = Some(rootfs);
    let mut maps = idmap::Maps::default();
    let open = |source: &Source| match source {
        Source::Rootfs => rootfs.take().ok_or_else(|| Error::invalid("root", "given to two slots")),
        Source::Tree { path, idmap, procfs, .. } if trees.contains_key(path) => {
            let tree = trees.remove(path).ok_or_else(|| Error::NoSource(path.clone()))?;
            idmap.iter().try_for_each(|map| maps.map(&tree, path, map))?;
            checked(path, tree, *procfs)
        }
        other => open(other, cgroup, &mut maps),
    };
    let fds = compiled.sources.iter().map(open).collect::<Result<_, _>>()?;
    Ok((compiled.plan, fds))
}

/// [`prepare`] for a caller who may not mount: what that takes is opened in the container, by [`Late::open`], and until then only known to be
/// there. `rootfs` is where the root file system is.
///
/// # Errors
/// As [`prepare`].
pub fn prepare_late(compiled: Compiled, rootfs: &Path, cgroup: &Cgroup) -> Result<(Plan, Vec<OwnedFd>, Late), Error> {
    let mut maps = idmap::Maps::default();
    let mut sources = compiled.sources;
    for source in &mut sources {
        if let Source::CgroupTree(at) = source {
            let path = folder(cgroup, *at)?.path.clone();
            *source = Source::Tree { path, recursive: false, follow: false, idmap: None, procfs: false };
        }
    }
    let open = |source: &Source| match source {
        Source::Rootfs => there(rootfs, true),
        Source::Tree { path, follow, .. } => there(path, *follow),
        other => open(other, cgroup, &mut maps),
    };
    let fds = sources.iter().map(open).collect::<Result<_, _>>()?;
    Ok((compiled.plan, fds, Late(sources)))
}

/// What has to be opened in the container.
#[derive(Debug)]
pub struct Late(Vec<Source>);

impl Late {
    /// Opens it, with the root file system as `rootfs` opens it. `locked` says that the kernel keeps what mounts forbid.
    ///
    /// # Errors
    /// As [`prepare`]; [`Error::Unlocked`].
    pub fn open<E: From<Error>>(&self, locked: bool, rootfs: impl Fn() -> Result<OwnedFd, E>) -> Result<Vec<(Slot, OwnedFd)>, E> {
        let mut maps = idmap::Maps::default();
        let open = |(at, source): (usize, &Source)| {
            let tree = match source {
                Source::Rootfs => rootfs(),
                Source::Tree { path, recursive, follow, idmap, procfs } => {
                    let tree = tree(path, tree_flags(*recursive, *follow), idmap.as_ref(), *procfs, &mut maps);
                    tree.and_then(|tree| if locked { Ok(tree) } else { writable(path, tree) }).map_err(E::from)
                }
                _ => return None,
            };
            Some(tree.map(|tree| (Slot(at as u32), tree)))
        };
        self.0.iter().enumerate().filter_map(open).collect()
    }
}

/// A tree that root of the container may do with as it likes, since the host's mount forbids no writing.
fn writable(path: &Path, tree: OwnedFd) -> Result<OwnedFd, Error> {
    let stat = fstatvfs(&tree).call(|| "fstatvfs()").map_err(|source| no_source(path, source))?;
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) { Err(Error::Unlocked(path.to_owned())) } else { Ok(tree) }
}

/// Something that will be opened again where it can be mounted from.
fn there(path: &Path, follow: bool) -> Result<OwnedFd, Error> {
    let follow = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC | follow, Mode::empty())
        .call(|| format!("open({path:?}, O_PATH)"))
        .map_err(|source| no_source(path, source))
}

fn open(source: &Source, cgroup: &Cgroup, maps: &mut idmap::Maps) -> Result<OwnedFd, Error> {
    match source {
        Source::Rootfs => Err(Error::invalid("root", "not given")),
        Source::Tree { path, recursive, follow, idmap, procfs } => {
            tree(path, tree_flags(*recursive, *follow), idmap.as_ref(), *procfs, maps)
        }
        Source::Namespace { path, flag, foreign } => namespace(path, *flag, *foreign),
        Source::Folder(path) => sys::fs::open_dir(path).map_err(|source| Error::Source { path: path.clone(), source }),
        Source::Cgroup(at) => {
            let folder = folder(cgroup, *at)?;
            let copy = rustix::io::fcntl_dupfd_cloexec(&folder.fd, 3).call(|| "fcntl(F_DUPFD_CLOEXEC)");
            copy.map_err(|source| Error::CgroupTree { path: folder.path.clone(), source })
        }
        Source::CgroupTree(at) => {
            let folder = folder(cgroup, *at)?;
            clone(&folder.fd).map_err(|source| Error::CgroupTree { path: folder.path.clone(), source })
        }
    }
}

fn tree(path: &Path, flags: OpenTreeFlags, map: Option<&IdMap>, procfs: bool, maps: &mut idmap::Maps) -> Result<OwnedFd, Error> {
    let tree = match map {
        Some(map) => maps.open(path, flags, map)?,
        None => open_tree(CWD, path, flags)
            .call(|| format!("open_tree({path:?}, {flags:?})"))
            .map_err(|source| no_source(path, source))?,
    };
    checked(path, tree, procfs)
}

fn folder(cgroup: &Cgroup, at: usize) -> Result<&Folder, Error> {
    cgroup.folders().get(at).ok_or(Error::CgroupFolder { wanted: at, have: cgroup.folders().len() })
}

/// A detached copy of a folder.
fn clone(dir: impl AsFd) -> sys::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(dir, "", flags).call(|| format!("open_tree({flags:?})"))
}

fn tree_flags(recursive: bool, follow: bool) -> OpenTreeFlags {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    flags.set(OpenTreeFlags::AT_SYMLINK_NOFOLLOW, !follow);
    flags
}

/// Why the source of a bind mount cannot be opened.
pub(crate) fn no_source(path: &Path, source: sys::Error) -> Error {
    match source.errno() {
        Errno::NOENT | Errno::NOTDIR => Error::NoSource(path.to_owned()),
        _ => Error::Source { path: path.to_owned(), source },
    }
}

fn checked(path: &Path, tree: OwnedFd, procfs: bool) -> Result<OwnedFd, Error> {
    if procfs && fstatfs(&tree).call(|| "fstatfs()").map_err(|source| no_source(path, source))?.f_type != PROC_SUPER_MAGIC {
        let why = format!("{} is not a procfs, and nothing else may be bound on /proc", path.display());
        return Err(Error::invalid("mounts", why));
    }
    Ok(tree)
}

/// Opens a namespace and makes sure that it is one, and of the right type: setns(2) would say only EINVAL, and later.
pub(crate) fn namespace(path: &Path, flag: u64, foreign: bool) -> Result<OwnedFd, Error> {
    let kind = namespace_name(flag);
    let failed = |source| Error::Namespace { path: path.to_owned(), kind, source };
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())
        .call(|| format!("open({path:?})"))
        .map_err(failed)?;
    let fs = fstatfs(&fd).call(|| "fstatfs()").map_err(failed)?;
    if fs.f_type as u64 != NSFS_MAGIC || sys::ns::kind(&fd).map_err(failed)? as u64 != flag {
        return Err(Error::NotNamespace { path: path.to_owned(), kind });
    }
    if foreign {
        let own = format!("/proc/thread-self/ns/{}", link(kind));
        let (this, other) = (rustix::fs::stat(&own), fstat(&fd));
        if let (Ok(this), Ok(other)) = (this, other)
            && (this.st_dev, this.st_ino) == (other.st_dev, other.st_ino)
        {
            let why = format!("{} is the host's own {kind} namespace: the settings would be made for the host", path.display());
            return Err(Error::invalid("linux.namespaces", why));
        }
    }
    Ok(fd)
}

/// The name in `/proc/PID/ns`.
fn link(kind: &str) -> &str {
    match kind {
        "network" => "net",
        "mount" => "mnt",
        other => other,
    }
}
