//! The files of a log, oldest to newest, while they may be rotated.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, SeekFrom, fstat, openat, seek};
use rustix::io::Errno;
use sys::{Call, Result};

use super::tail::Tail;
use super::{CHUNK, CURRENT, FOLDER, name};

/// The log folder in the folder `container`.
///
/// # Errors
/// `ENOENT` when the container was never started.
pub fn folder(container: impl AsFd) -> Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(container, FOLDER, flags, Mode::empty()).call(|| format!("openat({FOLDER:?}, O_DIRECTORY)"))
}

/// Reads a log from its oldest byte to its newest and goes on after a rotation.
#[derive(Debug)]
pub struct Reader {
    /// Where newer files come to be: in a folder, under one name. The one before gets another.
    folder: OwnedFd,
    base: OsString,
    /// Oldest first. The first one is being read.
    files: VecDeque<File>,
    buffer: Vec<u8>,
}

/// An open log file keeps its inode number from being used again, so that number names it.
#[derive(Debug)]
struct File {
    fd: OwnedFd,
    inode: u64,
}

impl Reader {
    /// The log in `folder`, from its oldest byte.
    ///
    /// # Errors
    /// Those of open(2). A log without a file is empty.
    pub fn open(folder: OwnedFd) -> Result<Self> {
        Reader::named(folder, CURRENT.as_ref())
    }

    /// The log in the file `base` of a folder, from its oldest byte as far as older files have names of ours. Where others rename the file, it begins
    /// with the one that has the name now: older ones have names that only those others know.
    ///
    /// # Errors
    /// Those of open(2). A log without a file is empty.
    pub fn named(folder: OwnedFd, base: &OsStr) -> Result<Self> {
        let files = files(&folder, base, None)?;
        Ok(Reader { folder, base: base.to_owned(), files, buffer: Vec::new() })
    }

    /// The next bytes; `None` at the end of what is there now. The writer may add more.
    ///
    /// # Errors
    /// Those of read(2) and open(2).
    pub fn read(&mut self) -> Result<Option<&[u8]>> {
        self.buffer.resize(CHUNK, 0);
        loop {
            if let Some(file) = self.files.front() {
                let length = read(&file.fd, &mut self.buffer)?;
                if length > 0 {
                    return Ok(Some(&self.buffer[..length]));
                }
            }
            if self.files.len() < 2 {
                let inode = self.files.front().map(|file| file.inode);
                let newer = files(&self.folder, &self.base, inode)?;
                if newer.is_empty() {
                    return Ok(None);
                }
                // Between our last read and the rotation the writer may have added to what is no longer the current file.
                let rest = self.files.front().map_or(Ok(0), |file| read(&file.fd, &mut self.buffer))?;
                self.files.extend(newer);
                if rest > 0 {
                    return Ok(Some(&self.buffer[..rest]));
                }
                if self.files.len() == 1 {
                    continue;
                }
            }
            self.files.pop_front();
        }
    }

    /// Skips to the last `count` lines. To be called before the first [`Reader::read`]. Reads no more than these, backwards.
    ///
    /// # Errors
    /// Those of read(2).
    pub fn tail(&mut self, count: u64) -> Result<()> {
        let mut tail = Tail::new(count);
        for index in (0..self.files.len()).rev() {
            if let Some(offset) = tail.scan(&self.files[index].fd)? {
                seek(&self.files[index].fd, SeekFrom::Start(offset)).call(|| "lseek()")?;
                self.files.drain(..index);
                return Ok(());
            }
        }
        Ok(())
    }
}

/// The files of the log, oldest first; only those newer than the one with the number `after`, or all when that one is gone.
///
/// They are opened from the newest to the oldest: a rotation in between shows one twice, which is noticed, and hides none.
fn files(folder: &OwnedFd, base: &OsStr, after: Option<u64>) -> Result<VecDeque<File>> {
    let mut files: VecDeque<File> = VecDeque::new();
    let mut missing = 0;
    for age in 0.. {
        let name = name(base, age);
        let fd = match openat(folder, &name, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            // Within a rotation there is one gap in the row, at the current file or behind it.
            Err(Errno::NOENT) if missing == 0 => {
                missing += 1;
                continue;
            }
            Err(Errno::NOENT) => break,
            other => other.call(|| format!("openat({name:?})"))?,
        };
        let inode = fstat(&fd).call(|| format!("fstat({name:?})"))?.st_ino;
        if Some(inode) == after {
            break;
        }
        if files.front().is_none_or(|newer| newer.inode != inode) {
            files.push_front(File { fd, inode });
        }
    }
    Ok(files)
}

