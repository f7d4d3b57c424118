//! A client that asks by TCP, because an answer was too long for UDP: one query after the other.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with};

use super::answer::{self, Alias, Outcome};
use super::forward::{SERVED, random_id, renumbered};
use super::message::{self, Code, Query};
use super::servers::Servers;
use super::{Config, Names};

/// How long a client may be silent, or a server take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest query.
const LONGEST: usize = 1500;
/// Its length is a `u16`.
const LONGEST_ANSWER: usize = u16::MAX as usize;

#[derive(Debug)]
pub(super) struct Stream {
    client: TcpStream,
    peer: IpAddr,
    input: Vec<u8>,
    /// What is being written to the client.
    output: Vec<u8>,
    upstream: Option<Upstream>,
    due: Instant,
    done: bool,
}

/// A server that is asked for the client.
#[derive(Debug)]
struct Upstream {
    message: Vec<u8>,
    query: Query,
    alias: Option<Alias>,
    socket: TcpStream,
    sent: u16,
    /// What is being written to the server.
    output: Vec<u8>,
    input: Vec<u8>,
    left: Vec<IpAddr>,
}

impl Stream {
    pub(super) fn new(client: TcpStream, peer: IpAddr, now: Instant) -> Self {
        Stream { client, peer, input: Vec::new(), output: Vec::new(), upstream: None, due: now + PATIENCE, done: false }
    }

    /// Whether it is a connection of this client.
    pub(super) fn of(&self, peer: IpAddr) -> bool {
        self.peer == peer
    }

    pub(super) fn client(&self) -> (BorrowedFd<'_>, bool) {
        (self.client.as_fd(), !self.output.is_empty())
    }

    pub(super) fn upstream(&self) -> Option<(BorrowedFd<'_>, bool)> {
        self.upstream.as_ref().map(|upstream| (upstream.socket.as_fd(), !upstream.output.is_empty()))
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    pub(super) fn done(&self) -> bool {
        self.done
    }

    /// The client has written, or takes more, or is gone.
    pub(super) fn ready(
        &mut self,
        (config, names): (&Config, Option<&dyn Names>),
        servers: &mut Servers,
        turn: &mut usize,
        now: Instant,
    ) {
        if !self.output.is_empty() {
            return self.flush();
        }
        let mut buffer = [0; LONGEST];
        match self.client.read(&mut buffer) {
            Ok(0) => self.done = true,
            Ok(length) => {
                self.due = now + PATIENCE;
                self.input.extend_from_slice(&buffer[..length]);
                // A client that writes on while it is answered has its next queries wait here, and not without end.
                self.done = self.input.len() > 4 * LONGEST;
                self.next((config, names), servers, turn);
            }
            Err(error) => self.done = !unready(&error),
        }
    }

    /// Deals with the next whole query, if there is one and none before it is on its way.
    fn next(&mut self, (config, names): (&Config, Option<&dyn Names>), servers: &mut Servers, turn: &mut usize) {
        while self.output.is_empty() && self.upstream.is_none() && !self.done {
            let Some(message) = take(&mut self.input) else { return };
            *turn = turn.wrapping_add(1);
            match answer::outcome(config, names, &message, true, *turn) {
                Outcome::Answer(answer) => self.say(&answer),
                Outcome::Forward(query) => self.pass_on(message, query, None, servers.now(config).to_vec()),
                Outcome::Alias(alias) => {
                    let servers = servers.now(config).to_vec();
                    self.pass_on(alias.message.clone(), alias.query.clone(), Some(alias), servers);
                }
                Outcome::Ignore => self.done = true,
            }
        }
    }

    /// Asks the first server that can be asked.
    fn pass_on(&mut self, message: Vec<u8>, query: Query, alias: Option<Alias>, mut left: Vec<IpAddr>) {
        match open(&mut left, &message) {
            Some((socket, sent, output)) => {
                self.upstream = Some(Upstream { message, query, alias, socket, sent, output, input: Vec::new(), left });
            }
            None => {
                let failed = message::answer(&message, &query, Code::Failed, &[], LONGEST_ANSWER);
                self.say(&told(alias.as_ref(), failed));
            }
        }
    }

    fn say(&mut self, answer: &[u8]) {
        self.output = framed(answer);
        self.flush();
    }

    fn flush(&mut self) {
        self.done |= write(&mut self.client, &mut self.output).is_err();
    }

    /// The server takes the query, or has answered, or cannot be reached.
    pub(super) fn upstream_ready(&mut self, now: Instant) {
        let Some(upstream) = &mut self.upstream else { return };
        match upstream.go_on() {
            Ok(None) => {}
            Ok(Some(answer)) => {
                self.upstream = None;
                self.due = now + PATIENCE;
                self.say(&answer);
            }
            Err(_) => {
                if let Some((socket, sent, output)) = open(&mut upstream.left, &upstream.message) {
                    (upstream.socket, upstream.sent, upstream.output) = (socket, sent, output);
                    upstream.input.clear();
                } else {
                    let failed = message::answer(&upstream.message, &upstream.query, Code::Failed, &[], LONGEST_ANSWER);
                    let failed = told(upstream.alias.as_ref(), failed);
                    self.upstream = None;
                    self.say(&failed);
                }
            }
        }
    }
}

impl Upstream {
    /// The answer, once it is there.
    fn go_on(&mut self) -> io::Result<Option<Vec<u8>>> {
        if !self.output.is_empty() {
            write(&mut self.socket, &mut self.output)?;
            return Ok(None);
        }
        let mut buffer = [0; 4096];
        match self.socket.read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => self.input.extend_from_slice(&buffer[..length]),
            Err(error) if unready(&error) => return Ok(None),
            Err(error) => return Err(error),
        }
        let Some(reply) = take(&mut self.input) else { return Ok(None) };
        let answer = message::passed_on(&reply, &self.message, &self.query, self.sent, LONGEST_ANSWER);
        answer.map(|answer| Some(told(self.alias.as_ref(), answer))).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// What was answered, as the client asked.
fn told(alias: Option<&Alias>, answer: Vec<u8>) -> Vec<u8> {
    alias.map(|alias| alias.answer(&answer, LONGEST_ANSWER)).unwrap_or(answer)
}

/// Begins to connect to the first server that can be tried. Answers what to write once it is connected, too.
fn open(left: &mut Vec<IpAddr>, message: &[u8]) -> Option<(TcpStream, u16, Vec<u8>)> {
    while !left.is_empty() {
        let server = SocketAddr::new(left.remove(0), SERVED);
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let Ok(socket) = socket_with(family, SocketType::STREAM, flags, None) else { continue };
        if matches!(connect(&socket, &server), Ok(()) | Err(Errno::INPROGRESS)) {
            let sent = random_id();
            return Some((OwnedFd::into(socket), sent, framed(&renumbered(message, sent))));
        }
    }
    None
}

/// With its length before it (RFC 1035, 4.2.2).
fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u16).to_be_bytes(), message].concat()
}

/// The first whole message, taken out.
fn take(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes(input.get(..2)?.try_into().ok()?));
    let message = input.get(2..2 + length)?.to_vec();
    input.drain(..2 + length);
    Some(message)
}

/// Writes what can be written now.
fn write(to: &mut TcpStream, output: &mut Vec<u8>) -> io::Result<()> {
    match to.write(output) {
        Ok(length) => {
            output.drain(..length);
            Ok(())
        }
        Err(error) if unready(&error) => Ok(()),
        Err(error) => Err(error),
    }
}

fn unready(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::NotConnected)
}
