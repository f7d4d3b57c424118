//! The resolver as a part of somebody's loop: what it waits for, and what it does then. Nothing here ever blocks.
//!
//! What a client can make it keep: [`QUESTIONS`] queries on their way, [`STREAMS`] connections with one query each. One that has many clients
//! has more of them, of which each client has its part.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use super::answer::{self, Alias, Outcome};
use super::forward::Question;
use super::message::{self, Code, Query};
use super::servers::Servers;
use super::stream::Stream;
use super::{Config, Names};

/// Queries on their way to another server. More are refused until one is answered.
const QUESTIONS: usize = 64;
/// Connections. More wait in the kernel.
const STREAMS: usize = 8;
/// How much more for a node, whose pods ask.
const PODS: usize = 8;
/// Datagrams dealt with before others in the loop have their turn.
const BURST: usize = 32;

/// A container's resolver.
#[derive(Debug)]
pub struct Resolver {
    config: Config,
    names: Option<Arc<dyn Names>>,
    /// How many times what one client has.
    room: usize,
    datagrams: UdpSocket,
    connections: TcpListener,
    servers: Servers,
    questions: Vec<Question>,
    streams: Vec<Stream>,
    turn: usize,
}

/// What it waits for. Numbers are places in lists, which only grow until [`Resolver::sweep`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    /// Queries by UDP.
    Datagrams,
    /// Clients that connect.
    Connections,
    /// A server's answer to a question.
    Question(usize),
    /// A client that has connected.
    Stream(usize),
    /// A server that is asked for such a client.
    Upstream(usize),
}

impl Resolver {
    /// Serves on these sockets, which do not block.
    pub fn new(datagrams: OwnedFd, connections: OwnedFd, config: Config) -> Self {
        Resolver {
            config,
            names: None,
            room: 1,
            datagrams: datagrams.into(),
            connections: connections.into(),
            servers: Servers::default(),
            questions: Vec::new(),
            streams: Vec::new(),
            turn: 0,
        }
    }

    /// The same for the pods of a node, which know these names, too.
    pub fn of_node(datagrams: OwnedFd, connections: OwnedFd, config: Config, names: Arc<dyn Names>) -> Self {
        Resolver { names: Some(names), room: PODS, ..Resolver::new(datagrams, connections, config) }
    }

    /// Knows this from now on.
    pub fn change(&mut self, config: Config) {
        self.config = config;
    }

    /// What it knows.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Shows `add` all that is to be waited for; `true` is for writing.
    pub fn watch<'a>(&'a self, mut add: impl FnMut(Token, BorrowedFd<'a>, bool)) {
        add(Token::Datagrams, self.datagrams.as_fd(), false);
        if self.streams.len() < STREAMS * self.room {
            add(Token::Connections, self.connections.as_fd(), false);
        }
        for (at, question) in self.questions.iter().enumerate() {
            add(Token::Question(at), question.socket(), false);
        }
        for (at, stream) in self.streams.iter().enumerate() {
            let (client, writes) = stream.client();
            add(Token::Stream(at), client, writes);
            if let Some((upstream, writes)) = stream.upstream() {
                add(Token::Upstream(at), upstream, writes);
            }
        }
    }

    /// Something has come true that was waited for.
    pub fn ready(&mut self, token: Token, now: Instant) {
        match token {
            Token::Datagrams => self.datagrams(now),
            Token::Connections => self.connections(now),
            Token::Question(at) => {
                if let Some(question) = self.questions.get_mut(at) {
                    let answer = question.answered(now);
                    self.deliver(at, answer);
                }
            }
            Token::Stream(at) => {
                if let Some(stream) = self.streams.get_mut(at) {
                    stream.ready((&self.config, self.names.as_deref()), &mut self.servers, &mut self.turn, now);
                }
            }
            Token::Upstream(at) => {
                if let Some(stream) = self.streams.get_mut(at) {
                    stream.upstream_ready(now);
                }
            }
        }
    }

    /// When to call [`Resolver::sweep`], even if nothing happens.
    pub fn due(&self) -> Option<Instant> {
        self.questions.iter().map(Question::due).chain(self.streams.iter().map(Stream::due)).min()
    }

    /// Forgets what is done, and gives up what takes too long.
    pub fn sweep(&mut self, now: Instant) {
        for at in 0..self.questions.len() {
            if self.questions[at].due() <= now {
                let answer = self.questions[at].late(now);
                self.deliver(at, answer);
            }
        }
        self.questions.retain(|question| !question.done());
        self.streams.retain(|stream| !stream.done() && stream.due() > now);
        if self.questions.is_empty() && self.streams.is_empty() {
            // An idle resolver keeps nothing.
            self.questions = Vec::new();
            self.streams = Vec::new();
        }
    }

    fn deliver(&self, at: usize, answer: Option<Vec<u8>>) {
        if let Some(answer) = answer {
            // A client that is gone, or whose buffer is full, asks again.
            let _ = self.datagrams.send_to(&answer, self.questions[at].client());
        }
    }

    fn datagrams(&mut self, now: Instant) {
        // Longer queries do not exist: a name has 255 bytes.
        let mut buffer = [0; 1500];
        for _ in 0..BURST {
            let (length, client) = match self.datagrams.recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return,
            };
            self.turn = self.turn.wrapping_add(1);
            match answer::outcome(&self.config, self.names.as_deref(), &buffer[..length], false, self.turn) {
                Outcome::Answer(answer) => drop(self.datagrams.send_to(&answer, client)),
                Outcome::Forward(query) => self.ask(&buffer[..length], query, None, client, now),
                Outcome::Alias(alias) => self.ask(&buffer[..length], alias.query.clone(), Some(alias), client, now),
                Outcome::Ignore => {}
            }
        }
    }

    fn ask(&mut self, message: &[u8], query: Query, alias: Option<Alias>, client: SocketAddr, now: Instant) {
        let failed = message::answer(message, &query, Code::Failed, &[], query.limit());
        let waiting = || self.questions.iter().filter(|question| !question.done());
        let own = waiting().filter(|question| question.client().ip() == client.ip()).count();
        let room = own < QUESTIONS && waiting().count() < QUESTIONS * self.room;
        let servers = self.servers.now(&self.config);
        let question = room.then(|| match alias {
            Some(alias) => Question::ask_alias(alias, client, servers, now),
            None => Question::ask(message, query, client, servers, now),
        });
        let question = question.flatten();
        match question {
            Some(question) => self.questions.push(question),
            None => drop(self.datagrams.send_to(&failed, client)),
        }
    }

    fn connections(&mut self, now: Instant) {
        while self.streams.len() < STREAMS * self.room
            && let Ok((socket, peer)) = self.connections.accept()
        {
            let same = self.streams.iter().filter(|stream| stream.of(peer.ip())).count();
            // The others' turn comes even if one takes all that it can get.
            if same < STREAMS && socket.set_nonblocking(true).is_ok() {
                self.streams.push(Stream::new(socket, peer.ip(), now));
            }
        }
    }
}
