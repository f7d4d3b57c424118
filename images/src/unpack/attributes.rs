//! Owners, permissions, extended attributes and times, in the one order that keeps them all: a change of owner clears
//! setuid bits and `security.capability` (chown(2), capabilities(7)), and everything changes the time.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown, fgetxattr, flistxattr, fsetxattr,
    futimens, lsetxattr, openat, utimensat,
};
use rustix::io::Errno;
use sys::Call;

use super::archive::Member;
use super::path::show;

/// Whom new files belong to without a further call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner(u32, u32);

impl Owner {
    pub(crate) fn of_process() -> Self {
        Owner(rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
    }

    fn is(self, member: &Member) -> bool {
        (self.0, self.1) == (member.uid, member.gid)
    }
}

/// What a folder may only get after its content.
#[derive(Debug)]
pub(crate) struct Special {
    mode: u32,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Special {
    pub(crate) fn of(member: &Member) -> Option<Self> {
        let some = member.mode & 0o6000 != 0 || !member.xattrs.is_empty();
        some.then(|| Special { mode: member.mode, xattrs: member.xattrs.clone() })
    }
}

/// For whoever is refused an owner: in a user namespace that is not the first one there are only some (user_namespaces(7)).
fn there_are() -> String {
    if sys::ns::is_first_of_users() {
        return String::new();
    }
    let of = |file: &str| {
        let text = std::fs::read_to_string(format!("/proc/self/{file}")).unwrap_or_default();
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u64>().ok());
            let (first, count) = (numbers.next()?, numbers.nth(1)?);
            Some(format!("{first}-{}", first + count.saturating_sub(1)))
        };
        text.lines().filter_map(range).collect::<Vec<_>>().join(", ")
    };
    format!(" [here are only users {} and groups {}]", of("uid_map"), of("gid_map"))
}

/// Finishes a file that was made with its lower permission bits.
pub(crate) fn set_file(file: impl AsFd, member: &Member, owner: Owner) -> sys::Result<()> {
    let file = file.as_fd();
    if !owner.is(member) {
        let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
        fchown(file, Some(uid), Some(gid)).call(|| format!("fchown({}, {}){}", member.uid, member.gid, there_are()))?;
    }
    set_xattrs(file, &member.xattrs)?;
    if member.mode & 0o7000 != 0 {
        fchmod(file, Mode::from_raw_mode(member.mode)).call(|| format!("fchmod({:o})", member.mode))?;
    }
    futimens(file, &times(member.mtime)).call(|| "utimensat()")
}

/// Gives a new name its owner.
pub(crate) fn own(folder: BorrowedFd<'_>, name: &[u8], member: &Member, owner: Owner) -> sys::Result<()> {
    if owner.is(member) {
        return Ok(());
    }
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
        .call(|| format!("fchownat({}, {}, {}){}", show(name), member.uid, member.gid, there_are()))
}

/// Owner and permissions of a folder that was there already.
pub(crate) fn set_dir(folder: BorrowedFd<'_>, member: &Member) -> sys::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = openat(folder, ".", flags, Mode::empty()).call(|| "openat(., O_DIRECTORY)")?;
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    fchown(&open, Some(uid), Some(gid)).call(|| format!("fchown({}, {}){}", member.uid, member.gid, there_are()))?;
    fchmod(&open, Mode::from_raw_mode(member.mode & 0o1777)).call(|| format!("fchmod({:o})", member.mode))
}

/// Extended attributes, all permissions and times of the folder `name`, which is not left through a link.
pub(crate) fn set_dir_times(folder: BorrowedFd<'_>, name: &[u8], mtime: (i64, u32), special: &Special) -> sys::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = openat(folder, name, flags, Mode::empty()).call(|| format!("openat({}, O_DIRECTORY)", show(name)))?;
    set_xattrs(open.as_fd(), &special.xattrs)?;
    fchmod(&open, Mode::from_raw_mode(special.mode)).call(|| format!("fchmod({:o})", special.mode))?;
    futimens(&open, &times(mtime)).call(|| "utimensat()")
}

/// Times of `name` itself, be it a symbolic link or not.
pub(crate) fn set_times(folder: BorrowedFd<'_>, name: &[u8], mtime: (i64, u32)) -> sys::Result<()> {
    utimensat(folder, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW).call(|| format!("utimensat({})", show(name)))
}

fn times(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: mtime.0, tv_nsec: mtime.1.into() };
    Timestamps { last_access: time, last_modification: time }
}

fn set_xattrs(file: BorrowedFd<'_>, xattrs: &[(Vec<u8>, Vec<u8>)]) -> sys::Result<()> {
    for (name, value) in xattrs.iter().filter(|(name, _)| is_wanted(name)) {
        bearable(name, fsetxattr(file, name.as_slice(), value, XattrFlags::empty()))?;
    }
    Ok(())
}

/// Extended attributes of what cannot be opened: the folder's entry in procfs is a way to name it by descriptor, and the
/// last part is not followed.
pub(crate) fn set_xattrs_by_name(folder: BorrowedFd<'_>, name: &[u8], xattrs: &[(Vec<u8>, Vec<u8>)]) -> sys::Result<()> {
    for (key, value) in xattrs.iter().filter(|(name, _)| is_wanted(name)) {
        let path = [format!("/proc/self/fd/{}/", folder.as_raw_fd()).as_bytes(), name].concat();
        bearable(key, lsetxattr(path, key.as_slice(), value, XattrFlags::empty()))?;
    }
    Ok(())
}

/// The extended attributes of an open file or folder, without the store's own.
pub(crate) fn xattrs_of(file: BorrowedFd<'_>) -> sys::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut names = vec![0; 64 << 10];
    let length = match flistxattr(file, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        length => length.call(|| "flistxattr()")?,
    };
    let mut value = vec![0; 64 << 10];
    let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty() && is_wanted(name));
    let pair = |name: &[u8]| {
        let length = fgetxattr(file, name, &mut value[..]).call(|| format!("fgetxattr({})", show(name)))?;
        Ok((name.to_vec(), value[..length].to_vec()))
    };
    names.map(pair).collect()
}

/// `trusted.*` is the store's own: from an image it could redirect overlayfs. containerd leaves it out likewise.
pub(crate) fn is_wanted(name: &[u8]) -> bool {
    !name.starts_with(b"trusted.") && !name.starts_with(b"user.overlay.")
}

/// A file system that cannot store an attribute, or a `user.` one on a link or device, is no reason to fail.
fn bearable(name: &[u8], done: rustix::io::Result<()>) -> sys::Result<()> {
    match done {
        Err(Errno::OPNOTSUPP) => Ok(()),
        Err(Errno::PERM) if name.starts_with(b"user.") => Ok(()),
        done => done.call(|| format!("setxattr({})", show(name))),
    }
}
