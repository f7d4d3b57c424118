//! The bytes of a file.

use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{SeekFrom, ftruncate, seek};
use sys::Call;

use super::archive::{Archive, Member};
use super::members::Failed;

/// Writes a member's bytes to its new file, in pieces as large as the input has them. Holes stay holes.
pub(crate) fn write<R: BufRead>(file: impl AsFd, member: &Member, archive: &mut Archive<R>) -> Result<(), Failed> {
    let file = file.as_fd();
    let Some(segments) = &member.segments else { return copy(file, member.size, archive) };
    for segment in segments.iter().filter(|segment| segment.length > 0) {
        seek(file, SeekFrom::Start(segment.offset)).call(|| format!("lseek({})", segment.offset))?;
        copy(file, segment.length, archive)?;
    }
    Ok(ftruncate(file, member.size).call(|| format!("ftruncate({})", member.size))?)
}

fn copy<R: BufRead>(file: BorrowedFd<'_>, mut left: u64, archive: &mut Archive<R>) -> Result<(), Failed> {
    while left > 0 {
        let bytes = archive.data(left).map_err(Failed::Read)?;
        sys::fs::write_all(file, bytes)?;
        let length = bytes.len();
        archive.consume(length);
        left -= length as u64;
    }
    Ok(())
}
