//! All names of a layer in memory: 30 bytes each beside the name itself.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;
use rustix::fs::FileType;

use super::format::{Attributes, kind_of};
use crate::unpack::Malformed;

/// Most bytes of all names, links, and attributes of folders: some four million names.
const BUDGET: usize = 256 << 20;

/// The root folder.
pub(super) const ROOT: u32 = 0;

/// In place of a folder: the name is no longer there.
const GONE: u32 = u32::MAX;

/// A name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    /// The folder it is in.
    pub(super) parent: u32,
    /// Where its text is.
    text: u32,
    /// The number of a folder, or the place of any other inode.
    pub(super) target: u64,
}

/// A folder. It comes after the one that it is in.
#[derive(Debug)]
pub(super) struct Folder {
    pub(super) parent: u32,
    /// Its name; nothing for the root.
    text: Option<u32>,
    pub(super) attributes: Attributes,
    /// It hides what the layers below have.
    pub(super) opaque: bool,
    /// No member describes it: its attributes belong to the layers below.
    pub(super) implicit: bool,
    pub(super) gone: bool,
}

/// Folders and what is in them.
pub(super) struct Names {
    pub(super) entries: Vec<Entry>,
    pub(super) folders: Vec<Folder>,
    /// Length, type, and bytes of each name, followed by length and bytes of a symbolic link's target.
    texts: Vec<u8>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// Bytes of attributes.
    extra: usize,
}

impl Names {
    /// An empty root folder.
    pub(super) fn new() -> Self {
        let root = Folder::new(ROOT, None);
        let (entries, texts, index, hasher) = (Vec::new(), Vec::new(), HashTable::new(), RandomState::new());
        Names { entries, folders: vec![root], texts, index, hasher, extra: 0 }
    }

    pub(super) fn find(&self, parent: u32, name: &[u8]) -> Option<u32> {
        let same = |at: &u32| {
            let entry = self.entries[*at as usize];
            entry.parent == parent && self.name(&entry) == name
        };
        self.index.find(self.hasher.hash_one((parent, name)), same).copied()
    }

    /// Adds a name that is not there. `link` is a symbolic link's target.
    pub(super) fn add(&mut self, parent: u32, name: &[u8], kind: FileType, target: u64, link: &[u8]) -> Result<u32, Malformed> {
        let length = u8::try_from(name.len()).map_err(|_| Malformed("a name is longer than 255 bytes"))?;
        let text = self.texts.len() as u32;
        self.texts.extend_from_slice(&[length, super::format::dirent(0, 0, kind)[10]]);
        self.texts.extend_from_slice(name);
        if kind == FileType::Symlink {
            self.texts.extend_from_slice(&(link.len() as u16).to_le_bytes());
            self.texts.extend_from_slice(link);
        }
        let at = self.entries.len() as u32;
        self.entries.push(Entry { parent, text, target });
        let Names { index, hasher, entries, texts, .. } = self;
        let rehash = |at: &u32| hasher.hash_one((entries[*at as usize].parent, text_of(texts, entries[*at as usize].text)));
        index.insert_unique(hasher.hash_one((parent, name)), at, rehash);
        self.check()?;
        Ok(at)
    }

    /// Adds a folder, with attributes that nobody has set. Answers its number.
    pub(super) fn add_folder(&mut self, parent: u32, name: &[u8]) -> Result<u32, Malformed> {
        let folder = self.folders.len() as u32;
        let entry = self.add(parent, name, FileType::Directory, folder.into(), b"")?;
        self.folders.push(Folder::new(parent, Some(self.entries[entry as usize].text)));
        Ok(folder)
    }

    /// Removes a name, with everything below it.
    pub(super) fn remove(&mut self, at: u32) {
        let entry = self.entries[at as usize];
        let hash = self.hasher.hash_one((entry.parent, self.name(&entry)));
        if let Ok(found) = self.index.find_entry(hash, |other| *other == at) {
            found.remove();
        }
        if self.kind(&entry) == FileType::Directory {
            self.folders[entry.target as usize].gone = true;
        }
        self.entries[at as usize].parent = GONE;
    }

    /// Sets a folder's attributes.
    pub(super) fn describe(&mut self, folder: u32, attributes: Attributes) -> Result<(), Malformed> {
        let folder = &mut self.folders[folder as usize];
        self.extra = self.extra + attributes.xattrs.len() - folder.attributes.xattrs.len();
        (folder.attributes, folder.implicit) = (attributes, false);
        self.check()
    }

    pub(super) fn name(&self, entry: &Entry) -> &[u8] {
        text_of(&self.texts, entry.text)
    }

    pub(super) fn kind(&self, entry: &Entry) -> FileType {
        kind_of(self.texts[entry.text as usize + 1])
    }

    /// A symbolic link's target.
    pub(super) fn link(&self, entry: &Entry) -> &[u8] {
        let at = entry.text as usize + 2 + self.name(entry).len();
        let length = u16::from_le_bytes([self.texts[at], self.texts[at + 1]]);
        &self.texts[at + 2..][..length.into()]
    }

    /// Whether a folder is `above` or lies below it.
    pub(super) fn is_within(&self, mut folder: u32, above: u32) -> bool {
        while folder > above {
            folder = self.folders[folder as usize].parent;
        }
        folder == above
    }

