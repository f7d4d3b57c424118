//! Records to systemd's journal, in its own protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>): a datagram each, or a sealed file in
//! memory where it is too long for one. The fields are Docker's.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use sys::{Call, Result};

use crate::Stream;

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// How long a journal that is behind is waited for: a container is not stopped by it.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What writes to the journal.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    socket: Option<OwnedFd>,
    /// Fields of every record, as they are sent.
    fields: Vec<u8>,
}

impl Journal {
    /// One that adds these fields to each record.
    pub(crate) fn new(path: &Path, notes: &[(String, String)]) -> Self {
        let mut fields = Vec::new();
        for (name, value) in notes {
            field(&mut fields, &named(name), value.as_bytes());
        }
        Journal { path: path.to_owned(), socket: None, fields }
    }

    /// Sends a line, or a part of one.
    ///
    /// # Errors
    /// Those of connect(2) and sendmsg(2): nobody listens, or takes it in time. It is lost then.
    pub(crate) fn send(&mut self, stream: Stream, text: &[u8], full: bool) -> Result<()> {
        let mut record = self.fields.clone();
        // As Docker has it: info and err of syslog(3).
        field(&mut record, "PRIORITY", if stream == Stream::Stdout { b"6" } else { b"3" });
        if !full {
            field(&mut record, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        field(&mut record, "MESSAGE", text);
        match self.put(&record) {
            // It was started anew, and listens at another socket of the same name.
            Err(error) if matches!(error.errno(), Errno::CONNREFUSED | Errno::NOTCONN | Errno::PIPE) => {
                self.socket = None;
                self.put(&record)
            }
            done => done,
        }
    }

    fn put(&mut self, record: &[u8]) -> Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => connected(&self.path)?,
        };
        let done = match once(&socket, record) {
            Err(error) if matches!(error.errno(), Errno::MSGSIZE | Errno::NOBUFS) => in_memory(&socket, record),
            done => done,
        };
        self.socket = Some(socket);
        done
    }
}

fn connected(path: &Path) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).call(|| "socket(AF_UNIX, SOCK_DGRAM)")?;
    let address = SocketAddrUnix::new(path).call(|| format!("the address {path:?}"))?;
    connect(&socket, &address).call(|| format!("connect({path:?})"))?;
    Ok(socket)
}

fn once(socket: &OwnedFd, record: &[u8]) -> Result<()> {
    match sys::socket::send(socket, record, &[]) {
        Err(error) if error.errno() == Errno::AGAIN => {
            let _ = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&PATIENCE));
            sys::socket::send(socket, record, &[])
        }
        done => done,
    }
}

/// Sends a file instead, which nobody can change any more.
fn in_memory(socket: &OwnedFd, record: &[u8]) -> Result<()> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = memfd_create("log", flags).call(|| "memfd_create()")?;
    sys::fs::write_all(&file, record)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).call(|| "fcntl(F_ADD_SEALS)")?;
    sys::socket::send(socket, &[], &[file.as_fd()])
}

/// A field: on one line, or with its length where it has several.
fn field(to: &mut Vec<u8>, name: &str, value: &[u8]) {
    to.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        to.push(b'\n');
        to.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        to.push(b'=');
    }
    to.extend_from_slice(value);
    to.push(b'\n');
}

/// A name as the journal takes it: capitals, digits and underscores, and none of these first (journal fields that begin with an underscore are its
/// own).
fn named(name: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_start_matches(|first: char| first == '_' || first.is_ascii_digit());
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    fn notes() -> Vec<(String, String)> {
        vec![("CONTAINER_NAME".to_owned(), "app".to_owned()), ("my.label".to_owned(), "a\nb".to_owned())]
    }

    #[test]
    fn records_are_datagrams() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut journal = Journal::new(&path, &notes());
        assert!(journal.send(Stream::Stdout, b"lost", true).is_err());
        let server = UnixDatagram::bind(&path).unwrap();
        journal.send(Stream::Stderr, b"one", false).unwrap();
        let mut buffer = [0; 1000];
        let length = server.recv(&mut buffer).unwrap();
        let expected =
            b"CONTAINER_NAME=app\nMY_LABEL\n\x03\0\0\0\0\0\0\0a\nb\nPRIORITY=3\nCONTAINER_PARTIAL_MESSAGE=true\nMESSAGE=one\n";
        assert_eq!(&buffer[..length], expected);
        // another one in its place
        drop(server);
        std::fs::remove_file(&path).unwrap();
        let server = UnixDatagram::bind(&path).unwrap();
        journal.send(Stream::Stdout, b"two", true).unwrap();
        let length = server.recv(&mut buffer).unwrap();
        assert!(buffer[..length].ends_with(b"PRIORITY=6\nMESSAGE=two\n"));
    }

    #[test]
    fn long_ones_are_sealed_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let server = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::new(&path, &[("LONG".to_owned(), "x".repeat(1 << 20))]);
        journal.send(Stream::Stdout, b"end", true).unwrap();
        let (length, fds) = sys::socket::receive(&server, &mut [0; 10]).unwrap();
        assert_eq!((length, fds.len()), (0, 1));
        let seals = rustix::fs::fcntl_get_seals(&fds[0]).unwrap();
        assert!(seals.contains(SealFlags::WRITE | SealFlags::SHRINK));
        let mut text = vec![0; 1 << 21];
        let length = rustix::io::pread(&fds[0], &mut text, 0).unwrap();
        assert!(text[..length].ends_with(b"\nMESSAGE=end\n") && length > 1 << 20);
    }

    #[test]
    fn names_are_the_journals() {
        assert_eq!((named("com.example/x"), named("_uid"), named("1a")), ("COM_EXAMPLE_X".into(), "UID".into(), "A".into()));
    }
}
