//! One connection.

use std::os::fd::OwnedFd;

use monitor::{Event, MAX_PACKET, Request, Stream};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::queue::Queue;

/// Whether a client gets output, and what happens when it is slow: see [`Queue`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listens {
    No,
    /// From the first byte; the container waits for it.
    First,
    /// Came later; it has missed so many bytes since it was last told.
    Late {
        missed: u64,
    },
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) socket: OwnedFd,
    pub(crate) queue: Queue,
    /// The task its requests are about and whose output it gets.
    pub(crate) task: u32,
    pub(crate) listens: Listens,
    /// It feeds the task's standard input.
    pub(crate) feeds: bool,
    /// It wants to know of the task's end.
    pub(crate) waits: bool,
    /// It has ended, or has been told all there is.
    pub(crate) gone: bool,
    /// Descriptors that came with its last request.
    pub(crate) passed: Vec<OwnedFd>,
}

impl Client {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        let task = crate::task::INIT;
        Client {
            socket,
            queue: Queue::default(),
            task,
            listens: Listens::No,
            feeds: false,
            waits: false,
            gone: false,
            passed: Vec::new(),
        }
    }

    /// The next request. `None` when there is none now, or the client has ended.
    pub(crate) fn receive(&mut self) -> Option<Request> {
        let received = match sys::socket::receive_whole(&self.socket, MAX_PACKET) {
            Ok((bytes, _)) if bytes.is_empty() => None,
            Ok((bytes, fds)) => {
                self.passed = fds;
                postcard::from_bytes(&bytes).ok()
            }
            Err(error) if error.errno() == Errno::AGAIN => return None,
            Err(_) => None,
        };
        self.gone |= received.is_none();
        received
    }

    /// A request, or the end, has come.
    pub(crate) fn has_request(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// Lets go of the connection when all is told. If a request were still unread when the socket is closed, the other side's next
    /// receive would fail with ECONNRESET and hide what it was told (unix_release_sock); so no more may come, and what has come is read.
    pub(crate) fn part(&mut self) {
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Read);
        while self.receive().is_some() {}
        self.gone = true;
    }

    /// Sends an event, now or as soon as the client takes it.
    pub(crate) fn tell(&mut self, event: &Event) {
        if let Ok(packet) = postcard::to_stdvec(event) {
            self.send(&packet);
        }
    }

    /// Sends a packet, now or as soon as the client takes it.
    fn send(&mut self, packet: &[u8]) {
        self.queue.push(packet);
        self.flush();
    }

    /// Sends what waits, as far as the client takes it.
    pub(crate) fn flush(&mut self) {
        while let Some(packet) = self.queue.front() {
            match sys::socket::send(&self.socket, packet, &[]) {
                Ok(()) => self.queue.pop(),
                Err(error) if error.errno() == Errno::AGAIN => return,
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
    }

    /// Passes on output of its task: `packet` holds `length` bytes of it.
    pub(crate) fn output(&mut self, packet: &[u8], length: usize) {
        match self.listens {
            Listens::No => {}
            Listens::Late { missed } if !self.queue.has_room() => self.listens = Listens::Late { missed: missed + length as u64 },
            _ => {
                self.tell_missed();
                self.send(packet);
            }
        }
    }

    /// Its task has ended.
    pub(crate) fn exited(&mut self, exit: &launch::Exit) {
        if self.waits || self.listens != Listens::No {
            self.tell_missed();
            self.tell(&Event::Exited(exit.clone()));
        }
    }

    fn tell_missed(&mut self) {
        if let Listens::Late { missed: missed @ 1.. } = self.listens {
            let text =
                format!("\r\nrctr: {missed} bytes of output were left out because this client is too slow; the log has them\r\n");
            self.listens = Listens::Late { missed: 0 };
            self.tell(&Event::Output { stream: Stream::Stderr, bytes: text.into_bytes() });
        }
    }

    /// Output of its task must wait for it.
    pub(crate) fn holds_back(&self) -> bool {
        self.listens == Listens::First && !self.queue.has_room() && !self.gone
    }
}
