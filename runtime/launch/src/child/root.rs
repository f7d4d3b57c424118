//! The root file system: attached, furnished, made the root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use sys::Call;
use sys::mount::{Attr, mount_setattr, propagation};
use sys::ns::{kind, setns};

use super::init::Task;
use super::terminal::{self, Terminal};
use crate::Failure;
use crate::create::Stages;
use crate::failure::During;
use crate::steps::{Builder, target};

/// Puts the root in place with everything in it, and leaves the host's.
pub(crate) fn build(task: &Task<'_>) -> Result<Option<Terminal>, Failure> {
    let Task { plan, table, parent, stages, .. } = *task;
    if let Some((_, slot)) = plan.join.iter().find(|(which, _)| *which == kind::MOUNT) {
        return join(task, table.get(*slot));
    }
    let root = table.get(plan.rootfs);
    attach(root, stages)?;
    let mut builder = Builder::new(plan, table, root, parent);
    for step in &plan.steps {
        builder.run(step)?;
    }
    let mut terminal = builder.into_terminal();
    // Without a console in the plan the terminal is opened now: the host's /dev/ptmx would be another devpts.
    if let (None, Some(size)) = (&terminal, plan.process.terminal) {
        terminal = Some(terminal::open(root, size, parent)?);
    }
    // While the root can be written to, and by root: a working folder that is missing is root's, as with Docker.
    target::folder(root, &plan.process.cwd).during(|| format!("working folder {:?}", plan.process.cwd))?;
    if plan.rootfs_readonly {
        // Last: mount points had to be made in it.
        let attr = Attr { set: u64::from(rustix::mount::MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), ..Attr::default() };
        mount_setattr(root, attr, false).during(|| "make it read-only")?;
    }
    if let Some(stages) = stages {
        stages.inside().map_err(Failure::runtime)?;
    }
    if plan.no_pivot {
        move_root(root)?
    } else {
        pivot(root)?
    }
    if plan.propagation & (propagation::SHARED | propagation::UNBINDABLE) != 0 {
        // pivot_root(2) refuses a shared root, so this comes after.
        mount_setattr(root, Attr { propagation: plan.propagation, ..Attr::default() }, false).during(|| "propagation")?;
    }
    Ok(terminal)
}

/// Enters a mount namespace that somebody else has furnished. With it come its root and, as folder, that root (setns(2)).
fn join(task: &Task<'_>, namespace: BorrowedFd<'_>) -> Result<Option<Terminal>, Failure> {
    let Task { plan, parent, stages, .. } = *task;
    if let Some(stages) = stages {
        stages.inside().map_err(Failure::runtime)?;
    }
    setns(namespace, kind::MOUNT as i32).during(|| "join the mount namespace")?;
    let Some(size) = plan.process.terminal else { return Ok(None) };
    let root = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).call(|| "open(\"/\", O_PATH)");
    terminal::open(root.during(|| "terminal")?.as_fd(), size, parent).map(Some)
}

/// Attaches the detached root on top of this namespace's own, or at a place in it. The host's tree stays reachable by absolute paths until the
/// pivot, because a process's root is looked up below what is mounted on it.
fn attach(root: BorrowedFd<'_>, stages: Option<&dyn Stages>) -> Result<(), Failure> {
    let host = openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).call(|| "open(\"/\", O_PATH)");
    let host = host.during(|| "attach")?;
    // No mount made here may reach the host. Slave rather than private: what the host unmounts meanwhile is not held busy here.
    let slave = Attr { propagation: propagation::SLAVE, ..Attr::default() };
    mount_setattr(&host, slave, true).during(|| "separate from the host's mounts")?;
    stages.map_or(Ok(()), Stages::furnish).map_err(Failure::runtime)?;
    let Some(place) = stages.and_then(Stages::place) else { return attach_at(root, host.as_fd()).during(|| "attach") };
    let place = openat(CWD, place, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let place = place.call(|| "open(the place of the root, O_PATH)").during(|| "attach")?;
    attach_at(root, place.as_fd()).during(|| "attach")
}

/// Attaches the mount `tree` on the place `target`, both by descriptor: no path can be exchanged in between (CVE-2021-30465).
pub(crate) fn attach_at(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> sys::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", target, "", flags).call(|| "move_mount()")
}

/// A detached copy of an attached tree, with all that is mounted below it.
pub(crate) fn clone_tree(tree: BorrowedFd<'_>) -> sys::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(tree, "", flags | OpenTreeFlags::AT_RECURSIVE).call(|| "open_tree(OPEN_TREE_CLONE | AT_RECURSIVE)")
}

/// Makes `root` the root without pivot_root(2). It already covers the host's root in this namespace, where a way out of the chroot ends,
/// too: `..` of the topmost folder is what is mounted there. What stays is the host's tree below it. Its procfs and sysfs must not: a
/// container that may mount gets new ones as far as the old ones are visible (`mount_too_revealing` in the kernel).
fn move_root(root: BorrowedFd<'_>) -> Result<(), Failure> {
    for path in ["/proc", "/sys"] {
        match unmount(path, UnmountFlags::DETACH) {
            // Not mounted, or locked in place by a user namespace, which then has nothing to gain: it sees what it saw before.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            other => other.call(|| format!("umount2({path:?}, MNT_DETACH)")).during(|| "leave the host's root")?,
        }
    }
    rustix::process::fchdir(root).call(|| "fchdir(root)").during(|| "enter")?;
    rustix::process::chroot(".").call(|| "chroot(\".\")").during(|| "enter")?;
    rustix::process::chdir("/").call(|| "chdir(\"/\")").during(|| "enter")
}

/// Makes `root` the root, and lets go of the host's.
fn pivot(root: BorrowedFd<'_>) -> Result<(), Failure> {
    rustix::process::fchdir(root).call(|| "fchdir(root)").during(|| "enter")?;
    // The old root is stacked on the new one (pivot_root(2), NOTES), and comes off again: no folder is needed to put it in.
    rustix::process::pivot_root(".", ".").call(|| "pivot_root(\".\", \".\")").during(|| "enter")?;
    unmount(".", UnmountFlags::DETACH).call(|| "umount2(\".\", MNT_DETACH)").during(|| "leave the host's root")?;
    rustix::process::chdir("/").call(|| "chdir(\"/\")").during(|| "enter")
}
