//! Copied files, put in their places below a root: whatever links are on the way, nothing outside is reached.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode as Bits, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, chownat, fchmod, fchown, fgetxattr,
    flistxattr, fsetxattr, futimens, linkat, mkdirat, mknodat, openat, readlinkat, sendfile, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use sys::Call;

use super::dockerfile::{Mode, clean};
use super::failure::{BuildError, For};
use super::select::{Item, Selection, Tree};

/// Where and how.
#[derive(Debug)]
pub(super) struct Placing<'a> {
    pub(super) root: BorrowedFd<'a>,
    /// Absolute.
    pub(super) target: &'a str,
    /// The target is a folder: it was written with a slash at its end.
    pub(super) folder: bool,
    /// Whom the files belong to; `None`: as they do now.
    pub(super) owner: Option<(u32, u32)>,
    pub(super) mode: Option<&'a Mode>,
}

impl Placing<'_> {
    /// Copies what was found.
    pub(super) fn copy(&self, tree: &Tree, selection: &Selection) -> Result<(), BuildError> {
        let into = self.folder || selection.into_folder || self.is_folder();
        let mut links = HashMap::new();
        let mut times = BTreeMap::new();
        for item in &selection.items {
            let at = match (item.to.as_str(), into) {
                ("", _) => self.target.to_owned(),
                (to, true) => format!("{}/{to}", self.target.trim_end_matches('/')),
                (_, false) => self.target.to_owned(),
            };
            self.item(tree, item, &at, &mut links, &mut times)?;
        }
        // What was put into folders has changed their times.
        for (at, stat) in times.iter().rev() {
            let folder = open(self.root, at, OFlags::RDONLY | OFlags::DIRECTORY).to(|| format!("set the time of {at}"))?;
            futimens(&folder, &modified(stat)).call(|| "utimensat()").to(|| format!("set the time of {at}"))?;
        }
        Ok(())
    }

    /// A file with these bytes.
    pub(super) fn write(&self, name: &str, bytes: &[u8], mode: u32, time: i64) -> Result<(), BuildError> {
        self.make(name, mode, time, |file| sys::fs::write_all(file, bytes))
    }

    /// A copy of an open file.
    pub(super) fn put(&self, name: &str, from: OwnedFd, mode: u32, time: i64) -> Result<(), BuildError> {
        self.make(name, mode, time, |file| copy_bytes(file, &from))
    }

    fn make(&self, name: &str, mode: u32, time: i64, fill: impl FnOnce(&OwnedFd) -> sys::Result<()>) -> Result<(), BuildError> {
        let at = match self.folder || self.is_folder() {
            true => format!("{}/{name}", self.target.trim_end_matches('/')),
            false => self.target.to_owned(),
        };
        let what = || format!("write {at}");
        let (parent, name) = self.parent(&at)?;
        let file = self.fresh(&parent, name, &at)?;
        fill(&file).to(what)?;
        let (uid, gid) = self.owner.unwrap_or_default();
        fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).call(|| "fchown()").to(what)?;
        let mode = self.mode.map_or(mode, |change| change.apply(mode, false));
        fchmod(&file, Bits::from_raw_mode(mode)).call(|| "fchmod()").to(what)?;
        let time = Timespec { tv_sec: time, tv_nsec: 0 };
        futimens(&file, &Timestamps { last_access: time, last_modification: time }).call(|| "utimensat()").to(what)
    }

    fn is_folder(&self) -> bool {
        open(self.root, self.target, OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }

    fn item(
        &self,
        tree: &Tree,
        item: &Item,
        at: &str,
        links: &mut HashMap<(u64, u64), String>,
        times: &mut BTreeMap<String, Stat>,
    ) -> Result<(), BuildError> {
        let what = || format!("copy /{} to {at}", item.from);
        let stat = &item.stat;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let (uid, gid) = self.owner.unwrap_or((stat.st_uid, stat.st_gid));
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        let mode = stat.st_mode & 0o7777;
        let mode = self.mode.map_or(mode, |change| change.apply(mode, kind == FileType::Directory));
        if kind == FileType::Directory {
            let root = item.to.is_empty();
            let (folder, new) = self.folder(at)?;
            // The target itself keeps what it has, if it was there.
            if new || !root {
                fchown(&folder, owner.0, owner.1).call(|| "fchown()").to(what)?;
                fchmod(&folder, Bits::from_raw_mode(mode)).call(|| "fchmod()").to(what)?;
                times.insert(at.to_owned(), *stat);
            }
            return Ok(());
        }
        let (parent, name) = self.parent(at)?;
        if kind == FileType::RegularFile {
            let file = tree.open(item).to(what)?;
            let key = (stat.st_dev, stat.st_ino);
            if let Some(first) = links.get(&key).filter(|_| stat.st_nlink > 1) {
                let (above, other) = self.parent(first)?;
                self.clear(&parent, name, at)?;
                return linkat(&above, other, &parent, name, AtFlags::empty()).call(|| "linkat()").to(what);
            }
            let new = self.fresh(&parent, name, at)?;
            copy_bytes(&new, &file).to(what)?;
            fchown(&new, owner.0, owner.1).call(|| "fchown()").to(what)?;
            copy_xattrs(&new, &file).to(what)?;
            fchmod(&new, Bits::from_raw_mode(mode)).call(|| "fchmod()").to(what)?;
            futimens(&new, &modified(stat)).call(|| "utimensat()").to(what)?;
            if stat.st_nlink > 1 {
                links.insert(key, at.to_owned());
            }
            return Ok(());
        }
        self.clear(&parent, name, at)?;
        match kind {
            FileType::Symlink => symlinkat(item.link.as_slice(), &parent, name).call(|| "symlinkat()").to(what)?,
            _ => mknodat(&parent, name, kind, Bits::from_raw_mode(mode), stat.st_rdev).call(|| "mknodat()").to(what)?,
        }
        chownat(&parent, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).call(|| "fchownat()").to(what)?;
        utimensat(&parent, name, &modified(stat), AtFlags::SYMLINK_NOFOLLOW).call(|| "utimensat()").to(what)
    }

    /// The folder that `at` is in, made if need be, and its name there.
    fn parent<'a>(&self, at: &'a str) -> Result<(OwnedFd, &'a str), BuildError> {
        let (folder, name) = at.rsplit_once('/').unwrap_or(("", at));
        if name.is_empty() {
            return Err(BuildError::Invalid(format!("{at} is a folder, and a file is to be copied over it")));
        }
        Ok((self.folder(folder)?.0, name))
    }

    /// The folder `at`, and whether it had to be made. Those above it are made as well, with mode 0755.
    fn folder(&self, at: &str) -> Result<(OwnedFd, bool), BuildError> {
        make_folder(self.root, at, self.owner.unwrap_or_default())
    }

    /// A new file in place of whatever is there but a folder.
    fn fresh(&self, parent: &OwnedFd, name: &str, at: &str) -> Result<OwnedFd, BuildError> {
        self.clear(parent, name, at)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(parent, name, flags, Bits::from_raw_mode(0o600)).call(|| "openat(O_CREAT | O_EXCL)").to(|| format!("write {at}"))
    }

    fn clear(&self, parent: &OwnedFd, name: &str, at: &str) -> Result<(), BuildError> {
        match unlinkat(parent, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => Err(BuildError::Invalid(format!("cannot copy to {at}: a folder is there"))),
            Err(errno) => Err(sys::Error::new("unlinkat()", errno)).to(|| format!("replace {at}")),
        }
    }
}

