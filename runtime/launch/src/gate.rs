//! Where a created init waits once its maker has ended, for whoever starts it: a listening socket in the container's state folder.
//! Nothing is polled, and nobody has to live for it. It needs no clean-up: init ends when the socket's name is removed, except where
//! F_NOTIFY of fcntl(2) is not to be had. There it stays until it is killed.
//!
//! Every container of `create`, and of a `run` that detaches, has one; what it costs start is its close in execve: some 0.05 ms.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use sys::watch::Removals;
use sys::{Call, Error};

use crate::failure::During;
use crate::handshake::Starter;
use crate::{Failure, Listener, Stage};

/// A gate that is not yet waited at: made before the clone, so that init inherits it.
#[derive(Debug)]
pub struct Gate {
    socket: OwnedFd,
    /// The socket's name in the file system, which has no link any more once it is removed.
    file: OwnedFd,
    folder: OwnedFd,
}

impl Gate {
    /// Makes the gate `name` in the open folder `folder`, which only its owner may enter: whoever can connect starts the container.
    ///
    /// # Errors
    /// `EADDRINUSE` when the name exists.
    pub fn new(folder: impl AsFd, name: &str) -> sys::Result<Self> {
        // Opened anew: a lock that the caller holds on its own descriptor must not live as long as init waits (flock(2)).
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(folder, ".", flags, Mode::empty()).call(|| "openat(\".\")")?;
        let socket = sys::socket::listen_at(&folder, name)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(&folder, name, flags, Mode::empty()).call(|| format!("openat({name:?}, O_PATH)"))?;
        Ok(Gate { socket, file, folder })
    }

    /// The descriptors that init keeps while it waits.
    pub(crate) fn fds(&self) -> [BorrowedFd<'_>; 3] {
        [self.socket.as_fd(), self.file.as_fd(), self.folder.as_fd()]
    }

    /// Waits for a starter.
    pub(crate) fn wait(&self) -> Result<OwnedFd, Failure> {
        // Refused by a kernel built without it, or by a filter that had to be loaded before (see `process::execute`).
        let watch = Removals::watch(self.folder.as_fd()).ok();
        let starter = self.starter(watch.as_ref())?;
        watch.map_or(Ok(()), Removals::end).during(|| "wait for the start")?;
        Ok(starter)
    }

    fn starter(&self, watch: Option<&Removals<'_>>) -> Result<OwnedFd, Failure> {
        loop {
            // After the watch is set, and each time it has told of something.
            if fstat(&self.file).is_ok_and(|file| file.st_nlink == 0) {
                return Err(Failure::runtime("the container was removed before it was started"));
            }
            match accept_with(&self.socket, SocketFlags::CLOEXEC) {
                Ok(starter) => return Ok(starter),
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Err(Error::new("accept4()", errno)).during(|| "wait for the start"),
            }
            let socket = [PollFd::new(&self.socket, PollFlags::IN)];
            let mut all: Vec<_> = socket.into_iter().chain(watch.map(|watch| PollFd::new(watch, PollFlags::IN))).collect();
            match poll(&mut all, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::new("poll()", errno)).during(|| "wait for the start"),
            }
            if let Some(watch) = watch {
                watch.seen();
            }
        }
    }
}

/// Starts the init that waits at the gate `name` of `folder`, and returns once it has executed its program. `pid` is its number,
/// `listener` that of its plan's filter.
///
/// # Errors
/// [`Stage::Gone`] when nobody waits there: it is started, or it has ended. Otherwise why it could not execute; init is gone then.
pub fn start(folder: impl AsFd, name: &str, pid: u32, listener: Option<&Listener>) -> Result<(), Stage> {
    let socket = match sys::socket::connect_at(folder, name) {
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::CONNREFUSED) => return Err(Stage::Gone),
        other => other.during(|| "reach init").map_err(Stage::Failed)?,
    };
    Starter::new(socket).wait_executed(pid, listener).map_err(Stage::Failed)
}
