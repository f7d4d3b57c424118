//! A connection and a process of a container: what the one writes the other reads.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::pin::pin;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use engine::{Exit, Happening, Session};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::answer::Body;
use super::lock;
use crate::detach::Keys;

/// What is read at once.
const PIECE: usize = 32 << 10;

/// A connection that is no HTTP any more.
pub(super) struct Wire {
    read: Box<dyn AsyncRead + Send + Sync + Unpin>,
    write: Box<dyn AsyncWrite + Send + Sync + Unpin>,
    /// What came behind the request.
    early: Bytes,
    /// Its socket, to see that the client has gone.
    socket: Option<OwnedFd>,
}

impl Wire {
    /// The one below HTTP; nothing when it cannot be looked at.
    pub(super) fn of(upgraded: Upgraded) -> Option<Wire> {
        let parts = upgraded.downcast::<TokioIo<UnixStream>>().ok()?;
        let stream = parts.io.into_inner();
        let socket = stream.as_fd().try_clone_to_owned().ok();
        let (read, write) = stream.into_split();
        Some(Wire { read: Box::new(read), write: Box::new(write), early: parts.read_buf, socket })
    }

    /// The body of a response: nothing comes back.
    pub(super) fn one_way() -> (Wire, Body) {
        let (near, mut far) = tokio::io::duplex(PIECE);
        // Nobody waits for a pipe here: a client that goes is noticed when the next piece is sent.
        let (pieces, receiver) = mpsc::channel::<io::Result<Bytes>>(1);
        let body = io::pipe().map_or_else(|_| Body::Whole(None), |(_, held)| Body::Stream(receiver, held));
        tokio::spawn(async move {
            let mut buffer = vec![0; PIECE];
            loop {
                let read = tokio::select! {
                    read = far.read(&mut buffer) => read,
                    () = pieces.closed() => return,
                };
                match read {
                    Ok(length @ 1..) if pieces.send(Ok(Bytes::copy_from_slice(&buffer[..length]))).await.is_ok() => {}
                    _ => return,
                }
            }
        });
        let (_, write) = tokio::io::split(near);
        (Wire { read: Box::new(tokio::io::empty()), write: Box::new(write), early: Bytes::new(), socket: None }, body)
    }

    /// Sends bytes before anything else.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write.write_all(bytes).await
    }

    /// Until the client has read the head of the answer, or has gone: libraries that read ahead of it lose what is there by then.
    pub(super) async fn head_is_read(&self) {
        read(self.socket.as_ref()).await;
    }

    /// Until the client has closed the whole connection, and not only its own direction.
    pub(super) async fn hung_up(&self) {
        hung_up(self.socket.as_ref()).await;
    }
}

/// Until all that was sent was read at the other end.
async fn read(socket: Option<&OwnedFd>) {
    let Some(Ok(watched)) = socket.map(|socket| watch(socket.as_fd(), Interest::WRITABLE)) else { return };
    // Whoever reads makes room, and each time that there is more of it wakes who waits for some: so does a hang-up.
    while let Ok(mut ready) = watched.writable().await {
        let gone = now(watched.get_ref(), PollFlags::empty()).intersects(PollFlags::HUP | PollFlags::ERR);
        if gone || sys::socket::all_is_read(watched.get_ref()).unwrap_or(true) {
            return;
        }
        ready.clear_ready();
    }
}

/// Without a socket to look at, never.
async fn hung_up(socket: Option<&OwnedFd>) {
    let Some(socket) = socket else { return std::future::pending().await };
    // A hang-up wakes whoever waits for room to write; nothing is ever written here.
    let Ok(watched) = watch(socket.as_fd(), Interest::WRITABLE) else { return };
    while let Ok(mut ready) = watched.writable().await {
        if now(socket, PollFlags::empty()).intersects(PollFlags::HUP | PollFlags::ERR) {
            return;
        }
        ready.clear_ready();
    }
}

/// Waits for a descriptor.
#[allow(
    deprecated,
    reason = "what replaces it is unsafe for the sake of descriptors that lie about themselves: those of std do not"
)]
pub(super) fn watch<F: AsFd + AsRawFd>(fd: F, interest: Interest) -> io::Result<AsyncFd<F>> {
    AsyncFd::with_interest(fd, interest)
}

/// What a descriptor is ready for now.
fn now(fd: impl AsFd, flags: PollFlags) -> PollFlags {
    let mut fds = [PollFd::new(&fd, flags)];
    match poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })) {
        Ok(1..) => fds[0].revents(),
        _ => PollFlags::empty(),
    }
}

/// How a client listens.
pub(super) struct Listening {
    /// It has a terminal: its output is one stream without heads.
    pub(super) tty: bool,
    /// What the client sends is its input.
    pub(super) stdin: bool,
    pub(super) stdout: bool,
    pub(super) stderr: bool,
    /// What to type to leave a terminal.
    pub(super) keys: Option<Keys>,
}

/// A session that several may talk to: sizes of terminals come by other connections.
pub(super) type Shared = Arc<Mutex<Session>>;

/// The head of a piece of output: which stream it is of, and its length.
pub(super) fn head(stderr: bool, length: usize) -> [u8; 8] {
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [if stderr { 2 } else { 1 }, 0, 0, 0, length[0], length[1], length[2], length[3]]
}

