//! Mounts as descriptors: `mount_setattr`, and a new file system as one value.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_fd, fsconfig_set_flag, fsconfig_set_string, fsmount,
    fsopen,
};

use crate::{Call, Error, Result};

/// Attributes to set and to clear on a mount, and its propagation: `struct mount_attr` of mount_setattr(2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attr {
    /// `MOUNT_ATTR_*` bits to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` bits to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0 to leave the propagation as it is.
    pub propagation: u64,
}

/// Changes the mount behind `mount`, and all below it when `recursive`.
pub fn mount_setattr(mount: impl AsFd, attr: Attr, recursive: bool) -> Result<()> {
    let fd = mount.as_fd().as_raw_fd();
    let raw = libc::mount_attr { attr_set: attr.set, attr_clr: attr.clear, propagation: attr.propagation, userns_fd: 0 };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the empty path makes the kernel use `fd`; the structure is as long as said.
    let done =
        unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, &raw const raw, size_of::<libc::mount_attr>()) };
    if done == 0 {
        return Ok(());
    }
    let Attr { set, clear, propagation } = attr;
    Err(Error::last(format!("mount_setattr({fd}, set {set:#x}, clear {clear:#x}, propagation {propagation:#x})")))
}

/// A file system being configured: `fsopen`, any number of options, then [`Filesystem::mount`].
#[derive(Debug)]
pub struct Filesystem {
    context: OwnedFd,
    kind: String,
}

impl Filesystem {
    /// `fsopen(kind)`.
    ///
    /// # Errors
    /// `ENODEV` when the kernel does not know this file system.
    pub fn open(kind: &str) -> Result<Self> {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).call(|| format!("fsopen({kind:?})"))?;
        Ok(Filesystem { context, kind: kind.to_owned() })
    }

    /// Sets `key` to `value`.
    pub fn set(&self, key: &str, value: impl AsRef<OsStr>) -> Result<&Self> {
        let value = value.as_ref();
        self.told(fsconfig_set_string(&self.context, key, Path::new(value)), || format!("{key:?}, {value:?}"))?;
        Ok(self)
    }

    /// Switches the option `key` on.
    pub fn flag(&self, key: &str) -> Result<&Self> {
        self.told(fsconfig_set_flag(&self.context, key), || format!("{key:?}"))?;
        Ok(self)
    }

    /// Sets `key` to a descriptor.
    pub fn set_fd(&self, key: &str, value: impl AsFd) -> Result<&Self> {
        self.told(fsconfig_set_fd(&self.context, key, value), || format!("{key:?}, a descriptor"))?;
        Ok(self)
    }

    /// Creates the file system and returns it as a detached mount, which is gone when the last descriptor is closed.
    pub fn mount(&self, attributes: MountAttrFlags) -> Result<OwnedFd> {
        self.told(fsconfig_create(&self.context), || "FSCONFIG_CMD_CREATE".to_owned())?;
        self.told(fsmount(&self.context, FsMountFlags::FSMOUNT_CLOEXEC, attributes), || format!("fsmount {attributes:?}"))
    }

    /// Adds what the kernel itself has to say, which is read from the context (`e overlay: …`), to a failed call.
    fn told<T>(&self, result: rustix::io::Result<T>, what: impl FnOnce() -> String) -> Result<T> {
        result.map_err(|errno| {
            let mut text = [0; 512];
            let message = match rustix::io::read(&self.context, &mut text) {
                Ok(length) => String::from_utf8_lossy(&text[..length]).trim_end().to_owned(),
                Err(_) => String::new(),
            };
            let message = message.strip_prefix("e ").unwrap_or(&message);
            let told = if message.is_empty() { String::new() } else { format!(" [{message}]") };
            Error::new(format!("fsconfig({}, {}){told}", self.kind, what()), errno)
        })
    }
}

/// True when `error` means that the kernel lacks the call or the option rather than that this use of it is wrong.
pub fn unsupported(error: &Error) -> bool {
    matches!(error.errno(), Errno::NOSYS | Errno::OPNOTSUPP | Errno::NODEV)
}

/// Propagation types for [`Attr::propagation`] (mount_namespaces(7)).
pub mod propagation {
    /// `MS_UNBINDABLE`.
    pub const UNBINDABLE: u64 = libc::MS_UNBINDABLE;
    /// `MS_PRIVATE`.
    pub const PRIVATE: u64 = libc::MS_PRIVATE;
    /// `MS_SLAVE`.
    pub const SLAVE: u64 = libc::MS_SLAVE;
    /// `MS_SHARED`.
    pub const SHARED: u64 = libc::MS_SHARED;
}
