//! `rename`: another name for a container, whether it runs or not.

use monitor::Request;

use crate::create::{Folder, RECORD, store};
use crate::{Engine, Error, Record, names, state};

impl Engine {
    /// Gives a container the name `new`. Killed on the way, it leaves a container that goes by both names.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::NameInUse`].
    pub fn rename(&self, given: &str, new: &str) -> Result<(), Error> {
        names::check(new)?;
        let config = &self.config;
        let id = names::resolve(config, given)?;
        let lock = Folder::lock(config, &id)?;
        let record: Option<Record> = state::read(&config.container(&id).join(RECORD))?;
        let record = record.ok_or_else(|| Error::NoSuchContainer(given.to_owned()))?;
        if record.name == new {
            return Err(Error::Invalid { what: format!("name {new:?}"), why: "it is the container's name already".to_owned() });
        }
        if names::holder(config, new).as_deref() != Some(&*id) {
            names::claim(config, new, &id)?;
        }
        let renamed = Record { name: new.to_owned(), ..record.clone() };
        store(&lock.dir, &renamed).inspect_err(|_| names::release(config, new, &id))?;
        // With `remove` its monitor takes the name away at the end, and must not take one that is somebody else's by then.
        if let Some(mut session) = self.connect(&id)? {
            let (from, to) = (config.names().join(&record.name), config.names().join(new));
            match session.ask(&Request::Renamed { from, to }) {
                Ok(()) | Err(Error::MonitorGone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        // A network that cannot be told knows the old name until the next start.
        let told = match state::load(config, &id)? {
            Some(mut container) if container.is_running() => self.rename_in_networks(&record.name, &mut container),
            _ => Ok(()),
        };
        names::release(config, &record.name, &id);
        self.told(&renamed, "rename", &[("oldName", &format!("/{}", record.name))]);
        told
    }
}
