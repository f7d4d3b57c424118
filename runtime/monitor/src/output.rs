//! Bytes from a task's output, to the log and to whoever listens.

use std::os::fd::OwnedFd;
use std::rc::Rc;

use monitor::log::Writer;
use monitor::{Event, LogFormat, LogLimits, MAX_CHUNK, Stream, now};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer};

use crate::session::{Container, Session};
use crate::task::INIT;

/// What is read from one stream after its task's end, at most: more than any pipe holds without CAP_SYS_RESOURCE (pipe(7)).
const MAX_REST: usize = 1 << 20;

/// The monitor's end of one stream.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stream: Stream,
    pub(crate) from: Rc<OwnedFd>,
    /// The terminal's other side, opened when nobody else had it open any more: see [`Output::hold`].
    held: Option<OwnedFd>,
}

impl Output {
    pub(crate) fn new(stream: Stream, from: Rc<OwnedFd>) -> Self {
        Output { stream, from, held: None }
    }

    /// A program may close its terminal and open it again later, as systemd does with `/dev/console`. Meanwhile poll would report
    /// the master as hung up without end; with the other side open it does not. It is not opened earlier, because the end of
    /// a session discards what is on its way through a terminal that is still open (tty_vhangup_session, pty_flush_buffer).
    fn hold(&mut self) -> bool {
        if self.held.is_none() {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            self.held = ioctl_tiocgptpeer(&*self.from, flags).ok();
            return self.held.is_some();
        }
        false
    }
}

impl Session {
    /// Reads once from the output `at` of the task `index`, which is ready. Returns how much it was; 0 at the end, when the output is gone.
    pub(crate) fn pump(&mut self, index: usize, at: usize) -> usize {
        let task = &mut self.tasks[index];
        let output = &mut task.streams.outputs[at];
        let mut buffer = vec![0; MAX_CHUNK];
        let length = match rustix::io::read(&*output.from, &mut buffer) {
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => return 0,
            // EIO: all have closed the terminal.
            Err(_) => 0,
        };
        if length == 0 {
            if task.streams.terminal.is_none() || !task.streams.outputs[at].hold() {
                task.streams.outputs.remove(at);
            }
            return 0;
        }
        buffer.truncate(length);
        let (stream, number) = (output.stream, task.number);
        self.spread(number, stream, buffer);
        length
    }

    /// Writes output down and passes it on.
    fn spread(&mut self, task: u32, stream: Stream, bytes: Vec<u8>) {
        self.used = true;
        if task == INIT {
            self.container.write_down(stream, &bytes);
        } else if self.container.health.as_mut().is_some_and(|checking| checking.hear(task, &bytes)) {
            return;
        }
        let length = bytes.len();
        let mut listeners = self.clients.iter_mut().filter(|client| client.task == task).peekable();
        if listeners.peek().is_some()
            && let Ok(packet) = postcard::to_stdvec(&Event::Output { stream, bytes })
        {
            listeners.for_each(|client| client.output(&packet, length));
        }
    }

    /// Reads what the task `index` has left behind. Whoever else still has its streams open is not waited for.
    pub(crate) fn drain(&mut self, index: usize) {
        for at in (0..self.tasks[index].streams.outputs.len()).rev() {
            let mut rest = MAX_REST;
            while rest > 0 && self.tasks[index].streams.outputs.get(at).is_some_and(Output::is_ready) {
                match self.pump(index, at) {
                    0 => break,
                    length => rest = rest.saturating_sub(length),
                }
            }
        }
    }
}

impl Container {
    /// Whoever writes the log of the container in `folder`; `None` while that cannot be.
    pub(crate) fn writer(folder: &OwnedFd, limits: LogLimits, notes: &[(String, String)]) -> Option<Writer> {
        match limits.format {
            LogFormat::Journal => Some(Writer::journal(notes)),
            LogFormat::Json | LogFormat::Text | LogFormat::Cri => Writer::open(folder, limits).ok().map(|log| log.noting(notes)),
        }
    }

    /// Writes to the log. A full disk must not stop the container; what is lost is lost for the log alone.
    fn write_down(&mut self, stream: Stream, bytes: &[u8]) {
        if self.log.is_none() {
            self.log = match (&self.log_path, self.limits) {
                (Some((path, limits)), _) => Writer::at(path, *limits).ok(),
                (None, Some(limits)) => Self::writer(&self.folder, limits, &self.log_notes),
                (None, None) => return,
            };
        }
        if let Some(log) = &mut self.log {
            let _ = log.write(now(), stream, bytes);
        }
    }
}

impl Output {
    fn is_ready(&self) -> bool {
        let mut fds = [PollFd::new(&*self.from, PollFlags::IN)];
        matches!(poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
    }
}
