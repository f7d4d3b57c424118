//! A query on its way to another server, by UDP.
//!
//! Each has a socket of its own, connected, on a port that the kernel chooses at random, and an id that does not follow from others: an
//! answer has to come from the server and to match both (RFC 5452).

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::answer::Alias;
use super::message::{self, Code, Query};

/// How long one server may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// Where servers listen.
pub(super) const SERVED: u16 = 53;

#[derive(Debug)]
pub(super) struct Question {
    message: Vec<u8>,
    query: Query,
    /// What the client asked for stands for it.
    alias: Option<Alias>,
    client: SocketAddr,
    socket: UdpSocket,
    sent: u16,
    /// Whom to ask next.
    left: Vec<IpAddr>,
    due: Instant,
    done: bool,
}

/// An id that cannot be guessed: the keys of a `RandomState` come from the kernel.
pub(super) fn random_id() -> u16 {
    RandomState::new().build_hasher().finish() as u16
}

/// The query with another id.
pub(super) fn renumbered(message: &[u8], id: u16) -> Vec<u8> {
    let mut bytes = message.to_vec();
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    bytes
}

impl Question {
    /// Asks the first of `servers` that can be asked.
    pub(super) fn ask(message: &[u8], query: Query, client: SocketAddr, servers: &[IpAddr], now: Instant) -> Option<Question> {
        let mut left = servers.to_vec();
        let (socket, sent) = next(message, &mut left)?;
        Some(Question {
            message: message.to_vec(),
            query,
            alias: None,
            client,
            socket,
            sent,
            left,
            due: now + PATIENCE,
            done: false,
        })
    }

    /// The same for a name that the client's stands for.
    pub(super) fn ask_alias(alias: Alias, client: SocketAddr, servers: &[IpAddr], now: Instant) -> Option<Question> {
        let question = Question::ask(&alias.message, alias.query.clone(), client, servers, now)?;
        Some(Question { alias: Some(alias), ..question })
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn client(&self) -> SocketAddr {
        self.client
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn done(&self) -> bool {
        self.done
    }

    /// The server has answered, or cannot be reached. What to tell the client, if it is settled.
    pub(super) fn answered(&mut self, now: Instant) -> Option<Vec<u8>> {
        let mut buffer = [0; 4096];
        let length = match self.socket.recv(&mut buffer) {
            Ok(length) => length,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return None,
            // Nobody listens there.
            Err(_) => return self.late(now),
        };
        let limit = self.query.limit();
        let answer = message::passed_on(&buffer[..length], &self.message, &self.query, self.sent, limit)?;
        // Another one may know more than one that fails or refuses, as a client with a list of servers would find out.
        if matches!(answer[3] & 15, 2 | 5) && !self.left.is_empty() {
            return self.late(now);
        }
        self.done = true;
        Some(self.told(answer, limit))
    }

    /// Asks the next server; when there is none, the client hears that nobody answers.
    pub(super) fn late(&mut self, now: Instant) -> Option<Vec<u8>> {
        match next(&self.message, &mut self.left) {
            Some((socket, sent)) => {
                (self.socket, self.sent, self.due) = (socket, sent, now + PATIENCE);
                None
            }
            None => {
                self.done = true;
                let limit = self.query.limit();
                Some(self.told(message::answer(&self.message, &self.query, Code::Failed, &[], limit), limit))
            }
        }
    }

    /// What was answered, as the client asked.
    fn told(&self, answer: Vec<u8>, limit: usize) -> Vec<u8> {
        self.alias.as_ref().map(|alias| alias.answer(&answer, limit)).unwrap_or(answer)
    }
}

/// Sends the query to the first server that takes it.
fn next(message: &[u8], left: &mut Vec<IpAddr>) -> Option<(UdpSocket, u16)> {
    while !left.is_empty() {
        let (server, sent) = (left.remove(0), random_id());
        let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let ask = || {
            let socket = UdpSocket::bind((any, 0))?;
            socket.set_nonblocking(true)?;
            socket.connect((server, SERVED))?;
            socket.send(&renumbered(message, sent))?;
            io::Result::Ok(socket)
        };
        if let Ok(socket) = ask() {
            return Some((socket, sent));
        }
    }
    None
}
