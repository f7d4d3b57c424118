//! A sum over a file's blocks by which a changed bit, or a block that a power cut took, is found.
//!
//! It is the sum of each block's hash, seeded with its number: blocks can be written in any order and changed later, and what follows
//! costs a thirtieth of another SHA-256. Blocks of zeros count for nothing, so that holes need not be read. It is no
//! protection against who can write to the store: such a one can write the sum as well.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;
use sys::Call;
use twox_hash::XxHash3_64;

use super::format::BLOCK;

/// The sum of some blocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sum(pub(crate) u64);

impl Sum {
    /// Counts whole blocks that begin at `at`.
    pub(super) fn add(&mut self, at: u64, blocks: &[u8]) {
        for (index, block) in (at / BLOCK as u64..).zip(blocks.chunks(BLOCK)) {
            self.0 = self.0.wrapping_add(hash(index, block));
        }
    }

    /// Takes blocks out again.
    pub(super) fn remove(&mut self, at: u64, blocks: &[u8]) {
        for (index, block) in (at / BLOCK as u64..).zip(blocks.chunks(BLOCK)) {
            self.0 = self.0.wrapping_sub(hash(index, block));
        }
    }

    /// The sum of a file.
    pub(crate) fn of(file: &File) -> sys::Result<Self> {
        let mut sum = Sum::default();
        let mut buffer = vec![0; 64 * BLOCK];
        let mut at = 0;
        loop {
            at = match seek(file, SeekFrom::Data(at)) {
                Ok(data) => data / BLOCK as u64 * BLOCK as u64,
                Err(Errno::NXIO) => return Ok(sum),
                Err(errno) => return Err(sys::Error::new(format!("lseek({at}, SEEK_DATA)"), errno)),
            };
            let length = fill(file, at, &mut buffer)?;
            if length == 0 {
                return Ok(sum);
            }
            sum.add(at, &buffer[..length]);
            at += length as u64;
        }
    }
}

/// The sums of files that are written from their beginning to their end, one after the other.
#[derive(Debug, Default)]
pub(crate) struct Summing {
    sum: Sum,
    /// Where the block begins that is not full yet, and its bytes.
    at: u64,
    begun: Vec<u8>,
}

impl Summing {
    pub(crate) fn push(&mut self, mut bytes: &[u8]) {
        if !self.begun.is_empty() {
            let more = bytes.len().min(BLOCK - self.begun.len());
            self.begun.extend_from_slice(&bytes[..more]);
            bytes = &bytes[more..];
            if self.begun.len() == BLOCK {
                self.count_begun();
            }
        }
        let whole = bytes.len() / BLOCK * BLOCK;
        self.sum.add(self.at, &bytes[..whole]);
        self.at += whole as u64;
        self.begun.extend_from_slice(&bytes[whole..]);
    }

    /// The file's sum. The next file begins.
    pub(crate) fn take(&mut self) -> Sum {
        self.count_begun();
        self.at = 0;
        std::mem::take(&mut self.sum)
    }

    fn count_begun(&mut self) {
        self.sum.add(self.at, &self.begun);
        self.at += self.begun.len() as u64;
        self.begun.clear();
    }
}

/// Reads as much as there is, up to a full buffer.
fn fill(file: &File, at: u64, buffer: &mut [u8]) -> sys::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read_at(&mut buffer[length..], at + length as u64) {
            Ok(0) => break,
            Ok(some) => length += some,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error).call(|| format!("pread({at})")),
        }
    }
    Ok(length)
}

fn hash(index: u64, block: &[u8]) -> u64 {
    if block == &[0; BLOCK][..block.len()] { 0 } else { XxHash3_64::oneshot_with_seed(index, block) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_pieces_or_at_once() {
        let bytes: Vec<u8> = (0..3 * BLOCK + 77).map(|at| (at / 7) as u8).collect();
        let mut summing = Summing::default();
        for (size, length) in
            [(1, bytes.len()), (5, 5), (4095, 2 * BLOCK), (4096, BLOCK), (4097, bytes.len()), (9000, bytes.len()), (1, 0)]
        {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&bytes[..length], 0).unwrap();
            bytes[..length].chunks(size).for_each(|piece| summing.push(piece));
            assert_eq!(summing.take(), Sum::of(&file).unwrap(), "{length} bytes by {size}");
        }
    }

    #[test]
    fn a_bit_a_swap_and_a_lost_block_are_found() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 3 * BLOCK], 0).unwrap();
        file.write_all_at(&[8; BLOCK], 70 * BLOCK as u64).unwrap();
        let sum = Sum::of(&file).unwrap();
        for (at, bytes) in [(5000, vec![6]), (0, vec![0; BLOCK]), (70 * BLOCK as u64, vec![7; BLOCK])] {
            let mut old = vec![0; bytes.len()];
            file.read_exact_at(&mut old, at).unwrap();
            file.write_all_at(&bytes, at).unwrap();
            assert_ne!(Sum::of(&file).unwrap(), sum);
            file.write_all_at(&old, at).unwrap();
            assert_eq!(Sum::of(&file).unwrap(), sum);
        }
    }
}
