//! Members of an archive become names and inodes.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::BufRead;

use rustix::fs::FileType;

use super::format::{Attributes, BLOCK, INODE, Inode, Layout, ROOT_ROOM, device};
use super::inodes::Inodes;
use super::names::{Names, ROOT};
use super::output::Output;
use super::sum::Sum;
use super::walk::{self, Last};
use super::xattr::{self, Of};
use crate::unpack::archive::{Archive, Kind, Member};
use crate::unpack::path::{clean, split};
use crate::unpack::{Error, Failed, Layer, Malformed, Place, Target, budget};

/// Files of so many bytes at most are behind their inodes. With larger ones, too few inodes would lie together.
const INLINE: u64 = 1024;

/// Files of so many bytes and more are remembered by their places: most of what a layer has is in such ones.
const LARGE: u64 = 16 << 10;

/// Most bytes of a symbolic link's target (symlink(2)).
const LINK: usize = 4095;

/// Most bytes of a path, as in a system call.
const PATH: usize = 4095;

/// Room that the root folder's entries and marks have at least.
const ROOT_SPARE: usize = 64;

/// An image being written.
pub(crate) struct Image {
    pub(super) names: Names,
    pub(super) out: Output,
    pub(super) inodes: Inodes,
    /// Inodes that may have several names.
    pub(super) linked: HashSet<u64>,
    /// Inodes so far.
    pub(super) count: u32,
    pub(super) last: Last,
    /// Links whose target is not in this layer, and the target.
    foreign: BTreeMap<Vec<u8>, Vec<u8>>,
    foreign_taken: budget::Foreign,
    bytes: u64,
    places: Vec<Place>,
}

impl Image {
    /// An image in the empty file `file`, open for reading and writing.
    pub(crate) fn new(file: File) -> sys::Result<Self> {
        let mut out = Output::new(file, 0, Sum::default());
        out.skip(1)?;
        Ok(Image::on(out))
    }

    /// An image of which only the root folder is known.
    pub(super) fn on(out: Output) -> Self {
        Image {
            names: Names::new(),
            out,
            inodes: Inodes::default(),
            linked: HashSet::new(),
            count: 1,
            last: Last::default(),
            foreign: BTreeMap::new(),
            foreign_taken: budget::Foreign::default(),
            bytes: 0,
            places: Vec::new(),
        }
    }

    fn file<R: BufRead>(&mut self, member: &Member, archive: &mut Archive<R>) -> Result<(FileType, u64), Failed> {
        let attributes = attributes(member, Of::File)?;
        let mut inline = Vec::new();
        let mut start = 0;
        let room = BLOCK - INODE - xattr::size(xattr::units(&attributes.xattrs)).min(BLOCK - INODE);
        if member.segments.is_none() && member.size <= INLINE.min(room as u64) {
            copy(member.size, archive, |bytes| {
                inline.extend_from_slice(bytes);
                Ok(())
            })?;
        } else {
            start = self.out.block();
            self.content(member, archive)?;
        }
        self.bytes = self.bytes.saturating_add(member.size);
        let layout = if inline.is_empty() { Layout::Plain } else { Layout::Inline };
        let inode = Inode { kind: FileType::RegularFile, layout, size: member.size, start, links: 1 };
        Ok((FileType::RegularFile, self.put(&inode, &attributes, &inline)?))
    }

    /// Writes a file's bytes. Holes stay holes, as far as they have whole blocks.
    fn content<R: BufRead>(&mut self, member: &Member, archive: &mut Archive<R>) -> Result<(), Failed> {
        let out = &mut self.out;
        let mut at = 0;
        for segment in member.segments.iter().flatten().filter(|segment| segment.length > 0) {
            out.zeros(segment.offset - at)?;
            copy(segment.length, archive, |bytes| out.append(bytes))?;
            at = segment.offset + segment.length;
        }
        match &member.segments {
            Some(_) => out.zeros(member.size - at)?,
            None => {
                if member.size >= LARGE {
                    self.places.push(Place { blob: archive.at(), image: out.position(), length: member.size });
                }
                copy(member.size, archive, |bytes| out.append(bytes))?
            }
        }
        Ok(out.pad()?)
    }

