//! `logs` of a container whose log is in systemd's journal: read by the host's `journalctl`, which knows its files.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStdout, Command, Stdio};

use monitor::Stream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::Value;
use sys::Call;

use crate::error::During;
use crate::logs::End;
use crate::{Container, Engine, Error, LogLine, LogOptions, Nanos, names};

/// Microseconds are nanoseconds by this.
const MICRO: Nanos = 1000;

/// Lines of the journal as they are read. It ends with the container, if it was followed.
#[derive(Debug)]
pub(crate) struct Journal {
    child: Child,
    lines: BufReader<ChildStdout>,
    line: Vec<u8>,
    /// Followed until this.
    end: Option<End>,
    ended: bool,
    /// Or until this is readable.
    enough: Option<OwnedFd>,
    /// Whole lines that are not to be seen.
    skip: u64,
}

impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Journal {
    /// Begins to read.
    ///
    /// # Errors
    /// There is no `journalctl`.
    pub(crate) fn open(engine: &Engine, container: &Container, options: &LogOptions) -> Result<Journal, Error> {
        let name = names::short(&container.record);
        let mut command = Command::new("journalctl");
        command.args(["--output=json", "--all", "--no-pager", "--quiet"]);
        let time = |nanos: Nanos| format!("@{}.{:06}", nanos / 1_000_000_000, nanos % 1_000_000_000 / MICRO);
        command.args(options.since.map(|since| format!("--since={}", time(since))));
        command.args(options.until.map(|until| format!("--until={}", time(until))));
        command.arg("--lines=all");
        // Its own option counts records, of which a long line has several, and with a time from the first one on.
        let skip = match options.tail {
            Some(count) => lines(engine, container, options)?.saturating_sub(count),
            None => 0,
        };
        // Of one that does not run there is nothing to come.
        let end = if options.follow { End::of(engine, container)? } else { None };
        if end.is_some() {
            command.arg("--follow");
        }
        command.arg(format!("CONTAINER_ID_FULL={}", container.record.id));
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut child = match spawned {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let why =
                    "it is in systemd's journal, and there is no program journalctl on this host, which reads that".to_owned();
                return Err(Error::Invalid { what: format!("log of container {name}"), why });
            }
            child => child.call(|| "execve(\"journalctl\")").during(|| format!("read the log of container {name}"))?,
        };
        let Some(stdout) = child.stdout.take() else {
            return Err(Error::Invalid { what: "journalctl".to_owned(), why: "it has no output".to_owned() });
        };
        Ok(Journal { child, lines: BufReader::new(stdout), line: Vec::new(), end, ended: false, enough: None, skip })
    }

    /// Stops following when `enough` is readable, or its other end is closed.
    pub(crate) fn until(&mut self, enough: OwnedFd) {
        self.enough = Some(enough);
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> Result<Option<LogLine>, Error> {
        loop {
            self.line.clear();
            if !self.wait()? {
                return Ok(None);
            }
            let read = self.lines.read_until(b'\n', &mut self.line).call(|| "read(journalctl)").during(|| "read the journal")?;
            if read == 0 {
                return Ok(None);
            }
            let Some(line) = line(&self.line) else { continue };
            if self.skip == 0 {
                return Ok(Some(line));
            }
            self.skip -= u64::from(!line.partial);
        }
    }

    /// Waits until there is something to read. False when nothing comes any more: the container has ended, and so has what it had written.
    fn wait(&mut self) -> Result<bool, Error> {
        /// What the journal may take to pass on the last words.
        const LAST: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
        let Some(end) = &self.end else { return Ok(true) };
        loop {
            if self.lines.buffer().contains(&b'\n') {
                return Ok(true);
            }
            let mut fds = vec![PollFd::new(self.lines.get_ref(), PollFlags::IN)];
            if !self.ended {
                fds.push(PollFd::from_borrowed_fd(end.as_fd(), PollFlags::IN));
            }
            let last = fds.len();
            fds.extend(self.enough.as_ref().map(|enough| PollFd::new(enough, PollFlags::IN)));
            match poll(&mut fds, self.ended.then_some(&LAST)) {
                Ok(0) => return Ok(false),
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).call(|| "poll(journalctl, monitor)").during(|| "follow the journal"),
            }
            let happened = |at: usize| fds.get(at).is_some_and(|fd| !fd.revents().is_empty());
            if happened(last) {
                return Ok(false);
            }
            if happened(0) {
                return Ok(true);
            }
            self.ended |= last == 2 && happened(1);
        }
    }
}

/// How many lines there are now.
fn lines(engine: &Engine, container: &Container, options: &LogOptions) -> Result<u64, Error> {
    let mut all = Journal::open(engine, container, &LogOptions { tail: None, follow: false, ..*options })?;
    let (mut count, mut open) = (0, false);
    while let Some(line) = all.next()? {
        count += u64::from(!line.partial);
        open = line.partial;
    }
    Ok(count + u64::from(open))
}

/// An entry of the journal as `--output=json` has it.
fn line(text: &[u8]) -> Option<LogLine> {
    let entry: Value = serde_json::from_slice(text).ok()?;
    let micros: Nanos = entry["__REALTIME_TIMESTAMP"].as_str()?.parse().ok()?;
    let bytes = match &entry["MESSAGE"] {
        Value::String(text) => text.clone().into_bytes(),
        // What is no text.
        Value::Array(bytes) => bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect(),
        _ => Vec::new(),
    };
    let stream = if entry["PRIORITY"] == "3" { Stream::Stderr } else { Stream::Stdout };
    Some(LogLine { time: micros * MICRO, stream, partial: entry["CONTAINER_PARTIAL_MESSAGE"] == "true", bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_follows_may_have_enough() {
        let (enough, held) = std::io::pipe().unwrap();
        let mut child = Command::new("sleep").arg("1000").stdout(Stdio::piped()).spawn().unwrap();
        let own = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty()).unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let end = Some(End::Process(own));
        let mut journal = Journal { child, lines, line: Vec::new(), end, ended: false, enough: None, skip: 0 };
        journal.until(enough.into());
        let leaving = std::thread::spawn(move || drop(held));
        assert!(journal.next().unwrap().is_none());
        leaving.join().unwrap();
    }

    #[test]
    fn entries_are_lines() {
        let text =
            br#"{"__REALTIME_TIMESTAMP":"1700000000000001","PRIORITY":"3","MESSAGE":"x","CONTAINER_PARTIAL_MESSAGE":"true"}"#;
        let read = line(text).unwrap();
        assert_eq!((read.time, read.stream, read.partial), (1_700_000_000_000_001_000, Stream::Stderr, true));
        assert_eq!(line(br#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":[0,255]}"#).unwrap().bytes, [0, 255]);
        assert!(line(b"nonsense").is_none());
    }
}
