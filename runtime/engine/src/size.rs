//! How much a container has written, or a volume has in it.

use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};

use crate::{Engine, Record};

/// Folders below each other that are looked into. Deeper ones are not counted: their maker may make more than there are descriptors.
const DEPTH: u32 = 200;

impl Engine {
    /// Bytes of the files that a container has made or changed.
    pub fn written_size(&self, record: &Record) -> u64 {
        of(&record.writable(&self.config).join("upper"))
    }
}

/// Bytes of all files in a folder. What cannot be read counts as nothing.
pub(crate) fn of(folder: &std::path::Path) -> u64 {
    sys::fs::open_dir(folder).map_or(0, |folder| size(&folder, DEPTH))
}

fn size(folder: &OwnedFd, depth: u32) -> u64 {
    let mut sum = 0;
    for name in sys::fs::list(folder).unwrap_or_default() {
        let Ok(data) = statat(folder, &*name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        match FileType::from_raw_mode(data.st_mode) {
            FileType::Directory if depth > 0 => {
                let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                sum += openat(folder, &*name, flags, Mode::empty()).map_or(0, |folder| size(&folder, depth - 1));
            }
            FileType::RegularFile | FileType::Symlink => sum += data.st_size as u64,
            _ => {}
        }
    }
    sum
}
