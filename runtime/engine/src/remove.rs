//! `rm`: whatever state a container is in, with force nothing of it remains.

use sys::fs::open_dir;

use crate::create::{Folder, sweep, take_charge};
use crate::error::During;
use crate::wait::open_process;
use crate::{Engine, Error, names, recover, state};

impl Engine {
    /// Removes a container. With `force` a running one is killed first, and one whose record is damaged or incomplete is removed too.
    ///
    /// # Errors
    /// [`Error::Running`] without force; [`Error::Busy`] while another process starts it.
    pub fn remove(&self, given: &str, force: bool) -> Result<(), Error> {
        let _ = sweep(&self.config);
        let id = names::resolve(&self.config, given)?;
        let container = match state::load(&self.config, &id) {
            Err(error @ Error::Damaged { .. }) if !force => return Err(error),
            other => other.ok().flatten(),
        };
        if let Some(container) = &container {
            if container.is_running() && !force {
                return Err(Error::Running(names::short(&container.record)));
            }
            if let Some(process) = open_process(container) {
                let _ = sys::process::signal(&process, 9);
                drop(process);
                self.settled(&id)?;
            }
        }
        match Folder::lock(&self.config, &id) {
            // A container made with `remove` goes with its last process.
            Err(Error::NoSuchContainer(_)) => Ok(()),
            other => drop_container(self, &id, container.map(|container| container.record), other?),
        }
    }
}

fn drop_container(engine: &Engine, id: &str, record: Option<crate::Record>, lock: Folder) -> Result<(), Error> {
    let config = &engine.config;
    // A damaged container may have no record to hold.
    let _charge = take_charge(&lock).ok();
    recover::leftovers(config, id, record.as_ref())?;
    if let Some(record) = &record {
        names::release(config, &record.name, id);
    }
    let what = || format!("remove container {}", &id[..12.min(id.len())]);
    let all = open_dir(config.containers()).during(what)?;
    sys::fs::remove_tree(all, id).during(what)
}
