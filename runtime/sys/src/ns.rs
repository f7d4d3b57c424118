//! Namespaces of the calling thread.

use std::os::fd::{AsFd, AsRawFd};

use rustix::fs::{Mode, OFlags};

use crate::{Call, Error, Result};

/// `CLONE_NEW*` flags as clone3, setns and unshare take them.
pub mod kind {
    macro_rules! kinds {
        ($($name:ident = $flag:ident, $text:literal;)*) => {
            $(#[doc = $text] pub const $name: u64 = libc::$flag as u64;)*
        };
    }

    kinds! {
        MOUNT = CLONE_NEWNS, "Mounts.";
        CGROUP = CLONE_NEWCGROUP, "The root of the cgroup hierarchies.";
        UTS = CLONE_NEWUTS, "Host and domain name.";
        IPC = CLONE_NEWIPC, "System V IPC and POSIX message queues.";
        USER = CLONE_NEWUSER, "Users and groups.";
        PID = CLONE_NEWPID, "Process numbers.";
        NET = CLONE_NEWNET, "Network.";
        TIME = CLONE_NEWTIME, "Clocks. A process enters a new one by setns, or with its next child.";
    }
}

/// Leaves the namespaces named by `CLONE_NEW*` flags for new ones. Only this thread moves (for a new pid namespace: its
/// later children).
pub fn unshare(flags: i32) -> Result<()> {
    const NAMESPACES: i32 = libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWTIME;
    // SAFETY: of the flags of unshare(2) only those that open no shared table of this process (as CLONE_FILES would) pass.
    let done = unsafe { libc::unshare(flags & NAMESPACES) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("unshare({flags:#x})"))) }
}

/// Enters the namespace behind `fd`; with a process descriptor, all of its namespaces named by `CLONE_NEW*` flags
/// (Linux 5.8).
pub fn setns(fd: impl AsFd, flags: i32) -> Result<()> {
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: plain integers.
    let done = unsafe { libc::setns(fd, flags) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("setns({fd}, {flags:#x})"))) }
}

/// Does `work`, which may leave this thread's network namespace, and comes back to it.
///
/// # Errors
/// It cannot be opened, or entered again: that takes CAP_SYS_ADMIN in the user namespace that it belongs to (setns(2)).
pub fn coming_back<T>(work: impl FnOnce() -> T) -> Result<T> {
    let path = "/proc/thread-self/ns/net";
    let own = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"))?;
    let done = work();
    setns(own, libc::CLONE_NEWNET)?;
    Ok(done)
}

/// Whether this process is in the first user namespace, whose root is the host's: it has a number of its own among the inodes of
/// namespaces (`PROC_USER_INIT_INO` of `linux/proc_ns.h`). Asked once: whoever joins another one does so before.
pub fn is_first_of_users() -> bool {
    const FIRST: u64 = 0xefff_fffd;
    static FIRST_OF_USERS: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    // A kernel without user namespaces has no other.
    *FIRST_OF_USERS.get_or_init(|| rustix::fs::stat("/proc/self/ns/user").map_or(true, |stat| stat.st_ino == FIRST))
}

/// The `CLONE_NEW*` flag of the namespace behind `fd` (ioctl_ns(2)).
///
/// # Errors
/// `ENOTTY` for a file that is no namespace.
pub fn kind(fd: impl AsFd) -> Result<i32> {
    /// `NS_GET_NSTYPE` of `linux/nsfs.h`: `_IO(0xb7, 3)`.
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    let fd = fd.as_fd().as_raw_fd();
    // SAFETY: this request has no argument.
    let kind = unsafe { libc::ioctl(fd, NS_GET_NSTYPE as _) };
    if kind >= 0 { Ok(kind) } else { Err(Error::last(format!("ioctl({fd}, NS_GET_NSTYPE)"))) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_thread_comes_back_from_a_new_network() {
        if !rustix::process::geteuid().is_root() {
            return drop(writeln!(std::io::stderr(), "skipped: needs root"));
        }
        let network = || rustix::fs::stat("/proc/thread-self/ns/net").unwrap().st_ino;
        let before = network();
        let away = coming_back(|| unshare(libc::CLONE_NEWNET).map(|()| network())).unwrap().unwrap();
        assert_ne!(away, before);
        assert_eq!(network(), before);
    }
}
