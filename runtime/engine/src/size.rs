//! How much a container has written, or a volume has in it.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, statat};

use crate::{Engine, Record};

/// Folders below each other that are looked into. Deeper ones are not counted: their maker may make more than there are descriptors.
const DEPTH: u32 = 200;

/// What files take of a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// Bytes: holes in files are nothing.
    pub bytes: u64,
    /// Files, links and folders.
    pub inodes: u64,
}

impl Engine {
    /// Bytes of the files that a container has made or changed.
    pub fn written_size(&self, record: &Record) -> u64 {
        of(&record.writable(&self.config).join("upper"))
    }

    /// What these files take of the disk.
    pub fn taken_by(&self, record: &Record) -> Taken {
        taken(&record.writable(&self.config).join("upper"))
    }
}

/// What all that is in a folder takes of its disk. What cannot be read counts as nothing. Whoever may write in the folder does not lead the count
/// out of it.
pub fn taken(folder: &std::path::Path) -> Taken {
    let mut all = Taken::default();
    let mut count = |kind: FileType, file: &Stat| {
        all.inodes += 1;
        if matches!(kind, FileType::RegularFile | FileType::Symlink) {
            all.bytes = all.bytes.saturating_add((file.st_blocks as u64).saturating_mul(512));
        }
    };
    look(folder, &mut count);
    all
}

/// Bytes of all files in a folder. What cannot be read counts as nothing.
pub(crate) fn of(folder: &std::path::Path) -> u64 {
    let mut sum = 0;
    let mut count = |kind: FileType, file: &Stat| {
        if matches!(kind, FileType::RegularFile | FileType::Symlink) {
            sum += file.st_size as u64;
        }
    };
    look(folder, &mut count);
    sum
}

fn look(folder: &std::path::Path, count: &mut dyn FnMut(FileType, &Stat)) {
    if let Ok(folder) = sys::fs::open_dir(folder) {
        each(&folder, DEPTH, count);
    }
}

fn each(folder: &OwnedFd, depth: u32, count: &mut dyn FnMut(FileType, &Stat)) {
    for name in sys::fs::list(folder).unwrap_or_default() {
        let Ok(data) = statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        let kind = FileType::from_raw_mode(data.st_mode);
        count(kind, &data);
        if kind == FileType::Directory && depth > 0 {
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(folder) = openat(folder, &*name, flags, Mode::empty()) {
                each(&folder, depth - 1, count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_take_nothing_and_links_lead_nowhere() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(other.path().join("much"), vec![1; 1 << 20]).unwrap();
        std::os::unix::fs::symlink(other.path(), folder.path().join("link")).unwrap();
        let hole = std::fs::File::create(folder.path().join("hole")).unwrap();
        hole.set_len(1 << 40).unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/own"), vec![1; 10_000]).unwrap();
        assert!(of(folder.path()) > 1 << 40);
        let taken = taken(folder.path());
        assert!((10_000..100_000).contains(&taken.bytes), "{taken:?}");
        // The link, the file with the hole, the folder, and the file in it.
        assert_eq!(taken.inodes, 4);
    }
}
