//! A cgroup for a process that outlives its caller: not a container's, and not that of a unit of systemd whose end would be its own.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use sys::Call;
use sys::spawn::Home;

use super::create::make_above;
use super::hierarchies::{SYSTEMD, clean};
use super::{Error, Hierarchies};

/// The folders of such a cgroup.
#[derive(Debug)]
pub struct Housing {
    into: Option<OwnedFd>,
    tasks: Option<OwnedFd>,
}

impl Housing {
    /// Opens the cgroup `path` where processes are tracked, making it the first time: in v2, and in systemd's own hierarchy of v1. No
    /// other hierarchy ends processes.
    ///
    /// # Errors
    /// The folders cannot be made or opened.
    pub fn open(hierarchies: &Hierarchies, path: &str) -> Result<Housing, Error> {
        let path = clean(path)?;
        let open = |at: Option<usize>, file: &str, flags: OFlags| -> Result<Option<OwnedFd>, Error> {
            let Some(at) = at else { return Ok(None) };
            let folder = hierarchies.all()[at].folder(&path);
            let file = folder.join(file);
            let open = || openat(rustix::fs::CWD, &file, flags | OFlags::CLOEXEC, Mode::empty());
            let opened = match open() {
                Err(Errno::NOENT) => make_above(&folder).map(|()| open()),
                other => Ok(other),
            }?;
            opened.map(Some).call(|| format!("open({file:?})")).map_err(|source| Error::Read { path: file.clone(), source })
        };
        Ok(Housing {
            into: open(hierarchies.unified(), "", OFlags::RDONLY | OFlags::DIRECTORY)?,
            tasks: open(hierarchies.v1(SYSTEMD), "tasks", OFlags::WRONLY)?,
        })
    }

    /// Moves this process there, in v2 only: what starts a container in a cgroup of its own must leave that, which else could have no
    /// controllers below it (the kernel's cgroup-v2, "No Internal Process Constraint").
    ///
    /// # Errors
    /// The process may not be moved.
    pub fn enter(&self) -> Result<(), Error> {
        let Some(folder) = &self.into else { return Ok(()) };
        let procs = openat(folder, "cgroup.procs", OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty());
        let written = procs.call(|| "open(\"cgroup.procs\")").and_then(|file| sys::fs::write_all(file, b"0"));
        written.map_err(|source| Error::Read { path: "cgroup.procs".into(), source })
    }

    /// As a program is started there.
    pub fn home(&self) -> Home<'_> {
        Home { into: self.into.as_ref().map(AsFd::as_fd), tasks: self.tasks.as_ref().map(AsFd::as_fd), ..Home::default() }
    }
}
