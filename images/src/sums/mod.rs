//! What a folder tree is made of, so that a changed bit, a lost file and a foreign one are found, and named.
//!
//! It is a text beside the tree, written in the pass that unpacks it: each line says what was done, a later line about a path replaces
//! what earlier ones said, and nothing is kept in memory or read again. Paths are [`escape`]d.
//!
//! ```text
//! 100755 0 0 1234 89abcdef01234567 usr/bin/sh   type and mode, owner, group, size, and the sum of what is in it: of a file's blocks
//!                                               (`erofs::Sum`), of a symbolic link's target, or a device's number
//! folder usr/lib                                a folder whose attributes the layers below have
//! opaque usr/lib/x                              a folder that hides what the layers below have in it
//! hidden etc/motd                               a whiteout
//! link bin/sh usr/bin/sh                        the first path is now the same file as the second one
//! gone opt                                      removed, with all below it
//! ```
//!
//! Left out are times and other extended attributes: the file system keeps them with its own metadata, in its journal and, on ext4, XFS and
//! Btrfs, under its own checksums, which the bytes of files are not.

mod compare;
mod take;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, Write};

use twox_hash::XxHash3_64;

pub(crate) use compare::{Difference, compare, from_disk};
pub(crate) use take::take;

use crate::erofs::{Summing, Written};
use crate::unpack::path::{escape, remove_within, split, unescape};

/// What a path is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As stat(2) has it, with the type.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) size: u64,
    pub(crate) sum: u64,
}

/// The sum of a symbolic link's target.
pub(crate) fn sum_of(target: &[u8]) -> u64 {
    XxHash3_64::oneshot(target)
}

/// Bytes that are written at once.
const CHUNK: usize = 64 << 10;

/// The text in the making.
pub(crate) struct Log {
    file: File,
    buffer: Vec<u8>,
    size: u64,
    summing: Summing,
}

impl Log {
    /// Writes into an empty file.
    pub(crate) fn new(file: File) -> Self {
        Log { file, buffer: Vec::with_capacity(CHUNK + 512), size: 0, summing: Summing::default() }
    }

    pub(crate) fn entry(&mut self, path: &[u8], entry: &Entry) -> sys::Result<()> {
        let Entry { mode, uid, gid, size, sum } = entry;
        self.line(format_args!("{mode:o} {uid} {gid} {size} {sum:x}"), &[path])
    }

    pub(crate) fn folder(&mut self, path: &[u8]) -> sys::Result<()> {
        self.line(format_args!("folder"), &[path])
    }

    pub(crate) fn opaque(&mut self, path: &[u8]) -> sys::Result<()> {
        self.line(format_args!("opaque"), &[path])
    }

    pub(crate) fn hidden(&mut self, path: &[u8]) -> sys::Result<()> {
        self.line(format_args!("hidden"), &[path])
    }

    pub(crate) fn link(&mut self, path: &[u8], target: &[u8]) -> sys::Result<()> {
        self.line(format_args!("link"), &[path, target])
    }

    pub(crate) fn gone(&mut self, path: &[u8]) -> sys::Result<()> {
        self.line(format_args!("gone"), &[path])
    }

    /// What was written.
    pub(crate) fn finish(mut self) -> sys::Result<Written> {
        self.flush()?;
        Ok(Written { size: self.size, sum: self.summing.take() })
    }

    fn line(&mut self, what: std::fmt::Arguments<'_>, paths: &[&[u8]]) -> sys::Result<()> {
        // Writing to memory does not fail.
        let _ = self.buffer.write_fmt(what);
        for path in paths {
            self.buffer.push(b' ');
            escape_into(path, &mut self.buffer);
        }
        self.buffer.push(b'\n');
        if self.buffer.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> sys::Result<()> {
        sys::fs::write_all(&self.file, &self.buffer)?;
        self.summing.push(&self.buffer);
        self.size += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Most paths need no escapes.
fn escape_into(path: &[u8], into: &mut Vec<u8>) {
    if path.iter().all(|byte| matches!(byte, b'!'..=b'~') && *byte != b'%') {
        into.extend_from_slice(path);
    } else {
        into.extend_from_slice(escape(path).as_bytes());
    }
}

/// What a folder should hold.
#[derive(Debug, Default)]
struct Folder {
    names: BTreeMap<Vec<u8>, What>,
    opaque: bool,
}

/// What a name should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Entry(Entry),
    /// Attributes do not matter.
    Folder,
    Hidden,
}

/// Folders by their paths, the root's being empty, and what the root itself should be.
#[derive(Debug)]
struct Content {
    root: What,
    folders: BTreeMap<Vec<u8>, Folder>,
}

/// What all lines come to; nothing if one of them makes no sense.
fn read(lines: impl BufRead) -> Option<Content> {
    let mut content = Content { root: What::Folder, folders: BTreeMap::from([(Vec::new(), Folder::default())]) };
    for line in lines.lines() {
        content.take(&line.ok()?)?;
    }
    Some(content)
}

impl Content {
    fn take(&mut self, line: &str) -> Option<()> {
        let mut words = line.split(' ');
        let first = words.next()?;
        let path = |word: Option<&str>| word.map(unescape);
        match first {
            "folder" => self.put(path(words.next())?, What::Folder),
            "hidden" => self.put(path(words.next())?, What::Hidden),
            "opaque" => {
                let path = path(words.next())?;
                // It may have taken a whiteout's place.
                if !self.at(&path).is_some_and(What::is_folder) {
                    self.put(path.clone(), What::Folder)?;
                }
                self.folders.get_mut(&path)?.opaque = true;
                Some(())
            }
            "link" => {
                let (path, target) = (path(words.next())?, path(words.next())?);
                let what = self.at(&target)?;
                self.put(path, what)
            }
            "gone" => {
                let path = path(words.next())?;
                let (folder, name) = split(&path);
                self.folders.get_mut(folder)?.names.remove(name);
                remove_within(&mut self.folders, &path);
                Some(())
            }
            mode => {
                let mut number = || words.next()?.parse().ok();
                let (uid, gid, size) = (number()?, number()?, number()?);
                let sum = u64::from_str_radix(words.next()?, 16).ok()?;
                let (uid, gid) = (u32::try_from(uid).ok()?, u32::try_from(gid).ok()?);
                let entry = Entry { mode: u32::from_str_radix(mode, 8).ok()?, uid, gid, size, sum };
                self.put(path(words.next())?, What::Entry(entry))
            }
        }
    }

    fn put(&mut self, path: Vec<u8>, what: What) -> Option<()> {
        if path.is_empty() {
            self.root = what;
            return Some(());
        }
        let (folder, name) = split(&path);
        // Folders that nobody describes are told of at the end.
        self.folders.entry(folder.to_vec()).or_default().names.insert(name.to_vec(), what);
        if what.is_folder() {
            self.folders.entry(path).or_default();
        }
        Some(())
    }

    fn at(&self, path: &[u8]) -> Option<What> {
        let (folder, name) = split(path);
        if path.is_empty() { Some(self.root) } else { self.folders.get(folder)?.names.get(name).copied() }
    }
}

impl What {
    fn is_folder(self) -> bool {
        match self {
            What::Entry(entry) => rustix::fs::FileType::from_raw_mode(entry.mode) == rustix::fs::FileType::Directory,
            What::Folder => true,
            What::Hidden => false,
        }
    }
}
