//! Talking to the monitor of a container: connecting, and waiting for the end.

use std::os::fd::OwnedFd;

use launch::{Exit, Status};
use monitor::Request;
use rustix::io::Errno;

use crate::error::During;
use crate::session::{Happening, Session};
use crate::{Container, Engine, Error, names, state};

/// The monitor's socket in the container's runtime folder.
pub(crate) const SOCKET: &str = "monitor.sock";

impl Engine {
    /// Waits until the container has ended. One that does not run, even one that was never started, is not waited for.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`], also when it was removed before its end could be told.
    pub fn wait(&self, given: &str) -> Result<Exit, Error> {
        let container = self.container(given)?;
        let id = &container.record.id;
        if let Some(mut session) = self.connect(id)? {
            session.send(&Request::Wait, &[])?;
            match ended(&mut session) {
                // The monitor may end between its last record and our question: the record has the answer.
                Err(Error::MonitorGone(_)) => {}
                other => return other,
            }
        }
        match state::load(&self.config, id)?.map(|container| container.status) {
            Some(Status::Exited(exit) | Status::Restarting { exit, .. }) => Ok(exit),
            Some(Status::Created) => Ok(Exit::default()),
            Some(_) => self.watch(&container),
            None => Err(Error::NoSuchContainer(given.to_owned())),
        }
    }

    /// A session in which nothing happens but the end of a container that runs; `None` when it has no monitor.
    ///
    /// # Errors
    /// The monitor cannot be reached.
    pub fn end_of(&self, container: &Container) -> Result<Option<Session>, Error> {
        let Some(session) = self.connect(&container.record.id)? else { return Ok(None) };
        session.await_end()?;
        Ok(Some(session))
    }

    /// A connection to the container's monitor, or `None` when it has none.
    pub(crate) fn connect(&self, id: &str) -> Result<Option<Session>, Error> {
        let folder = match sys::fs::open_dir(self.config.runtime(id)) {
            Err(error) if error.errno() == Errno::NOENT => return Ok(None),
            other => other.during(|| format!("reach container {}", &id[..12]))?,
        };
        match sys::socket::connect_at(&folder, SOCKET) {
            Ok(socket) => Ok(Some(Session::new(id, socket))),
            Err(error) if matches!(error.errno(), Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
            Err(error) => Err(error).during(|| format!("reach the monitor of container {}", &id[..12])),
        }
    }

    /// Waits for the end of a process whose monitor is gone.
    fn watch(&self, container: &Container) -> Result<Exit, Error> {
        if let Some(process) = open_process(container) {
            let mut fds = [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)];
            while rustix::event::poll(&mut fds, None) == Err(Errno::INTR) {}
        }
        match state::load(&self.config, &container.record.id)?.map(|container| container.status) {
            Some(Status::Exited(exit)) => Ok(exit),
            _ => Ok(Exit::default()),
        }
    }

    /// Waits until a monitor that is in charge of the container has written down what became of its start. It may have to do so alone: a
    /// command that is killed right after it has asked for the start leaves a container that comes to run.
    pub(crate) fn settle_start(&self, id: &str) -> Result<(), Error> {
        if let Some(mut session) = self.connect(id)? {
            // Connections are served once it is written down. A monitor that ends instead says so by ending.
            session.send(&Request::Attach { stdin: false }, &[])?;
            let _ = session.happening();
        }
        Ok(())
    }

    /// The container `given` with a connection to its monitor.
    ///
    /// # Errors
    /// [`Error::NotRunning`]; [`Error::MonitorGone`] when it runs without a monitor.
    pub(crate) fn running(&self, given: &str) -> Result<(Container, Session), Error> {
        let container = self.container(given)?;
        let not_running = || Error::NotRunning(names::short(&container.record));
        if !container.is_running() {
            return Err(not_running());
        }
        match self.connect(&container.record.id)? {
            Some(session) => Ok((container, session)),
            None if self.container(given)?.is_running() => Err(Error::MonitorGone(container.record.id[..12].to_owned())),
            None => Err(not_running()),
        }
    }
}

/// The container's first process, if it is still the one that the record means.
pub(crate) fn open_process(container: &Container) -> Option<OwnedFd> {
    let (pid, start_time) = container.process()?;
    sys::process::open(pid, start_time).ok()
}

fn ended(session: &mut Session) -> Result<Exit, Error> {
    loop {
        if let Some(Happening::Exited(exit)) = session.happening()? {
            return Ok(exit);
        }
    }
}
