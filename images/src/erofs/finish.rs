//! Folders and superblock: what can be written only when everything is known.

use std::collections::HashMap;

use rustix::fs::FileType;

use super::Written;
use super::build::Image;
use super::format::{self, Attributes, BLOCK, DIRENT, INODE, Inode, LINKS, Layout, ROOT_ROOM, SLOT, dirent};
use super::inodes::place;
use super::names::{Entry, Names, ROOT};
use super::xattr;

/// Where a folder goes.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// Of its inode.
    at: u64,
    /// Blocks of entries before the inode's own, and the first of them.
    blocks: u32,
    start: u32,
    /// Bytes of the last entries. They are behind the inode, unless they make up one of the blocks.
    tail: u32,
    inline: bool,
}

impl Place {
    fn size(&self) -> u64 {
        let whole = if self.inline { self.blocks } else { self.blocks - 1 };
        u64::from(whole) * BLOCK as u64 + u64::from(self.tail)
    }
}

/// An entry of a folder.
#[derive(Clone, Copy)]
struct Item<'a> {
    name: &'a [u8],
    kind: FileType,
    target: u64,
}

impl Image {
    /// Writes what is left. Answers also which folders nobody described.
    pub(super) fn write(mut self) -> sys::Result<(Written, Vec<Vec<u8>>)> {
        self.names.sort();
        self.inodes.flush(&mut self.out)?;
        self.count_links()?;
        let whiteout = self.whiteout()?;
        let places = self.places();
        let number = |item: &Item<'_>| {
            let at = match (item.kind, item.target) {
                (FileType::Directory, folder) => places[folder as usize].at,
                (FileType::CharacterDevice, 0) => whiteout,
                (_, at) => at,
            };
            at / SLOT
        };
        for (folder, place) in self.live(&places) {
            let mut left = place.blocks;
            each_block(&self.names, folder, |items, size| {
                if left > 0 {
                    left -= 1;
                    let block = encode(items, number);
                    self.out.append(&block)?;
                    self.out.append(&[0; BLOCK][size..])?;
                }
                Ok(())
            })?;
        }
        let mut root = Vec::new();
        let mut bytes = Vec::new();
        for (folder, place) in self.live(&places) {
            bytes.clear();
            self.count += 1;
            self.encode_folder(folder, &place, &mut bytes);
            let mut left = place.blocks;
            each_block(&self.names, folder, |items, _| {
                if left == 0 {
                    bytes.extend_from_slice(&encode(items, number));
                }
                left = left.saturating_sub(1);
                Ok(())
            })?;
            if folder == ROOT {
                root.clone_from(&bytes);
            } else {
                self.out.zeros(place.at - self.out.position())?;
                self.out.append(&bytes)?;
            }
        }
        self.out.pad()?;
        let first = format::first_block(self.count.into(), self.out.block(), &root);
        self.out.patch(0, &first)?;
        let implicit = self.live(&places).filter(|(folder, _)| self.names.folders[*folder as usize].implicit);
        let mut implicit: Vec<_> = implicit.map(|(folder, _)| self.names.path(folder)).collect();
        implicit.sort();
        let (size, sum) = self.out.finish()?;
        Ok((Written { size, sum }, implicit))
    }

    /// Folders that are still there, in order.
    fn live<'a>(&self, places: &'a [Place]) -> impl Iterator<Item = (u32, Place)> + use<'a> {
        (0..).zip(places.iter().copied()).filter(|(_, place)| place.at > 0)
    }

    /// Tells inodes how many names they have.
    fn count_links(&mut self) -> sys::Result<()> {
        let mut counts: HashMap<u64, u32> = HashMap::new();
        if !self.linked.is_empty() {
            for entry in self.names.entries.iter().filter(|entry| self.linked.contains(&entry.target)) {
                if self.names.kind(entry) != FileType::Directory {
                    *counts.entry(entry.target).or_default() += 1;
                }
            }
        }
        for (inode, links) in counts.into_iter().filter(|(inode, links)| *inode > 0 && *links > 1) {
            self.out.patch(inode + LINKS, &links.to_le_bytes())?;
        }
        Ok(())
    }

    /// The one inode of all whiteouts, if there are any.
    fn whiteout(&mut self) -> sys::Result<u64> {
        let whiteouts = self.names.entries.iter();
        let count = whiteouts.filter(|entry| entry.target == 0 && self.names.kind(entry) == FileType::CharacterDevice).count();
        if count == 0 {
            return Ok(0);
        }
        let inode = Inode { kind: FileType::CharacterDevice, layout: Layout::Plain, size: 0, start: 0, links: count as u32 };
        let at = self.put(&inode, &Attributes::default(), b"")?;
        self.inodes.flush(&mut self.out)?;
        Ok(at)
    }

    /// Gives each folder its place: first all blocks of entries, then all inodes.
    fn places(&self) -> Vec<Place> {
        let mut places = vec![Place::default(); self.names.folders.len()];
        let mut block = self.out.block();
        let live = |folder: &usize| !self.names.folders[*folder].gone;
        for folder in (0..places.len()).filter(live) {
            let (mut blocks, mut tail) = (0, 0);
            let _ = each_block(&self.names, folder as u32, |_, size| {
                (blocks, tail) = (blocks + 1, size);
                Ok(())
            });
            let room = if folder == ROOT as usize { ROOT_ROOM } else { BLOCK };
            let inline = INODE + self.attributes_size(folder) + tail <= room;
            blocks -= u32::from(inline);
            places[folder] = Place { at: 0, blocks, start: block, tail: tail as u32, inline };
            block += blocks;
        }
        let start = u64::from(block) * BLOCK as u64;
        let mut used = 0u64;
        for folder in (0..places.len()).filter(live) {
            let place_of = &mut places[folder];
            if folder == ROOT as usize {
                place_of.at = format::ROOT as u64;
                continue;
            }
            let size = INODE + self.attributes_size(folder) + if place_of.inline { place_of.tail as usize } else { 0 };
            let at = if size > BLOCK { used.next_multiple_of(BLOCK as u64) } else { place_after(used, size) };
            place_of.at = start + at;
            used = at + size as u64;
        }
        places
    }

    fn attributes_size(&self, folder: usize) -> usize {
        let folder = &self.names.folders[folder];
        let mark = if folder.opaque { xattr::opaque(b"").len() } else { 0 };
        match folder.attributes.xattrs.len() + mark {
            0 => 0,
            some => xattr::HEADER + some,
        }
    }

    fn encode_folder(&self, folder: u32, place: &Place, bytes: &mut Vec<u8>) {
        let known = &self.names.folders[folder as usize];
        let mut attributes = known.attributes.clone();
        if known.opaque {
            attributes.xattrs = xattr::opaque(&attributes.xattrs);
        }
        let folders = self.names.children(folder).iter().filter(|entry| self.names.kind(entry) == FileType::Directory);
        let layout = if place.inline { Layout::Inline } else { Layout::Plain };
        let (size, links) = (place.size(), 2 + folders.count() as u32);
        let inode = Inode { kind: FileType::Directory, layout, size, start: place.start, links };
        inode.encode(&attributes, self.count, bytes);
    }
}

