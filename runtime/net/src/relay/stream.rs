//! A connection that is passed on: two directions, each through a pipe. Bytes stay in the kernel (splice(2)).

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_keepalive, set_socket_linger, set_tcp_nodelay, socket_error};
use rustix::net::{AddressFamily, Shutdown, SocketFlags, SocketType, connect, getpeername, shutdown, socket_with};
use rustix::pipe::{PipeFlags, SpliceFlags, pipe_with, splice};

/// Descriptors of one: two sockets, two pipes.
pub(super) const DESCRIPTORS: usize = 6;
/// What a pipe holds unless it is told otherwise (pipe(7)).
const CHUNK: usize = 64 << 10;
/// What one direction moves before others have their turn.
const TURN: usize = 1 << 20;

/// What becomes of a connection after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing can be done before something happens.
    Waits,
    /// There is more to be done at once.
    GoesOn,
    /// It is over.
    Over,
}

/// A client's connection, and that to the container.
#[derive(Debug)]
pub(super) struct Stream {
    client: OwnedFd,
    server: OwnedFd,
    is_connected: bool,
    up: Pump,
    down: Pump,
}

impl Stream {
    /// Begins to connect for this client, who is told by a reset if that is refused at once.
    pub(super) fn open(client: OwnedFd, to: SocketAddr) -> Option<Stream> {
        let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let server = socket_with(family, SocketType::STREAM, flags, None).and_then(|server| match connect(&server, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => Ok(server),
            Err(errno) => Err(errno),
        });
        let Ok(server) = server else {
            reset(&client);
            return None;
        };
        for socket in [&client, &server] {
            // A side that has vanished without a word is found out; what was written as a piece goes on as one.
            let _ = set_socket_keepalive(socket, true);
            let _ = set_tcp_nodelay(socket, true);
        }
        Some(Stream { client, server, is_connected: false, up: Pump::default(), down: Pump::default() })
    }

    /// What to wait for: both sides.
    pub(super) fn sides(&self) -> [BorrowedFd<'_>; 2] {
        [self.client.as_fd(), self.server.as_fd()]
    }

    /// Moves what can be moved now. A side that has failed fails the other.
    pub(super) fn turn(&mut self) -> Turn {
        match self.moved() {
            Ok(_) if self.up.is_done && self.down.is_done => Turn::Over,
            Ok(true) => Turn::GoesOn,
            Ok(false) => Turn::Waits,
            Err(_) => {
                // Not an orderly end: half of something is not to be taken for all of it.
                reset(&self.client);
                reset(&self.server);
                Turn::Over
            }
        }
    }

    /// True when there may be more.
    fn moved(&mut self) -> Result<bool, Errno> {
        if !self.is_connected {
            match getpeername(&self.server) {
                Ok(_) => self.is_connected = true,
                Err(Errno::NOTCONN) => return socket_error(&self.server)?.map(|()| false),
                Err(errno) => return Err(errno),
            }
        }
        let up = self.up.run(&self.client, &self.server)?;
        Ok(self.down.run(&self.server, &self.client)? || up)
    }
}

/// Its close will be a reset.
pub(super) fn reset(socket: &OwnedFd) {
    let _ = set_socket_linger(socket, Some(Duration::ZERO));
}

/// One direction. What was read and not yet written is in its pipe, and nothing more is read when that is full.
#[derive(Debug, Default)]
struct Pump {
    pipe: Option<(OwnedFd, OwnedFd)>,
    held: usize,
    has_ended: bool,
    /// The other side knows of the end.
    is_done: bool,
}

impl Pump {
    /// True when there may be more.
    fn run(&mut self, from: &OwnedFd, to: &OwnedFd) -> Result<bool, Errno> {
        let mut moved = 0;
        while moved < TURN && !self.is_done {
            let read = self.read(from)?;
            let written = self.write(to)?;
            moved += written;
            if self.has_ended && self.held == 0 {
                self.is_done = true;
                match shutdown(to, Shutdown::Write) {
                    Err(Errno::NOTCONN) | Ok(()) => return Ok(false),
                    Err(errno) => return Err(errno),
                }
            }
            if !read && written == 0 {
                return Ok(false);
            }
        }
        Ok(!self.is_done)
    }

    fn read(&mut self, from: &OwnedFd) -> Result<bool, Errno> {
        if self.has_ended {
            return Ok(false);
        }
        if self.pipe.is_none() {
            self.pipe = Some(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?);
        }
        let Some((_, into)) = &self.pipe else { return Ok(false) };
        match splice(from, None, into, None, CHUNK, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
            Ok(0) => self.has_ended = true,
            Ok(length) => self.held += length,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(false),
            Err(errno) => return Err(errno),
        }
        Ok(true)
    }

    fn write(&mut self, to: &OwnedFd) -> Result<usize, Errno> {
        let Some((out, _)) = self.pipe.as_ref().filter(|_| self.held > 0) else { return Ok(0) };
        match splice(out, None, to, None, self.held, SpliceFlags::NONBLOCK | SpliceFlags::MOVE) {
            Ok(length) => {
                self.held -= length;
                Ok(length)
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(errno) => Err(errno),
        }
    }
}
