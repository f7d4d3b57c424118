//! `attach`: one more listener of a running container.

use launch::Status;
use monitor::Request;

use crate::session::Session;
use crate::wait::open_process;
use crate::{Container, Engine, Error, names};

impl Engine {
    /// Listens to what a running container writes from now on, and with `stdin` feeds its standard input. There may be several who do.
    ///
    /// # Errors
    /// [`Error::NotRunning`], [`Error::Paused`].
    pub fn attach(&self, given: &str, stdin: bool) -> Result<(Container, Session), Error> {
        let (container, session) = self.running(given)?;
        if matches!(container.status, Status::Paused { .. }) {
            return Err(Error::Paused(names::short(&container.record)));
        }
        let mut session = session.about(open_process(&container));
        session.ask(&Request::Attach { stdin })?;
        self.told(&container.record, "attach", &[]);
        Ok((container, session))
    }

    /// Gives the terminal of a running container this size.
    ///
    /// # Errors
    /// [`Error::NotRunning`].
    pub fn resize(&self, given: &str, rows: u16, columns: u16) -> Result<(), Error> {
        self.running(given)?.1.resize(rows, columns)
    }
}