/// As many symbolic links as the kernel follows.
const LINKS: usize = 40;

/// The folder `at` below `root`, made with those above it if need be, and whether it was.
pub(super) fn make_folder(root: BorrowedFd<'_>, at: &str, owner: (u32, u32)) -> Result<(OwnedFd, bool), BuildError> {
    match open(root, at, OFlags::RDONLY | OFlags::DIRECTORY) {
        Ok(folder) => Ok((folder, false)),
        Err(error) if error.errno() == Errno::NOENT => Ok((make_missing(root, at, owner, LINKS)?, true)),
        Err(error) if error.errno() == Errno::NOTDIR => Err(BuildError::Invalid(format!("{at} goes through what is no folder"))),
        Err(error) => Err(error).to(|| format!("make the folder {at}")),
    }
}

/// Makes what is missing of a path, from the first folder on that is: what is above it is followed as a process in the root would. Where a
/// link leads to what is not there, that is made.
fn make_missing(root: BorrowedFd<'_>, at: &str, owner: (u32, u32), links: usize) -> Result<OwnedFd, BuildError> {
    let what = || format!("make the folder {at}");
    let existing = |path: &str| open(root, path, OFlags::RDONLY | OFlags::DIRECTORY);
    let ends = at.match_indices('/').map(|(end, _)| end).filter(|end| *end > 0).chain([at.len()]);
    let mut parent = existing("").to(what)?;
    let mut start = 0;
    for end in ends {
        let (above, name) = (&at[..start], at[start..end].trim_start_matches('/'));
        start = end;
        if name.is_empty() {
            continue;
        }
        match existing(&at[..end]) {
            Ok(folder) => {
                parent = folder;
                continue;
            }
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) => return Err(error).to(what),
        }
        if let Ok(target) = readlinkat(&parent, name, Vec::new()) {
            if links == 0 {
                return Err(BuildError::Invalid(format!("{at} leads through too many symbolic links")));
            }
            let target = target.to_string_lossy();
            let whole = if target.starts_with('/') { target.into_owned() } else { format!("{above}/{target}") };
            let whole = format!("/{}", clean(&format!("/{whole}{}", &at[end..])));
            return make_missing(root, &whole, owner, links - 1);
        }
        parent = make_one(&parent, name, owner).to(what)?;
    }
    Ok(parent)
}

