//! The logind of a node, behind a broker of its own: as much of both as a program needs that delays shutdowns
//! (org.freedesktop.login1(5)).

use std::io::{PipeReader, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use container::dbus::Value;
use container::dbus::wire::{Kind, Message, Outgoing, decode};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Who is connected, and the other ends of the locks that were given.
#[derive(Debug, Default)]
struct Known {
    clients: Vec<UnixStream>,
    locks: Vec<PipeReader>,
}

/// A logind that takes calls until its process ends.
#[derive(Debug, Clone)]
pub struct Logind(Arc<Mutex<Known>>);

impl Logind {
    /// Serves at `path`, and lets locks delay a shutdown for `longest`.
    ///
    /// # Panics
    /// When the socket cannot be made.
    #[must_use]
    pub fn start(path: &Path, longest: Duration) -> Logind {
        let listener = UnixListener::bind(path).expect("a socket");
        let known = Arc::<Mutex<Known>>::default();
        let all = Arc::clone(&known);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let known = Arc::clone(&all);
                std::thread::spawn(move || serve(client, &known, longest));
            }
        });
        Logind(known)
    }

    /// Says that the host shuts down, or that it does not after all.
    ///
    /// # Panics
    /// When somebody who has connected is gone.
    pub fn announce(&self, is_so: bool) {
        let (path, interface) = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager");
        let body = [Value::Boolean(is_so)];
        let signal = Outgoing {
            kind: Kind::Signal,
            serial: 7,
            reply: None,
            destination: "",
            path,
            interface,
            member: "PrepareForShutdown",
            body: &body,
        };
        let bytes = signal.encode();
        self.known().clients.iter_mut().for_each(|client| client.write_all(&bytes).expect("a client"));
    }

    /// How many locks are held.
    #[must_use]
    pub fn locks(&self) -> usize {
        self.known().locks.iter().filter(|lock| is_held(lock)).count()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether somebody has the other end.
fn is_held(lock: &PipeReader) -> bool {
    let mut fds = [PollFd::new(lock, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok() && !fds[0].revents().contains(PollFlags::HUP)
}

fn serve(mut client: UnixStream, known: &Mutex<Known>, longest: Duration) {
    let (mut input, mut bytes) = (Vec::new(), [0; 4096]);
    let mut welcome = false;
    while let Ok(length @ 1..) = client.read(&mut bytes) {
        input.extend(&bytes[..length]);
        if !welcome && let Some(at) = input.windows(7).position(|part| part == b"BEGIN\r\n") {
            input.drain(..at + 7);
            welcome = client.write_all(b"DATA\r\nOK 1234\r\nAGREE_UNIX_FD\r\n").is_ok();
        }
        while welcome && let Ok(Some(call)) = decode(&mut input) {
            if answer(&client, &call, known, longest).is_err() {
                return;
            }
        }
    }
}

fn answer(client: &UnixStream, call: &Message, known: &Mutex<Known>, longest: Duration) -> Result<(), sys::Error> {
    let micros = Value::Uint64(u64::try_from(longest.as_micros()).unwrap_or(u64::MAX));
    let (body, lock) = match call.name.as_str() {
        "Hello" => (vec![Value::string(":1.1")], None),
        "Get" => (vec![Value::Variant(Box::new(micros))], None),
        "Inhibit" => (vec![Value::Uint32(0)], std::io::pipe().ok()),
        _ => (vec![], None),
    };
    let (path, interface) = ("/org/freedesktop/login1", "");
    let (serial, reply) = (1, Some(call.serial));
    let answer = Outgoing { kind: Kind::Return, serial, reply, destination: "", path, interface, member: "", body: &body };
    let Some((reader, writer)) = lock else { return sys::socket::send(client, &answer.encode(), &[]) };
    {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        known.locks.push(reader);
        known.clients.extend(client.try_clone().ok());
    }
    sys::socket::send(client, &answer.with_descriptors(1), &[writer.as_fd()])
}
