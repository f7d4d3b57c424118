//! A process that the monitor has started, and its streams.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;

use launch::{Nanos, Stdio};
use monitor::Stream;
use rustix::fs::{Mode, OFlags, fcntl_setfl};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{Winsize, tcsetwinsize};
use sys::{Call, Result};

use crate::input::Input;
use crate::output::Output;

/// The number of the container's first process among its tasks. Those executed later count on.
pub(crate) const INIT: u32 = 0;

#[derive(Debug)]
pub(crate) struct Task {
    /// Never used twice, unlike a process number.
    pub(crate) number: u32,
    pub(crate) pid: u32,
    pub(crate) pidfd: OwnedFd,
    pub(crate) started: Nanos,
    pub(crate) streams: Streams,
    /// See [`monitor::Exec::id`].
    pub(crate) id: String,
}

/// The monitor's ends of a task's streams.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    pub(crate) input: Input,
    /// Those that have not ended.
    pub(crate) outputs: Vec<Output>,
    pub(crate) terminal: Option<Rc<OwnedFd>>,
}

/// Both ends of pipes for a task's streams; `/dev/null` as input unless somebody may feed it.
pub(crate) fn pipes(stdin: bool) -> Result<(Stdio, Streams)> {
    let pipe = || pipe_with(PipeFlags::CLOEXEC).call(|| "pipe2(O_CLOEXEC)");
    let (out, stdout) = pipe()?;
    let (err, stderr) = pipe()?;
    let (stdin, input) = if stdin {
        let (stdin, feed) = pipe()?;
        (stdin, Input::new(Rc::new(unblocking(feed)?), false))
    } else {
        (null()?, Input::default())
    };
    let outputs = vec![Output::new(Stream::Stdout, Rc::new(out)), Output::new(Stream::Stderr, Rc::new(err))];
    Ok((Stdio { stdin, stdout, stderr }, Streams { input, outputs, terminal: None }))
}

/// Streams of a task that nobody listens to.
pub(crate) fn nulls() -> Result<Stdio> {
    Ok(Stdio { stdin: null()?, stdout: null()?, stderr: null()? })
}

/// The streams of a task with a terminal, by its master.
pub(crate) fn terminal(master: OwnedFd) -> Result<Streams> {
    let master = Rc::new(unblocking(master)?);
    let input = Input::new(Rc::clone(&master), true);
    Ok(Streams { input, outputs: vec![Output::new(Stream::Stdout, Rc::clone(&master))], terminal: Some(master) })
}

impl Streams {
    pub(crate) fn resize(&self, rows: u16, columns: u16) {
        if let Some(terminal) = &self.terminal {
            let _ = tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 });
        }
    }
}

fn null() -> Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).call(|| "open(\"/dev/null\")")
}

/// Only the monitor has this end, so the flag is not the container's.
pub(crate) fn unblocking<F: AsFd>(fd: F) -> Result<F> {
    // Access mode bits are ignored here (fcntl(2)), and none of the other status flags is set on what we have made.
    fcntl_setfl(&fd, OFlags::NONBLOCK).call(|| "fcntl(F_SETFL, O_NONBLOCK)")?;
    Ok(fd)
}
