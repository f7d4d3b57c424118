//! Inodes, some blocks of them at a time: they lie close together, and are written among the data as soon as a group is full.

use super::format::{BLOCK, SLOT};
use super::output::Output;

/// Blocks of the first group, of which each has twice as many as the one before it, and of the largest.
const FIRST: usize = 1;
const LARGEST: usize = 16;

/// The group that is being filled. Its place is kept free in the file.
#[derive(Default)]
pub(super) struct Inodes {
    start: u64,
    bytes: Vec<u8>,
    /// Bytes of the group; 0: there is none.
    room: usize,
    /// Blocks of the last group.
    blocks: usize,
}

impl Inodes {
    /// Puts an inode, with its attributes and inline data, into the file, which is at a block's beginning. Answers its place.
    pub(super) fn put(&mut self, inode: &[u8], out: &mut Output) -> sys::Result<u64> {
        if inode.len() > BLOCK {
            let at = out.position();
            out.append(inode)?;
            out.pad()?;
            return Ok(at);
        }
        let at = place(self.bytes.len(), inode.len());
        if at + inode.len() > self.room {
            self.flush(out)?;
            self.blocks = (self.blocks * 2).clamp(FIRST, LARGEST);
            (self.start, self.room) = (out.position(), self.blocks * BLOCK);
            out.skip(self.blocks as u64)?;
            return self.put(inode, out);
        }
        self.bytes.resize(at, 0);
        self.bytes.extend_from_slice(inode);
        Ok(self.start + at as u64)
    }

    /// Writes the group, which is full or the last one.
    pub(super) fn flush(&mut self, out: &mut Output) -> sys::Result<()> {
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        out.fill(self.start, &self.bytes)?;
        self.bytes.clear();
        self.room = 0;
        Ok(())
    }
}

/// Where the next inode of `size` bytes, at most a block, goes after `used` bytes: it lies within one block, as inline data must.
pub(super) fn place(used: usize, size: usize) -> usize {
    let at = used.next_multiple_of(SLOT as usize);
    if at % BLOCK + size > BLOCK { at.next_multiple_of(BLOCK) } else { at }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inodes_do_not_cross_blocks() {
        assert_eq!(place(0, 64), 0);
        assert_eq!(place(70, 64), 96);
        assert_eq!(place(4096 - 64, 64), 4096 - 64);
        assert_eq!(place(4096 - 32, 64), 4096);
        assert_eq!(place(4096, 4096), 4096);
    }
}
