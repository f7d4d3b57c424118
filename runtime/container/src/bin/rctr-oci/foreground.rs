//! Staying with a process until its end: its terminal is this one, its signals are passed on, its exit code is ours.

use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{WaitId, WaitIdOptions, WaitOptions, waitid};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use sys::Call;

use crate::error::{Doing, Result};

const SIGCHLD: i32 = 17;
const SIGWINCH: i32 = 28;

/// Before anything is made: signals wait from here on, so that none is lost and none ends this program alone.
pub(crate) fn prepare(subreaper: bool) -> Result<OwnedFd> {
    if subreaper {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).call(|| "prctl(PR_SET_CHILD_SUBREAPER)")?;
    }
    // Not those of a fault of its own, which cannot wait, SIGURG, which says nothing, nor SIGPIPE. 32 and 33 are libc's.
    let pass = |signal: &i32| ![4, 5, 7, 8, 9, 11, 13, 19, 23, 31, 32, 33].contains(signal);
    let all: Vec<i32> = (1..=64).filter(pass).collect();
    Ok(sys::signal::signalfd(&all)?)
}

/// A process and what connects it to this one.
pub(crate) struct Foreground<'a> {
    pub(crate) process: &'a OwnedFd,
    /// The master of its terminal, when it has one and nobody else got it.
    pub(crate) terminal: Option<OwnedFd>,
    /// From [`prepare`].
    pub(crate) signals: OwnedFd,
}

/// This terminal as it was.
struct Raw(Termios);

impl Raw {
    fn new() -> Result<Option<Raw>> {
        if !isatty(stdin()) {
            return Ok(None);
        }
        let before = tcgetattr(stdin()).call(|| "ioctl(TCGETS)")?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw).call(|| "ioctl(TCSETS)")?;
        Ok(Some(Raw(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}

/// What is to be written where it does not fit yet.
#[derive(Default)]
struct Input {
    waiting: Vec<u8>,
    ended: bool,
}

impl Foreground<'_> {
    /// Waits for the end and reaps the process; its code, or 128 and its signal.
    pub(crate) fn wait(self) -> Result<u8> {
        let _raw = match &self.terminal {
            Some(master) => {
                resize(master);
                let nonblocking = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::RDWR;
                rustix::fs::fcntl_setfl(master, nonblocking).call(|| "fcntl(F_SETFL, O_NONBLOCK)")?;
                Raw::new().doing(|| "raw terminal")?
            }
            None => None,
        };
        let mut input = Input::default();
        let mut open = true;
        while !self.turn(&mut input, &mut open)? {}
        if let Some(master) = &self.terminal {
            // What it said last.
            while open && copy(master, stdout()) == Copied::Some {}
        }
        Ok(sys::process::wait(self.process)?.code() as u8)
    }

    /// Waits for something and does it; true when the process has ended.
    fn turn(&self, input: &mut Input, open: &mut bool) -> Result<bool> {
        let mut all = vec![PollFd::new(self.process, PollFlags::IN), PollFd::new(&self.signals, PollFlags::IN)];
        let stdin = stdin();
        if let Some(master) = self.terminal.as_ref().filter(|_| *open) {
            let wanted = if input.waiting.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
            all.push(PollFd::new(master, wanted));
            if input.waiting.is_empty() && !input.ended {
                all.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
            }
        }
        match poll(&mut all, None) {
            Err(Errno::INTR) => return Ok(false),
            ready => ready.call(|| "poll()")?,
        };
        let ready: Vec<bool> = all.iter().map(|fd| !fd.revents().is_empty()).collect();
        if ready[1] {
            self.signal();
        }
        if let (Some(master), Some(true)) = (&self.terminal, ready.get(2)) {
            *open = copy(master, stdout()) != Copied::End;
            input.flush(master);
        }
        if let (Some(master), Some(true)) = (&self.terminal, ready.get(3)) {
            input.read(master);
        }
        Ok(ready[0])
    }

    /// Passes signals on.
    fn signal(&self) {
        while let Some(signal) = sys::signal::read(&self.signals) {
            match (signal, &self.terminal) {
                (SIGCHLD, _) => self.reap(),
                (SIGWINCH, Some(master)) => resize(master),
                _ => {
                    let _ = sys::process::signal(self.process, signal);
                }
            }
        }
    }

    /// Reaps whom the container has left behind, but not the process itself, whose end is still to be told.
    fn reap(&self) {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        while let Ok(Some(_)) = waitid(WaitId::All, look) {
            if matches!(waitid(WaitId::PidFd(self.process.as_fd()), look), Ok(Some(_))) {
                return;
            }
            if rustix::process::wait(WaitOptions::NOHANG).is_err() {
                return;
            }
        }
    }
}

impl Input {
    fn read(&mut self, master: &OwnedFd) {
        let mut buffer = [0; 4096];
        match rustix::io::read(stdin(), &mut buffer) {
            Ok(0) => self.ended = true,
            Ok(length) => self.waiting.extend(&buffer[..length]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.ended = true,
        }
        if self.ended {
            // End of file as a terminal says it.
            self.waiting.push(4);
        }
        self.flush(master);
    }

    fn flush(&mut self, master: &OwnedFd) {
        if let Ok(written) = rustix::io::write(master, &self.waiting) {
            self.waiting.drain(..written);
        }
    }
}

#[derive(PartialEq)]
enum Copied {
    Some,
    Nothing,
    End,
}

/// Copies once.
fn copy(from: impl AsFd, to: impl AsFd) -> Copied {
    let mut buffer = [0; 16 << 10];
    match rustix::io::read(from, &mut buffer) {
        Ok(0) => Copied::End,
        Ok(length) => match sys::fs::write_all(to, &buffer[..length]) {
            Ok(()) => Copied::Some,
            Err(_) => Copied::End,
        },
        Err(Errno::AGAIN | Errno::INTR) => Copied::Nothing,
        // EIO: nobody has the other end open any more.
        Err(_) => Copied::End,
    }
}

/// Makes a terminal as large as this one.
fn resize(master: &OwnedFd) {
    for own in [stdin(), stdout()] {
        if let Ok(size) = tcgetwinsize(own) {
            let _ = tcsetwinsize(master, size);
            return;
        }
    }
}
