//! Against a broker that says what a test wants it to.

use std::io::Read;
use std::os::fd::AsFd;
use std::thread::{JoinHandle, spawn};

use super::*;

const OBJECT: Object<'static> = Object { name: "a.b", path: "/a/b", interface: "a.b.C" };

fn message(kind: Kind, reply: Option<u32>, member: &str, body: &[Value], descriptors: u32) -> Vec<u8> {
    let (destination, path, interface) = ("", "/a/b", "a.b.C");
    Outgoing { kind, serial: 9, reply, destination, path, interface, member, body }.with_descriptors(descriptors)
}

/// Welcomes whoever comes, waits for a call, and says what `speak` says.
fn broker(speak: impl FnOnce(&UnixStream) + Send + 'static) -> (Connection, JoinHandle<()>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let thread = spawn(move || {
        theirs.write_all(b"DATA\r\nOK 1234\r\nAGREE_UNIX_FD\r\n").unwrap();
        let (mut input, mut bytes) = (Vec::new(), [0; 4096]);
        while !input.windows(4).any(|part| part == b"Take") {
            let length = theirs.read(&mut bytes).unwrap();
            input.extend(&bytes[..length]);
        }
        assert!(input.starts_with(b"\0AUTH EXTERNAL\r\nDATA\r\n"));
        speak(&theirs);
    });
    (Connection::on(ours).unwrap(), thread)
}

#[test]
fn a_descriptor_comes_with_its_message() {
    let (mut connection, thread) = broker(|socket| {
        let (file, other) = (std::fs::File::open("/dev/null").unwrap(), std::fs::File::open("/dev/zero").unwrap());
        // A signal with one comes first: it is not mistaken for the answer's.
        let signal = message(Kind::Signal, None, "Given", &[Value::Uint32(0)], 1);
        sys::socket::send(socket, &signal, &[other.as_fd()]).unwrap();
        let answer = message(Kind::Return, Some(1), "", &[Value::Uint32(0)], 1);
        sys::socket::send(socket, &answer, &[file.as_fd()]).unwrap();
    });
    let number = |fds: &[OwnedFd]| rustix::fs::minor(rustix::fs::fstat(&fds[0]).unwrap().st_rdev);
    let answer = connection.ask(&OBJECT, "Take", &[]).unwrap();
    assert_eq!((answer.fds.len(), number(&answer.fds)), (1, 3));
    let signal = connection.signal(None).unwrap();
    assert_eq!((signal.name.as_str(), number(&signal.fds)), ("Given", 5));
    thread.join().unwrap();
}

#[test]
fn a_descriptor_that_does_not_come_is_not_there() {
    let (mut connection, thread) = broker(|mut socket| {
        socket.write_all(&message(Kind::Return, Some(1), "", &[Value::Uint32(0)], 2)).unwrap();
    });
    assert!(connection.ask(&OBJECT, "Take", &[]).unwrap().fds.is_empty());
    thread.join().unwrap();
    assert!(matches!(connection.signal(None), Err(Failure::Nonsense("it has ended"))));
}

#[test]
fn a_deadline_ends_the_wait_for_a_signal() {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(b"DATA\r\nOK 1\r\nERROR\r\n").unwrap();
    let mut connection = Connection::on(ours).unwrap();
    let failure = connection.signal(Some(Instant::now())).unwrap_err();
    assert!(matches!(failure, Failure::Broken(error) if error.errno() == Errno::TIMEDOUT));
}
