//! Unix sockets that carry descriptors: sequenced-packet ones among our own programs, stream ones to others.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, recv, recvmsg, sendmsg, socket_with, socketpair, sockopt,
};

use crate::{Call, Error, Result};

/// The most descriptors one message can carry (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 253;

/// A connected pair, close-on-exec.
pub fn pair() -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .call(|| "socketpair(AF_UNIX, SOCK_SEQPACKET)")
}

/// The address of the socket `name` inside the open folder `dir`: as long as the folder's path may be, this fits the
/// 108 bytes of an address (unix(7)).
fn address(dir: BorrowedFd<'_>, name: &str) -> Result<SocketAddrUnix> {
    let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
    SocketAddrUnix::new(path.as_str()).call(|| format!("unix address {path:?}"))
}

/// A listening socket `name` in the folder `dir`, close-on-exec and non-blocking.
///
/// # Errors
/// `EADDRINUSE` when the name exists.
pub fn listen_at(dir: impl AsFd, name: &str) -> Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).call(|| "socket(AF_UNIX)")?;
    bind(&socket, &address(dir.as_fd(), name)?).call(|| format!("bind({name:?})"))?;
    listen(&socket, 64).call(|| format!("listen({name:?})"))?;
    Ok(socket)
}

/// Connects to the socket `name` in the folder `dir`.
///
/// # Errors
/// `ENOENT` when there is none, `ECONNREFUSED` when nobody listens any more.
pub fn connect_at(dir: impl AsFd, name: &str) -> Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).call(|| "socket(AF_UNIX)")?;
    connect(&socket, &address(dir.as_fd(), name)?).call(|| format!("connect({name:?})"))?;
    Ok(socket)
}

/// Connects to the stream socket at `path`, however long that is.
///
/// # Errors
/// `ENOENT` when there is none, `ECONNREFUSED` when nobody listens, `EPROTOTYPE` when it is of another kind.
pub fn connect_stream(path: &Path) -> Result<OwnedFd> {
    let call = || format!("connect({path:?})");
    let name = path.file_name().ok_or_else(|| Error::new(call(), Errno::ISDIR))?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty()).call(|| format!("open({folder:?}, O_PATH)"))?;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).call(|| "socket(AF_UNIX)")?;
    let at = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    connect(&socket, &SocketAddrUnix::new(&at).call(call)?).call(call)?;
    Ok(socket)
}

/// The sequenced-packet socket that [`crate::spawn`] has put at descriptor 3, now close-on-exec. Once per process.
///
/// # Errors
/// `EBADF` or `ENOTSOCK` when there is none, `EPROTONOSUPPORT` when it is of another kind: the program was not started by us.
/// `EALREADY` the second time.
pub fn inherited() -> Result<OwnedFd> {
    const INHERITED: RawFd = 3;
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let call = || format!("getsockopt({INHERITED}, SO_TYPE)");
    // SAFETY: borrowed for this function only; a descriptor that is not open makes the calls fail.
    let socket = unsafe { BorrowedFd::borrow_raw(INHERITED) };
    if sockopt::socket_type(socket).call(call)? != SocketType::SEQPACKET {
        return Err(Error::new(call(), Errno::PROTONOSUPPORT));
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(Error::new(call(), Errno::ALREADY));
    }
    rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC).call(|| format!("fcntl({INHERITED}, F_SETFD)"))?;
    // SAFETY: it is open, and by the contract of `spawn` nothing else in this program owns it; `TAKEN` makes us the only one.
    Ok(unsafe { OwnedFd::from_raw_fd(INHERITED) })
}

/// The `count` listening stream sockets that whoever started this program has put at descriptors 3 and on (sd_listen_fds(3)), now
/// close-on-exec. Call it before anything else is opened, once per process.
///
/// # Errors
/// `EBADF` or `ENOTSOCK` when there is none, `EPROTONOSUPPORT` when one is of another kind or does not listen. `EALREADY` the second time.
pub fn passed(count: u16) -> Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(Error::new("sd_listen_fds()".to_owned(), Errno::ALREADY));
    }
    let numbers = 3..3 + RawFd::from(count);
    for number in numbers.clone() {
        let call = || format!("getsockopt({number}, SO_TYPE)");
        // SAFETY: borrowed for this turn only; a descriptor that is not open makes the calls fail.
        let socket = unsafe { BorrowedFd::borrow_raw(number) };
        let listens = sockopt::socket_acceptconn(socket).call(call)?;
        if sockopt::socket_type(socket).call(call)? != SocketType::STREAM || !listens {
            return Err(Error::new(call(), Errno::PROTONOSUPPORT));
        }
        rustix::io::fcntl_setfd(socket, rustix::io::FdFlags::CLOEXEC).call(|| format!("fcntl({number}, F_SETFD)"))?;
    }
    // SAFETY: they are open, and by the contract above nothing else in this program owns them; `TAKEN` makes us the only one.
    Ok(numbers.map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect())
}

