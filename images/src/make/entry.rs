//! Files, folders and marks as members of an archive, each read once.

use std::collections::HashMap;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, fgetxattr, flistxattr, fremovexattr, fstat,
    futimens, lgetxattr, llistxattr, openat2, readlinkat, statat, unlinkat, utimensat,
};
use rustix::io::Errno;
use sys::Call;
use tar::EntryType;

use super::header::{Member, pad};
use super::owners::Owners;
use crate::unpack::path::{show, split};
use crate::unpack::{is_wanted_xattr, os};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;
/// Room for the names of a file's extended attributes, and for one of their values (xattr(7)).
const XATTRS: usize = 64 << 10;
/// How to read.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading {
    /// No file is newer than that: seconds since 1970.
    pub(super) newest: Option<i64>,
    /// It is the upper folder of an overlay: devices 0/0 are whiteouts, and names of whiteouts cannot be.
    pub(super) layer: bool,
    /// The folder becomes a layer as it is: what does not belong into one is taken away, and times are set as in the archive if
    /// `newest` changes them.
    pub(super) clean: bool,
    /// Whose files they are.
    pub(super) owners: Owners,
}

/// What was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Sizes of all files.
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// Why a folder cannot be packed.
pub(super) enum Failed {
    /// At this path.
    Call(Vec<u8>, sys::Error),
    /// Whoever takes the archive does not.
    Write(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Failed::Write(error)
    }
}

/// A failure whose path is not known yet, or is.
pub(super) enum Broken {
    Here(sys::Error),
    Known(Failed),
}

impl Broken {
    pub(super) fn at(self, path: &[u8]) -> Failed {
        match self {
            Broken::Here(error) => Failed::Call(path.to_vec(), error),
            Broken::Known(failed) => failed,
        }
    }
}

impl From<sys::Error> for Broken {
    fn from(error: sys::Error) -> Self {
        Broken::Here(error)
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Broken::Known(error.into())
    }
}

type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Writes the members of one archive.
pub(super) struct Packer<'a, W> {
    reading: Reading,
    out: &'a mut W,
    /// The first path of each file that has several.
    links: HashMap<(u64, u64), Vec<u8>>,
    counted: Counted,
    piece: Vec<u8>,
    names: Vec<u8>,
    value: Vec<u8>,
}

impl<'a, W: Write> Packer<'a, W> {
    /// An archive without a member.
    pub(super) fn new(reading: Reading, out: &'a mut W) -> Self {
        let (piece, names, value) = (vec![0; PIECE], vec![0; XATTRS], vec![0; XATTRS]);
        Packer { reading, out, links: HashMap::new(), counted: Counted::default(), piece, names, value }
    }

    /// Writes the archive's end.
    pub(super) fn end(self) -> Result<Counted, Failed> {
        self.out.write_all(&[0; 1024])?;
        Ok(self.counted)
    }

