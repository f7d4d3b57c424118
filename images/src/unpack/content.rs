//! The bytes of a file.

use std::fs::File;
use std::io::BufRead;

use rustix::fs::{SeekFrom, ftruncate, seek};
use sys::Call;

use super::archive::{Archive, Member};
use super::members::Failed;
use crate::erofs::{Sum, Summing};

/// Writes a member's bytes to its new file, in pieces as large as the input has them, and answers their sum. Holes stay holes.
pub(crate) fn write<R: BufRead>(
    file: &File,
    member: &Member,
    archive: &mut Archive<R>,
    summing: &mut Summing,
) -> Result<Sum, Failed> {
    let Some(segments) = &member.segments else {
        copy(file, member.size, archive, |bytes| summing.push(bytes))?;
        return Ok(summing.take());
    };
    for segment in segments.iter().filter(|segment| segment.length > 0) {
        seek(file, SeekFrom::Start(segment.offset)).call(|| format!("lseek({})", segment.offset))?;
        copy(file, segment.length, archive, |_| {})?;
    }
    ftruncate(file, member.size).call(|| format!("ftruncate({})", member.size))?;
    // A hole costs nothing here.
    Ok(Sum::of(file)?)
}

fn copy<R: BufRead>(file: &File, mut left: u64, archive: &mut Archive<R>, mut seen: impl FnMut(&[u8])) -> Result<(), Failed> {
    while left > 0 {
        let bytes = archive.data(left).map_err(Failed::Read)?;
        sys::fs::write_all(file, bytes)?;
        seen(bytes);
        let length = bytes.len();
        archive.consume(length);
        left -= length as u64;
    }
    Ok(())
}
