//! Members of an archive, written so that the same file gives the same bytes.

use std::io::{self, Write};

use rustix::fs::{FileType, Stat, major, minor};
use tar::{EntryType, Header};

/// Most bytes of a name in the header itself.
const NAME: usize = 100;

/// What a member is.
pub(super) struct Member<'a> {
    /// Relative, without a slash at its end.
    pub(super) path: &'a [u8],
    pub(super) kind: EntryType,
    /// Target of a link or symbolic link.
    pub(super) link: &'a [u8],
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    pub(super) device: (u32, u32),
    pub(super) size: u64,
    pub(super) xattrs: &'a [(Vec<u8>, Vec<u8>)],
}

impl<'a> Member<'a> {
    /// A file, folder, link or device as it is on disk.
    pub(super) fn of(path: &'a [u8], stat: &Stat, mtime: i64) -> Self {
        let (kind, size) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => (EntryType::Directory, 0),
            FileType::Symlink => (EntryType::Symlink, 0),
            FileType::CharacterDevice => (EntryType::Char, 0),
            FileType::BlockDevice => (EntryType::Block, 0),
            FileType::Fifo => (EntryType::Fifo, 0),
            _ => (EntryType::Regular, stat.st_size as u64),
        };
        let device = match kind {
            EntryType::Char | EntryType::Block => (major(stat.st_rdev), minor(stat.st_rdev)),
            _ => (0, 0),
        };
        let (uid, gid, mode) = (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777);
        Member { path, kind, link: b"", mode, uid, gid, mtime, device, size, xattrs: &[] }
    }

    /// An empty file that says something by its name (image-spec, layer.md, "Whiteouts").
    pub(super) fn mark(path: &'a [u8]) -> Self {
        let (kind, device) = (EntryType::Regular, (0, 0));
        Member { path, kind, link: b"", mode: 0, uid: 0, gid: 0, mtime: 0, device, size: 0, xattrs: &[] }
    }

    /// Writes the header; the file's bytes and [`pad`] follow.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut path = self.path.to_vec();
        if self.kind == EntryType::Directory {
            path.push(b'/');
        }
        let mut extended = Vec::new();
        if path.len() > NAME {
            record(&mut extended, b"path", &path);
        }
        if self.link.len() > NAME {
            record(&mut extended, b"linkpath", self.link);
        }
        for (name, value) in self.xattrs {
            record(&mut extended, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
        }
        if !extended.is_empty() {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::XHeader);
            header.set_size(extended.len() as u64);
            name(&mut header.as_old_mut().name, b"PaxHeaders");
            header.set_cksum();
            out.write_all(header.as_bytes())?;
            out.write_all(&extended)?;
            pad(out, extended.len() as u64)?;
        }
        out.write_all(self.header(&path)?.as_bytes())
    }

    fn header(&self, path: &[u8]) -> io::Result<Header> {
        let mut header = Header::new_gnu();
        header.set_entry_type(self.kind);
        header.set_mode(self.mode);
        header.set_uid(self.uid.into());
        header.set_gid(self.gid.into());
        // The format has no room for a time before 1970 (the crate takes none either).
        header.set_mtime(u64::try_from(self.mtime).unwrap_or_default());
        header.set_size(self.size);
        if matches!(self.kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(self.device.0)?;
            header.set_device_minor(self.device.1)?;
        }
        name(&mut header.as_old_mut().name, path);
        name(&mut header.as_old_mut().linkname, self.link);
        header.set_cksum();
        Ok(header)
    }
}

/// Fills what is left of a block after `size` bytes.
pub(super) fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    const BLOCK: u64 = 512;
    let rest = (BLOCK - size % BLOCK) % BLOCK;
    out.write_all(&[0; BLOCK as usize][..rest as usize])
}

/// The beginning of a name, as far as there is room; what is longer is in an extended header.
fn name(field: &mut [u8; NAME], name: &[u8]) {
    let length = name.len().min(NAME);
    field[..length].copy_from_slice(&name[..length]);
}

/// A record of an extended header (pax(1)): its own length in decimal, counted with itself.
fn record(to: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // Blank, equals sign and newline.
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    to.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        to.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for (value, expected) in [(0, 8), (1, 9), (2, 11), (90, 99), (91, 101), (989, 999), (990, 1001)] {
            let mut text = Vec::new();
            record(&mut text, b"path", &vec![b'x'; value]);
            assert_eq!((text.len(), text.starts_with(format!("{expected} path=").as_bytes())), (expected, true), "{value}");
        }
    }
}