    /// A file as the archive has it.
    fn member<'p>(&self, path: &'p [u8], stat: &Stat) -> Member<'p> {
        let (uid, gid) = self.reading.owners.of(stat.st_uid, stat.st_gid);
        Member { uid, gid, ..Member::of(path, stat, self.time(stat)) }
    }

    /// The root is a member only where it is not what everybody makes by default.
    pub(super) fn root(&mut self, root: BorrowedFd<'_>) -> Result<(), Broken> {
        let root = open_below(root, b"", OFlags::DIRECTORY)?;
        let stat = fstat(&root).call(|| "fstat()")?;
        let xattrs = self.xattrs(root.as_fd())?.0;
        let member = self.member(b".", &stat);
        if (member.mode, member.uid, member.gid) != (0o755, 0, 0) || !xattrs.is_empty() {
            Member { xattrs: &xattrs, ..member }.write(self.out)?;
        }
        self.settle(&root, &stat)?;
        Ok(())
    }

    /// Writes one name. Answers whether it is a folder.
    pub(super) fn entry(&mut self, folder: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<bool, Broken> {
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).call(|| "fstatat()")?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let whiteout = self.reading.layer && kind == FileType::CharacterDevice && stat.st_rdev == 0;
        if self.reading.layer && name.starts_with(b".wh.") {
            // In an archive it would hide another file instead of being one.
            return Err(sys::Error::new("a name that begins with .wh. cannot be in a layer", Errno::INVAL).into());
        }
        if kind == FileType::Socket {
            // No archive can hold one.
            if self.reading.clean {
                unlinkat(folder, name, AtFlags::empty()).call(|| "unlinkat()")?;
            }
            return Ok(false);
        }
        if whiteout {
            self.hidden(path)?;
            return Ok(false);
        }
        if kind == FileType::Directory {
            if self.folder(folder, name, path)? {
                self.opaque(path)?;
            }
            return Ok(true);
        }
        self.counted.entries += 1;
        match kind {
            FileType::RegularFile => self.file(folder, name, path, &stat)?,
            _ => self.node(folder, name, path, &stat)?,
        }
        Ok(false)
    }

    /// Writes a folder without what is in it. Answers whether it says that nothing of the layers below shows in it.
    pub(super) fn folder(&mut self, parent: BorrowedFd<'_>, name: &[u8], path: &[u8]) -> Result<bool, Broken> {
        let open = open_below(parent, name, OFlags::DIRECTORY)?;
        let stat = fstat(&open).call(|| "fstat()")?;
        let (xattrs, opaque) = self.xattrs(open.as_fd())?;
        self.counted.entries += 1;
        Member { xattrs: &xattrs, ..self.member(path, &stat) }.write(self.out)?;
        Ok(opaque)
    }

    /// Says that nothing of the layers below shows in the folder `path`.
    pub(super) fn opaque(&mut self, path: &[u8]) -> Result<(), Broken> {
        self.counted.entries += 1;
        Ok(Member::mark(&[path, b"/.wh..wh..opq"].concat()).write(self.out)?)
    }

    /// Says that `path`, which the layers below have, is not there.
    pub(super) fn hidden(&mut self, path: &[u8]) -> Result<(), Broken> {
        self.counted.entries += 1;
        let (above, name) = split(path);
        let mark = if above.is_empty() { [b".wh.", name].concat() } else { [above, b"/.wh.", name].concat() };
        Ok(Member::mark(&mark).write(self.out)?)
    }

    fn file(&mut self, folder: BorrowedFd<'_>, name: &[u8], path: &[u8], stat: &Stat) -> Result<(), Broken> {
        if self.is_linked(path, stat)? {
            return Ok(());
        }
        let open = open_below(folder, name, OFlags::empty())?;
        let (xattrs, _) = self.xattrs(open.as_fd())?;
        let member = Member { xattrs: &xattrs, ..self.member(path, stat) };
        let size = member.size;
        member.write(self.out)?;
        self.bytes(&open, size)?;
        self.counted.bytes = self.counted.bytes.saturating_add(size);
        self.settle(&open, stat)
    }

    /// A further name of a file that is in the archive.
    fn is_linked(&mut self, path: &[u8], stat: &Stat) -> Result<bool, Broken> {
        if stat.st_nlink < 2 {
            return Ok(false);
        }
        let key = (stat.st_dev, stat.st_ino);
        let Some(first) = self.links.get(&key) else {
            self.links.insert(key, path.to_vec());
            return Ok(false);
        };
        Member { kind: EntryType::Link, link: first, size: 0, ..self.member(path, stat) }.write(self.out)?;
        Ok(true)
    }

    /// Just so many bytes as the header says, whatever becomes of the file meanwhile.
    fn bytes(&mut self, file: &OwnedFd, size: u64) -> Result<(), Broken> {
        let mut left = size;
        while left > 0 {
            let most = left.min(PIECE as u64) as usize;
            let length = match rustix::io::read(file, &mut self.piece[..most]) {
                Err(Errno::INTR) => continue,
                length => length.call(|| "read()")?,
            };
            if length == 0 {
                self.piece[..most].fill(0);
            }
            let length = if length == 0 { most } else { length };
            self.out.write_all(&self.piece[..length])?;
            left -= length as u64;
        }
        Ok(pad(self.out, size)?)
    }

    /// Symbolic links, devices and pipes.
    fn node(&mut self, folder: BorrowedFd<'_>, name: &[u8], path: &[u8], stat: &Stat) -> Result<(), Broken> {
        let link = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => readlinkat(folder, name, Vec::new()).call(|| "readlinkat()")?.into_bytes(),
            _ => Vec::new(),
        };
        if self.is_linked(path, stat)? {
            return Ok(());
        }
        let place = [format!("/proc/self/fd/{}/", folder.as_raw_fd()).as_bytes(), name].concat();
        let length = none_if_unsupported(llistxattr(&place, &mut self.names[..])).call(|| "llistxattr()")?;
        let mut xattrs = Xattrs::new();
        for key in self.names[..length].split(|byte| *byte == 0).filter(|key| is_packed(key)) {
            let length = lgetxattr(&place, key, &mut self.value[..]).call(|| format!("lgetxattr({})", show(key)))?;
            xattrs.push((key.to_vec(), self.value[..length].to_vec()));
        }
        xattrs.sort();
        Member { link: &link, xattrs: &xattrs, ..self.member(path, stat) }.write(self.out)?;
        if self.is_too_new(stat) {
            let time = Timespec { tv_sec: self.time(stat), tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            utimensat(folder, name, &times, AtFlags::SYMLINK_NOFOLLOW).call(|| "utimensat()")?;
        }
        Ok(())
    }

    /// The extended attributes that go with a file, sorted, and whether it is a folder that hides what is below it. What overlayfs notes
    /// for itself is taken away, if the folder is to be clean.
    fn xattrs(&mut self, file: BorrowedFd<'_>) -> Result<(Xattrs, bool), Broken> {
        let length = none_if_unsupported(flistxattr(file, &mut self.names[..])).call(|| "flistxattr()")?;
        let (mut xattrs, mut opaque) = (Xattrs::new(), false);
        for key in self.names[..length].split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
            if let (true, Some(own)) = (self.reading.layer, key.strip_prefix(sys::overlay::prefix().as_bytes())) {
                if own == b"opaque" {
                    let length = fgetxattr(file, key, &mut self.value[..]).call(|| format!("fgetxattr({})", show(key)))?;
                    opaque = self.value[..length] == *b"y";
                    if opaque {
                        continue;
                    }
                }
                if own == b"redirect" || own == b"metacopy" {
                    // The rest of it is in the layers below: nothing of ours mounts overlays so.
                    return Err(sys::Error::new(format!("overlayfs left {}", show(key)), Errno::OPNOTSUPP).into());
                }
                if self.reading.clean {
                    fremovexattr(file, key).call(|| format!("fremovexattr({})", show(key)))?;
                }
            } else if is_packed(key) {
                let length = fgetxattr(file, key, &mut self.value[..]).call(|| format!("fgetxattr({})", show(key)))?;
                let value = &self.value[..length];
                let value = if key == b"security.capability" { self.reading.owners.capability(value) } else { value.to_vec() };
                xattrs.push((key.to_vec(), value));
            }
        }
        xattrs.sort();
        Ok((xattrs, opaque))
    }

    fn time(&self, stat: &Stat) -> i64 {
        let own = stat.st_mtime;
        self.reading.newest.map_or(own, |newest| own.min(newest))
    }

    fn is_too_new(&self, stat: &Stat) -> bool {
        self.reading.clean && self.reading.newest.is_some_and(|newest| stat.st_mtime > newest)
    }

    /// Gives what stays the time that the archive says.
    pub(super) fn settle(&self, file: &OwnedFd, stat: &Stat) -> Result<(), Broken> {
        if self.is_too_new(stat) {
            let time = Timespec { tv_sec: self.time(stat), tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            futimens(file, &times).call(|| "utimensat()")?;
        }
        Ok(())
    }
}

/// Whether an extended attribute belongs to the file rather than to this host.
fn is_packed(key: &[u8]) -> bool {
    !key.is_empty() && is_wanted_xattr(key) && key != b"security.selinux" && key != b"security.ima" && key != b"security.evm"
}

fn none_if_unsupported(length: rustix::io::Result<usize>) -> rustix::io::Result<usize> {
    if length == Err(Errno::OPNOTSUPP) { Ok(0) } else { length }
}

/// Opens something below a folder of the store, without following any link.
pub(super) fn open_below(folder: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> sys::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let flags = flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(folder, os(path), flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            open => return open.call(|| format!("openat2({}, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)", show(path))),
        }
    }
}
