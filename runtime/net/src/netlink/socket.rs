//! Asking the kernel.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::set_socket_send_buffer_size_force;
use rustix::net::{RecvFlags, SendFlags, bind, getsockname, netlink, recv, send};
use sys::Call;

use super::{Batch, DONE, ERROR, Message, NetlinkError, messages};

/// Answers fit: the kernel cuts a dump into pieces of at most 32 KiB.
const BUFFER: usize = 32 << 10;
/// What fits a socket's default send buffer (`net.core.wmem_default`, 212992, counts overhead too).
const DEFAULT_SEND: usize = 100 << 10;
/// `NLM_F_DUMP_INTR`: the dumped list changed meanwhile.
const INTERRUPTED: u16 = 0x10;
/// `NLM_F_CAPPED`.
const CAPPED: u16 = 0x100;

/// A netlink socket of one namespace. The kernel works within `send`, so answers are there when it returns: nothing here
/// ever blocks.
#[derive(Debug)]
pub(crate) struct Socket(OwnedFd);

type Result<T> = std::result::Result<T, NetlinkError>;

impl Socket {
    /// A socket for links, addresses and routes of the calling thread's namespace.
    pub(crate) fn route() -> Result<Self> {
        sys::netlink::socket(None).map(Socket).map_err(NetlinkError::new)
    }

    /// A socket for nf_tables of the calling thread's namespace.
    pub(crate) fn netfilter() -> Result<Self> {
        sys::netlink::socket(Some(netlink::NETFILTER)).map(Socket).map_err(NetlinkError::new)
    }

    /// The number by which the kernel knows it.
    pub(crate) fn port(&self) -> Result<u32> {
        // It gets one by this, or has one since it has sent something.
        let _ = bind(&self.0, &SocketAddrNetlink::new(0, 0));
        let address = getsockname(&self.0).and_then(SocketAddrNetlink::try_from);
        address.map(|address| address.pid()).map_err(|errno| NetlinkError::new(sys::Error::new("getsockname(netlink)", errno)))
    }

    /// The bare descriptor.
    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// Sends a batch whose last message asks for an acknowledgement, and returns the first failure.
    pub(crate) fn transact(&self, batch: &Batch) -> Result<()> {
        self.send(batch)?;
        let mut failure = None;
        loop {
            let mut done = false;
            let more = self.receive(|message| {
                if message.kind != ERROR {
                    return;
                }
                match refused(batch, message) {
                    Some(error) => drop(failure.get_or_insert(error)),
                    None => done = true,
                }
            })?;
            match failure {
                None if done => return Ok(()),
                None if !more => return Err(silent()),
                Some(error) if !more => return Err(error),
                // After a failure the queue is read to its end, so that the next exchange starts clean.
                _ => {}
            }
        }
    }

    /// Sends one request without an acknowledgement and hands its one answer to `read`.
    pub(crate) fn get<T>(&self, batch: &Batch, read: impl FnOnce(Message<'_>) -> Option<T>) -> Result<Option<T>> {
        self.send(batch)?;
        let (mut read, mut outcome) = (Some(read), Ok(None));
        self.receive(|message| {
            let Some(read) = read.take() else { return };
            outcome = match message.kind {
                ERROR => refused(batch, message).map_or(Ok(None), Err),
                _ => Ok(read(message)),
            };
        })?;
        outcome
    }

    /// Sends one dump request and hands every object to `read`. A list that changed meanwhile is read anew.
    pub(crate) fn dump<T>(&self, batch: &Batch, mut read: impl FnMut(Message<'_>) -> Option<T>) -> Result<Vec<T>> {
        for _ in 0..16 {
            self.send(batch)?;
            let (mut found, mut failure, mut done, mut interrupted) = (Vec::new(), None, false, false);
            while !done && failure.is_none() {
                let more = self.receive(|message| {
                    interrupted |= message.flags & INTERRUPTED != 0;
                    match message.kind {
                        DONE => done = true,
                        ERROR => failure = refused(batch, message),
                        _ => found.extend(read(message)),
                    }
                })?;
                if !more {
                    return Err(silent());
                }
            }
            match failure {
                Some(error) => return Err(error),
                None if interrupted => {}
                None => return Ok(found),
            }
        }
        Err(NetlinkError::new(sys::Error::new(batch.label(1), Errno::AGAIN)))
    }

    fn send(&self, batch: &Batch) -> Result<()> {
        if batch.len() > DEFAULT_SEND {
            set_socket_send_buffer_size_force(&self.0, batch.len() * 2)
                .call(|| format!("setsockopt(SO_SNDBUFFORCE, {})", batch.len() * 2))
                .map_err(NetlinkError::new)?;
        }
        match send(&self.0, batch.bytes(), SendFlags::empty()) {
            Ok(_) => Ok(()),
            Err(errno) => Err(NetlinkError::new(sys::Error::new(
                format!("sendto(netlink, {}, {} bytes)", batch.label(1), batch.len()),
                errno,
            ))),
        }
    }

    /// Reads one datagram; `false` if there is none.
    fn receive(&self, mut read: impl FnMut(Message<'_>)) -> Result<bool> {
        let mut buffer = [std::mem::MaybeUninit::uninit(); BUFFER];
        let failed = |errno| NetlinkError::new(sys::Error::new("recvfrom(netlink)", errno));
        match recv(&self.0, &mut buffer, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
            Ok((_, length)) if length > BUFFER => Err(failed(Errno::MSGSIZE)),
            Ok(((bytes, _), _)) => {
                messages(bytes).for_each(&mut read);
                Ok(true)
            }
            Err(Errno::AGAIN) => Ok(false),
            Err(errno) => Err(failed(errno)),
        }
    }
}

/// What an `NLMSG_ERROR` says of a message of `batch`; `None` if it is an acknowledgement.
fn refused(batch: &Batch, message: Message<'_>) -> Option<NetlinkError> {
    NetlinkError::parse(message.body, message.flags & CAPPED != 0, |sequence| batch.label(sequence))
}

/// No answer, or half of one.
fn silent() -> NetlinkError {
    NetlinkError::new(sys::Error::new("recvfrom(netlink)", Errno::AGAIN))
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
