//! The CRI socket: handed over by systemd, or made here.

use std::fs::{DirBuilder, File, Permissions};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use futures_util::Stream;
use tokio::net::UnixStream as Connection;

use super::log::{Level, say};

/// Sockets that systemd has passed on (sd_listen_fds(3)). Call it before anything else is opened.
pub(crate) fn passed() -> Result<Vec<OwnedFd>> {
    let variable = |name| std::env::var(name).ok();
    match count(variable("LISTEN_PID").as_deref(), variable("LISTEN_FDS").as_deref(), std::process::id()) {
        0 => Ok(Vec::new()),
        count => sys::socket::passed(count).context("take over the sockets of systemd"),
    }
}

/// How many there are for this process.
fn count(pid: Option<&str>, count: Option<&str>, own: u32) -> u16 {
    let ours = pid.and_then(|pid| pid.parse().ok()) == Some(own);
    count.filter(|_| ours).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The socket to serve on.
pub(crate) fn socket(passed: Vec<OwnedFd>, path: &Path, group: u32) -> Result<UnixListener> {
    let mut passed = passed.into_iter();
    let listener = match (passed.next(), passed.next()) {
        (Some(_), Some(_)) => bail!("systemd has passed several sockets: noded.socket needs one ListenStream"),
        (Some(socket), None) => UnixListener::from(socket),
        (None, _) => make(path, group).with_context(|| format!("listen on {}", path.display()))?,
    };
    listener.set_nonblocking(true).context("set up the socket")?;
    Ok(listener)
}

/// A socket for root and the group, in a folder that only they can enter. One that nobody serves any more is replaced.
fn make(path: &Path, group: u32) -> Result<UnixListener> {
    let folder = path.parent().context("it has no folder")?;
    let made = DirBuilder::new().mode(0o700).create(folder);
    match made {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error).context(format!("make {}", folder.display())),
        _ => {}
    }
    match std::fs::symlink_metadata(path) {
        Ok(data) if !data.file_type().is_socket() => bail!("something else is there"),
        Ok(_) if UnixStream::connect(path).is_ok() => bail!("another process serves it"),
        Ok(_) => std::fs::remove_file(path).context("remove the old one")?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let listener = UnixListener::bind(path)?;
    std::os::unix::fs::lchown(path, Some(0), Some(group)).context("give it to its group")?;
    std::fs::set_permissions(path, Permissions::from_mode(0o660)).context("open it for its group")?;
    if group != 0 && made.is_ok() {
        // The folder is ours: whoever may connect has to reach the socket.
        std::os::unix::fs::chown(folder, Some(0), Some(group)).context("give its folder to its group")?;
        std::fs::set_permissions(folder, Permissions::from_mode(0o710)).context("open its folder for its group")?;
    }
    Ok(listener)
}

/// One daemon for each folder of state that a reboot clears. Held as long as the file is open.
pub(crate) fn only_one(run: &Path) -> Result<File> {
    let path = run.join("noded.lock");
    DirBuilder::new().recursive(true).mode(0o700).create(run).with_context(|| format!("make {}", run.display()))?;
    let file = File::create(&path).with_context(|| format!("open {}", path.display()))?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => bail!("another noded runs with {}", run.display()),
        Err(errno) => Err(errno).with_context(|| format!("lock {}", path.display())),
    }
}

/// The connections of root, and of whoever the socket's group lets in.
pub(crate) fn connections(listener: UnixListener, group: u32) -> std::io::Result<impl Stream<Item = std::io::Result<Connection>>> {
    let listener = tokio::net::UnixListener::from_std(listener)?;
    Ok(futures_util::stream::unfold(listener, move |listener| async move {
        loop {
            match listener.accept().await {
                Ok((connection, _)) if welcome(&connection, group) => return Some((Ok(connection), listener)),
                Ok(_) => {}
                Err(error) => {
                    // Mostly a lack of descriptors, which passes.
                    say(Level::Warning, &format!("accept a connection: {error}"), &[]);
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }))
}

/// The permissions of the socket say the same; they may have been changed by hand.
fn welcome(connection: &Connection, group: u32) -> bool {
    let Ok(peer) = connection.peer_cred() else { return false };
    let welcome = group != 0 || peer.uid() == 0;
    if !welcome {
        say(Level::Warning, "a connection of somebody else than root was refused", &[("PEER_UID", &peer.uid().to_string())]);
    }
    welcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_for_others_are_not_ours() {
        assert_eq!(count(Some("7"), Some("1"), 7), 1);
        assert_eq!(count(Some("8"), Some("1"), 7), 0);
        assert_eq!(count(None, Some("1"), 7), 0);
        assert_eq!(count(Some("7"), Some("many"), 7), 0);
    }

    #[test]
    fn an_old_socket_is_replaced_and_a_living_one_is_not() {
        if !rustix::process::geteuid().is_root() {
            let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs root\n");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("noded/cri.sock");
        let first = make(&path, 0).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        assert!(make(&path, 0).unwrap_err().to_string().contains("another process serves it"));
        drop(first);
        make(&path, 0).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "").unwrap();
        assert!(make(&path, 0).unwrap_err().to_string().contains("something else is there"));
    }

    #[test]
    fn there_is_one_daemon() {
        let folder = tempfile::tempdir().unwrap();
        let held = only_one(folder.path()).unwrap();
        assert!(only_one(folder.path()).unwrap_err().to_string().contains("another noded runs"));
        drop(held);
        only_one(folder.path()).unwrap();
    }
}