/// Carries bytes until the process has ended: then how. `None` when the client has gone before, or has typed that it goes.
pub(super) async fn carry(wire: Wire, session: &Shared, listening: Listening) -> Option<Exit> {
    let Wire { mut read, mut write, early, socket } = wire;
    let Listening { tty, stdin, stdout, stderr, keys } = listening;
    let watched = watched(session)?;
    let down = async {
        loop {
            let (bytes, error) = match happening(session, &watched).await {
                Some(Happening::Stdout(bytes)) if stdout => (bytes, false),
                Some(Happening::Stderr(bytes)) if stderr => (bytes, true),
                Some(Happening::Exited(exit)) => return Some(exit),
                Some(_) => continue,
                None => return None,
            };
            let whole = if tty { bytes } else { [&head(error, bytes.len())[..], &bytes].concat() };
            write.write_all(&whole).await.ok()?;
        }
    };
    let up = async {
        if !stdin {
            // What comes is read, so that the client never waits for room.
            let _ = tokio::io::copy(&mut read, &mut tokio::io::sink()).await;
        } else if feed(early, &mut read, session, &watched, keys.filter(|_| tty)).await {
            return;
        }
        hung_up(socket.as_ref()).await;
    };
    let exit = {
        let (mut down, mut up) = (pin!(down), pin!(up));
        tokio::select! {
            exit = &mut down => exit,
            () = &mut up => None,
        }
    };
    let _ = write.shutdown().await;
    exit
}

/// Passes input on to its end. True when the keys were typed.
async fn feed(
    early: Bytes,
    read: &mut (dyn AsyncRead + Send + Unpin),
    session: &Shared,
    watched: &AsyncFd<OwnedFd>,
    mut keys: Option<Keys>,
) -> bool {
    let mut buffer = vec![0; PIECE];
    let mut piece = early.to_vec();
    loop {
        let typed = keys.as_mut().map(|keys| keys.look(&piece));
        let (pass, detach) = typed.as_ref().map_or((piece.as_slice(), false), |typed| (&typed.pass, typed.detach));
        if !pass.is_empty() && !room(session, watched).await {
            return false;
        }
        // A process that has ended takes no more; its end is told by the session.
        let _ = if pass.is_empty() { Ok(()) } else { lock(session).stdin(pass) };
        if detach {
            return true;
        }
        match read.read(&mut buffer).await {
            Ok(length @ 1..) => piece = buffer[..length].to_vec(),
            _ => {
                let _ = lock(session).stdin_end();
                return false;
            }
        }
    }
}

/// The session's socket, to wait for it.
pub(super) fn watched(session: &Shared) -> Option<AsyncFd<OwnedFd>> {
    let socket = lock(session).as_fd().try_clone_to_owned().ok()?;
    watch(socket, Interest::READABLE | Interest::WRITABLE).ok()
}

/// Until the monitor takes more input. False when it is gone.
async fn room(session: &Shared, watched: &AsyncFd<OwnedFd>) -> bool {
    while !lock(session).takes_input() {
        match watched.writable().await {
            Ok(mut ready) if !lock(session).takes_input() => ready.clear_ready(),
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    true
}

/// What happens next; nothing when the monitor is gone.
pub(super) async fn happening(session: &Shared, watched: &AsyncFd<OwnedFd>) -> Option<Happening> {
    loop {
        let ready = |session: &Session| session.has_early() || !now(session.as_fd(), PollFlags::IN).is_empty();
        {
            let mut session = lock(session);
            if ready(&session) {
                match session.happening() {
                    Ok(Some(happening)) => return Some(happening),
                    Ok(None) => continue,
                    Err(_) => return None,
                }
            }
        }
        let mut guard = watched.readable().await.ok()?;
        if !ready(&lock(session)) {
            guard.clear_ready();
        }
    }
}

/// Until the end, whatever else happens.
pub(super) async fn ended(session: &Shared) -> Option<Exit> {
    let watched = watched(session)?;
    loop {
        if let Happening::Exited(exit) = happening(session, &watched).await? {
            return Some(exit);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// It takes as long as the client does, and neither ends earlier nor is a reader missed.
    #[test]
    fn a_head_is_waited_for() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for gone in [false, true] {
                let (mut near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
                near.set_nonblocking(true).unwrap();
                near.write_all(b"head").unwrap();
                let socket = OwnedFd::from(near);
                let mut waiting = pin!(read(Some(&socket)));
                // Part of it is not all of it.
                far.read_exact(&mut [0; 3]).unwrap();
                for _ in 0..100 {
                    tokio::select! {
                        biased;
                        () = &mut waiting => panic!("it was not read"),
                        () = tokio::task::yield_now() => {}
                    }
                }
                if gone {
                    drop(far)
                } else {
                    far.read_exact(&mut [0; 1]).unwrap()
                }
                waiting.await;
            }
            read(None).await;
        });
    }

    #[test]
    fn heads_have_eight_bytes() {
        assert_eq!(head(false, 5), [1, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(head(true, 0x0102_0304), [2, 0, 0, 0, 1, 2, 3, 4]);
    }
}