/// Sends one message with descriptors. Never raises SIGPIPE.
///
/// # Errors
/// `EAGAIN` on a full non-blocking socket, `EPIPE` when the other side is gone, `EMSGSIZE` above the send buffer's size.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
    let call = || format!("sendmsg({} bytes, {} descriptors)", bytes.len(), fds.len());
    let mut space = vec![MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(fds).size()];
    let mut control = SendAncillaryBuffer::new(if fds.is_empty() { &mut [] } else { &mut space });
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Error::new(call(), Errno::TOOBIG));
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new(call(), errno)),
        }
    }
}

/// Whether the other end of a Unix stream has read all that was sent to it.
///
/// # Errors
/// It is no socket.
pub fn all_is_read(socket: impl AsFd) -> Result<bool> {
    let (fd, mut unread) = (socket.as_fd().as_raw_fd(), libc::c_int::MAX);
    // SAFETY: SIOCOUTQ (unix(7); TIOCOUTQ by its number) writes one int, which lives until the call returns.
    match unsafe { libc::ioctl(fd, libc::TIOCOUTQ, &raw mut unread) } {
        // What is unread counts with the kernel's own part, hundreds of bytes; a 1 is the reference by which the last reader wakes the writer.
        0 => Ok(unread <= 1),
        _ => Err(Error::last(format!("ioctl({fd}, SIOCOUTQ)"))),
    }
}

/// Receives one message of at most `buffer.len()` bytes and its descriptors (close-on-exec). A length of 0 is the end.
///
/// # Errors
/// `EMSGSIZE` when the message was longer than the buffer or had more descriptors than [`MAX_FDS`].
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(buffer)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Ok(message) => break message,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new("recvmsg()", errno)),
        }
    };
    let fds = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    let cut = rustix::net::ReturnFlags::TRUNC | rustix::net::ReturnFlags::CTRUNC;
    if message.flags.intersects(cut) {
        return Err(Error::new("recvmsg()", Errno::MSGSIZE));
    }
    Ok((message.bytes, fds))
}

/// Receives one message of whatever length up to `limit`, in a buffer of that length. An empty one is the end.
///
/// # Errors
/// `EMSGSIZE` for a longer message, which is lost.
pub fn receive_whole(socket: impl AsFd, limit: usize) -> Result<(Vec<u8>, Vec<OwnedFd>)> {
    let length = loop {
        match recv(&socket, &mut [0u8; 1], RecvFlags::PEEK | RecvFlags::TRUNC) {
            Ok((_, length)) => break length,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new("recv(MSG_PEEK)", errno)),
        }
    };
    let mut buffer = vec![0; length.min(limit)];
    let (length, fds) = receive(socket, &mut buffer)?;
    buffer.truncate(length);
    Ok((buffer, fds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_descriptors() {
        let (a, b) = pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        send(&a, b"hello", &[file.as_fd()]).unwrap();
        let mut buffer = [0; 64];
        let (length, fds) = receive(&b, &mut buffer).unwrap();
        assert_eq!((&buffer[..length], fds.len()), (&b"hello"[..], 1));
        send(&a, &[0; 65], &[]).unwrap();
        assert_eq!(receive(&b, &mut buffer).unwrap_err().errno(), Errno::MSGSIZE);
        drop(a);
        assert_eq!(receive(&b, &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn a_buffer_fits_its_message() {
        let (a, b) = pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        send(&a, &[7; 5000], &[file.as_fd()]).unwrap();
        send(&a, &[7; 5001], &[]).unwrap();
        let (bytes, fds) = receive_whole(&b, 5000).unwrap();
        assert_eq!((bytes, fds.len()), (vec![7; 5000], 1));
        assert_eq!(receive_whole(&b, 5000).unwrap_err().errno(), Errno::MSGSIZE);
        drop(a);
        assert_eq!(receive_whole(&b, 5000).unwrap().0, []);
    }
}