    /// Symbolic links, devices and pipes.
    fn node(&mut self, member: &Member) -> Result<(FileType, u64), Failed> {
        let (major, minor) = member.device;
        let (kind, start, inline): (_, _, &[u8]) = match member.kind {
            Kind::CharDevice if (major, minor) == (0, 0) => return Ok((FileType::CharacterDevice, 0)),
            Kind::CharDevice => (FileType::CharacterDevice, device(major, minor), b""),
            Kind::BlockDevice => (FileType::BlockDevice, device(major, minor), b""),
            Kind::Symlink => (FileType::Symlink, 0, &member.link),
            _ => (FileType::Fifo, 0, b""),
        };
        let mut attributes = attributes(member, Of::Other)?;
        if kind == FileType::Symlink {
            match inline.len() {
                0 => return Err(Malformed("a symbolic link leads nowhere").into()),
                1..=LINK => attributes.mode = 0o777,
                _ => return Err(Malformed("a symbolic link's target is longer than 4095 bytes").into()),
            }
        }
        let size = inline.len() as u64;
        if INODE + xattr::size(xattr::units(&attributes.xattrs)) + inline.len() <= BLOCK {
            let layout = if inline.is_empty() { Layout::Plain } else { Layout::Inline };
            return Ok((kind, self.put(&Inode { kind, layout, size, start, links: 1 }, &attributes, inline)?));
        }
        let start = if inline.is_empty() { start } else { self.out.block() };
        self.out.append(inline)?;
        self.out.pad()?;
        Ok((kind, self.put(&Inode { kind, layout: Layout::Plain, size, start, links: 1 }, &attributes, b"")?))
    }

    /// A further name of what is there, if the layer has it.
    fn link(&mut self, folder: &[u8], name: &[u8], member: &Member) -> Result<(), Failed> {
        let target = clean(&member.link).ok_or(Failed::Outside)?;
        let parent = walk::make(&mut self.names, folder, &mut self.last)?;
        let (above, target_name) = split(&target);
        let found = walk::find(&self.names, above, &mut self.last)?;
        let Some(found) = found.and_then(|above| self.names.find(above, target_name)) else {
            return self.link_below(folder, name, target);
        };
        let entry = self.names.entries[found as usize];
        let kind = self.names.kind(&entry);
        // A link to itself: taking the old name away first would lose the file.
        if let Some(other) = self.names.find(parent, name).map(|at| self.names.entries[at as usize]) {
            let other = (self.names.kind(&other), other.target);
            if other == (kind, entry.target) {
                return Ok(());
            }
            if other.0 == FileType::Directory && self.names.is_within(entry.parent, other.1 as u32) {
                return Err(Malformed("a hard link replaces the folder of its target").into());
            }
        }
        if kind == FileType::Directory {
            return Err(Malformed("a hard link to a folder").into());
        }
        let text = if kind == FileType::Symlink { self.names.link(&entry).to_vec() } else { Vec::new() };
        self.linked.insert(entry.target);
        self.replace(parent, name, (kind, entry.target), &text)
    }

    fn link_below(&mut self, folder: &[u8], name: &[u8], target: Vec<u8>) -> Result<(), Failed> {
        let path = [folder, name].join(if folder.is_empty() { &b""[..] } else { b"/" });
        self.foreign_taken.take(&path, &target)?;
        self.foreign.insert(path, target);
        Ok(())
    }

    fn folder(&mut self, path: &[u8], member: &Member) -> Result<(), Failed> {
        let attributes = attributes(member, Of::Folder)?;
        if path.is_empty() {
            return self.describe(ROOT, attributes);
        }
        let (folder, name) = split(path);
        let parent = walk::make(&mut self.names, folder, &mut self.last)?;
        let folder = match self.names.find(parent, name) {
            None => self.names.add_folder(parent, name)?,
            Some(at) if walk::is_whiteout(&self.names, at) => walk::replace_whiteout(&mut self.names, at, parent, name)?,
            Some(at) => {
                let entry = self.names.entries[at as usize];
                if self.names.kind(&entry) == FileType::Directory {
                    entry.target as u32
                } else {
                    self.remove(at);
                    self.names.add_folder(parent, name)?
                }
            }
        };
        self.describe(folder, attributes)
    }

    /// Sets a folder's attributes.
    pub(super) fn describe(&mut self, folder: u32, attributes: Attributes) -> Result<(), Failed> {
        if folder == ROOT && INODE + xattr::size(xattr::units(&attributes.xattrs)) + ROOT_SPARE > ROOT_ROOM {
            return Err(Malformed("the root folder's extended attributes are too long").into());
        }
        Ok(self.names.describe(folder, attributes)?)
    }

