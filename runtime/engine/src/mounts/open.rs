//! Opening what a container has mounted, when it starts.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags, fstat, statx};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::Call;
use sys::fs::open_in_root;

use super::{chown, part};
use crate::error::During;
use crate::request::{Mount, MountSource, Propagation, UserMap};
use crate::spec::user::Identity;
use crate::{Engine, Error, Record, volume};

/// What stands for the mount number `at` in the OCI configuration, where it is no path of the host. Nobody ever looks it up.
pub(crate) fn stand_in(at: usize) -> PathBuf {
    PathBuf::from(format!("/.rctr-mounts/{at}"))
}

/// Opens all mounts of `record` that are no paths of the host, by what stands for them, and makes sure that the others are there. `users` is its
/// user namespace, if it has one.
///
/// # Errors
/// Each names the mount's place and what is missing.
pub(crate) fn open(
    engine: &Engine,
    record: &Record,
    identity: &Identity,
    users: Option<&OwnedFd>,
) -> Result<BTreeMap<PathBuf, OwnedFd>, Error> {
    let mut trees = BTreeMap::new();
    for (at, mount) in record.mounts.iter().enumerate() {
        let tree = match &mount.source {
            MountSource::Bind { path, create, part, recursive } => {
                host(mount, path, *create)?;
                part.as_ref().map(|part| part::open(mount, path, part, *recursive)).transpose()?
            }
            source => given(engine, record, source, users)?,
        };
        if mount.chown {
            // As it is stored: what is shown mapped is stored as the container has it.
            let outside = record.namespaces.users.as_ref().filter(|_| mount.idmap.is_none());
            let owner = outside.map_or(Ok((identity.uid, identity.gid)), |users| users.must(identity.uid, identity.gid))?;
            give(mount, tree.as_ref(), owner)?;
        }
        trees.extend(tree.map(|tree| (stand_in(at), tree)));
    }
    Ok(trees)
}

/// All mounts of `record` but memory, for whoever looks into a container that does not run. What is missing on the host is left out.
pub(crate) fn open_for_others<'a>(
    engine: &Engine,
    record: &'a Record,
    users: Option<&OwnedFd>,
) -> Result<Vec<(&'a Mount, OwnedFd)>, Error> {
    let mut trees = Vec::new();
    for mount in &record.mounts {
        let tree = match &mount.source {
            MountSource::Bind { path, recursive, part: Some(part), .. } => Some(part::open(mount, path, part, *recursive)?),
            MountSource::Bind { path, recursive, .. } => {
                let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
                flags.set(OpenTreeFlags::AT_RECURSIVE, *recursive);
                match open_tree(CWD, path, flags) {
                    Err(Errno::NOENT) => None,
                    tree => Some(tree.call(|| format!("open_tree({path:?})")).during(|| format!("open {}", path.display()))?),
                }
            }
            MountSource::Tmpfs { .. } => None,
            source => given(engine, record, source, users)?,
        };
        if let (Some(tree), Some(users), Some("")) = (&tree, users, mount.idmap.as_deref()) {
            let what = || format!("map the users of what is mounted on {}", mount.target.display());
            sys::mount::idmap(tree, users, false).during(what)?;
        }
        trees.extend(tree.map(|tree| (mount, tree)));
    }
    Ok(trees)
}

/// The tree of a mount that is no path of the host.
fn given(engine: &Engine, record: &Record, source: &MountSource, users: Option<&OwnedFd>) -> Result<Option<OwnedFd>, Error> {
    match source {
        MountSource::Volume { name, subpath, .. } => {
            let known = engine.volume(name)?;
            let tree = volume::tree(&engine.config, name, &known.record)?;
            below(tree, subpath.as_deref()).during(|| format!("open {} of the volume {name}", shown(subpath))).map(Some)
        }
        MountSource::Image { name, subpath, layers, .. } => {
            let tree = match (copied(engine, record), users) {
                (Some(users), _) => engine.shifted_files_of(layers, users)?,
                (None, Some(users)) => engine.mapped_files_of(layers, users)?,
                (None, None) => engine.files_of(layers, "overlay")?,
            };
            below(tree, subpath.as_deref()).during(|| format!("open {} of the image {name}", shown(subpath))).map(Some)
        }
        MountSource::Bind { .. } | MountSource::Tmpfs { .. } => Ok(None),
    }
}

/// The users of a container whose images are copied for them.
fn copied<'a>(engine: &Engine, record: &'a Record) -> Option<&'a UserMap> {
    record.namespaces.users.as_ref().filter(|_| engine.config.home.is_some())
}

