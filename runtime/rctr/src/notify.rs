//! Telling a service manager about a container, as sd_notify(3) has it: that it is ready, and that its monitor is the main process.

use std::io::ErrorKind;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use engine::{Condition, CreateRequest, Engine};

use crate::parse;

/// Where a container finds the socket, as with crun.
const INSIDE: &str = "/run/notify/notify.sock";
/// A longer message is no word that anybody waits for.
const LONGEST: usize = 4096;

/// What makes a container ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ready {
    /// Nobody is told
    Ignore,
    /// It runs
    #[value(alias = "monitor")]
    Conmon,
    /// Its health check succeeds
    Healthy,
    /// It says so itself, by sd_notify(3)
    Container,
}

/// Somebody who wants to know.
pub(crate) struct Notify {
    manager: SocketAddr,
    ready: Ready,
    /// Where the container says it.
    own: Option<Own>,
}

/// A socket that is shown to a container. Its name goes when the container has it.
struct Own {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Drop for Own {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Notify {
    /// `socket` is `NOTIFY_SOCKET`: a path, or an abstract name after `@`. `run` is the folder for sockets.
    ///
    /// # Errors
    /// It is neither, or there can be no socket for the container.
    pub(crate) fn new(socket: &std::ffi::OsStr, ready: Ready, run: &Path) -> Result<Notify> {
        let manager = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            [b'/', ..] => SocketAddr::from_pathname(socket),
            _ => bail!("NOTIFY_SOCKET={}: neither a path nor @NAME", socket.display()),
        };
        let manager = manager.with_context(|| format!("NOTIFY_SOCKET={}", socket.display()))?;
        let own = (ready == Ready::Container).then(|| Own::new(run)).transpose()?;
        Ok(Notify { manager, ready, own })
    }

    /// Shows the container where to say that it is ready.
    pub(crate) fn show(&self, request: &mut CreateRequest) -> Result<()> {
        let Some(own) = &self.own else { return Ok(()) };
        if !request.remove {
            bail!("--sdnotify container goes with --rm: the socket is there for one start");
        }
        let mount = format!("type=bind,source={},target={INSIDE},readonly", own.path.display());
        request.mounts.push(parse::mount(&mount).map_err(anyhow::Error::msg)?);
        request.env.push(format!("NOTIFY_SOCKET={INSIDE}"));
        Ok(())
    }

    /// Tells that the container's monitor is the main process, and once it is ready, that.
    ///
    /// # Errors
    /// It has ended before, or nobody can be told.
    pub(crate) fn tell(self, engine: &Engine, id: &str, monitor: i32) -> Result<()> {
        let main = format!("MAINPID={monitor}\n");
        if self.ready == Ready::Conmon {
            return self.send(&format!("{main}READY=1"));
        }
        self.send(&main)?;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // Nobody else waits for it here.
                let end = engine.wait(id).map_or_else(|_| String::new(), |exit| format!(" with {}", exit.code));
                eprintln!("rctr: container {} has ended{end} before it was ready", &id[..12]);
                std::process::exit(crate::exit::FAILED);
            });
            let ready = match &self.own {
                Some(own) => own.wait(),
                None => engine.wait_for(id, Condition::Healthy).map(drop).map_err(Into::into),
            };
            let told = ready.and_then(|()| self.send("READY=1"));
            drop(self);
            // With the thread that waits.
            std::process::exit(match told {
                Ok(()) => 0,
                Err(error) => crate::exit::report(&error),
            })
        })
    }

    fn send(&self, text: &str) -> Result<()> {
        let sent = UnixDatagram::unbound().and_then(|socket| socket.send_to_addr(text.as_bytes(), &self.manager));
        sent.map(drop).context("tell the service manager at NOTIFY_SOCKET")
    }
}

impl Own {
    fn new(run: &Path) -> Result<Own> {
        let path = run.join(format!("notify-{}.sock", std::process::id()));
        let what = || format!("make the socket {}", path.display());
        std::fs::create_dir_all(run).with_context(what)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error).with_context(what),
            _ => {}
        }
        let socket = UnixDatagram::bind(&path).with_context(what)?;
        let own = Own { socket, path: path.clone() };
        // Whoever its user is.
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o777)).with_context(what)?;
        Ok(own)
    }

    /// Waits for the word. Nothing else that a container says is passed on.
    fn wait(&self) -> Result<()> {
        let mut message = [0; LONGEST];
        loop {
            let length = self.socket.recv(&mut message).context("wait for the container to be ready")?;
            if message[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1") {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_that_it_is_ready_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let manager = UnixDatagram::bind(folder.path().join("manager")).unwrap();
        let notify = Notify::new(folder.path().join("manager").as_os_str(), Ready::Container, folder.path()).unwrap();
        let own = notify.own.as_ref().unwrap();
        let container = UnixDatagram::unbound().unwrap();
        for text in ["MAINPID=1", "READY=0\nSTATUS=x", "STATUS=READY=1", "STATUS=up\nREADY=1"] {
            container.send_to(text.as_bytes(), &own.path).unwrap();
        }
        own.wait().unwrap();
        notify.send("READY=1").unwrap();
        let mut said = [0; 64];
        let length = manager.recv(&mut said).unwrap();
        assert_eq!(&said[..length], b"READY=1");
        let path = own.path.clone();
        drop(notify);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_is_a_path_or_a_name() {
        for (text, fits) in [("/run/x", true), ("@x", true), ("x", false), ("", false), ("vsock:2:1", false)] {
            assert_eq!(Notify::new(text.as_ref(), Ready::Conmon, Path::new("/")).is_ok(), fits, "{text}");
        }
    }
}
