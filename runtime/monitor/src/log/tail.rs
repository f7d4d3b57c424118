//! Where the last lines of a log begin, read backwards.

use std::os::fd::OwnedFd;

use rustix::fs::fstat;
use rustix::io::{Errno, pread};
use sys::{Call, Error, Result};

use super::{CHUNK, record};

/// Counts the ends of lines from the last record to the first. Records have a fixed layout, so a newline and the byte [`record::TAG`]
/// bytes after it are all that is looked at.
pub(crate) struct Tail {
    wanted: u64,
    ends: u64,
    /// A record has been seen.
    begun: bool,
}

impl Tail {
    pub(crate) fn new(wanted: u64) -> Self {
        Tail { wanted, ends: 0, begun: false }
    }

    /// Where the wanted lines begin, if it is in this file.
    pub(crate) fn scan(&mut self, file: &OwnedFd) -> Result<Option<u64>> {
        let mut end = fstat(file).call(|| "fstat()")?.st_size as u64;
        let mut buffer = vec![0; CHUNK + record::HEAD];
        // Where the record begins that is in front of the one looked at last.
        let mut next = end;
        while end > 0 {
            let start = end.saturating_sub(CHUNK as u64);
            let length = fill(file, &mut buffer[..(end - start) as usize + record::HEAD], start)?;
            for at in (0..(end - start) as usize).rev() {
                let first = start == 0 && at == 0;
                if !first && buffer[at] != b'\n' {
                    continue;
                }
                let begin = if first && buffer[0] != b'\n' { 0 } else { at + 1 };
                // A line in several records of JSON counts as several: it is longer than anybody's.
                let json = buffer[..length].get(begin) == Some(&record::JSON);
                if let Some(tag) = buffer[..length].get(begin + record::TAG)
                    && self.record(json || *tag == b'F')
                {
                    return Ok(Some(next));
                }
                next = start + begin as u64;
            }
            end = start;
        }
        Ok(None)
    }

    /// Takes one record. True when it belongs to the line in front of those wanted.
    fn record(&mut self, full: bool) -> bool {
        // An unfinished line at the end is one, too.
        self.ends += u64::from(full || !self.begun);
        self.begun = true;
        self.ends > self.wanted
    }
}

/// Reads from `offset` on until the buffer is full or the file ends.
fn fill(file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match pread(file, &mut buffer[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new("pread()", errno)),
        }
    }
    Ok(length)
}
