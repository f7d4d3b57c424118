//! What mounts are like, and how they become so.

use std::os::fd::AsFd;

use rustix::fs::{StatVfsMountFlags as Has, fstatvfs};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags as Flags;
use serde::{Deserialize, Serialize};
use sys::mount::{Attr, mount_setattr};
use sys::{Call, Error};

/// The access time setting is a value of several bits (mount_setattr(2)).
const ATIME: u64 = 0x70;
const NODIRATIME: u64 = Flags::MOUNT_ATTR_NODIRATIME.bits() as u64;

/// What statvfs(3) says, and the attribute it means. Whoever copies a mount into a user namespace cannot take these away
/// (mount_namespaces(7), "locked").
const LOCKED: [(Has, u64, &str); 4] = [
    (Has::RDONLY, Flags::MOUNT_ATTR_RDONLY.bits() as u64, "ro"),
    (Has::NOSUID, Flags::MOUNT_ATTR_NOSUID.bits() as u64, "nosuid"),
    (Has::NODEV, Flags::MOUNT_ATTR_NODEV.bits() as u64, "nodev"),
    (Has::NOEXEC, Flags::MOUNT_ATTR_NOEXEC.bits() as u64, "noexec"),
];

/// What a mount is to be like, and what all mounts of its tree are. Bits are `MOUNT_ATTR_*`; an access time setting is its value in the
/// set bits and the whole field in the cleared ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attributes {
    /// What it gets.
    pub set: u64,
    /// What it loses.
    pub clear: u64,
    /// What it loses if it can: nobody has asked for it. A bind mount with options has these options and no others (mount(8), as runc
    /// reads it), but what the host has locked stays.
    pub rest: u64,
    /// What all mounts of the tree get. None of it is in the three above.
    pub tree_set: u64,
    /// What all mounts of the tree lose.
    pub tree_clear: u64,
    /// `MS_*` propagation of all mounts of the tree, 0 to leave it.
    pub propagation: u64,
    /// The container has a user namespace, and its mounts keep what the host's have, as if it had made them itself.
    pub locked: bool,
}

impl Attributes {
    /// Makes the tree `mount` so.
    ///
    /// # Errors
    /// `EPERM` for what the host has locked.
    pub(crate) fn apply(&self, mount: impl AsFd) -> sys::Result<()> {
        let top = Attr { set: self.set, clear: self.clear | self.rest, propagation: 0 };
        let tree = Attr { set: self.tree_set, clear: self.tree_clear, propagation: self.propagation };
        if self.locked && tree.clear & !ATIME != 0 {
            refuse(locked(&mount)?.0 & tree.clear)?;
        }
        if tree != Attr::default() {
            mount_setattr(&mount, tree, true)?;
        }
        if top == Attr::default() {
            return Ok(());
        }
        if !self.locked {
            match mount_setattr(&mount, top, false) {
                Err(error) if error.errno() == Errno::PERM && self.rest != 0 => {}
                done => return done,
            }
        }
        self.keep_locked(&mount)
    }

    /// Changes what is not locked, if that is all that was asked for.
    fn keep_locked(&self, mount: impl AsFd) -> sys::Result<()> {
        let (has, atime) = locked(&mount)?;
        refuse(has & self.clear)?;
        let field = ATIME | NODIRATIME;
        if self.clear & ATIME != 0 && self.set & field != atime {
            return Err(Error::new("mount_setattr(): the host's access time setting is locked", Errno::PERM));
        }
        let lockable = LOCKED.iter().fold(field, |all, (_, bit, _)| all | bit);
        let attr = Attr { set: self.set & !field, clear: (self.clear | self.rest) & !lockable, propagation: 0 };
        mount_setattr(mount, attr, false)
    }
}

/// The attributes of a mount that may be locked, and its access time setting.
fn locked(mount: impl AsFd) -> sys::Result<(u64, u64)> {
    let has = fstatvfs(mount).call(|| "fstatfs(mount)")?.f_flag;
    let bits = LOCKED.iter().filter(|(flag, ..)| has.contains(*flag)).fold(0, |all, (_, bit, _)| all | bit);
    let atime = match () {
        () if has.contains(Has::NOATIME) => Flags::MOUNT_ATTR_NOATIME,
        () if has.contains(Has::RELATIME) => Flags::empty(),
        () => Flags::MOUNT_ATTR_STRICTATIME,
    };
    let folders = if has.contains(Has::NODIRATIME) { NODIRATIME } else { 0 };
    Ok((bits, u64::from(atime.bits()) | folders))
}

fn refuse(bits: u64) -> sys::Result<()> {
    let names: Vec<_> = LOCKED.iter().filter(|(_, bit, _)| bits & bit != 0).map(|(.., name)| *name).collect();
    match names.is_empty() {
        true => Ok(()),
        false => Err(Error::new(format!("mount_setattr(): the host's {} is locked", names.join(", ")), Errno::PERM)),
    }
}
