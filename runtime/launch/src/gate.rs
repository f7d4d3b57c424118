//! Where a created init waits once its maker has ended, for whoever starts it: a listening socket in the container's state folder.
//! Nothing is polled, and nobody has to live for it. It needs no clean-up: init ends when the socket's name is removed.
//!
//! Its price is the inotify instance that notices that: execve closes it, and the kernel lets go of one only after a grace period of
//! its own (`fsnotify_destroy_group`), some 10 ms. `run` has no gate and does not pay.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify;
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};
use sys::{Call, Error};

use crate::failure::During;
use crate::handshake::Starter;
use crate::{Failure, Stage};

/// A gate that is not yet waited at: made before the clone, so that init inherits it.
#[derive(Debug)]
pub struct Gate {
    name: String,
    socket: OwnedFd,
    watch: OwnedFd,
}

impl Gate {
    /// Makes the gate `name` in the open folder `folder`, which only its owner may enter: whoever can connect starts the container.
    ///
    /// # Errors
    /// `EADDRINUSE` when the name exists.
    pub fn new(folder: impl AsFd, name: &str) -> sys::Result<Self> {
        let folder = folder.as_fd();
        let socket = sys::socket::listen_at(folder, name)?;
        let flags = inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK;
        let watch = inotify::init(flags).call(|| "inotify_init1()")?;
        // The folder and not the socket: as long as the socket is open, its removal is no event of its own.
        let path = format!("/proc/self/fd/{}", folder.as_raw_fd());
        let events = inotify::WatchFlags::DELETE | inotify::WatchFlags::MOVED_FROM | inotify::WatchFlags::ONLYDIR;
        inotify::add_watch(&watch, path.as_str(), events).call(|| format!("inotify_add_watch({path:?})"))?;
        Ok(Gate { name: name.to_owned(), socket, watch })
    }

    /// The descriptors that init keeps while it waits.
    pub(crate) fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.socket.as_fd(), self.watch.as_fd()]
    }

    /// Waits for a starter.
    pub(crate) fn wait(&self) -> Result<OwnedFd, Failure> {
        loop {
            match accept_with(&self.socket, SocketFlags::CLOEXEC) {
                Ok(starter) => return Ok(starter),
                Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => {}
                Err(errno) => return Err(Error::new("accept4()", errno)).during(|| "wait for the start"),
            }
            let mut both = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.watch, PollFlags::IN)];
            match poll(&mut both, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(Error::new("poll()", errno)).during(|| "wait for the start"),
            }
            if self.removed() {
                return Err(Failure::runtime("the container was removed before it was started"));
            }
        }
    }

    /// Whether the name is gone from the folder.
    fn removed(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 1024];
        let mut events = inotify::Reader::new(&self.watch, &mut buffer);
        while let Ok(event) = events.next() {
            let ignored = event.events().contains(inotify::ReadFlags::IGNORED);
            if ignored || event.file_name().is_some_and(|name| name.to_bytes() == self.name.as_bytes()) {
                return true;
            }
        }
        false
    }
}

/// Starts the init that waits at the gate `name` of `folder`, and returns once it has executed its program. `pid` is its number.
///
/// # Errors
/// [`Stage::Gone`] when nobody waits there: it is started, or it has ended. Otherwise why it could not execute; init is gone then.
pub fn start(folder: impl AsFd, name: &str, pid: u32) -> Result<(), Stage> {
    let socket = match sys::socket::connect_at(folder, name) {
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::CONNREFUSED) => return Err(Stage::Gone),
        other => other.during(|| "reach init").map_err(Stage::Failed)?,
    };
    Starter::new(socket).wait_executed(pid).map_err(Stage::Failed)
}
