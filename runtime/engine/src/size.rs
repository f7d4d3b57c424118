//! How much a container has written, or a volume has in it.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, openat, statat};

use crate::{Engine, Record};

/// Folders below each other that are looked into. Deeper ones are not counted: their maker may make more than there are descriptors.
const DEPTH: u32 = 200;

impl Engine {
    /// Bytes of the files that a container has made or changed.
    pub fn written_size(&self, record: &Record) -> u64 {
        of(&record.writable(&self.config).join("upper"))
    }

    /// Bytes of disk that these files take.
    pub fn taken_by(&self, record: &Record) -> u64 {
        taken(&record.writable(&self.config).join("upper"))
    }
}

/// Bytes of disk that all files in a folder take: holes in files are nothing. What cannot be read counts as nothing. Whoever may write in the folder
/// does not lead the count out of it.
pub fn taken(folder: &std::path::Path) -> u64 {
    sys::fs::open_dir(folder).map_or(0, |folder| size(&folder, DEPTH, &|file| (file.st_blocks as u64).saturating_mul(512)))
}

/// Bytes of all files in a folder. What cannot be read counts as nothing.
pub(crate) fn of(folder: &std::path::Path) -> u64 {
    sys::fs::open_dir(folder).map_or(0, |folder| size(&folder, DEPTH, &|file| file.st_size as u64))
}

fn size(folder: &OwnedFd, depth: u32, count: &dyn Fn(&Stat) -> u64) -> u64 {
    let mut sum = 0;
    for name in sys::fs::list(folder).unwrap_or_default() {
        let Ok(data) = statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        match FileType::from_raw_mode(data.st_mode) {
            FileType::Directory if depth > 0 => {
                let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                sum += openat(folder, &*name, flags, Mode::empty()).map_or(0, |folder| size(&folder, depth - 1, count));
            }
            FileType::RegularFile | FileType::Symlink => sum += count(&data),
            _ => {}
        }
    }
    sum
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
        assert!((10_000..100_000).contains(&taken), "{taken}");
    }
}
