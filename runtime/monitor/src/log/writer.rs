//! Records to files, and rotation.

use std::os::fd::{AsFd, OwnedFd};

use launch::Nanos;
use rustix::fs::{AtFlags, Mode, OFlags, fstat, ftruncate, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use sys::{Call, Result};

use super::{CURRENT, FOLDER, name, record, time};
use crate::{LogFormat, LogLimits, Stream};

/// A batch is written out when it has grown to this size, in bytes.
const BATCH: usize = 64 << 10;

/// The one writer of a container's log.
#[derive(Debug)]
pub struct Writer {
    folder: OwnedFd,
    limits: LogLimits,
    /// Opened at the first record, and again after a failure.
    file: Option<OwnedFd>,
    /// Bytes of whole records in `file`.
    size: u64,
}

impl Writer {
    /// The log in the folder `container`. Its own folder is made if missing.
    ///
    /// # Errors
    /// Those of mkdir(2) and open(2).
    pub fn open(container: impl AsFd, limits: LogLimits) -> Result<Self> {
        match mkdirat(&container, FOLDER, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).call(|| format!("mkdirat({FOLDER:?})")),
        }
        Ok(Writer { folder: super::folder(container)?, limits, file: None, size: 0 })
    }

    /// Writes down what `stream` said at `time`, in one write unless it is much or the file is full.
    ///
    /// # Errors
    /// Those of write(2), foremost `ENOSPC`. What could not be written is lost; the file never ends within a record, and the next
    /// call tries anew.
    pub fn write(&mut self, time: Nanos, stream: Stream, bytes: &[u8]) -> Result<()> {
        let time = time::bytes(time);
        let mut batch = Vec::with_capacity(bytes.len().min(BATCH) + 2 * (record::HEAD + 1));
        for (text, full) in record::split(bytes) {
            let length = (record::HEAD + text.len() + 1) as u64;
            let written = self.size()? + batch.len() as u64;
            if must_rotate(written, length, self.limits) {
                self.flush(&mut batch)?;
                self.rotate()?;
            } else if batch.len() >= BATCH {
                self.flush(&mut batch)?;
            }
            match self.limits.format {
                LogFormat::Text => record::push(&mut batch, &time, stream, text, full),
                LogFormat::Json => record::push_json(&mut batch, &time, stream, text, full),
            }
        }
        self.flush(&mut batch)
    }

    /// The size of the current file, which is opened if it is not.
    fn size(&mut self) -> Result<u64> {
        if self.file.is_none() {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&self.folder, CURRENT, flags, Mode::from_raw_mode(0o600)).call(|| format!("openat({CURRENT:?})"))?;
            self.size = fstat(&file).call(|| format!("fstat({CURRENT:?})"))?.st_size as u64;
            self.file = Some(file);
        }
        Ok(self.size)
    }

    fn flush(&mut self, batch: &mut Vec<u8>) -> Result<()> {
        let Some(file) = self.file.as_ref().filter(|_| !batch.is_empty()) else { return Ok(()) };
        let done = sys::fs::write_all(file, batch);
        match done {
            Ok(()) => self.size += batch.len() as u64,
            // Half a record may be there. It would spoil the next one.
            Err(_) => drop(ftruncate(file, self.size)),
        }
        batch.clear();
        done
    }

    /// Renames each file to the next older name; the oldest one goes. With one file in all, that is the current one: readers keep
    /// what they have open.
    fn rotate(&mut self) -> Result<()> {
        self.file = None;
        let oldest = self.limits.max_files.max(1) - 1;
        if oldest == 0 {
            return unlinkat(&self.folder, CURRENT, AtFlags::empty()).call(|| format!("unlinkat({CURRENT:?})"));
        }
        for age in (0..oldest).rev() {
            let (from, to) = (name(age), name(age + 1));
            match renameat(&self.folder, &from, &self.folder, &to) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(errno) => return Err(errno).call(|| format!("renameat({from:?}, {to:?})")),
            }
        }
        // The size asked for next is that of a new, empty file.
        self.size().map(drop)
    }
}

