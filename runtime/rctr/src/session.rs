//! A foreground process: its output to ours, our input and signals to it, until it ends.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context as _, Result};
use engine::{Happening, Session};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::terminal::{self, Raw};

const SIGWINCH: i32 = 28;
const SIGKILL: i32 = 9;
/// Signals that a person or a script sends to `rctr` and means for the container.
const FORWARDED: [i32; 8] = [1, 2, 3, 10, 12, 15, 18, SIGWINCH];

/// Signals are held back from before the container starts, so that an early Ctrl-C is not lost.
pub(crate) struct Signals {
    fd: OwnedFd,
    forward: bool,
}

impl Signals {
    /// Takes over the signals. Without `forward` only changes of the terminal's size are passed on.
    pub(crate) fn take(forward: bool) -> Result<Signals> {
        let fd = sys::signal::signalfd(if forward { &FORWARDED } else { &[SIGWINCH] }).context("take over signals")?;
        Ok(Signals { fd, forward })
    }
}

/// Follows `session` to its end and returns the process's exit code.
pub(crate) fn follow(session: &mut Session, signals: &Signals, input: bool, tty: bool) -> Result<i32> {
    let stdin = io::stdin();
    let _raw = if tty && input { Raw::enter(stdin.as_fd()) } else { None };
    if tty {
        resize(session);
    }
    let mut input = input;
    // There is input that the process does not take yet.
    let mut stuck = false;
    let mut repeated = 0;
    loop {
        let wanted = if stuck { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let mut fds = vec![PollFd::new(&signals.fd, PollFlags::IN), PollFd::from_borrowed_fd(session.as_fd(), wanted)];
        if input && !stuck {
            fds.push(PollFd::new(&stdin, PollFlags::IN));
        }
        if !session.has_early() {
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).context("wait for the container"),
            }
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().difference(PollFlags::OUT).is_empty()).collect();
        drop(fds);
        if ready[0] {
            while let Some(signal) = sys::signal::read(&signals.fd) {
                repeated += pass_on(session, signals, signal, tty, repeated);
            }
        }
        if ready[1] || session.has_early() {
            match session.happening()? {
                Some(Happening::Stdout(bytes)) => write(&mut io::stdout().lock(), &bytes),
                Some(Happening::Stderr(bytes)) => write(&mut io::stderr().lock(), &bytes),
                Some(Happening::Exited(exit)) => return Ok(exit.code),
                None => {}
            }
        }
        if stuck || ready.get(2) == Some(&true) {
            stuck = !session.takes_input();
            if !stuck {
                input = feed(session, &stdin)?;
            }
        }
    }
}

/// A closed standard output is the reader's choice; the container goes on.
fn write(to: &mut impl Write, bytes: &[u8]) {
    let _ = to.write_all(bytes).and_then(|()| to.flush());
}

/// Passes a signal on; a third Ctrl-C or SIGTERM in a row kills a process that ignores them. Returns 1 for these.
fn pass_on(session: &Session, signals: &Signals, signal: i32, tty: bool, repeated: u32) -> u32 {
    if signal == SIGWINCH {
        if tty {
            resize(session);
        }
        return 0;
    }
    let insisting = matches!(signal, 2 | 15);
    let signal = if insisting && repeated >= 2 { SIGKILL } else { signal };
    if signals.forward {
        let _ = session.signal(signal);
    }
    u32::from(insisting)
}

fn resize(session: &Session) {
    if let Some((rows, columns)) = terminal::size(io::stdout()) {
        let _ = session.resize(rows, columns);
    }
}

/// One piece of standard input. False at its end.
fn feed(session: &Session, stdin: &io::Stdin) -> Result<bool> {
    let mut buffer = vec![0; 32 << 10];
    match rustix::io::read(stdin, &mut buffer) {
        Ok(0) | Err(Errno::IO) => {
            let _ = session.stdin_end();
            Ok(false)
        }
        // A process that has ended takes no more; its end is told by the session.
        Ok(length) => Ok(session.stdin(&buffer[..length]).is_ok()),
        Err(Errno::INTR | Errno::AGAIN) => Ok(true),
        Err(errno) => Err(errno).context("read standard input"),
    }
}
