//! The file: blocks one after the other, places kept free and filled later, and a sum over all of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::io::Errno;
use sys::Call;

use super::format::BLOCK;
use super::sum::Sum;

/// Bytes that are written at once.
const CHUNK: usize = 256 << 10;

/// So many bytes and more are written from where they are, without a copy in the buffer.
const DIRECT: usize = 64 << 10;

/// Blocks are numbered with 32 bits, of which the highest number means none.
const MOST: u64 = (u32::MAX as u64 - 1) * BLOCK as u64;

/// A file that grows by blocks.
pub(super) struct Output {
    file: File,
    /// What is yet to be written, from `start` on.
    buffer: Vec<u8>,
    start: u64,
    sum: Sum,
}

impl Output {
    /// An empty file, or one with `size` bytes in whole blocks and the sum `sum`, that is appended to.
    pub(super) fn new(file: File, size: u64, sum: Sum) -> Self {
        Output { file, buffer: Vec::with_capacity(CHUNK + BLOCK), start: size, sum }
    }

    /// Where the next byte goes.
    pub(super) fn position(&self) -> u64 {
        self.start + self.buffer.len() as u64
    }

    /// The block that begins at the position, where a file is to be put.
    pub(super) fn block(&self) -> u32 {
        (self.position() / BLOCK as u64) as u32
    }

    pub(super) fn append(&mut self, mut bytes: &[u8]) -> sys::Result<()> {
        while !bytes.is_empty() {
            let begun = self.buffer.len() % BLOCK;
            if begun == 0 && bytes.len() >= DIRECT {
                let (whole, rest) = bytes.split_at(bytes.len() / BLOCK * BLOCK);
                self.flush()?;
                self.write(whole)?;
                bytes = rest;
                continue;
            }
            // Of many bytes, only as many as the block lacks.
            let room = if bytes.len() >= DIRECT + BLOCK { BLOCK - begun } else { CHUNK - self.buffer.len() };
            let (some, rest) = bytes.split_at(bytes.len().min(room));
            self.buffer.extend_from_slice(some);
            bytes = rest;
            if self.buffer.len() >= CHUNK {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Appends zeros; whole blocks of them become a hole.
    pub(super) fn zeros(&mut self, mut count: u64) -> sys::Result<()> {
        const SOME: u64 = 16 * BLOCK as u64;
        if count > SOME {
            let before = self.position().next_multiple_of(BLOCK as u64) - self.position();
            self.pad()?;
            count -= before;
            self.skip(count / BLOCK as u64)?;
            count %= BLOCK as u64;
        }
        while count > 0 {
            let length = count.min(BLOCK as u64);
            self.append(&[0; BLOCK][..length as usize])?;
            count -= length;
        }
        Ok(())
    }

    /// Goes on at the next block.
    pub(super) fn pad(&mut self) -> sys::Result<()> {
        let missing = self.position().next_multiple_of(BLOCK as u64) - self.position();
        self.append(&[0; BLOCK][..missing as usize])
    }

    /// Leaves blocks out: they are zeros, or filled by [`Output::fill`]. The position is a block's beginning.
    pub(super) fn skip(&mut self, blocks: u64) -> sys::Result<()> {
        self.flush()?;
        match blocks.checked_mul(BLOCK as u64).and_then(|bytes| self.start.checked_add(bytes)) {
            Some(end) if end <= MOST => self.start = end,
            _ => return Err(sys::Error::new(format!("ftruncate({blocks} blocks more)"), Errno::FBIG)),
        }
        Ok(())
    }

    /// Writes whole blocks where some were left out.
    pub(super) fn fill(&mut self, at: u64, blocks: &[u8]) -> sys::Result<()> {
        self.sum.add(at, blocks);
        write_at(&self.file, at, blocks)
    }

    /// Changes bytes that were written, within one block.
    pub(super) fn patch(&mut self, at: u64, bytes: &[u8]) -> sys::Result<()> {
        self.flush()?;
        let (from, within) = (at / BLOCK as u64 * BLOCK as u64, (at % BLOCK as u64) as usize);
        let mut block = [0; BLOCK];
        self.read(from, &mut block)?;
        self.sum.remove(from, &block);
        block[within..within + bytes.len()].copy_from_slice(bytes);
        self.fill(from, &block)
    }

    /// Reads what was written; what is missing of the last block is zeros.
    pub(super) fn read(&self, at: u64, into: &mut [u8]) -> sys::Result<()> {
        match self.file.read_exact_at(into, at) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            read => read.call(|| format!("pread({} bytes at {at})", into.len())),
        }
    }

    /// Writes all whole blocks.
    pub(super) fn flush(&mut self) -> sys::Result<()> {
        let whole = self.buffer.len() / BLOCK * BLOCK;
        if whole == 0 {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write(&buffer[..whole]);
        buffer.drain(..whole);
        self.buffer = buffer;
        written
    }

    /// Writes whole blocks, with nothing before them in the buffer.
    fn write(&mut self, blocks: &[u8]) -> sys::Result<()> {
        self.sum.add(self.start, blocks);
        write_at(&self.file, self.start, blocks)?;
        self.start += blocks.len() as u64;
        Ok(())
    }

    /// The file's size, once holes at its end are part of it, and the sum of all blocks.
    pub(super) fn finish(mut self) -> sys::Result<(u64, Sum)> {
        self.flush()?;
        self.file.set_len(self.start).call(|| format!("ftruncate({})", self.start))?;
        Ok((self.start, self.sum))
    }
}

fn write_at(file: &File, at: u64, bytes: &[u8]) -> sys::Result<()> {
    if at + bytes.len() as u64 > MOST {
        return Err(sys::Error::new(format!("pwrite({} bytes at {at})", bytes.len()), Errno::FBIG));
    }
    file.write_all_at(bytes, at).call(|| format!("pwrite({} bytes at {at})", bytes.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_that_of_the_file_whatever_the_order() {
        let file = tempfile::tempfile().unwrap();
        let mut out = Output::new(file.try_clone().unwrap(), 0, Sum::default());
        out.append(&[1; 5000]).unwrap();
        out.pad().unwrap();
        let kept = out.position();
        out.skip(2).unwrap();
        out.append(&[2; 100]).unwrap();
        out.append(&[2; CHUNK + 10 - 100]).unwrap();
        out.zeros(1 << 20).unwrap();
        out.append(b"x").unwrap();
        out.pad().unwrap();
        out.fill(kept, &[3; BLOCK]).unwrap();
        out.patch(4, b"patched").unwrap();
        out.zeros(100 * BLOCK as u64).unwrap();
        let (size, sum) = out.finish().unwrap();
        assert_eq!(file.metadata().unwrap().len(), size);
        assert_eq!(Sum::of(&file).unwrap(), sum);
        let mut bytes = vec![0; size as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes[..12], b"\x01\x01\x01\x01patched\x01");
        let end = kept as usize + 2 * BLOCK + CHUNK + 10 + (1 << 20);
        assert_eq!((bytes[end - 1], bytes[end], bytes[end + 1]), (0, b'x', 0));
    }

    #[test]
    fn more_than_16_tib_is_refused() {
        let mut out = Output::new(tempfile::tempfile().unwrap(), 0, Sum::default());
        assert_eq!(out.skip(1 << 32).unwrap_err().errno(), Errno::FBIG);
        assert_eq!(out.skip(u64::MAX / 4096).unwrap_err().errno(), Errno::FBIG);
        assert_eq!(out.zeros(u64::MAX / 2).unwrap_err().errno(), Errno::FBIG);
    }
}
