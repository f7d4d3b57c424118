//! Landlock: rights that a thread takes from itself and all that it starts (landlock(7)).

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::{Error, Result};

/// What a ruleset is about: whatever is not handled stays allowed (`struct landlock_ruleset_attr`).
#[repr(C)]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Handled {
    /// `LANDLOCK_ACCESS_FS_*`.
    pub fs: u64,
    /// `LANDLOCK_ACCESS_NET_*` (ABI 4).
    pub net: u64,
    /// `LANDLOCK_SCOPE_*` (ABI 6).
    pub scoped: u64,
}

/// A ruleset in the making.
#[derive(Debug)]
pub struct Ruleset(OwnedFd);

/// The version of the kernel's ABI; 0 where there is none, or it is switched off.
pub fn abi() -> u32 {
    const VERSION: u32 = 1;
    // SAFETY: a null pointer of no size asks for the version.
    let abi = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<Handled>(), 0, VERSION) };
    u32::try_from(abi).unwrap_or(0)
}

impl Ruleset {
    /// A ruleset without rules: all that is handled is forbidden.
    ///
    /// # Errors
    /// `EINVAL` or `E2BIG` for what this kernel's ABI does not have, `ENOMSG` when nothing is handled, `EOPNOTSUPP` where Landlock is
    /// switched off, `ENOSYS` where there is none.
    pub fn new(handled: &Handled) -> Result<Self> {
        // SAFETY: the kernel reads one structure of the size given; a kernel with a smaller one wants zeros behind it.
        let fd = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::from_ref(handled), size_of::<Handled>(), 0) };
        match fd {
            // SAFETY: a new descriptor that nobody else owns. It is close-on-exec.
            0.. => Ok(Ruleset(unsafe { OwnedFd::from_raw_fd(fd as i32) })),
            _ => Err(Error::last(format!("landlock_create_ruleset({handled:x?})"))),
        }
    }

    /// Allows `access` below the file or folder behind `parent`.
    ///
    /// # Errors
    /// `EINVAL` for rights that are not handled, or rights of folders on a file.
    pub fn allow_path(&self, parent: impl AsFd, access: u64) -> Result<()> {
        #[repr(C, packed)]
        struct PathBeneath {
            access: u64,
            parent: i32,
        }
        const PATH_BENEATH: libc::c_int = 1;
        let rule = PathBeneath { access, parent: parent.as_fd().as_raw_fd() };
        self.add(PATH_BENEATH, &rule, || format!("landlock_add_rule(PATH_BENEATH, {access:#x})"))
    }

    /// Allows `access` to a TCP port.
    ///
    /// # Errors
    /// `EINVAL` for rights that are not handled.
    pub fn allow_port(&self, port: u16, access: u64) -> Result<()> {
        #[repr(C)]
        struct NetPort {
            access: u64,
            port: u64,
        }
        const NET_PORT: libc::c_int = 2;
        let rule = NetPort { access, port: port.into() };
        self.add(NET_PORT, &rule, || format!("landlock_add_rule(NET_PORT, {port}, {access:#x})"))
    }

    fn add<T>(&self, kind: libc::c_int, rule: &T, call: impl FnOnce() -> String) -> Result<()> {
        // SAFETY: both callers pass the structure that belongs to their kind; the kernel reads it and keeps nothing.
        let done = unsafe { libc::syscall(libc::SYS_landlock_add_rule, self.0.as_raw_fd(), kind, std::ptr::from_ref(rule), 0) };
        if done == 0 { Ok(()) } else { Err(Error::last(call())) }
    }

    /// Restricts the calling thread for good.
    ///
    /// # Errors
    /// `EPERM` without no-new-privileges or CAP_SYS_ADMIN, `E2BIG` after 16 layers.
    pub fn restrict_self(self) -> Result<()> {
        // SAFETY: plain integers.
        let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, self.0.as_raw_fd(), 0) };
        if done == 0 { Ok(()) } else { Err(Error::last("landlock_restrict_self()")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::print_stdout, reason = "a test says what it leaves out")]
    fn a_thread_restricts_itself() {
        const READ_FILE: u64 = 1 << 2;
        if abi() == 0 {
            return println!("skipped: needs Landlock");
        }
        std::thread::spawn(|| {
            rustix::thread::set_no_new_privs(true).unwrap();
            let ruleset = Ruleset::new(&Handled { fs: READ_FILE, ..Handled::default() }).unwrap();
            ruleset.allow_path(std::fs::File::open("/proc").unwrap(), READ_FILE).unwrap();
            assert_eq!(ruleset.allow_path(std::fs::File::open("/").unwrap(), 1).unwrap_err().errno(), rustix::io::Errno::INVAL);
            ruleset.restrict_self().unwrap();
            assert!(std::fs::read("/proc/self/stat").is_ok());
            assert_eq!(std::fs::read("/etc/passwd").unwrap_err().kind(), std::io::ErrorKind::PermissionDenied);
        })
        .join()
        .unwrap();
        assert!(std::fs::read("/etc/passwd").is_ok());
        assert_eq!(Ruleset::new(&Handled::default()).unwrap_err().errno(), rustix::io::Errno::NOMSG);
    }
}
