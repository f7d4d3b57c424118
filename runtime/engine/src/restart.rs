//! `restart`: a stop and a start.

use monitor::Request;

use crate::{Engine, Error, Grace, StartOptions};

impl Engine {
    /// Stops a container as [`Engine::stop`] does, and starts it again; one that does not run is started. One that is to be removed when it
    /// ends stays this time.
    ///
    /// # Errors
    /// Those of both.
    pub fn restart(&self, given: &str, signal: Option<i32>, grace: Grace) -> Result<(), Error> {
        let container = self.container(given)?;
        let record = &container.record;
        if record.remove
            && let Some(mut session) = self.connect(&record.id)?
        {
            session.ask(&Request::Keep { name: self.config.names().join(&record.name) })?;
        }
        self.stop(&record.id, signal, grace)?;
        match self.start(&record.id, &StartOptions::default()) {
            // Somebody else was faster.
            Ok(_) | Err(Error::Running(_)) => {
                self.told(record, "restart", &[]);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
