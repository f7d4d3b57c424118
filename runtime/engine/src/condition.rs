//! `wait --condition`: until a container is as wished. Its record tells, and its folder tells when the record changes.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use launch::{Exit, HealthState, Status};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use sys::Call;

use crate::error::During;
use crate::{Container, Engine, Error, names, state};

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Condition {
    /// It has ended, or was never started.
    NotRunning,
    /// It ends from now on.
    NextExit,
    /// It is not there any more.
    Removed,
    /// It has been made and never started.
    Created,
    /// Its processes run.
    Running,
    /// Its processes are frozen.
    Paused,
    /// Its last health check succeeded.
    Healthy,
    /// Too many of its health checks in a row have failed.
    Unhealthy,
}

impl Engine {
    /// Waits until the container is as wished, and returns how it ended last.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`], also when it is removed while something else is waited for.
    pub fn wait_for(&self, given: &str, condition: Condition) -> Result<Exit, Error> {
        let container = self.container(given)?;
        if condition == Condition::NotRunning || condition == Condition::NextExit && container.is_running() {
            return self.wait(&container.record.id);
        }
        let never = || Error::NoSuchContainer(given.to_owned());
        self.watch_for(&container, condition, None)?.ok_or_else(never)
    }

    /// The same for a `container` that was looked at before, by its record alone, and only until `enough` is readable or its other end is closed: then
    /// there is no answer.
    ///
    /// # Errors
    /// As [`Engine::wait_for`].
    pub fn wait_until(&self, container: &Container, condition: Condition, enough: BorrowedFd<'_>) -> Result<Option<Exit>, Error> {
        self.watch_for(container, condition, Some(enough))
    }

    fn watch_for(
        &self,
        container: &Container,
        condition: Condition,
        enough: Option<BorrowedFd<'_>>,
    ) -> Result<Option<Exit>, Error> {
        let gone = || Error::NoSuchContainer(names::short(&container.record));
        let id = container.record.id.clone();
        // Before the look, so that no change is missed.
        let watch = match Watch::new(&self.config.container(&id)) {
            Err(_) if condition == Condition::Removed && state::load(&self.config, &id)?.is_none() => {
                return Ok(Some(last(container)));
            }
            other => other?,
        };
        let before = last(container);
        let mut seen = before.clone();
        loop {
            let now = match (state::load(&self.config, &id), condition) {
                (Ok(None), Condition::Removed) => return Ok(Some(seen)),
                (Ok(None), _) => return Err(gone()),
                (now, _) => now?.ok_or_else(gone)?,
            };
            seen = last(&now);
            if holds(&now, condition, &before) {
                return Ok(Some(seen));
            }
            if watch.changed(enough)? == Change::Enough {
                return Ok(None);
            }
        }
    }
}

fn last(container: &Container) -> Exit {
    match &container.status {
        Status::Exited(exit) | Status::Restarting { exit, .. } => exit.clone(),
        _ => Exit::default(),
    }
}

fn holds(container: &Container, condition: Condition, before: &Exit) -> bool {
    match (condition, &container.status) {
        (Condition::Created, Status::Created) | (Condition::Running, Status::Running { .. }) => true,
        (Condition::Paused, Status::Paused { .. }) | (Condition::NotRunning, Status::Created | Status::Exited(_)) => true,
        (Condition::NextExit, Status::Exited(exit) | Status::Restarting { exit, .. }) => exit != before,
        (Condition::Healthy, _) => container.health.as_ref().is_some_and(|health| health.state == HealthState::Healthy),
        (Condition::Unhealthy, _) => container.health.as_ref().is_some_and(|health| health.state == HealthState::Unhealthy),
        _ => false,
    }
}

/// Why a wait is over.
#[derive(PartialEq, Eq)]
enum Change {
    Some,
    Enough,
}

/// Tells when a container's record is replaced, or its folder goes.
struct Watch(OwnedFd);

impl Watch {
    fn new(folder: &Path) -> Result<Watch, Error> {
        let what = || "watch a container";
        let changes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).call(|| "inotify_init1()").during(what)?;
        let events = WatchFlags::MOVED_TO | WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF;
        inotify::add_watch(&changes, folder, events).call(|| format!("inotify_add_watch({folder:?})")).during(what)?;
        Ok(Watch(changes))
    }

    /// Waits for a change.
    fn changed(&self, enough: Option<BorrowedFd<'_>>) -> Result<Change, Error> {
        let enough = enough.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        let mut fds: Vec<PollFd<'_>> = [PollFd::new(&self.0, PollFlags::IN)].into_iter().chain(enough).collect();
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).call(|| "poll(inotify)").during(|| "watch a container"),
        }
        if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
            return Ok(Change::Enough);
        }
        let mut seen = [0; 4096];
        while rustix::io::read(&self.0, &mut seen).is_ok_and(|length| length > 0) {}
        Ok(Change::Some)
    }
}
