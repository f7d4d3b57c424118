//! The names of an image that was written, so that it can be changed: only its folders are read, and only what this crate writes is
//! understood.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::FileType;
use sys::Call;

use super::Written;
use super::build::Image;
use super::format::{self, Attributes, BLOCK, DIRENT, INODE, ROOT as ROOT_AT, SLOT, kind_of};
use super::names::ROOT;
use super::output::Output;
use super::xattr;

/// Why an image cannot be read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    Call(sys::Error),
    /// Something in it cannot be.
    Damaged,
}

impl From<sys::Error> for Unreadable {
    fn from(error: sys::Error) -> Self {
        Unreadable::Call(error)
    }
}

impl From<crate::unpack::Malformed> for Unreadable {
    fn from(_: crate::unpack::Malformed) -> Self {
        Unreadable::Damaged
    }
}

/// Mode and owner of an image's root folder.
pub(crate) fn root(file: &File) -> Result<(u16, u32, u32), Unreadable> {
    let size = file.metadata().call(|| "fstat()")?.len();
    let Attributes { mode, uid, gid, .. } = Reader { file, size }.inode(ROOT_AT as u64)?.attributes;
    Ok((mode, uid, gid))
}

impl Image {
    /// Reads an image, open for reading and writing. What is added goes behind what is there.
    pub(crate) fn open(file: File, written: Written) -> Result<Self, Unreadable> {
        let reader = Reader { file: &file, size: written.size };
        let first = reader.read(0, BLOCK)?;
        let count = format::inodes(&first).ok_or(Unreadable::Damaged)?;
        let mut image = Image::on(Output::new(file.try_clone().call(|| "fcntl(F_DUPFD_CLOEXEC)")?, written.size, written.sum));
        image.count = count as u32;
        let mut todo = VecDeque::from([(ROOT, ROOT_AT as u64)]);
        while let Some((folder, at)) = todo.pop_front() {
            let inode = reader.inode(at)?;
            reader.entries(&inode, |name, kind, number| {
                let at = number.checked_mul(SLOT).ok_or(Unreadable::Damaged)?;
                if kind == FileType::Directory {
                    todo.push_back((image.names.add_folder(folder, name)?, at));
                } else {
                    let found =
                        matches!(kind, FileType::Symlink | FileType::CharacterDevice).then(|| reader.inode(at)).transpose()?;
                    let whiteout = kind == FileType::CharacterDevice && found.as_ref().is_some_and(|inode| inode.start == 0);
                    let link = match &found {
                        Some(inode) if kind == FileType::Symlink => reader.content(inode)?,
                        _ => Vec::new(),
                    };
                    image.names.add(folder, name, kind, if whiteout { 0 } else { at }, &link)?;
                }
                Ok(())
            })?;
            let (xattrs, opaque) = xattr::split_opaque(&inode.attributes.xattrs).ok_or(Unreadable::Damaged)?;
            image.names.describe(folder, Attributes { xattrs, ..inode.attributes })?;
            image.names.folders[folder as usize].opaque = opaque;
        }
        Ok(image)
    }
}

/// An inode as far as it is understood.
struct Inode {
    attributes: Attributes,
    inline: bool,
    size: u64,
    start: u32,
    /// Where inline data is.
    behind: u64,
}

struct Reader<'a> {
    file: &'a File,
    size: u64,
}

impl Reader<'_> {
    fn read(&self, at: u64, length: usize) -> Result<Vec<u8>, Unreadable> {
        if at.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(Unreadable::Damaged);
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at).call(|| format!("pread({length} bytes at {at})"))?;
        Ok(bytes)
    }

    fn inode(&self, at: u64) -> Result<Inode, Unreadable> {
        let bytes = self.read(at, INODE)?;
        let two = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let four = |at: usize| u32::from(two(at)) | u32::from(two(at + 2)) << 16;
        let eight = |at: usize| u64::from(four(at)) | u64::from(four(at + 4)) << 32;
        let inline = match two(0) {
            1 => false,
            5 => true,
            _ => return Err(Unreadable::Damaged),
        };
        let size = xattr::size(two(2));
        let xattrs = self.read(at + INODE as u64, size)?;
        let xattrs = xattrs.get(xattr::HEADER..).unwrap_or_default().into();
        let (mode, mtime) = (two(4) & 0o7777, (eight(32).cast_signed(), four(40)));
        let attributes = Attributes { mode, uid: four(24), gid: four(28), mtime, xattrs };
        Ok(Inode { attributes, inline, size: eight(8), start: four(16), behind: at + (INODE + size) as u64 })
    }

    /// The bytes of a folder or link.
    fn content(&self, inode: &Inode) -> Result<Vec<u8>, Unreadable> {
        let tail = if inode.inline { inode.size % BLOCK as u64 } else { 0 };
        let tail = if inode.inline && tail == 0 { inode.size.min(BLOCK as u64) } else { tail };
        let whole = usize::try_from(inode.size - tail).map_err(|_| Unreadable::Damaged)?;
        let mut bytes = self.read(u64::from(inode.start) * BLOCK as u64, whole)?;
        if inode.inline {
            bytes.extend_from_slice(&self.read(inode.behind, tail as usize)?);
        }
        Ok(bytes)
    }

    /// Calls `each` with name, type and number of a folder's entries, without itself and the one above.
    fn entries(
        &self,
        folder: &Inode,
        mut each: impl FnMut(&[u8], FileType, u64) -> Result<(), Unreadable>,
    ) -> Result<(), Unreadable> {
        for block in self.content(folder)?.chunks(BLOCK) {
            let at = |index: usize| {
                let name_at = block.get(index * DIRENT + 8..index * DIRENT + 10)?;
                Some(usize::from(u16::from_le_bytes([name_at[0], name_at[1]])))
            };
            let count = at(0).ok_or(Unreadable::Damaged)? / DIRENT;
            for index in 0..count {
                let start = at(index).ok_or(Unreadable::Damaged)?;
                let end = if index + 1 < count { at(index + 1) } else { Some(block.len()) }.ok_or(Unreadable::Damaged)?;
                let name = block.get(start..end).ok_or(Unreadable::Damaged)?;
                let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
                let entry = &block[index * DIRENT..][..DIRENT];
                let number = entry[..8].iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                if name != b"." && name != b".." {
                    each(name, kind_of(entry[10]), number)?;
                }
            }
        }
        Ok(())
    }
}