fn make_one(parent: &OwnedFd, name: &str, (uid, gid): (u32, u32)) -> sys::Result<OwnedFd> {
    mkdirat(parent, name, Bits::from_raw_mode(0o755)).call(|| format!("mkdirat({name:?})"))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let new = openat(parent, name, flags, Bits::empty()).call(|| format!("openat({name:?})"))?;
    fchown(&new, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).call(|| "fchown()")?;
    fchmod(&new, Bits::from_raw_mode(0o755)).call(|| "fchmod()")?;
    Ok(new)
}

fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> sys::Result<OwnedFd> {
    let path = path.trim_start_matches('/');
    sys::fs::open_in_root(root, if path.is_empty() { "." } else { path }, flags, Bits::empty())
}

fn modified(stat: &Stat) -> Timestamps {
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
    Timestamps { last_access: time, last_modification: time }
}

fn copy_bytes(to: &OwnedFd, from: &OwnedFd) -> sys::Result<()> {
    loop {
        match sendfile(to, from, None, 1 << 24) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(sys::Error::new("sendfile()", errno)),
        }
    }
}

/// What programs may do, and what users have noted.
fn copy_xattrs(to: &OwnedFd, from: &OwnedFd) -> sys::Result<()> {
    let mut names = [0; 4096];
    let length = match flistxattr(from, &mut names[..]) {
        Err(Errno::OPNOTSUPP | Errno::RANGE) => 0,
        length => length.call(|| "flistxattr()")?,
    };
    let mut value = vec![0; 64 << 10];
    let wanted =
        |name: &&[u8]| *name == b"security.capability" || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.");
    for name in names[..length].split(|byte| *byte == 0).filter(wanted) {
        let length = fgetxattr(from, name, &mut value[..]).call(|| "fgetxattr()")?;
        fsetxattr(to, name, &value[..length], XattrFlags::empty()).call(|| "fsetxattr()")?;
    }
    Ok(())
}

/// Whether a folder is there already: of an image's working folder, say.
pub(super) fn is_folder(root: BorrowedFd<'_>, at: &str) -> bool {
    open(root, at, OFlags::PATH | OFlags::DIRECTORY).is_ok()
}
