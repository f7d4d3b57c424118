//! A layer as one file: an EROFS image that the kernel mounts as it is.
//!
//! The archive is read once and nothing of it is kept but names. Bytes of files go straight to the image, inodes of files follow
//! them in groups, and when the archive ends come the folders, which nobody knows before; the first block, without which
//! the file is no file system, is written last.
//!
//! ```text
//! block 0       | data, groups of inodes, data, …         | entries of folders  | inodes of folders
//! superblock    | in the order of the archive; a small    | those that do not   | with their entries
//! root's inode  | file's bytes are behind its inode       | fit behind an inode | behind them
//! ```
//!
//! No path of an archive ever reaches the host's kernel: folders, symbolic and hard links, and what replaces what are looked up
//! among the names in memory. Whiteouts and opaque folders are stored as overlayfs wants them.
//!
//! | module | |
//! |---|---|
//! | `format`, `xattr` | bytes of the format |
//! | `output`, `sum` | the file, and the sum by which damage is found |
//! | `inodes` | groups of inodes |
//! | `names`, `walk` | the tree in memory, and paths in it |
//! | `build`, `finish` | members to files; folders and superblock |
//! | `read`, `complete` | an image's names again, and what the layers below add |
//! | `mount` | a file to a mount |

mod build;
mod complete;
mod finish;
mod format;
mod inodes;
mod mount;
mod names;
mod output;
mod read;
mod sum;
mod walk;
mod xattr;

#[cfg(test)]
mod tests;

pub(crate) use build::Image;
pub(crate) use mount::{Way, mount};
pub(crate) use read::{Unreadable, root};
pub(crate) use sum::{Sum, Summing};

/// A finished file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    /// Bytes of the file.
    pub(crate) size: u64,
    pub(crate) sum: Sum,
}