    /// Gives a name to an inode. What bore it goes: a later entry replaces an earlier one.
    pub(super) fn replace(&mut self, parent: u32, name: &[u8], (kind, target): (FileType, u64), link: &[u8]) -> Result<(), Failed> {
        if let Some(at) = self.names.find(parent, name) {
            self.remove(at);
        }
        self.names.add(parent, name, kind, target, link)?;
        Ok(())
    }

    fn remove(&mut self, at: u32) {
        let entry = self.names.entries[at as usize];
        if self.names.kind(&entry) == FileType::Directory && !self.foreign.is_empty() {
            let folder = self.names.path(entry.target as u32);
            crate::unpack::path::remove_within(&mut self.foreign, &folder);
        }
        self.names.remove(at);
        self.last.forget();
    }

    /// Puts an inode into the file, and answers its place.
    pub(super) fn put(&mut self, inode: &Inode, attributes: &Attributes, inline: &[u8]) -> sys::Result<u64> {
        let mut bytes = Vec::with_capacity(256);
        self.count += 1;
        inode.encode(attributes, self.count, &mut bytes);
        bytes.extend_from_slice(inline);
        self.inodes.put(&bytes, &mut self.out)
    }
}

impl Target for Image {
    fn add<R: BufRead>(&mut self, path: &[u8], member: &Member, archive: &mut Archive<R>) -> Result<(), Failed> {
        if path.len() > PATH {
            return Err(Malformed("a path is longer than 4095 bytes").into());
        }
        if !self.foreign.is_empty() {
            self.foreign.remove(path);
        }
        if member.kind == Kind::Dir {
            return self.folder(path, member);
        }
        let (folder, name) = split(path);
        if member.kind == Kind::Link {
            return self.link(folder, name, member);
        }
        // Before its bytes are written, so that a name that cannot be is no reason to write them.
        let parent = walk::make(&mut self.names, folder, &mut self.last)?;
        let inode = if member.kind == Kind::File { self.file(member, archive)? } else { self.node(member)? };
        self.replace(parent, name, inode, &member.link)
    }

    fn hide(&mut self, folder: &[u8], name: &[u8]) -> Result<(), Failed> {
        let parent = walk::make(&mut self.names, folder, &mut self.last)?;
        match self.names.find(parent, name).map(|at| self.names.entries[at as usize]) {
            None => drop(self.names.add(parent, name, FileType::CharacterDevice, 0, b"")?),
            Some(entry) if self.names.kind(&entry) == FileType::Directory => {
                self.names.folders[entry.target as usize].opaque = true;
            }
            Some(_) => {}
        }
        Ok(())
    }

    fn hide_all(&mut self, folder: &[u8]) -> Result<(), Failed> {
        let folder = walk::make(&mut self.names, folder, &mut self.last)?;
        self.names.folders[folder as usize].opaque = true;
        Ok(())
    }

    fn finish(mut self, entries: u64) -> Result<Layer, Error> {
        budget::implicit(self.names.implicit_bytes()).map_err(|source| Error::Malformed { after: entries, source })?;
        let (bytes, foreign) = (self.bytes, std::mem::take(&mut self.foreign).into_iter().collect());
        let places = std::mem::take(&mut self.places);
        let (written, implicit) = self.write().map_err(|source| Error::Entry { entry: "/".to_owned(), source })?;
        Ok(Layer { bytes, entries, implicit, foreign, erofs: Some(written), sums: None, places })
    }
}

fn attributes(member: &Member, of: Of) -> Result<Attributes, Malformed> {
    let xattrs = xattr::encode(&member.xattrs, of)?;
    let Member { mode, uid, gid, mtime, .. } = *member;
    Ok(Attributes { mode: mode as u16 & 0o7777, uid, gid, mtime, xattrs })
}

/// Hands on a member's next bytes, in pieces as large as the input has them.
fn copy<R: BufRead>(mut left: u64, archive: &mut Archive<R>, mut each: impl FnMut(&[u8]) -> sys::Result<()>) -> Result<(), Failed> {
    while left > 0 {
        let bytes = archive.data(left).map_err(Failed::Read)?;
        each(bytes)?;
        let length = bytes.len();
        archive.consume(length);
        left -= length as u64;
    }
    Ok(())
}
