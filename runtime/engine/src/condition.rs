//! `wait --condition`: until a container is as wished. Its record tells, and its folder tells when the record changes.

use std::os::fd::OwnedFd;
use std::path::Path;

use launch::{Exit, HealthState, Status};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use sys::Call;

use crate::error::During;
use crate::{Container, Engine, Error, state};

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
        let id = container.record.id.clone();
        // Before the look, so that no change is missed.
        let watch = Watch::new(&self.config.container(&id))?;
        let before = last(&container);
        let mut seen = before.clone();
        loop {
            let now = match (state::load(&self.config, &id), condition) {
                (Ok(None), Condition::Removed) => return Ok(seen),
                (Ok(None), _) => return Err(Error::NoSuchContainer(given.to_owned())),
                (now, _) => now?.ok_or_else(|| Error::NoSuchContainer(given.to_owned()))?,
            };
            seen = last(&now);
            if holds(&now, condition, &before) {
                return Ok(seen);
            }
            watch.changed()?;
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
    fn changed(&self) -> Result<(), Error> {
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).call(|| "poll(inotify)").during(|| "watch a container"),
        }
        let mut seen = [0; 4096];
        while rustix::io::read(&self.0, &mut seen).is_ok_and(|length| length > 0) {}
        Ok(())
    }
}
