//! The bytes of a file.

use std::fs::File;
use std::io::BufRead;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, ftruncate, seek};
use sys::Call;

use super::archive::{Archive, Member};
use super::members::Failed;
use crate::erofs::{Sum, Summing};

/// Bytes that are a hole if all of them are 0.
const BLOCK: usize = 4096;

/// Writes a member's bytes to its new file, in pieces as large as the input has them, and answers their sum. Holes stay holes, also where the
/// archive has them as zeros.
pub(crate) fn write<R: BufRead>(
    file: &File,
    member: &Member,
    archive: &mut Archive<R>,
    summing: &mut Summing,
) -> Result<Sum, Failed> {
    let Some(segments) = &member.segments else {
        plain(file, member.size, archive, summing)?;
        return Ok(summing.take());
    };
    for segment in segments.iter().filter(|segment| segment.length > 0) {
        seek(file, SeekFrom::Start(segment.offset)).call(|| format!("lseek({})", segment.offset))?;
        copy(segment.length, archive, |bytes| sys::fs::write_all(file, bytes))?;
    }
    ftruncate(file, member.size).call(|| format!("ftruncate({})", member.size))?;
    // A hole costs nothing here.
    Ok(Sum::of(file)?)
}

fn plain<R: BufRead>(file: &File, size: u64, archive: &mut Archive<R>, summing: &mut Summing) -> Result<(), Failed> {
    let (mut at, mut end) = (0, 0);
    copy(size, archive, |bytes| {
        summing.push(bytes);
        end = put(file, at, bytes).call(|| format!("pwrite({at})"))?.unwrap_or(end);
        at += bytes.len() as u64;
        Ok(())
    })?;
    if end < size {
        ftruncate(file, size).call(|| format!("ftruncate({size})"))?;
    }
    Ok(())
}

/// Writes all but whole blocks of zeros. Answers where what was written ends; `None`: all were such blocks.
fn put(file: &File, at: u64, bytes: &[u8]) -> std::io::Result<Option<u64>> {
    let mut end = None;
    let mut write = |from: usize, to: usize| {
        if from < to {
            file.write_all_at(&bytes[from..to], at + from as u64)?;
            end = Some(at + to as u64);
        }
        Ok::<_, std::io::Error>(())
    };
    let mut begun = 0;
    let mut block = (at.next_multiple_of(BLOCK as u64) - at) as usize;
    while let Some(own) = bytes.get(block..block + BLOCK) {
        if own == [0; BLOCK] {
            write(begun, block)?;
            begun = block + BLOCK;
        }
        block += BLOCK;
    }
    write(begun, bytes.len())?;
    Ok(end)
}

fn copy<R: BufRead>(mut left: u64, archive: &mut Archive<R>, mut put: impl FnMut(&[u8]) -> sys::Result<()>) -> Result<(), Failed> {
    while left > 0 {
        let bytes = archive.data(left).map_err(Failed::Read)?;
        put(bytes)?;
        let length = bytes.len();
        archive.consume(length);
        left -= length as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn whole_blocks_of_zeros_are_holes_and_nothing_else_is() {
        let mut bytes = vec![0; 40 * BLOCK + 10];
        for at in [0, BLOCK - 1, 9 * BLOCK, 20 * BLOCK + 5, 39 * BLOCK + 4000] {
            bytes[at] = 1;
        }
        for piece in [1000, BLOCK, 3 * BLOCK + 1, bytes.len()] {
            let file = tempfile::tempfile_in("/var/tmp").unwrap();
            let (mut at, mut end) = (0, 0);
            for piece in bytes.chunks(piece) {
                end = put(&file, at, piece).unwrap().unwrap_or(end);
                at += piece.len() as u64;
            }
            assert_eq!(end, at, "the last bytes are no whole block");
            let mut read = vec![1; bytes.len()];
            file.read_exact_at(&mut read, 0).unwrap();
            assert!(read == bytes, "in pieces of {piece}");
            let blocks = file.metadata().unwrap().blocks();
            // Five have something in them, and one that two pieces have a part of is written.
            let most = 8 * (6 + bytes.len().div_ceil(piece)) as u64;
            assert!(piece < BLOCK || blocks <= most, "{blocks} in pieces of {piece}");
        }
        let file = tempfile::tempfile().unwrap();
        assert_eq!(put(&file, 0, &[0; 2 * BLOCK]).unwrap(), None);
    }
}