    /// The path of a folder.
    pub(super) fn path(&self, mut folder: u32) -> Vec<u8> {
        let mut parts = Vec::new();
        while let Folder { parent, text: Some(text), .. } = self.folders[folder as usize] {
            parts.push(text_of(&self.texts, text));
            folder = parent;
        }
        parts.reverse();
        parts.join(&b'/')
    }

    /// Bytes of the paths of all folders that no member describes, without making the paths.
    pub(super) fn implicit_bytes(&self) -> usize {
        let mut lengths = Vec::with_capacity(self.folders.len());
        let mut bytes = 0usize;
        for folder in &self.folders {
            let name = folder.text.map_or(0, |text| text_of(&self.texts, text).len() + 1);
            let above = lengths.get(folder.parent as usize).copied().unwrap_or_default();
            let length: usize = above + name;
            lengths.push(length);
            bytes = bytes.saturating_add(if folder.implicit && !folder.gone { length } else { 0 });
        }
        bytes
    }

    /// Names of all folders that are still there, sorted, by folder; the names themselves cannot be looked up any more.
    pub(super) fn sort(&mut self) {
        self.index = HashTable::new();
        for at in 1..self.folders.len() {
            self.folders[at].gone |= self.folders[self.folders[at].parent as usize].gone;
        }
        let Names { entries, folders, texts, .. } = self;
        entries.retain(|entry| entry.parent != GONE && !folders[entry.parent as usize].gone);
        entries.sort_unstable_by(|a, b| a.parent.cmp(&b.parent).then_with(|| text_of(texts, a.text).cmp(text_of(texts, b.text))));
    }

    /// The names in a folder, once they are sorted.
    pub(super) fn children(&self, folder: u32) -> &[Entry] {
        let start = self.entries.partition_point(|entry| entry.parent < folder);
        let length = self.entries[start..].partition_point(|entry| entry.parent == folder);
        &self.entries[start..start + length]
    }

    fn check(&self) -> Result<(), Malformed> {
        let folders = self.folders.len() * size_of::<Folder>();
        let names = self.entries.len() * (size_of::<Entry>() + 2 * size_of::<u32>());
        if names + folders + self.texts.len() + self.extra > BUDGET {
            return Err(Malformed("the layer's names take more than 256 MiB"));
        }
        Ok(())
    }
}

impl Folder {
    fn new(parent: u32, text: Option<u32>) -> Self {
        let attributes = Attributes { mode: 0o755, ..Attributes::default() };
        Folder { parent, text, attributes, opaque: false, implicit: true, gone: false }
    }
}

fn text_of(texts: &[u8], at: u32) -> &[u8] {
    let at = at as usize;
    &texts[at + 2..][..texts[at].into()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_and_go() {
        let mut names = Names::new();
        let a = names.add_folder(ROOT, b"a").unwrap();
        let x = names.add(a, b"x", FileType::Symlink, 7, b"to").unwrap();
        names.add(a, b"b", FileType::RegularFile, 8, b"").unwrap();
        names.add(ROOT, b"z", FileType::RegularFile, 9, b"").unwrap();
        let b = names.add_folder(a, b"sub").unwrap();
        assert_eq!((names.find(a, b"x"), names.find(ROOT, b"x")), (Some(x), None));
        assert_eq!(names.link(&names.entries[x as usize]), b"to");
        assert_eq!(names.path(b), b"a/sub");
        names.remove(x);
        assert_eq!(names.find(a, b"x"), None);
        names.add(a, b"x", FileType::RegularFile, 10, b"").unwrap();
        names.sort();
        let list = |names: &Names, folder| names.children(folder).iter().map(|entry| entry.target).collect::<Vec<_>>();
        assert_eq!((list(&names, ROOT), list(&names, a)), (vec![1, 9], vec![8, 2, 10]));
    }

    #[test]
    fn what_is_below_goes_too() {
        let mut names = Names::new();
        let a = names.add_folder(ROOT, b"a").unwrap();
        let b = names.add_folder(a, b"b").unwrap();
        names.add(b, b"x", FileType::RegularFile, 7, b"").unwrap();
        names.remove(names.find(ROOT, b"a").unwrap());
        names.sort();
        assert!(names.entries.is_empty() && names.folders[b as usize].gone);
    }

    /// What the kernel would have to hold as well is only the names themselves.
    #[test]
    fn a_million_names_take_less_than_64_mib_and_too_many_are_refused() {
        let mut names = Names::new();
        for at in 0..1_000_000u64 {
            names.add(ROOT, format!("some-file-{at}").as_bytes(), FileType::RegularFile, at, b"").unwrap();
        }
        let size = names.entries.capacity() * size_of::<Entry>() + names.texts.capacity() + names.index.allocation_size();
        assert!(size < 64 << 20, "{size}");
        let xattrs: Box<[u8]> = vec![0; 64 << 20].into();
        let attributes = || Attributes { xattrs: xattrs.clone(), ..Attributes::default() };
        let mut describe = |at: u8| {
            let folder = names.add_folder(ROOT, &[at])?;
            names.describe(folder, attributes())
        };
        assert!(describe(1).is_ok() && describe(2).is_ok() && describe(3).is_ok() && describe(4).is_err());
    }

    #[test]
    fn a_name_has_at_most_255_bytes() {
        assert!(Names::new().add(ROOT, &[b'n'; 256], FileType::RegularFile, 0, b"").is_err());
        assert!(Names::new().add(ROOT, &[b'n'; 255], FileType::RegularFile, 0, b"").is_ok());
    }
}
