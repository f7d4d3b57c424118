//! `start`: everything a run needs is prepared here, undone if anything fails, and handed to one monitor.

use std::os::fd::AsFd;

use monitor::Request;

use crate::ahead::Ahead;
use crate::create::{Folder, in_charge, take_charge};
use crate::prepare::Prepared;
use crate::runtime::Runtime;
use crate::session::Session;
use crate::{Engine, Error, names, recover, state};

/// How to start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// Listen to the container from its first byte.
    pub attach: Option<Attach>,
    /// Rows and columns of its terminal.
    pub size: Option<(u16, u16)>,
}

/// Who starts a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// Somebody who wants to.
    Somebody,
    /// Its restart policy, after it has ended.
    Policy,
}

/// How to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attach {
    /// Feed its standard input, too.
    pub stdin: bool,
}

impl Engine {
    /// Starts a container that does not run. Returns when its program has been executed.
    ///
    /// # Errors
    /// [`Error::Running`] when it runs already; [`Error::Start`] with the kind that decides the exit code. After an error nothing is
    /// left of the start.
    pub fn start(&self, given: &str, options: &StartOptions) -> Result<Session, Error> {
        self.start_id(names::resolve(&self.config, given)?, None, options, By::Somebody)
    }

    /// [`Engine::start`] of a container whose start was begun before it was made.
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_ahead(&self, ahead: Ahead, options: &StartOptions) -> Result<Session, Error> {
        self.start_id(ahead.id.clone(), Some(ahead), options, By::Somebody)
    }

    pub(crate) fn start_id(&self, id: String, ahead: Option<Ahead>, options: &StartOptions, by: By) -> Result<Session, Error> {
        let lock = Folder::lock(&self.config, &id)?;
        if in_charge(&self.config.container(&id)) {
            self.settle_start(&id)?;
        }
        let container = state::load(&self.config, &id)?.ok_or_else(|| Error::NoSuchContainer(id[..12].to_owned()))?;
        match (by, container.is_restarting()) {
            (By::Policy, true) => {}
            (By::Policy, false) => return Err(Error::NotWanted(names::short(&container.record))),
            (By::Somebody, _) if container.is_running() => return Err(Error::Running(names::short(&container.record))),
            (By::Somebody, _) => {}
        }
        let charge = take_charge(&lock)?;
        recover::leftovers(&self.config, &id, Some(&container.record))?;
        let runtime = Runtime::make(&self.config, &id)?;
        let ahead = match ahead {
            Some(ahead) => ahead,
            None => Ahead::begin(&self.config, id.clone(), &container.record.network, false)?,
        };
        let ((monitor, pid), mut prepared) = self.prepare(&container.record, &runtime.path, options, ahead)?;
        prepared.launch.restart = self.restart_of(&container, by);
        let mut session = Session::new(&id, monitor).watched_by(pid);
        prepared.launch.charge = Some(prepared.table.add(charge));
        // From here on the monitor undoes what was prepared.
        runtime.keep();
        match hand_over(&mut session, prepared, options) {
            Ok(()) => Ok(session),
            Err(error @ Error::Start { .. }) => Err(error),
            Err(error) => {
                // It cannot have done so. With its last client gone it ends, and what is left is left to us.
                drop(session);
                let _ = take_charge(&lock).and_then(|_charge| recover::leftovers(&self.config, &id, Some(&container.record)));
                Err(error)
            }
        }
    }
}

/// Tells the monitor to make and start the container, and waits until it has.
fn hand_over(session: &mut Session, prepared: Prepared, options: &StartOptions) -> Result<(), Error> {
    let Prepared { launch, table, devices, holder: _holder } = prepared;
    let borrowed: Vec<_> = table.fds.iter().map(AsFd::as_fd).collect();
    session.send(&Request::Launch(Box::new(launch)), &borrowed)?;
    drop(table);
    // While the monitor makes the container.
    devices.enforce().map_err(Error::Cgroup)?;
    if let Some(Attach { stdin }) = options.attach {
        session.send(&Request::Attach { stdin }, &[])?;
    }
    session.send(&Request::Start, &[])?;
    session.started()
}
