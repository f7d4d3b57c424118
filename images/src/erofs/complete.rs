//! Changing an image by what the layers below have.

use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, Stat};

use super::Written;
use super::build::Image;
use super::format::{Attributes, Inode, Layout};
use super::walk;
use super::xattr::{self, Of};
use crate::unpack::path::split;
use crate::unpack::{Failed, Malformed, xattrs_of};

impl Image {
    /// Gives a folder, if it is there, the attributes of an open one.
    pub(crate) fn inherit(&mut self, path: &[u8], theirs: BorrowedFd<'_>, stat: &Stat) -> Result<(), Failed> {
        let Some(folder) = walk::find(&self.names, path, &mut self.last)? else { return Ok(()) };
        self.describe(folder, attributes(theirs, stat, Of::Folder)?)
    }

    /// Writes the folders anew.
    pub(crate) fn complete(self) -> sys::Result<Written> {
        self.write().map(|(written, _)| written)
    }

    /// Makes `link` a name of `target`, which is an open file of a layer below and becomes one of this layer. Where this layer has
    /// a file of that name, the link gets a copy of its own. Answers the folders that had to be made, and whether `target` is now the
    /// same file.
    pub(crate) fn copy_up(
        &mut self,
        link: &[u8],
        target: &[u8],
        theirs: BorrowedFd<'_>,
        stat: &Stat,
    ) -> Result<(Vec<Vec<u8>>, bool), Failed> {
        let before = self.names.folders.len() as u32;
        let (start, size) = (self.out.block(), stat.st_size as u64);
        let mut buffer = vec![0; 256 << 10];
        loop {
            match rustix::io::retry_on_intr(|| rustix::io::read(theirs, &mut buffer[..])) {
                Ok(0) => break,
                Ok(length) => self.out.append(&buffer[..length])?,
                Err(errno) => return Err(sys::Error::new("read()", errno).into()),
            }
        }
        self.out.pad()?;
        let inode = Inode { kind: FileType::RegularFile, layout: Layout::Plain, size, start, links: 1 };
        let at = self.put(&inode, &attributes(theirs, stat, Of::File)?, b"")?;
        self.linked.insert(at);
        self.name(link, at)?;
        let (folder, name) = split(target);
        let folder = walk::make(&mut self.names, folder, &mut self.last)?;
        let own = self.names.find(folder, name).is_none();
        if own {
            self.names.add(folder, name, FileType::RegularFile, at, b"")?;
        }
        Ok(((before..self.names.folders.len() as u32).map(|folder| self.names.path(folder)).collect(), own))
    }

    /// Makes `link` a further name of the file `target` of this layer.
    pub(crate) fn link_to(&mut self, link: &[u8], target: &[u8]) -> Result<(), Failed> {
        let (folder, name) = split(target);
        let folder = walk::find(&self.names, folder, &mut self.last)?;
        let Some(at) = folder.and_then(|folder| self.names.find(folder, name)) else {
            return Err(Malformed("the target of a link is gone").into());
        };
        let target = self.names.entries[at as usize].target;
        self.linked.insert(target);
        self.name(link, target)
    }

    fn name(&mut self, link: &[u8], at: u64) -> Result<(), Failed> {
        let (folder, name) = split(link);
        let folder = walk::make(&mut self.names, folder, &mut self.last)?;
        self.replace(folder, name, (FileType::RegularFile, at), b"")
    }
}

fn attributes(theirs: BorrowedFd<'_>, stat: &Stat, of: Of) -> Result<Attributes, Failed> {
    let xattrs = xattr::encode(&xattrs_of(theirs)?, of)?;
    let mtime = (stat.st_mtime, stat.st_mtime_nsec as u32);
    Ok(Attributes { mode: stat.st_mode as u16 & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime, xattrs })
}
