//! The ground for a program that makes a container's processes by itself, as criu(8) does: it runs in the container's cgroups, and in a
//! mount namespace in which the container's root is a mount. All is gone with it, however it ends.
//!
//! ```text
//!   FOLDER/       a tmpfs
//!     root/       the root file system, with something to mount on wherever the plan mounts something
//!     null        a null device that is nobody else's
//! ```

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mkdirat, mknodat, openat};
use rustix::mount::{MountAttrFlags, UnmountFlags, unmount};
use sys::Call;
use sys::mount::{Attr, mount_setattr, propagation};
use sys::ns::{self, kind};
use sys::process::{Child, Clone, clone3};

use crate::child::{attach_at, cgroup, clone_tree};
use crate::create::Table;
use crate::failure::During;
use crate::steps::{filesystem, points};
use crate::{Failure, Plan};

/// Where a container is to be made.
#[derive(Debug)]
pub struct Ground<'a> {
    /// What it is like.
    pub plan: &'a Plan,
    /// The table that the plan's slots count in.
    pub fds: &'a [OwnedFd],
    /// An empty folder of the caller's.
    pub folder: &'a Path,
    /// The cgroup namespace of the plan, too.
    pub cgroups_apart: bool,
    /// It stays in the caller's session keyring.
    pub keyring: bool,
}

impl Ground<'_> {
    /// The root file system, as the program sees it.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// The null device, as the program sees it.
    pub fn null(&self) -> PathBuf {
        self.folder.join("null")
    }

    /// Makes a process that runs `body` there, with what became of the way there. The caller has one thread.
    ///
    /// # Errors
    /// Those of [`clone3`].
    pub fn spawn(&self, body: impl FnOnce(Result<(), Failure>) -> u8) -> Result<Child, Failure> {
        let table = Table::new(self.plan, self.fds)?;
        let clone = Clone { cgroup: self.plan.cgroup.into.map(|slot| table.get(slot)), ..Clone::default() };
        clone3(&clone, || body(self.prepare(&table))).during(|| "make a process")
    }

    fn prepare(&self, table: &Table<'_>) -> Result<(), Failure> {
        let plan = self.plan;
        cgroup::enter(plan.cgroup.join.iter().map(|slot| table.get(*slot)))?;
        if self.cgroups_apart {
            match plan.join.iter().find(|(which, _)| *which == kind::CGROUP) {
                Some((which, slot)) => ns::setns(table.get(*slot), *which as i32).during(|| "join the cgroup namespace")?,
                None if plan.unshare & kind::CGROUP != 0 => {
                    ns::unshare(kind::CGROUP as i32).during(|| "make the cgroup namespace")?;
                }
                None => {}
            }
        }
        if !self.keyring {
            crate::process::new_keyring()?;
        }
        ns::unshare(kind::MOUNT as i32).during(|| "make a mount namespace")?;
        let slave = Attr { propagation: propagation::SLAVE, ..Attr::default() };
        mount_setattr(folder(CWD, Path::new("/"))?, slave, true).during(|| "separate from the host's mounts")?;
        self.furnish(table).during(|| "root file system")
    }

    fn furnish(&self, table: &Table<'_>) -> Result<(), Failure> {
        let top = filesystem("tmpfs", "tmpfs", &[], u64::from((MountAttrFlags::MOUNT_ATTR_NOSUID).bits()))
            .during(|| "make a place for it")?;
        attach_at(top.as_fd(), folder(CWD, self.folder)?.as_fd()).during(|| "attach a place for it")?;
        mknodat(&top, "null", FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3))
            .call(|| "mknodat(\"null\")")
            .during(|| "make a null device")?;
        mkdirat(&top, "root", Mode::RWXU).call(|| "mkdirat(\"root\")").during(|| "make a place for it")?;
        let (place, root) = (folder(&top, Path::new("root"))?, table.get(self.plan.rootfs));
        attach_at(root, place.as_fd()).during(|| "attach it")?;
        // Only an attached tree can be cloned (before Linux 6.15). The first is for what is made in it, and goes with all that is mounted
        // on the way; the program wants it bare.
        let bare = clone_tree(root).during(|| "copy it")?;
        points(self.plan, table, root)?;
        detach(root).during(|| "detach it")?;
        attach_at(bare.as_fd(), place.as_fd()).during(|| "attach its copy")
    }
}

fn folder(at: impl AsFd, path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty()).call(|| format!("open({path:?}, O_PATH)")).during(|| "open its folder")
}

fn detach(mount: BorrowedFd<'_>) -> sys::Result<()> {
    let path = format!("/proc/self/fd/{}", mount.as_raw_fd());
    unmount(&path, UnmountFlags::DETACH).call(|| format!("umount2({path:?}, MNT_DETACH)"))
}

/// Brings the loopback interface of another process's network namespace up.
///
/// # Errors
/// Those of entering the namespace, and of the request.
pub fn loopback(pid: u32) -> Result<(), Failure> {
    let path = format!("/proc/{pid}/ns/net");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let namespace = openat(CWD, &path, flags, Mode::empty()).call(|| format!("open({path:?})")).during(|| "bring lo up")?;
    let own = openat(CWD, "/proc/thread-self/ns/net", flags, Mode::empty()).call(|| "open(own network namespace)");
    let own = own.during(|| "bring lo up")?;
    ns::setns(&namespace, kind::NET as i32).during(|| "bring lo up")?;
    let done = crate::child::loopback::up();
    ns::setns(&own, kind::NET as i32).during(|| "return from the network namespace")?;
    done
}
