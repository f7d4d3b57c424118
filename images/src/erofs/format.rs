//! Bytes of the format (Linux, fs/erofs/erofs_fs.h and Documentation/filesystems/erofs.rst), as far as this crate writes it: blocks of
//! 4096 bytes, inodes of 64, nothing compressed, metadata addressed from the beginning of the file.

use rustix::fs::FileType;

/// Bytes of a block.
pub(super) const BLOCK: usize = 4096;

/// Inodes are numbered by their place in the file, in these units.
pub(super) const SLOT: u64 = 32;

/// Bytes of an inode without its attributes and inline data.
pub(super) const INODE: usize = 64;

/// Where in its inode the number of links is.
pub(super) const LINKS: u64 = 44;

/// Where the superblock is, and its size.
const SUPERBLOCK: usize = 1024;
const SUPERBLOCK_SIZE: usize = 128;

/// Where the root folder's inode is: its number has only 16 bits.
pub(super) const ROOT: usize = SUPERBLOCK + SUPERBLOCK_SIZE;

/// Room for the root folder's inode with all that belongs to it.
pub(super) const ROOT_ROOM: usize = BLOCK - ROOT;

const MAGIC: u32 = 0xe0f5_e1e2;
const FEATURE_CHECKSUM: u32 = 1;
const FEATURE_MTIME: u32 = 2;

/// Where the bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// In blocks, one after the other.
    Plain = 0,
    /// Behind the inode: all that fills no block.
    Inline = 2,
}

/// Permissions, owner, time, and extended attributes as [`super::xattr::encode`] made them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Permissions with setuid, setgid and sticky bits.
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Seconds since 1970 and nanoseconds.
    pub(super) mtime: (i64, u32),
    pub(super) xattrs: Box<[u8]>,
}

/// What an inode says besides its attributes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inode {
    pub(super) kind: FileType,
    pub(super) layout: Layout,
    pub(super) size: u64,
    /// The first block, or the device's number.
    pub(super) start: u32,
    pub(super) links: u32,
}

impl Inode {
    /// Appends the inode with its attributes; inline data follows.
    pub(super) fn encode(&self, attributes: &Attributes, number: u32, out: &mut Vec<u8>) {
        let Attributes { mode, uid, gid, mtime, xattrs } = attributes;
        let kind = self.kind.as_raw_mode() as u16;
        out.extend_from_slice(&(1 | (self.layout as u16) << 1).to_le_bytes());
        out.extend_from_slice(&super::xattr::units(xattrs).to_le_bytes());
        out.extend_from_slice(&(kind | mode).to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.size.to_le_bytes());
        for word in [self.start, number, *uid, *gid] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&mtime.0.to_le_bytes());
        out.extend_from_slice(&mtime.1.to_le_bytes());
        out.extend_from_slice(&self.links.to_le_bytes());
        out.extend_from_slice(&[0; 16]);
        if !xattrs.is_empty() {
            out.extend_from_slice(&[0; super::xattr::HEADER]);
            out.extend_from_slice(xattrs);
        }
    }
}

/// A device's number, 12 bits of major and 20 of minor, as the kernel takes it apart.
pub(super) fn device(major: u32, minor: u32) -> u32 {
    (minor & 0xff) | major << 8 | (minor & !0xff) << 12
}

/// Bytes of an entry of a folder without its name.
pub(super) const DIRENT: usize = 12;

/// An entry of a folder: inode, where its name is in the block, type.
pub(super) fn dirent(inode: u64, name_at: u16, kind: FileType) -> [u8; DIRENT] {
    let mut bytes = [0; DIRENT];
    bytes[..8].copy_from_slice(&inode.to_le_bytes());
    bytes[8..10].copy_from_slice(&name_at.to_le_bytes());
    bytes[10] = match kind {
        FileType::RegularFile => 1,
        FileType::Directory => 2,
        FileType::CharacterDevice => 3,
        FileType::BlockDevice => 4,
        FileType::Fifo => 5,
        FileType::Socket => 6,
        FileType::Symlink => 7,
        FileType::Unknown => 0,
    };
    bytes
}

/// The type of an entry.
pub(super) fn kind_of(byte: u8) -> FileType {
    match byte {
        1 => FileType::RegularFile,
        2 => FileType::Directory,
        3 => FileType::CharacterDevice,
        4 => FileType::BlockDevice,
        5 => FileType::Fifo,
        6 => FileType::Socket,
        7 => FileType::Symlink,
        _ => FileType::Unknown,
    }
}

/// The first block of the file: superblock and root folder.
pub(super) fn first_block(inodes: u64, blocks: u32, root: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let fields: [(usize, &[u8]); 6] = [
        (0, &MAGIC.to_le_bytes()),
        (8, &(FEATURE_CHECKSUM | FEATURE_MTIME).to_le_bytes()),
        (12, &[BLOCK.trailing_zeros() as u8]),
        (14, &((ROOT as u64 / SLOT) as u16).to_le_bytes()),
        (16, &inodes.to_le_bytes()),
        (36, &blocks.to_le_bytes()),
    ];
    for (at, bytes) in fields {
        block[SUPERBLOCK + at..][..bytes.len()].copy_from_slice(bytes);
    }
    block[ROOT..][..root.len()].copy_from_slice(root);
    // Over the rest of the block, with nothing in its own place.
    let checksum = crc32c(&block[SUPERBLOCK..]);
    block[SUPERBLOCK + 4..][..4].copy_from_slice(&checksum.to_le_bytes());
    block
}

/// How many inodes the file has, if its first block is a superblock.
pub(super) fn inodes(block: &[u8]) -> Option<u64> {
    let superblock = block.get(SUPERBLOCK..SUPERBLOCK + SUPERBLOCK_SIZE)?;
    let count: [u8; 8] = superblock[16..24].try_into().ok()?;
    (superblock[..4] == MAGIC.to_le_bytes()).then(|| u64::from_le_bytes(count))
}

/// CRC-32C as the kernel leaves it, not inverted at the end.
fn crc32c(bytes: &[u8]) -> u32 {
    bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(!crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn device_numbers() {
        assert_eq!(device(8, 1), 0x801);
        assert_eq!(device(0xfff, 0xf_ffff), 0xffff_ffff);
        assert_eq!(device(1, 0x300), 0x30_0100);
    }
}
