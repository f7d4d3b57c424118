//! Bytes to a task's standard input.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use rustix::io::Errno;

/// With this many bytes waiting, no more are taken from clients: they wait, as writers to a full pipe do.
const LIMIT: usize = 64 << 10;

/// The monitor's end of a pipe or terminal. Without one, input is thrown away.
#[derive(Debug, Default)]
pub(crate) struct Input {
    to: Option<Rc<OwnedFd>>,
    terminal: bool,
    queue: VecDeque<u8>,
    /// Close it when the queue is empty.
    ending: bool,
}

impl Input {
    pub(crate) fn new(to: Rc<OwnedFd>, terminal: bool) -> Self {
        Input { to: Some(to), terminal, queue: VecDeque::new(), ending: false }
    }

    /// Takes bytes and writes what fits.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.to.is_some() && !self.ending {
            self.queue.extend(bytes);
            self.flush();
        }
    }

    /// No more will come. A terminal has no end: its program ends when it wants to.
    pub(crate) fn end(&mut self) {
        self.ending = !self.terminal;
        self.flush();
    }

    /// No more should be pushed.
    pub(crate) fn is_full(&self) -> bool {
        self.queue.len() >= LIMIT
    }

    /// Where to wait for room, if anything waits.
    pub(crate) fn wants(&self) -> Option<&OwnedFd> {
        self.to.as_deref().filter(|_| !self.queue.is_empty())
    }

    /// Writes what fits.
    pub(crate) fn flush(&mut self) {
        while let Some(to) = self.to.as_ref().filter(|_| !self.queue.is_empty()) {
            match rustix::io::write(to, self.queue.as_slices().0) {
                Ok(0) | Err(Errno::AGAIN) => return,
                Ok(length) => drop(self.queue.drain(..length)),
                Err(Errno::INTR) => {}
                // Nobody will ever read it.
                Err(_) => {
                    self.to = None;
                    self.queue = VecDeque::new();
                }
            }
        }
        self.queue = VecDeque::new();
        if self.ending {
            self.to = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    fn pipe() -> (OwnedFd, Input) {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).unwrap();
        (read, Input::new(Rc::new(write), false))
    }

    fn drain(read: &OwnedFd) -> usize {
        let mut buffer = vec![0; 1 << 20];
        rustix::io::read(read, &mut buffer).unwrap_or(0)
    }

    #[test]
    fn what_does_not_fit_waits_and_then_it_ends() {
        let (read, mut input) = pipe();
        input.push(&vec![b'x'; LIMIT]);
        assert!(!input.is_full());
        input.push(&vec![b'x'; LIMIT]);
        input.end();
        assert!(input.is_full() && input.wants().is_some());
        assert_eq!(drain(&read), LIMIT);
        input.flush();
        assert!(input.wants().is_none() && !input.is_full());
        assert_eq!((drain(&read), drain(&read)), (LIMIT, 0));
    }

    #[test]
    fn without_a_reader_it_is_thrown_away() {
        let (read, mut input) = pipe();
        input.push(&vec![b'x'; 3 * LIMIT]);
        assert!(input.is_full());
        drop(read);
        input.flush();
        input.push(b"more");
        assert!(!input.is_full() && input.wants().is_none());
    }
}
