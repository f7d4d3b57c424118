//! `exec_sync`: another process in a running container, its output kept up to a limit, and its end waited for up to a time.

use std::time::{Duration, Instant};

use monitor::Request;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sys::Call;

use crate::error::During;
use crate::session::Session;
use crate::{Engine, Error, ExecRequest, Happening};

/// How long a killed process may take to end.
const KILLED: Duration = Duration::from_secs(5);

/// How a process ended that was waited for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// What it wrote to standard output, or the beginning of that.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, or the beginning of that.
    pub stderr: Vec<u8>,
    /// Its exit code; 128 and the signal's number when one ended it.
    pub code: i32,
}

impl Engine {
    /// Runs a process in the container and returns how it ended. Of each output at most `limit` bytes are kept; the rest is read and
    /// dropped, so that the process never waits for room, and nobody's memory fills (CVE-2022-1708).
    ///
    /// # Errors
    /// As [`Engine::exec`]; [`Error::DeadlineExceeded`] when it has not ended after `timeout`: it is killed by then, with what it has started
    /// in its process group.
    pub fn exec_sync(
        &self,
        given: &str,
        request: &ExecRequest,
        timeout: Option<Duration>,
        limit: usize,
    ) -> Result<ExecOutput, Error> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let request = ExecRequest { stdin: false, detach: false, ..request.clone() };
        let mut session = self.exec(given, &request)?;
        let mut output = ExecOutput::default();
        if ended(&mut session, &mut output, deadline, limit)? {
            return Ok(output);
        }
        session.send(&Request::KillGroup, &[])?;
        ended(&mut session, &mut output, Some(Instant::now() + KILLED), limit)?;
        Err(Error::DeadlineExceeded { command: request.cmd.join(" "), after: timeout.unwrap_or_default() })
    }
}

/// Takes output until the process has ended. False when it still runs at the deadline.
fn ended(session: &mut Session, output: &mut ExecOutput, deadline: Option<Instant>, limit: usize) -> Result<bool, Error> {
    let keep = |kept: &mut Vec<u8>, bytes: Vec<u8>| {
        let room = limit.saturating_sub(kept.len());
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    };
    loop {
        if !session.has_early() && !ready(session, deadline)? {
            return Ok(false);
        }
        match session.happening()? {
            Some(Happening::Stdout(bytes)) => keep(&mut output.stdout, bytes),
            Some(Happening::Stderr(bytes)) => keep(&mut output.stderr, bytes),
            Some(Happening::Exited(exit)) => {
                output.code = exit.code;
                return Ok(true);
            }
            None => {}
        }
    }
}

/// Waits until the session has something. False when the deadline comes before.
fn ready(session: &Session, deadline: Option<Instant>) -> Result<bool, Error> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let now = Instant::now();
        match poll(&mut [PollFd::from_borrowed_fd(session.as_fd(), PollFlags::IN)], timeout.as_ref()) {
            Ok(0) => return Ok(false),
            // A process that never stops writing has a deadline, too.
            Ok(_) => return Ok(deadline.is_none_or(|deadline| now < deadline)),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).call(|| "poll(monitor)").during(|| "wait for a process"),
        }
    }
}