/// A file that has something is not made longer than the limit.
fn must_rotate(size: u64, record: u64, limits: LogLimits) -> bool {
    size > 0 && size.saturating_add(record) > limits.max_size
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Lines, Reader};

    fn text(dir: &tempfile::TempDir) -> Vec<u8> {
        let mut reader = Reader::open(std::fs::File::open(dir.path().join(FOLDER)).unwrap().into()).unwrap();
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        while let Some(bytes) = reader.read().unwrap() {
            lines.push(bytes);
            while let Some(line) = lines.next() {
                all.extend_from_slice(line.bytes);
                all.extend_from_slice(if line.partial { b"" } else { b"\n" });
            }
        }
        all
    }

    fn writer(dir: &tempfile::TempDir, max_size: u64, max_files: u32) -> Writer {
        Writer::open(std::fs::File::open(dir.path()).unwrap(), LogLimits { max_size, max_files, ..LogLimits::default() }).unwrap()
    }

    #[test]
    fn rotation_is_decided_before_writing() {
        let limits = LogLimits { max_size: 100, ..LogLimits::default() };
        assert!(!must_rotate(0, 500, limits));
        assert!(!must_rotate(60, 40, limits));
        assert!(must_rotate(61, 40, limits));
    }

    #[test]
    fn what_goes_in_comes_out() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(&dir, 1 << 30, 3);
        let long = vec![b'l'; 3 * MAX];
        for bytes in [&b"one\ntwo"[..], b"\n", &long, b"\n\n\x00\xff", b"end"] {
            log.write(1, Stream::Stdout, bytes).unwrap();
        }
        assert_eq!(text(&dir), [&b"one\ntwo\n"[..], &long, b"\n\n\x00\xffend"].concat());
    }

    const MAX: usize = record::MAX_PART;

    #[test]
    fn files_stay_below_the_limit_and_the_newest_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(&dir, 1000, 3);
        for chunk in 0..20 {
            let lines: String = (0..10).map(|line| format!("line {:04}\n", chunk * 10 + line)).collect();
            log.write(1, Stream::Stdout, lines.as_bytes()).unwrap();
        }
        let mut sizes = Vec::new();
        for age in 0..4 {
            sizes.extend(std::fs::metadata(dir.path().join(FOLDER).join(name(age))).map(|file| file.len()));
        }
        assert_eq!(sizes.len(), 3);
        assert!(sizes.iter().all(|size| *size <= 1000 && *size > 0) && sizes[1] > 900 && sizes[2] > 900, "{sizes:?}");
        let kept = text(&dir);
        let kept: Vec<_> = std::str::from_utf8(&kept).unwrap().lines().collect();
        let expected: Vec<_> = (200 - kept.len()..200).map(|line| format!("line {line:04}")).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn json_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let limits = LogLimits { format: LogFormat::Json, ..LogLimits::default() };
        let mut log = Writer::open(std::fs::File::open(dir.path()).unwrap(), limits).unwrap();
        for bytes in [&b"one\ntwo"[..], b" and \"more\"\n\n", b"end"] {
            log.write(1, Stream::Stdout, bytes).unwrap();
        }
        assert_eq!(text(&dir), b"one\ntwo and \"more\"\n\nend");
        let mut reader = Reader::open(std::fs::File::open(dir.path().join(FOLDER)).unwrap().into()).unwrap();
        reader.tail(2).unwrap();
        let mut lines = Lines::default();
        lines.push(reader.read().unwrap().unwrap());
        assert_eq!(lines.next().map(|line| line.bytes.to_vec()), Some(Vec::new()));
        assert_eq!(lines.next().map(|line| line.bytes.to_vec()), Some(b"end".to_vec()));
    }

    #[test]
    fn one_file_starts_anew() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = writer(&dir, 60, 1);
        for line in 0..5 {
            log.write(1, Stream::Stderr, format!("{line}\n").as_bytes()).unwrap();
        }
        assert_eq!(text(&dir), b"4\n");
    }

    #[test]
    fn a_restarted_writer_appends() {
        let dir = tempfile::tempdir().unwrap();
        writer(&dir, 1 << 20, 3).write(1, Stream::Stdout, b"a\n").unwrap();
        writer(&dir, 1 << 20, 3).write(1, Stream::Stdout, b"b\n").unwrap();
        assert_eq!(text(&dir), b"a\nb\n");
    }
}
