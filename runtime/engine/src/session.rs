//! A connection to a container's monitor: its output and end come up, input and signals go down.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use launch::Exit;
use monitor::{Event, MAX_CHUNK, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::Error;
use crate::error::During;

/// A running process that a client listens to.
#[derive(Debug)]
pub struct Session {
    id: String,
    socket: OwnedFd,
    /// The process, once it is known.
    process: Option<OwnedFd>,
    /// Its number on the host, if this started it.
    pid: Option<u32>,
    /// Its monitor, if this started it.
    monitor: Option<Pid>,
    /// Read before anybody asked for it, while waiting for an answer.
    early: std::collections::VecDeque<Event>,
    buffer: Vec<u8>,
}

/// What happens in a session.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// The process wrote to standard output, or to its terminal.
    Stdout(Vec<u8>),
    /// The process wrote to standard error.
    Stderr(Vec<u8>),
    /// The process has ended and its record is written.
    Exited(Exit),
}

impl Session {
    pub(crate) fn new(id: &str, socket: OwnedFd) -> Self {
        Session {
            id: id.to_owned(),
            socket,
            process: None,
            pid: None,
            monitor: None,
            early: Default::default(),
            buffer: vec![0; 2 * MAX_CHUNK],
        }
    }

    pub(crate) fn watched_by(self, monitor: Pid) -> Self {
        Session { monitor: Some(monitor), ..self }
    }

    /// The number of the container's monitor, if it was started with this session. It ends with the container's exit code.
    pub fn monitor(&self) -> Option<i32> {
        self.monitor.map(Pid::as_raw_pid)
    }

    /// The container's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The number on the host of the process that was started with this session; another one may have it once that has ended.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Ready for reading when [`Session::happening`] will not block.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// True when [`Session::happening`] has something although [`Session::as_fd`] may show nothing.
    pub fn has_early(&self) -> bool {
        !self.early.is_empty()
    }

    /// Waits for the monitor's next word. `None` when it was an acknowledgement, so that a caller that has shown this descriptor to poll(2)
    /// is never kept waiting.
    ///
    /// # Errors
    /// [`Error::MonitorGone`] when the monitor was killed, [`Error::Start`] when the program could not be executed.
    pub fn happening(&mut self) -> Result<Option<Happening>, Error> {
        let event = match self.early.pop_front() {
            Some(event) => event,
            None => self.receive()?,
        };
        Ok(Some(match event {
            Event::Output { stream: monitor::Stream::Stdout, bytes } => Happening::Stdout(bytes),
            Event::Output { stream: monitor::Stream::Stderr, bytes } => Happening::Stderr(bytes),
            Event::Exited(exit) => Happening::Exited(exit),
            Event::Failed { kind, message } => return Err(Error::Start { kind, message }),
            Event::Created { .. } | Event::Started { .. } | Event::Done => return Ok(None),
        }))
    }

    /// Waits until the program runs.
    pub(crate) fn started(&mut self) -> Result<(), Error> {
        loop {
            match self.receive()? {
                Event::Started { pid, start_time } => {
                    self.process = sys::process::open(pid, start_time).ok();
                    self.pid = Some(pid);
                    return Ok(());
                }
                Event::Failed { kind, message } => return Err(Error::Start { kind, message }),
                other => self.early.push_back(other),
            }
        }
    }

    /// Asks for something that is answered by the word that it is done.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<(), Error> {
        self.ask_with(request, &[])
    }

    /// The same with descriptors.
    pub(crate) fn ask_with(&mut self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        self.send(request, fds)?;
        loop {
            match self.receive()? {
                Event::Done => return Ok(()),
                Event::Failed { kind, message } => return Err(Error::Start { kind, message }),
                other => self.early.push_back(other),
            }
        }
    }

    /// Knows the process that it is about, so that signals go straight to it.
    pub(crate) fn about(self, process: Option<OwnedFd>) -> Self {
        Session { process, ..self }
    }

    /// Says that the end is to be told, too, to who does not listen to the output.
    ///
    /// # Errors
    /// The monitor cannot be told.
    pub fn await_end(&self) -> Result<(), Error> {
        self.send(&Request::Wait, &[])
    }

    /// Bytes for standard input.
    pub fn stdin(&self, bytes: &[u8]) -> Result<(), Error> {
        bytes.chunks(MAX_CHUNK).try_for_each(|chunk| self.send(&Request::Stdin(chunk.to_vec()), &[]))
    }

    /// No more input will come.
    pub fn stdin_end(&self) -> Result<(), Error> {
        self.send(&Request::StdinEnd, &[])
    }

    /// The client's terminal has this size now.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), Error> {
        self.send(&Request::Resize { rows, columns }, &[])
    }

    /// True when the monitor takes more input. It takes none while the process reads none.
    pub fn takes_input(&self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::OUT)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }

    /// Sends a signal to the process: straight, so that it overtakes input that waits.
    pub fn signal(&self, signal: i32) -> Result<(), Error> {
        match &self.process {
            Some(process) => sys::process::signal(process, signal).during(|| format!("signal container {}", &self.id[..12])),
            None => self.send(&Request::Signal(signal), &[]),
        }
    }

    pub(crate) fn send(&self, request: &Request, fds: &[BorrowedFd<'_>]) -> Result<(), Error> {
        let bytes = postcard::to_stdvec(request).map_err(Error::Protocol)?;
        if bytes.len() > monitor::MAX_PACKET {
            let why =
                format!("{} KiB are more than the {} KiB that can be passed on", bytes.len() >> 10, monitor::MAX_PACKET >> 10);
            return Err(Error::Invalid { what: "arguments and environment".to_owned(), why });
        }
        if bytes.len() > MAX_CHUNK * 2 {
            // The default send buffer would refuse a large plan with EMSGSIZE. By force (CAP_NET_ADMIN), as net.core.wmem_max may be
            // smaller.
            let _ = rustix::net::sockopt::set_socket_send_buffer_size_force(&self.socket, 2 * monitor::MAX_PACKET);
        }
        match sys::socket::send(&self.socket, &bytes, fds) {
            // It has ended; why, it may have said before.
            Err(error) if error.errno() == Errno::PIPE => Ok(()),
            other => other.during(|| format!("tell the monitor of container {}", &self.id[..12])),
        }
    }

    fn receive(&mut self) -> Result<Event, Error> {
        let mut receive = || sys::socket::receive(&self.socket, &mut self.buffer);
        let received = match receive() {
            // A monitor that ended before it read all of our requests: what it said itself is still there.
            Err(error) if error.errno() == Errno::CONNRESET => receive(),
            other => other,
        };
        let (length, _) = match received {
            Err(error) if error.errno() == Errno::CONNRESET => return Err(self.gone()),
            other => other.during(|| format!("listen to the monitor of container {}", &self.id[..12]))?,
        };
        if length == 0 {
            return Err(self.gone());
        }
        postcard::from_bytes(&self.buffer[..length]).map_err(Error::Protocol)
    }

    fn gone(&self) -> Error {
        Error::MonitorGone(self.id[..12].to_owned())
    }
}