fn read(file: &OwnedFd, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match rustix::io::read(file, &mut *buffer) {
            Err(Errno::INTR) => {}
            other => return other.call(|| "read()"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Lines, Writer};
    use crate::{LogLimits, Stream};

    fn log(max_size: u64) -> (tempfile::TempDir, Writer, OwnedFd) {
        let dir = tempfile::tempdir().unwrap();
        let container = std::fs::File::open(dir.path()).unwrap();
        let writer = Writer::open(&container, LogLimits { max_size, max_files: 4, ..LogLimits::default() }).unwrap();
        let folder = folder(&container).unwrap();
        (dir, writer, folder)
    }

    fn rest(reader: &mut Reader, lines: &mut Lines) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some(bytes) = reader.read().unwrap() {
            lines.push(bytes);
            while let Some(line) = lines.next() {
                let end = if line.partial { "" } else { "\n" };
                seen.push(format!("{}{end}", String::from_utf8_lossy(line.bytes)));
            }
        }
        seen
    }

    #[test]
    fn following_survives_rotations() {
        let (_dir, mut writer, folder) = log(100);
        let mut reader = Reader::open(folder).unwrap();
        let mut lines = Lines::default();
        assert_eq!(rest(&mut reader, &mut lines), [""; 0]);
        // Two records a file. Up to three rotations happen between two looks.
        let (mut number, mut seen) = (0, Vec::new());
        for burst in [1, 1, 1, 2, 3, 4, 5, 6, 1] {
            for _ in 0..burst {
                writer.write(1, Stream::Stdout, format!("{number}\n").as_bytes()).unwrap();
                number += 1;
            }
            seen.extend(rest(&mut reader, &mut lines));
        }
        assert_eq!(seen, (0..number).map(|number| format!("{number}\n")).collect::<Vec<_>>());
    }

    #[test]
    fn a_file_that_others_rename_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("0.log");
        let folder = || OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
        let (mut early, mut lines) = (Reader::named(folder(), "0.log".as_ref()).unwrap(), Lines::default());
        assert_eq!(rest(&mut early, &mut lines), [""; 0]);
        let mut seen = Vec::new();
        for number in 0..3 {
            let mut writer = Writer::at(&path, None).unwrap();
            writer.write(1, Stream::Stdout, format!("{number}\n").as_bytes()).unwrap();
            seen.extend(rest(&mut early, &mut lines));
            std::fs::rename(&path, dir.path().join(format!("0.log.2026030{number}"))).unwrap();
            writer.write(1, Stream::Stdout, format!("late {number}\n").as_bytes()).unwrap();
        }
        assert_eq!(rest(&mut Reader::named(folder(), "0.log".as_ref()).unwrap(), &mut Lines::default()), [""; 0]);
        seen.extend(rest(&mut early, &mut lines));
        assert_eq!(seen.concat(), "0\nlate 0\n1\nlate 1\n2\nlate 2\n");
    }

    #[test]
    fn a_reader_left_behind_goes_on_with_the_oldest() {
        let (_dir, mut writer, folder) = log(100);
        let mut lines = Lines::default();
        writer.write(1, Stream::Stdout, b"first\n").unwrap();
        let mut reader = Reader::open(folder).unwrap();
        assert_eq!(rest(&mut reader, &mut lines), ["first\n"]);
        for number in 0..20 {
            writer.write(1, Stream::Stdout, format!("{number}\n").as_bytes()).unwrap();
        }
        let seen = rest(&mut reader, &mut lines);
        // "first" shares its file with 0, which the reader still has open.
        assert_eq!((seen[0].as_str(), seen.last().unwrap().as_str()), ("0\n", "19\n"));
    }

    #[test]
    fn a_rotation_half_done_hides_nothing() {
        let (dir, mut writer, folder) = log(60);
        for number in 0..4 {
            writer.write(1, Stream::Stdout, format!("{number}\n").as_bytes()).unwrap();
        }
        let path = |age| dir.path().join(FOLDER).join(name(CURRENT.as_ref(), age));
        std::fs::rename(path(3), path(4)).unwrap();
        for age in (0..3).rev() {
            std::fs::rename(path(age), path(age + 1)).unwrap();
            let mut reader = Reader::open(folder.try_clone().unwrap()).unwrap();
            assert_eq!(rest(&mut reader, &mut Lines::default()).concat(), "0\n1\n2\n3\n", "gap at {age}");
        }
    }

    #[test]
    fn the_tail_counts_lines_not_records() {
        let (_dir, mut writer, folder) = log(1000);
        let tail = |count| {
            let mut reader = Reader::open(folder.try_clone().unwrap()).unwrap();
            reader.tail(count).unwrap();
            rest(&mut reader, &mut Lines::default()).concat()
        };
        assert_eq!(tail(3), "");
        let all: Vec<String> = (0..50).map(|number| format!("line {number} goes on and on\n")).collect();
        for line in &all {
            let (left, right) = line.as_bytes().split_at(7);
            writer.write(1, Stream::Stdout, left).unwrap();
            writer.write(1, Stream::Stdout, right).unwrap();
        }
        for count in [0, 1, 2, 5, 17, 30] {
            assert_eq!(tail(count), all[50 - count as usize..].concat(), "tail {count}");
        }
        writer.write(1, Stream::Stdout, b"open").unwrap();
        assert_eq!(tail(1), "open");
        assert_eq!(tail(2), format!("{}open", all[49]));
    }
}
