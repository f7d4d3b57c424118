//! A foreground process: its output to ours, our input and signals to it, until it ends.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context as _, Result};
use engine::{Happening, Session};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::detach::Keys;
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

/// How a client listens to a process.
#[derive(Debug)]
pub(crate) struct Listening {
    /// It feeds the process's standard input.
    pub(crate) input: bool,
    /// The process has a terminal.
    pub(crate) tty: bool,
    /// On a terminal: what to type to leave the process alone.
    pub(crate) keys: Keys,
}

/// Follows `session` to its end and returns the process's exit code; 0 when the client leaves before that.
pub(crate) fn follow(session: &mut Session, signals: &Signals, listening: Listening) -> Result<i32> {
    let Listening { mut input, tty, keys } = listening;
    let stdin = io::stdin();
    let _raw = if tty && input { Raw::enter(stdin.as_fd()) } else { None };
    if tty {
        resize(session);
    }
    let mut keys = tty.then_some(keys);
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
                match feed(session, &stdin, keys.as_mut())? {
                    Fed::More => {}
                    Fed::End => input = false,
                    Fed::Detach => return Ok(0),
                }
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

/// Makes a program draw its screen, by another size for a moment.
pub(crate) fn redraw(session: &Session) {
    if let Some((rows, columns)) = terminal::size(io::stdout()) {
        let _ = session.resize(rows + 1, columns + 1);
    }
}

fn resize(session: &Session) {
    if let Some((rows, columns)) = terminal::size(io::stdout()) {
        let _ = session.resize(rows, columns);
    }
}

/// What became of a piece of standard input.
enum Fed {
    More,
    End,
    Detach,
}

/// Passes on one piece of standard input.
fn feed(session: &Session, stdin: &io::Stdin, keys: Option<&mut Keys>) -> Result<Fed> {
    let mut buffer = vec![0; 32 << 10];
    let length = match rustix::io::read(stdin, &mut buffer) {
        Ok(0) | Err(Errno::IO) => {
            let _ = session.stdin_end();
            return Ok(Fed::End);
        }
        Ok(length) => length,
        Err(Errno::INTR | Errno::AGAIN) => return Ok(Fed::More),
        Err(errno) => return Err(errno).context("read standard input"),
    };
    let typed = keys.map(|keys| keys.look(&buffer[..length]));
    let (pass, detach) = typed.as_ref().map_or((&buffer[..length], false), |typed| (&typed.pass, typed.detach));
    // A process that has ended takes no more; its end is told by the session.
    let taken = pass.is_empty() || session.stdin(pass).is_ok();
    Ok(match (detach, taken) {
        (true, _) => Fed::Detach,
        (false, true) => Fed::More,
        (false, false) => Fed::End,
    })
}