fn shown(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or_else(|| "the files".to_owned(), |path| path.display().to_string())
}

/// What is at `path` in a tree, as a tree. Its maker may have put links there: they lead to nowhere but into the tree.
fn below(tree: OwnedFd, path: Option<&Path>) -> sys::Result<OwnedFd> {
    let Some(path) = path else { return Ok(tree) };
    let found = open_in_root(&tree, path, OFlags::PATH, Mode::empty())?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(&found, "", flags).call(|| format!("open_tree({path:?}, OPEN_TREE_CLONE)"))
}

fn host(mount: &Mount, path: &Path, create: bool) -> Result<(), Error> {
    let what = || format!("mount on {}", mount.target.display());
    let invalid = |why: String| Err(Error::Invalid { what: what(), why });
    if !path.exists() {
        if !create {
            return invalid(format!("there is no {} on the host", path.display()));
        }
        let made = fs::create_dir_all(path).call(|| format!("mkdir({path:?})"));
        made.during(|| format!("make the missing folder {} for -v", path.display()))?;
    }
    let wanted = match mount.propagation {
        Some(Propagation::Shared | Propagation::RShared) => &["shared:"][..],
        Some(Propagation::Slave | Propagation::RSlave) => &["shared:", "master:"],
        _ => return Ok(()),
    };
    // Without it nothing would ever be shared, without a word.
    match propagates(path, wanted).during(what)? {
        true => Ok(()),
        false => {
            invalid(format!("{} is on a mount of the host that is not shared: mount --make-shared makes it so", path.display()))
        }
    }
}

/// Whether the mount that `path` is on has one of these fields in mountinfo (proc_pid_mountinfo(5)).
fn propagates(path: &Path, wanted: &[&str]) -> sys::Result<bool> {
    let id = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).call(|| format!("statx({path:?})"))?.stx_mnt_id.to_string();
    let info = fs::read_to_string("/proc/thread-self/mountinfo").call(|| "read(mountinfo)")?;
    let line = info.lines().find(|line| line.split(' ').next() == Some(&id));
    let fields = line.into_iter().flat_map(|line| line.split(' ').skip(6).take_while(|field| *field != "-"));
    Ok(fields.into_iter().any(|field| wanted.iter().any(|wanted| field.starts_with(wanted))))
}

/// Gives all files of a mount to the container's user.
fn give(mount: &Mount, tree: Option<&OwnedFd>, (uid, gid): (u32, u32)) -> Result<(), Error> {
    let what = || format!("give what is mounted on {} to the container's user", mount.target.display());
    let opened;
    let top = match (&mount.source, tree) {
        (_, Some(tree)) => tree.as_fd(),
        (MountSource::Bind { path, .. }, None) => {
            // Whole systems are never meant.
            if chown::PRECIOUS.iter().any(|precious| path == Path::new(precious)) {
                let why = format!("the option U would give {} to another user", path.display());
                return Err(Error::Invalid { what: format!("mount on {}", mount.target.display()), why });
            }
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            opened = rustix::fs::open(path, flags, Mode::empty()).call(|| format!("open({path:?}, O_PATH)")).during(what)?;
            opened.as_fd()
        }
        _ => return Ok(()),
    };
    chown::give(top, uid, gid).during(what)
}

/// Gives a new container its volumes, and new volumes what the image has in their place.
///
/// # Errors
/// The image has something there that is no folder.
pub(crate) fn take_volumes(engine: &Engine, record: &Record) -> Result<(), Error> {
    let files = OnceCell::new();
    let content = |target: &Path| {
        if files.get().is_none() {
            let _ = files.set(match copied(engine, record) {
                Some(users) => engine.shifted_files_of(&record.image.layers, users)?,
                None => engine.files_of(&record.image.layers, "overlay")?,
            });
        }
        let Some(files) = files.get() else { return Ok(None) };
        let found = match open_in_root(files, target, OFlags::PATH, Mode::empty()) {
            Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            found => found.during(|| format!("look for {} in the image", target.display()))?,
        };
        let mode = fstat(&found).call(|| "fstat()").during(|| "look at the image")?.st_mode;
        match FileType::from_raw_mode(mode) {
            FileType::Directory => Ok(Some(found)),
            _ => {
                let why = "the image has a file there, and a volume is a folder".to_owned();
                Err(Error::Invalid { what: format!("mount on {}", target.display()), why })
            }
        }
    };
    volume::take(&engine.config, record, &content)
}
