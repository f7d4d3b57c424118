//! Mounts as descriptors: `mount_setattr`, `open_tree_attr`, and a file system as one value.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create, fsconfig_reconfigure, fsconfig_set_fd,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, fspick,
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

impl Attr {
    /// As the kernel takes it, with the user namespace of an id mapping.
    fn raw(self, users: Option<BorrowedFd<'_>>) -> libc::mount_attr {
        let (map, fd) = users.map_or((0, 0), |users| (libc::MOUNT_ATTR_IDMAP, users.as_raw_fd() as u64));
        libc::mount_attr { attr_set: self.set | map, attr_clr: self.clear, propagation: self.propagation, userns_fd: fd }
    }
}

/// Changes the mount behind `mount`, and all below it when `recursive`.
pub fn mount_setattr(mount: impl AsFd, attr: Attr, recursive: bool) -> Result<()> {
    let Attr { set, clear, propagation } = attr;
    change(mount.as_fd(), &attr.raw(None), recursive, || format!("set {set:#x}, clear {clear:#x}, propagation {propagation:#x}"))
}

/// Maps the ids of the mount behind `mount`, and of all below it when `recursive`: as a file's owner appears in the user namespace
/// `users`, so it is stored. The mount is detached and not mapped yet.
///
/// # Errors
/// `EINVAL` when a file system has no id-mapped mounts; `EPERM` when one is mapped already, or when this process has no say over it.
pub fn idmap(mount: impl AsFd, users: impl AsFd, recursive: bool) -> Result<()> {
    change(mount.as_fd(), &Attr::default().raw(Some(users.as_fd())), recursive, || "MOUNT_ATTR_IDMAP".to_owned())
}

fn change(mount: BorrowedFd<'_>, raw: &libc::mount_attr, recursive: bool, what: impl FnOnce() -> String) -> Result<()> {
    let fd = mount.as_raw_fd();
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the empty path makes the kernel use `fd`; the structure is as long as said.
    let done =
        unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, raw as *const _, size_of::<libc::mount_attr>()) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("mount_setattr({fd}, {})", what()))) }
}

/// `open_tree` and [`idmap`] in one call (Linux 6.15). Unlike these two it also takes a mount that is mapped already. With
/// `AT_RECURSIVE` all of the tree is mapped.
///
/// # Errors
/// `ENOSYS` before 6.15.
pub fn open_tree_mapped(dir: impl AsFd, path: &Path, flags: OpenTreeFlags, users: impl AsFd) -> Result<OwnedFd> {
    /// The same number everywhere (`asm-generic/unistd.h`).
    const SYS_OPEN_TREE_ATTR: libc::c_long = 467;
    let call = || format!("open_tree_attr({path:?}, {flags:?}, MOUNT_ATTR_IDMAP)");
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|_| Error::new(call(), Errno::INVAL))?;
    let raw = Attr::default().raw(Some(users.as_fd()));
    let (dir, size) = (dir.as_fd().as_raw_fd(), size_of::<libc::mount_attr>());
    // SAFETY: `name` is a C string; the structure is as long as said.
    let fd = unsafe { libc::syscall(SYS_OPEN_TREE_ATTR, dir, name.as_ptr(), flags.bits(), &raw const raw, size) };
    if fd < 0 {
        return Err(Error::last(call()));
    }
    // SAFETY: the kernel has just made it, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
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

    /// The file system of the mount behind `mount`, to be changed: any number of options, then [`Filesystem::reconfigure`].
    pub fn pick(mount: impl AsFd) -> Result<Self> {
        let context =
            fspick(mount, "", FsPickFlags::FSPICK_CLOEXEC | FsPickFlags::FSPICK_EMPTY_PATH).call(|| "fspick(FSPICK_EMPTY_PATH)")?;
        Ok(Filesystem { context, kind: "picked".to_owned() })
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

    /// Changes a file system that is in use.
    pub fn reconfigure(&self) -> Result<()> {
        self.told(fsconfig_reconfigure(&self.context), || "FSCONFIG_CMD_RECONFIGURE".to_owned())
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
