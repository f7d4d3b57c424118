//! A connection to a broker, or to one program directly.

use std::collections::VecDeque;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::value::Value;
use super::wire::{Kind, Message, Outgoing, decode};

/// How long an answer may take, as with runc.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

const BROKER: Object<'static> =
    Object { name: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Object<'a> {
    /// Whom a broker is to pass it to.
    pub name: &'a str,
    /// The object.
    pub path: &'a str,
    /// The interface that has the method.
    pub interface: &'a str,
}

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody answers there.
    #[error("nobody answers at {}", paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or "))]
    Absent {
        /// Where it was looked for.
        paths: Vec<PathBuf>,
        /// The last attempt.
        #[source]
        source: sys::Error,
    },
    /// The connection broke.
    #[error("the D-Bus connection")]
    Broken(#[source] sys::Error),
    /// What came over the connection makes no sense.
    #[error("the D-Bus connection: {0}")]
    Nonsense(&'static str),
    /// It refused a call.
    #[error("{message} ({name})")]
    Refused {
        /// The error's name, such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// Its text.
        message: String,
    },
    /// It tried, and did not succeed.
    #[error("the job ended as {0:?}")]
    Job(String),
}

impl Failure {
    /// Whether the error has this name, without what they all begin with.
    #[must_use]
    pub fn is(&self, short: &str) -> bool {
        matches!(self, Failure::Refused { name, .. } if name.rsplit('.').next() == Some(short))
    }
}

fn broken(call: &'static str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::Broken(sys::Error::new(call, Errno::from_io_error(&error).unwrap_or(Errno::IO)))
}

/// A connection on which this user is known.
#[derive(Debug)]
pub struct Connection {
    socket: UnixStream,
    serial: u32,
    input: Vec<u8>,
    /// Descriptors whose messages have not been read yet.
    fds: VecDeque<OwnedFd>,
    /// Signals that came while an answer was waited for.
    heard: VecDeque<Message>,
}

impl Connection {
    /// Connects to the broker at `path`, and says hello.
    ///
    /// # Errors
    /// [`Failure`]; nobody listens there.
    pub fn broker(path: &Path) -> Result<Connection, Failure> {
        let socket = UnixStream::connect(path).map_err(|error| absent(&[path], &error))?;
        let mut connection = Connection::on(socket)?;
        connection.ask(&BROKER, "Hello", &[])?;
        Ok(connection)
    }

    /// Introduces itself as the user that the kernel says it is (D-Bus specification, "Authentication Protocol"): by what number that is
    /// known outside is not known in a user namespace. And as somebody who takes descriptors.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn on(socket: UnixStream) -> Result<Connection, Failure> {
        let mut new = Connection { socket, serial: 0, input: Vec::new(), fds: VecDeque::new(), heard: VecDeque::new() };
        new.socket.write_all(b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n").map_err(broken("write(AUTH)"))?;
        let deadline = Some(Instant::now() + PATIENCE);
        if !new.line(deadline)?.starts_with(b"DATA") || !new.line(deadline)?.starts_with(b"OK ") {
            return Err(Failure::Nonsense("it does not accept this user"));
        }
        // An error, if it passes none on: then none will come.
        new.line(deadline)?;
        Ok(new)
    }

    fn line(&mut self, deadline: Option<Instant>) -> Result<Vec<u8>, Failure> {
        loop {
            if let Some(end) = self.input.windows(2).position(|two| two == b"\r\n") {
                return Ok(self.input.drain(..end + 2).collect());
            }
            self.read(deadline)?;
        }
    }

    /// Calls a method, and waits for its answer.
    ///
    /// # Errors
    /// [`Failure`]; a refusal is one.
    pub fn ask(&mut self, object: &Object<'_>, member: &str, body: &[Value]) -> Result<Message, Failure> {
        self.serial += 1;
        let Object { name: destination, path, interface } = *object;
        let message = Outgoing { kind: Kind::Call, serial: self.serial, reply: None, destination, path, interface, member, body };
        self.socket.write_all(&message.encode()).map_err(broken("write()"))?;
        let deadline = Some(Instant::now() + PATIENCE);
        loop {
            let message = self.next(deadline)?;
            match message.kind {
                Kind::Signal => self.heard.push_back(message),
                _ if message.reply != self.serial => {}
                Kind::Error => return Err(Failure::Refused { message: message.text("s"), name: message.name }),
                _ => return Ok(message),
            }
        }
    }

    /// A property of an object.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn property(&mut self, object: &Object<'_>, name: &str) -> Result<Message, Failure> {
        let properties = Object { interface: "org.freedesktop.DBus.Properties", ..*object };
        self.ask(&properties, "Get", &[Value::string(object.interface), Value::string(name)])
    }

    /// Has the broker pass on signals: `rule` is a match rule of the specification.
    ///
    /// # Errors
    /// [`Failure`].
    pub fn listen(&mut self, rule: &str) -> Result<(), Failure> {
        self.ask(&BROKER, "AddMatch", &[Value::string(rule)]).map(drop)
    }

    /// The next signal; without a deadline however long it takes.
    ///
    /// # Errors
    /// [`Failure`]; the deadline has passed.
    pub fn signal(&mut self, deadline: Option<Instant>) -> Result<Message, Failure> {
        loop {
            let message = match self.heard.pop_front() {
                Some(message) => message,
                None => self.next(deadline)?,
            };
            if message.kind == Kind::Signal {
                return Ok(message);
            }
        }
    }

    fn next(&mut self, deadline: Option<Instant>) -> Result<Message, Failure> {
        loop {
            if let Some(mut message) = decode(&mut self.input).map_err(Failure::Nonsense)? {
                // They come no later than the first byte of their message.
                let count = self.fds.len().min(message.announced as usize);
                message.fds = self.fds.drain(..count).collect();
                return Ok(message);
            }
            self.read(deadline)?;
        }
    }

    fn read(&mut self, deadline: Option<Instant>) -> Result<(), Failure> {
        // 0 would be no limit at all.
        let left = deadline.map(|end| end.saturating_duration_since(Instant::now()).max(Duration::from_micros(1)));
        self.socket.set_read_timeout(left).map_err(broken("setsockopt(SO_RCVTIMEO)"))?;
        let mut bytes = [0; 4096];
        match sys::socket::receive(&self.socket, &mut bytes) {
            Ok((0, _)) => Err(Failure::Nonsense("it has ended")),
            Ok((length, fds)) => {
                self.input.extend(&bytes[..length]);
                self.fds.extend(fds);
                Ok(())
            }
            // What a time limit on a socket says.
            Err(error) if error.errno() == Errno::AGAIN => Err(Failure::Broken(sys::Error::new("recvmsg()", Errno::TIMEDOUT))),
            Err(error) => Err(Failure::Broken(error)),
        }
    }
}

/// Nobody answers at any of these sockets.
pub(crate) fn absent(paths: &[&Path], error: &std::io::Error) -> Failure {
    let last = paths.last().copied().unwrap_or(Path::new(""));
    let source = sys::Error::new(format!("connect({last:?})"), Errno::from_io_error(error).unwrap_or(Errno::IO));
    Failure::Absent { paths: paths.iter().map(|path| path.to_path_buf()).collect(), source }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
