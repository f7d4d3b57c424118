//! Records to files, and rotation.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use launch::Nanos;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, fstat, ftruncate, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use sys::{Call, Result};

use super::journal::Journal;
use super::{CURRENT, FOLDER, name, record, time};
use crate::{LogFormat, LogLimits, Stream};

/// A batch is written out when it has grown to this size, in bytes.
const BATCH: usize = 64 << 10;

/// How a log is opened. A link in its place is not followed.
const APPEND: OFlags = OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::APPEND).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A log outside the container's folder may be read by the group of root, which collects such files.
const FOR_GROUP: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP);

/// The one writer of a container's log.
#[derive(Debug)]
pub struct Writer {
    place: Place,
    /// Opened at the first record, and again after a failure.
    file: Option<OwnedFd>,
    /// Bytes of whole records in `file`.
    size: u64,
    /// What is noted with each record, where the format has room for it.
    notes: BTreeMap<String, String>,
}

/// Where the files are.
#[derive(Debug)]
enum Place {
    /// In a folder, under the name `base` while it is the newest, and rotated here.
    Folder { folder: OwnedFd, base: OsString, mode: Mode, limits: LogLimits },
    /// One file, which others rotate.
    File,
    /// No file.
    Journal(Journal),
}

impl Writer {
    /// The log in the file `path`, which is made if it is missing; rotated here if there are limits, else by others. Whoever may write in its folder
    /// is root, but what is there may be a link all the same: it is not followed.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn at(path: &Path, limits: Option<LogLimits>) -> Result<Self> {
        let file = openat(CWD, path, APPEND, FOR_GROUP).call(|| format!("open({path:?}, O_APPEND)"))?;
        Writer::file(file, path, limits)
    }

    /// The same, with the file open for appending.
    ///
    /// # Errors
    /// Those of fstat(2), and those of open(2) for its folder.
    pub fn file(file: OwnedFd, path: &Path, limits: Option<LogLimits>) -> Result<Self> {
        let size = fstat(&file).call(|| "fstat(log)")?.st_size as u64;
        let place = match (limits, path.parent().zip(path.file_name())) {
            (Some(limits), Some((folder, base))) => {
                Place::Folder { folder: sys::fs::open_dir(folder)?, base: base.to_owned(), mode: FOR_GROUP, limits }
            }
            _ => Place::File,
        };
        Ok(Writer { place, file: Some(file), size, notes: BTreeMap::new() })
    }

    /// The log in systemd's journal, with these fields in each record. Nothing is opened until there is something to be written.
    pub fn journal(fields: &[(String, String)]) -> Self {
        let journal = Journal::new(Path::new(super::journal::SOCKET), fields);
        Writer { place: Place::Journal(journal), file: None, size: 0, notes: BTreeMap::new() }
    }

    /// Notes this with each record, as Docker's `json-file` does.
    #[must_use]
    pub fn noting(mut self, notes: &[(String, String)]) -> Self {
        self.notes = notes.iter().cloned().collect();
        self
    }

    /// The log in the folder `container`. Its own folder is made if missing.
    ///
    /// # Errors
    /// Those of mkdir(2) and open(2).
    pub fn open(container: impl AsFd, limits: LogLimits) -> Result<Self> {
        match mkdirat(&container, FOLDER, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno).call(|| format!("mkdirat({FOLDER:?})")),
        }
        let folder = super::folder(container)?;
        let place = Place::Folder { folder, base: CURRENT.into(), mode: Mode::RUSR | Mode::WUSR, limits };
        Ok(Writer { place, file: None, size: 0, notes: BTreeMap::new() })
    }

    /// Writes down what `stream` said at `time`, in one write unless it is much or the file is full.
    ///
    /// # Errors
    /// Those of write(2), foremost `ENOSPC`. What could not be written is lost; the file never ends within a record, and the next
    /// call tries anew.
    pub fn write(&mut self, time: Nanos, stream: Stream, bytes: &[u8]) -> Result<()> {
        if let Place::Journal(journal) = &mut self.place {
            return record::split(bytes).try_for_each(|(text, full)| journal.send(stream, text, full));
        }
        let time = time::bytes(time);
        let mut batch = Vec::with_capacity(bytes.len().min(BATCH) + 2 * (record::HEAD + 1));
        for (text, full) in record::split(bytes) {
            let length = (record::HEAD + text.len() + 1) as u64;
            let written = self.size()? + batch.len() as u64;
            let limits = self.limits();
            if limits.is_some_and(|limits| must_rotate(written, length, limits)) {
                self.flush(&mut batch)?;
                self.rotate()?;
            } else if batch.len() >= BATCH {
                self.flush(&mut batch)?;
            }
            match limits.map(|limits| limits.format) {
                Some(LogFormat::Json) => record::push_json(&mut batch, &time, stream, text, full, &self.notes),
                Some(LogFormat::Text | LogFormat::Journal) => record::push(&mut batch, &time, stream, text, full),
                // As containerd and CRI-O have it: of a terminal's line ends nothing is left.
                None | Some(LogFormat::Cri) => {
                    record::push(&mut batch, &time, stream, text.strip_suffix(b"\r").filter(|_| full).unwrap_or(text), full)
                }
            }
        }
        self.flush(&mut batch)
    }

    fn limits(&self) -> Option<LogLimits> {
        match &self.place {
            Place::Folder { limits, .. } => Some(*limits),
            Place::File | Place::Journal(_) => None,
        }
    }

    /// The size of the current file, which is opened if it is not.
    fn size(&mut self) -> Result<u64> {
        if let (None, Place::Folder { folder, base, mode, .. }) = (&self.file, &self.place) {
            let file = openat(folder, base, APPEND, *mode).call(|| format!("openat({base:?})"))?;
            self.size = fstat(&file).call(|| format!("fstat({base:?})"))?.st_size as u64;
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
        let Place::Folder { folder, base, limits, .. } = &self.place else { return Ok(()) };
        self.file = None;
        let oldest = limits.max_files.max(1) - 1;
        if oldest == 0 {
            return unlinkat(folder, base, AtFlags::empty()).call(|| format!("unlinkat({base:?})"));
        }
        for age in (0..oldest).rev() {
            let (from, to) = (name(base, age), name(base, age + 1));
            match renameat(folder, &*from, folder, &*to) {
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
            sizes.extend(std::fs::metadata(dir.path().join(FOLDER).join(name(CURRENT.as_ref(), age))).map(|file| file.len()));
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
    fn a_file_of_others_is_not_rotated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let mut log = Writer::at(&path, None).unwrap();
        log.write(1, Stream::Stdout, b"a\r\nb\rc\n").unwrap();
        log.write(1, Stream::Stderr, &vec![b'x'; MAX + 1]).unwrap();
        std::fs::rename(&path, dir.path().join("old")).unwrap();
        log.write(1, Stream::Stdout, b"to the old one\n").unwrap();
        Writer::at(&path, None).unwrap().write(1, Stream::Stdout, b"to the new one\n").unwrap();
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        let time = "1970-01-01T00:00:00.000000001Z";
        assert_eq!(read("0.log"), format!("{time} stdout F to the new one\n"));
        let long = format!("{time} stderr P {}\n{time} stderr P x\n", "x".repeat(MAX));
        assert_eq!(read("old"), format!("{time} stdout F a\n{time} stdout F b\rc\n{long}{time} stdout F to the old one\n"));
        std::os::unix::fs::symlink("old", dir.path().join("link")).unwrap();
        assert!(Writer::at(&dir.path().join("link"), None).is_err());
    }

    #[test]
    fn a_file_elsewhere_is_rotated_beside_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let limits = LogLimits { max_size: 100, max_files: 3, format: LogFormat::Cri };
        let mut log = Writer::at(&path, Some(limits)).unwrap();
        let mut follow = Reader::named(std::fs::File::open(dir.path()).unwrap().into(), "0.log".as_ref()).unwrap();
        let (mut lines, mut seen) = (Lines::default(), String::new());
        for number in 0..9 {
            log.write(1, Stream::Stdout, format!("{number}\r\n").as_bytes()).unwrap();
            while let Some(bytes) = follow.read().unwrap() {
                lines.push(bytes);
                while let Some(line) = lines.next() {
                    seen += std::str::from_utf8(line.bytes).unwrap();
                }
            }
        }
        assert_eq!(seen, "012345678");
        let mut names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["0.log", "0.log.1", "0.log.2"]);
        let last = std::fs::read_to_string(dir.path().join("0.log.2")).unwrap();
        assert_eq!(last.lines().map(|line| &line[line.len() - 1..]).collect::<String>(), "45");
        std::fs::write(dir.path().join("1.log"), "").unwrap();
        super::super::remove(&path).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "another log stays");
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
