//! `export`: a container's root file system as an archive, without what is mounted in it.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::Call;

use crate::create::{Folder, in_charge, take_charge};
use crate::error::During;
use crate::request::UserMap;
use crate::wait::open_process;
use crate::{Container, Engine, Error, Record, recover, state};

impl Engine {
    /// Writes the files of a container to `out`, as a tar archive. It may run: a file that changes meanwhile is in it as far as it was
    /// read.
    pub fn export(&self, given: &str, out: &mut dyn Write) -> Result<(), Error> {
        let container = self.container(given)?;
        let owners = || container.record.namespaces.users.as_ref().map(UserMap::owners).unwrap_or_default();
        if let Some(rootfs) = of_running(&container)? {
            return Ok(images::pack(rootfs.as_fd(), owners(), out)?);
        }
        let id = &container.record.id;
        let lock = Folder::lock(&self.config, id)?;
        if in_charge(&self.config.container(id)) {
            self.settle_start(id)?;
        }
        let container = state::load(&self.config, id)?.ok_or_else(|| Error::NoSuchContainer(given.to_owned()))?;
        if let Some(rootfs) = of_running(&container)? {
            drop(lock);
            return Ok(images::pack(rootfs.as_fd(), owners(), out)?);
        }
        let _charge = take_charge(&lock)?;
        let record: &Record = &container.record;
        recover::leftovers(&self.config, id, Some(record))?;
        let users = self.owners(record)?.user;
        Ok(images::pack(self.rootfs(record, users.as_ref())?.as_fd(), owners(), out)?)
    }
}

/// The root file system of a running container, without what is mounted there: a copy of its mount, for which this thread's own copy is sent
/// to the container's mount namespace.
pub(crate) fn of_running(container: &Container) -> Result<Option<OwnedFd>, Error> {
    let Some(process) = open_process(container).filter(|_| container.is_running()) else { return Ok(None) };
    let enter = || -> sys::Result<OwnedFd> {
        // A thread that shares its root folder with others cannot leave.
        sys::fs::private_umask()?;
        sys::ns::setns(&process, sys::ns::kind::MOUNT as i32)?;
        open_tree(CWD, "/", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
            .call(|| "open_tree(/, OPEN_TREE_CLONE)")
    };
    let entered = match std::thread::scope(|scope| scope.spawn(enter).join()) {
        Ok(entered) => entered,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    match entered {
        // It has just ended.
        Err(error) if error.errno() == rustix::io::Errno::SRCH => Ok(None),
        rootfs => rootfs.during(|| format!("reach the files of container {}", container.record.name)).map(Some),
    }
}