/// [`place`] in a file of any size.
fn place_after(used: u64, size: usize) -> u64 {
    let whole = used / BLOCK as u64 * BLOCK as u64;
    whole + place((used - whole) as usize, size) as u64
}

/// A folder's entries in the order of their bytes, with itself and the one above.
fn listing(names: &Names, folder: u32) -> impl Iterator<Item = Item<'_>> {
    let children = names.children(folder);
    let before = |name: &'static [u8]| children.partition_point(|entry| names.name(entry) < name);
    let (one, two) = (before(b"."), before(b".."));
    let item = move |entry: &Entry| Item { name: names.name(entry), kind: names.kind(entry), target: entry.target };
    let own = |name, target: u32| Item { name, kind: FileType::Directory, target: target.into() };
    let parent = names.folders[folder as usize].parent;
    let first = children[..one].iter().map(item).chain([own(b".", folder)]);
    first.chain(children[one..two].iter().map(item)).chain([own(b"..", parent)]).chain(children[two..].iter().map(item))
}

/// Calls `each` with the entries of each block of a folder, and the bytes they take.
fn each_block(names: &Names, folder: u32, mut each: impl FnMut(&[Item<'_>], usize) -> sys::Result<()>) -> sys::Result<()> {
    let (mut items, mut size) = (Vec::new(), 0);
    for item in listing(names, folder) {
        let more = DIRENT + item.name.len();
        if size + more > BLOCK {
            each(&items, size)?;
            items.clear();
            size = 0;
        }
        items.push(item);
        size += more;
    }
    each(&items, size)
}

fn encode(items: &[Item<'_>], number: impl Fn(&Item<'_>) -> u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(BLOCK);
    let mut name_at = items.len() * DIRENT;
    for item in items {
        bytes.extend_from_slice(&dirent(number(item), name_at as u16, item.kind));
        name_at += item.name.len();
    }
    items.iter().for_each(|item| bytes.extend_from_slice(item.name));
    bytes
}
