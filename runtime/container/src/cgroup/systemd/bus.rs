//! A connection to systemd, and its answers.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::value::Value;
use super::wire::{Kind, Message, Outgoing, decode};

/// How long systemd may take for one thing, as with runc.
const PATIENCE: Duration = Duration::from_secs(30);

const MANAGER: Object<'static> =
    Object { name: "org.freedesktop.systemd1", path: "/org/freedesktop/systemd1", interface: "org.freedesktop.systemd1.Manager" };
const BROKER: Object<'static> =
    Object { name: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };

struct Object<'a> {
    name: &'a str,
    path: &'a str,
    interface: &'a str,
}

/// Why systemd did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody answers at its sockets.
    #[error("no systemd at {}", paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or "))]
    Absent {
        /// Where it was looked for.
        paths: Vec<PathBuf>,
        /// The last attempt.
        #[source]
        source: sys::Error,
    },
    /// The connection broke.
    #[error("the connection to systemd")]
    Broken(#[source] sys::Error),
    /// What came over the connection makes no sense.
    #[error("the connection to systemd: {0}")]
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
    pub(super) fn is(&self, short: &str) -> bool {
        matches!(self, Failure::Refused { name, .. } if name.rsplit('.').next() == Some(short))
    }
}

fn first(message: &Message, signature: &str) -> String {
    message.texts(signature).and_then(|mut texts| texts.pop()).unwrap_or_default()
}

fn broken(call: &'static str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| match Errno::from_io_error(&error) {
        // What a time limit on a socket says.
        Some(Errno::AGAIN) => Failure::Broken(sys::Error::new(call, Errno::TIMEDOUT)),
        errno => Failure::Broken(sys::Error::new(call, errno.unwrap_or(Errno::IO))),
    }
}

/// A connection to the manager of the system or of a user.
#[derive(Debug)]
pub(super) struct Bus {
    socket: UnixStream,
    serial: u32,
    input: Vec<u8>,
    /// Jobs that have ended, and how.
    ended: Vec<(String, String)>,
}

impl Bus {
    /// Connects to the manager of the system, or of the user whose runtime folder this is: to its own socket, or else through the broker.
    pub(super) fn connect(user: Option<&Path>) -> Result<Bus, Failure> {
        let run = user.unwrap_or(Path::new("/run"));
        let broker = if user.is_some() { "bus" } else { "dbus/system_bus_socket" };
        let paths = [run.join("systemd/private"), run.join(broker)];
        let direct = UnixStream::connect(&paths[0]).map_err(|_| ());
        if let Ok(socket) = direct {
            return Bus::on(socket);
        }
        let socket = UnixStream::connect(&paths[1]).map_err(|error| {
            let source = sys::Error::new(format!("connect({:?})", paths[1]), Errno::from_io_error(&error).unwrap_or(Errno::IO));
            Failure::Absent { paths: paths.to_vec(), source }
        })?;
        let mut bus = Bus::on(socket)?;
        bus.ask(&BROKER, "Hello", &[])?;
        let signals =
            "type='signal',sender='org.freedesktop.systemd1',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
        bus.ask(&BROKER, "AddMatch", &[Value::string(signals)])?;
        // Without a subscriber systemd tells the broker nothing.
        bus.call("Subscribe", &[])?;
        Ok(bus)
    }

    /// Introduces itself by its user, which the kernel confirms (D-Bus specification, "Authentication Protocol").
    pub(super) fn on(socket: UnixStream) -> Result<Bus, Failure> {
        let mut bus = Bus { socket, serial: 0, input: Vec::new(), ended: Vec::new() };
        let uid: String = rustix::process::geteuid().as_raw().to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
        bus.socket.write_all(format!("\0AUTH EXTERNAL {uid}\r\nBEGIN\r\n").as_bytes()).map_err(broken("write(AUTH)"))?;
        let deadline = Instant::now() + PATIENCE;
        let end = loop {
            if let Some(end) = bus.input.windows(2).position(|two| two == b"\r\n") {
                break end;
            }
            bus.read(deadline)?;
        };
        let line: Vec<u8> = bus.input.drain(..end + 2).collect();
        if line.starts_with(b"OK ") { Ok(bus) } else { Err(Failure::Nonsense("it does not accept this user")) }
    }

    /// Calls a method of the manager, and returns the first text of the answer, if it has one.
    pub(super) fn call(&mut self, method: &str, body: &[Value]) -> Result<String, Failure> {
        self.ask(&MANAGER, method, body).map(|answer| first(&answer, "s"))
    }

    /// What a unit is said to be, when it is loaded.
    pub(super) fn description(&mut self, unit: &str) -> Result<Option<String>, Failure> {
        let path = match self.call("GetUnit", &[Value::string(unit)]) {
            Err(failure) if failure.is("NoSuchUnit") => return Ok(None),
            path => path?,
        };
        let properties = Object { path: &path, interface: "org.freedesktop.DBus.Properties", ..MANAGER };
        let asked = [Value::string("org.freedesktop.systemd1.Unit"), Value::string("Description")];
        self.ask(&properties, "Get", &asked).map(|answer| Some(first(&answer, "v")))
    }

    fn ask(&mut self, object: &Object<'_>, member: &str, body: &[Value]) -> Result<Message, Failure> {
        self.serial += 1;
        let Object { name: destination, path, interface } = *object;
        let message = Outgoing { kind: Kind::Call, serial: self.serial, reply: None, destination, path, interface, member, body };
        self.socket.write_all(&message.encode()).map_err(broken("write()"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.next(deadline)?;
            match message.kind {
                _ if message.reply != self.serial => {}
                Kind::Error => return Err(Failure::Refused { message: first(&message, "s"), name: message.name }),
                _ => return Ok(message),
            }
        }
    }

    /// Waits until a job has been done.
    pub(super) fn done(&mut self, job: &str) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((_, result)) = self.ended.iter().find(|(ended, _)| ended == job) {
                return if result == "done" { Ok(()) } else { Err(Failure::Job(result.clone())) };
            }
            self.next(deadline)?;
        }
    }

    /// The next message; the end of a job is noted.
    fn next(&mut self, deadline: Instant) -> Result<Message, Failure> {
        loop {
            if let Some(message) = decode(&mut self.input).map_err(Failure::Nonsense)? {
                if message.kind == Kind::Signal
                    && message.name == "JobRemoved"
                    && let Some([_, job, _, result]) = message.texts("uoss").as_deref()
                {
                    self.ended.push((job.clone(), result.clone()));
                }
                return Ok(message);
            }
            self.read(deadline)?;
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<(), Failure> {
        // 0 would be no limit at all.
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
        self.socket.set_read_timeout(Some(left)).map_err(broken("setsockopt(SO_RCVTIMEO)"))?;
        let mut bytes = [0; 4096];
        match self.socket.read(&mut bytes) {
            Ok(0) => Err(Failure::Nonsense("it has ended")),
            Ok(length) => {
                self.input.extend(&bytes[..length]);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(broken("read()")(error)),
        }
    }
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
