//! Restart policies where no monitor carries them out: right after one has ended, and after the host was restarted.
//!
//! ```text
//!   monitor ── the container has ended ─▶ Restarting ── a pause ─▶ execve(rctr boot --again ID) ─▶ start_again ─▶ a new monitor
//!   rctr-boot.service ─▶ rctr boot ─▶ boot: what runs no more and should
//! ```

use std::time::Duration;

use launch::{Exit, Report, Status};
use monitor::{Policy, Request, Restart};

use crate::create::{Folder, in_charge};
use crate::start::By;
use crate::{Container, Engine, Error, Kind, StartOptions, names, state};

/// What became of an attempt to start a container again.
#[derive(Debug)]
pub enum Again {
    /// It runs.
    Started,
    /// Somebody has stopped, started or removed it meanwhile.
    NotWanted,
    /// It could not be started, and is to be tried again after this time.
    Later(Duration, Error),
}

impl Engine {
    /// Starts a container again whose monitor has found that its policy wants it.
    ///
    /// # Errors
    /// It could not be started, and its policy does not want another attempt.
    pub fn start_again(&self, id: &str) -> Result<Again, Error> {
        let error = match self.start_id(id.to_owned(), None, &StartOptions::default(), By::Policy) {
            Ok(_) => return Ok(Again::Started),
            Err(Error::NoSuchContainer(_) | Error::Running(_) | Error::NotWanted(_)) => return Ok(Again::NotWanted),
            Err(error) => error,
        };
        let lock = Folder::lock(&self.config, id)?;
        let Some(container) = state::load(&self.config, id)? else { return Ok(Again::NotWanted) };
        let restart = &container.record.restart;
        let now = monitor::now();
        let code = match &error {
            Error::Start { kind: Kind::NotFound, .. } => 127,
            Error::Start { kind: Kind::NotExecutable, .. } => 126,
            _ => 125,
        };
        let exit = Exit { code, oom: false, started: 0, finished: now, error: Some(error.to_string()) };
        let (count, before) = (container.restarts + 1, container.delay());
        let delay = restart.delay(&exit, count, before);
        let status = match delay {
            Some(delay) => Status::Restarting { exit, delay },
            None => Status::Exited(exit),
        };
        state::write(&lock.dir, &Report { restarts: count, ..Report::from(status) })?;
        match delay {
            Some(delay) => Ok(Again::Later(Duration::from_millis(delay), error)),
            None => Err(error),
        }
    }

    /// The containers that run no more although their policy wants them to: after the host was restarted, or a monitor killed.
    ///
    /// # Errors
    /// They cannot be listed.
    pub fn wanted(&self) -> Result<Vec<Container>, Error> {
        let mut all = self.containers()?;
        all.retain(|container| match &container.status {
            Status::Exited(exit) => container.record.restart.after_boot(exit, container.stopped, container.restarts),
            _ => false,
        });
        // In the order in which they were made: what came later may need what was there.
        all.reverse();
        Ok(all)
    }

    /// How a container with this record is started again.
    pub(crate) fn restart_of(&self, container: &Container, by: By) -> Restart {
        let record = &container.record;
        let (count, delay) = match by {
            By::Somebody => (0, 0),
            By::Policy => (container.restarts + 1, container.delay()),
        };
        // Also without a policy: one may come later, and an unhealthy container may be restarted.
        let command = match record.remove || self.config.starter.is_empty() {
            true => Vec::new(),
            false => [self.config.starter.as_slice(), std::slice::from_ref(&record.id)].concat(),
        };
        Restart { policy: record.restart, command, count, delay }
    }

    /// Somebody wants a container to end, or not to come back: its policy does not start it again.
    pub(crate) fn stay(&self, container: &Container) -> Result<(), Error> {
        let id = &container.record.id;
        let has_policy = |container: &Container| container.record.restart != Policy::No || container.is_restarting();
        if !has_policy(container) {
            return Ok(());
        }
        // A monitor that is about to start it again gives its charge to the next one.
        for _ in 0..8 {
            if let Some(mut session) = self.connect(id)? {
                match session.ask(&Request::Stop) {
                    Err(Error::MonitorGone(_)) => {}
                    other => return other,
                }
            }
            let lock = match Folder::lock(&self.config, id) {
                Err(Error::NoSuchContainer(_)) => return Ok(()),
                other => other?,
            };
            if in_charge(&self.config.container(id)) {
                continue;
            }
            let Some(container) = state::load(&self.config, id)? else { return Ok(()) };
            if let Status::Restarting { exit, .. } = container.status {
                let report = Report { restarts: container.restarts, stopped: true, ..Report::from(Status::Exited(exit)) };
                state::write(&lock.dir, &report)?;
            }
            return Ok(());
        }
        Err(Error::MonitorGone(names::short(&container.record)))
    }
}
