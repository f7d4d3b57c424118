//! `start`: everything a run needs is prepared here, undone if anything fails, and handed to one monitor.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};

use monitor::{Launch, Request};

use crate::config::Config;
use crate::create::{Folder, in_charge, take_charge};
use crate::error::During;
use crate::prepare::Table;
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
        let id = names::resolve(&self.config, given)?;
        let lock = Folder::lock(&self.config, &id)?;
        if in_charge(&self.config.container(&id)) {
            self.settle_start(&id)?;
        }
        let container = state::load(&self.config, &id)?.ok_or_else(|| Error::NoSuchContainer(given.to_owned()))?;
        if container.is_running() {
            return Err(Error::Running(names::short(&container.record)));
        }
        let charge = take_charge(&lock)?;
        recover::leftovers(&self.config, &id, Some(&container.record))?;
        let runtime = Runtime::make(&self.config, &id)?;
        let (server, client) = sys::socket::pair().during(|| "make the monitor's socket")?;
        spawn(&self.config, &id, server)?;
        let mut session = Session::new(&id, client);
        let (mut launch, mut table) = self.prepare(&container.record, &runtime.path, options)?;
        launch.hold.push(table.add(charge));
        // From here on the monitor undoes what was prepared.
        runtime.keep();
        match hand_over(&mut session, launch, table, options) {
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
fn hand_over(session: &mut Session, launch: Launch, table: Table, options: &StartOptions) -> Result<(), Error> {
    let borrowed: Vec<_> = table.fds.iter().map(AsFd::as_fd).collect();
    session.send(&Request::Launch(Box::new(launch)), &borrowed)?;
    drop(table);
    if let Some(Attach { stdin }) = options.attach {
        session.send(&Request::Attach { stdin }, &[])?;
    }
    session.send(&Request::Start, &[])?;
    session.started()
}

/// Starts the monitor, which waits for its first message. It is executed from a descriptor that nobody can write to, so that a
/// container that gets hold of it cannot change the program on the host (CVE-2019-5736).
fn spawn(config: &Config, id: &str, socket: OwnedFd) -> Result<(), Error> {
    let what = || format!("start {}", config.monitor.display());
    let program = launch::seal(&config.monitor).during(what)?;
    let args = [c"rctr-monitor".to_owned(), CString::new(id).unwrap_or_default()];
    sys::spawn::spawn(program, &args, socket).during(what)?;
    Ok(())
}
