//! The root folder of a container as its processes see it, with what is mounted there.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
use sys::Call;
use sys::fs::open_in_root;
use sys::mount::{Attr, mount_setattr};

use super::acting::Acting;
use crate::create::{Folder, in_charge, take_charge};
use crate::error::During;
use crate::request::{Tuning, UserMap};
use crate::spec::user;
use crate::wait::open_process;
use crate::{Container, Engine, Error, Record, mounts, names, recover, state};

/// A container's files.
pub(super) struct Root {
    pub(super) folder: OwnedFd,
    /// `user[:group]` of its processes.
    pub(super) user: String,
    /// Its own users, if it has some.
    pub(super) users: Option<UserMap>,
}

impl Root {
    fn new(folder: OwnedFd, record: &Record) -> Root {
        Root { folder, user: record.user.clone(), users: record.namespaces.users.clone() }
    }

    /// User and group of its processes.
    pub(super) fn owner(&self) -> Result<(u32, u32), Error> {
        let identity = user::identify(&self.folder, &self.user, &Tuning::default())?;
        Ok((identity.uid, identity.gid))
    }
}

impl Engine {
    /// Gives the root of a container to `work`: that of its first process, or else its files and volumes mounted for the moment. Then it does
    /// not start until that is done.
    pub(super) fn with_root<T: Send>(&self, given: &str, work: impl FnOnce(&Root) -> Result<T, Error> + Send) -> Result<T, Error> {
        let container = self.container(given)?;
        if container.is_running()
            && let Some(folder) = of_process(&container)?
        {
            return work(&Root::new(folder, &container.record));
        }
        let id = &container.record.id;
        let lock = Folder::lock(&self.config, id)?;
        if in_charge(&self.config.container(id)) {
            self.settle_start(id)?;
        }
        let container = state::load(&self.config, id)?.ok_or_else(|| Error::NoSuchContainer(names::short(&container.record)))?;
        if let (true, Some(folder)) = (container.is_running(), of_process(&container)?) {
            drop(lock);
            return work(&Root::new(folder, &container.record));
        }
        let _charge = take_charge(&lock)?;
        recover::leftovers(&self.config, id, Some(&container.record))?;
        let record = &container.record;
        // A mount namespace of a thread's own: it and what is mounted in it end with the thread, even if the process is killed.
        let apart = || work(&Root::new(self.assemble(record)?, record));
        match std::thread::scope(|scope| scope.spawn(apart).join()) {
            Ok(done) => done,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Mounts a container's files as its processes would find them, in a mount namespace of this thread's own.
    fn assemble(&self, record: &Record) -> Result<OwnedFd, Error> {
        let during = || format!("mount the files of container {}", record.name);
        let place = self.config.container(&record.id).join("log");
        let users = self.owners(record)?.user;
        let rootfs = self.rootfs(record, users.as_ref())?;
        apart().during(during)?;
        move_mount(&rootfs, "", CWD, &place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).call(|| "move_mount()").during(during)?;
        let root = sys::fs::open_dir(&place).during(during)?;
        let mut trees = mounts::open_for_others(self, record, users.as_ref())?;
        // What is made to be mounted on is the container's root's.
        let _acting = record.namespaces.users.as_ref().map(Acting::root_of).transpose().during(during)?;
        trees.sort_by_key(|(mount, _)| mount.target.components().count());
        for (mount, tree) in trees {
            let is_folder = is_folder(&tree).during(during)?;
            let target = find_or_make(&root, &mount.target, is_folder).during(during)?;
            if !mount.access.writable() {
                let readonly = Attr { set: u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), ..Attr::default() };
                mount_setattr(&tree, readonly, true).during(during)?;
            }
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
            move_mount(&tree, "", &target, "", flags).call(|| "move_mount()").during(during)?;
        }
        if record.security.readonly_rootfs {
            let readonly = Attr { set: u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), ..Attr::default() };
            mount_setattr(&root, readonly, false).during(during)?;
        }
        Ok(root)
    }
}

/// Moves this thread to a mount namespace of its own, of which the host sees nothing.
fn apart() -> sys::Result<()> {
    sys::ns::unshare(sys::ns::kind::MOUNT as i32)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).call(|| "mount(/, MS_PRIVATE | MS_REC)")
}

/// The root of the container's first process; nothing if that has just ended.
fn of_process(container: &Container) -> Result<Option<OwnedFd>, Error> {
    let (Some(process), Some((pid, _))) = (open_process(container), container.process()) else { return Ok(None) };
    let path = format!("/proc/{pid}/root");
    let root = match rustix::fs::open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT | Errno::SRCH) => return Ok(None),
        root => {
            root.call(|| format!("open({path:?})")).during(|| format!("reach the files of container {}", container.record.name))?
        }
    };
    // The number may have become another process's in between, unless it still is this one's.
    Ok(sys::process::signal(&process, 0).is_ok().then_some(root))
}

fn is_folder(file: impl AsFd) -> sys::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(file).call(|| "fstat()")?.st_mode) == FileType::Directory)
}

/// A place to mount on, made as a start would make it.
fn find_or_make(root: &OwnedFd, path: &Path, folder: bool) -> sys::Result<OwnedFd> {
    let mut at = open_in_root(root, "/", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let mut walked = std::path::PathBuf::from("/");
    let names: Vec<_> = path.components().filter(|part| matches!(part, Component::Normal(_))).collect();
    for (number, name) in names.iter().enumerate() {
        walked.push(name);
        at = match open_in_root(root, &walked, OFlags::PATH, Mode::empty()) {
            Err(error) if error.errno() == Errno::NOENT => {
                let name = Path::new(name);
                if folder || number + 1 < names.len() {
                    mkdirat(&at, name, Mode::from_raw_mode(0o755)).call(|| format!("mkdirat({name:?})"))?;
                } else {
                    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
                    openat(&at, name, flags, Mode::from_raw_mode(0o644)).call(|| format!("openat({name:?}, O_CREAT)"))?;
                }
                open_in_root(root, &walked, OFlags::PATH, Mode::empty())?
            }
            other => other?,
        };
    }
    Ok(at)
}
