//! A command that was started.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Instant;

use super::PATIENCE;
use crate::output::Output;

/// A started command: its output is collected as it comes.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Stream,
    stderr: Stream,
}

/// One of a command's two outputs.
#[derive(Debug)]
struct Stream {
    chunks: Receiver<Vec<u8>>,
    text: Vec<u8>,
}

impl Stream {
    fn new(mut from: impl Read + Send + 'static) -> Self {
        let (send, chunks) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                if send.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { chunks, text: Vec::new() }
    }

    /// Takes what comes until it has `part`, or to the end; false when time runs out.
    fn read(&mut self, deadline: Instant, part: Option<&str>) -> bool {
        loop {
            if part.is_some_and(|part| self.text().contains(part)) {
                return true;
            }
            match self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.text.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

impl Running {
    /// Starts `command` with pipes.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        Self { command: line, stdin: child.stdin.take(), child, stdout: Stream::new(stdout), stderr: Stream::new(stderr) }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input, which stays open.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn type_in(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("open standard input");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("input taken");
    }

    /// Waits until its standard output has `part`.
    ///
    /// # Panics
    /// When it ends or time runs out first.
    #[track_caller]
    pub fn wait_for(&mut self, part: &str) {
        let in_time = self.stdout.read(Instant::now() + PATIENCE, Some(part));
        let text = self.stdout.text();
        let said = || format!("$ {}\n--- stdout\n{text}\n--- stderr\n{}", self.command, self.stderr.text());
        assert!(in_time && text.contains(part), "waited in vain for {part:?}\n{}", said());
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// What it has said on its standard output so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.stdout.text()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        let _ = pid.map(|pid| rustix::process::kill_process(pid, signal));
    }

    /// Kills it and takes its end.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes its standard input and waits for its end and for the end of its outputs.
    ///
    /// # Panics
    /// When it takes longer than [`PATIENCE`]: either it hangs, or someone keeps its outputs open.
    #[track_caller]
    pub fn finish(mut self) -> Output {
        drop(self.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        let ended = self.stdout.read(deadline, None) && self.stderr.read(deadline, None);
        if !ended {
            let _ = self.child.kill();
        }
        let status = self.child.wait().expect("a child to wait for");
        let output = Output { command: self.command, code: code(status), stdout: self.stdout.text(), stderr: self.stderr.text() };
        assert!(ended, "took longer than {PATIENCE:?}, or its outputs stayed open\n{output}");
        output
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
