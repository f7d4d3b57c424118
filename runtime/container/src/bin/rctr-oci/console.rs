//! Where a terminal's master goes, and what descriptors mean to the process.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use oci_spec::runtime::Spec;

use crate::error::{Doing, Failed, Result};

/// A terminal needs somebody who holds its other end.
pub(crate) fn check(terminal: bool, detached: bool, socket: Option<&str>) -> Result<()> {
    match (terminal, detached, socket) {
        (true, true, None) => {
            Err(Failed::new("cannot allocate tty if runc will detach without setting console socket (--console-socket)"))
        }
        (false, _, Some(_)) | (_, false, Some(_)) => {
            Err(Failed::new("cannot use console socket if runc will not detach or allocate tty"))
        }
        _ => Ok(()),
    }
}

/// Sends a terminal's master to whoever listens at `path`, as runc does: its name as the data.
pub(crate) fn send_terminal(path: &str, master: &OwnedFd) -> Result<()> {
    send(path, b"/dev/ptmx", master).doing_to(Path::new(path), || format!("send the terminal to the console socket {path:?}"))
}

/// Sends the descriptor of a process to whoever listens at `path`, with runc's word for what it is.
pub(crate) fn send_process(path: &str, word: &str, process: &OwnedFd) -> Result<()> {
    send(path, word.as_bytes(), process).doing_to(Path::new(path), || format!("send the process to the pidfd socket {path:?}"))
}

/// Sends a descriptor to whoever listens at `path`.
fn send(path: &str, word: &[u8], fd: &OwnedFd) -> Result<()> {
    let socket = sys::socket::connect_stream(Path::new(path))?;
    Ok(sys::socket::send(&socket, word, &[fd.as_fd()])?)
}

/// Tells a process of sockets that were passed to it as sd_listen_fds(3) says: it is process 1.
pub(crate) fn listen_environment(spec: &mut Spec, preserved: u32) {
    let Some(count) = std::env::var("LISTEN_FDS").ok().filter(|_| preserved > 0) else { return };
    if let Some(process) = spec.process_mut() {
        let mut env = process.env().clone().unwrap_or_default();
        env.push(format!("LISTEN_FDS={count}"));
        env.push("LISTEN_PID=1".to_owned());
        process.set_env(Some(env));
    }
}
