//! A running container's other name, in its networks.

use monitor::Cleanup;

use super::store;
use crate::{Container, Engine, Error};

impl Engine {
    /// Lets the networks of the running `container`, whose record has its new name, know it by that, and no more by `old`.
    ///
    /// # Errors
    /// A network cannot be read, or the name not be written. The networks before it know the new name then, and are told the monitor, too.
    pub(crate) fn rename_in_networks(&self, old: &str, container: &mut Container) -> Result<(), Error> {
        let record = &container.record;
        let Some(state) = &mut container.network else { return Ok(()) };
        let held = record.networks.iter().map(|end| store::hold(&self.config, &end.network)).collect::<Result<Vec<_>, _>>()?;
        let (mut undo, mut gone) = (Cleanup::default(), Vec::new());
        let mut failure = None;
        for end in state.networks.iter_mut().filter(|end| !end.names.is_empty()) {
            let of = |held: &&store::Held| held.record.name == end.network;
            let Some(held) = held.iter().find(of) else { continue };
            let asked = record.networks.iter().find(|own| own.network == end.network);
            // It may be an alias, too.
            let stays = asked.is_some_and(|own| own.aliases.iter().any(|alias| alias == old));
            let from = (!stays).then_some(old);
            match net::rename(&held.network, &record.id, from, &record.name, &end.addresses()) {
                Ok((made, went)) => {
                    end.names.retain(|name| Some(name.as_str()) != from && *name != record.name);
                    end.names.insert(0, record.name.clone());
                    if let Some((entry, folder)) = made {
                        undo.unlink.push(entry);
                        undo.folders.push(folder);
                    }
                    gone.extend(went.into_iter().flat_map(|(entry, folder)| [entry, folder]));
                }
                Err(error) => failure = failure.or(Some(Error::Network(error))),
            }
        }
        if undo == Cleanup::default() && gone.is_empty() {
            return failure.map_or(Ok(()), Err);
        }
        self.tell((record, state), &held, undo, gone, &[])?;
        crate::runtime::describe_anew(record, state, &self.config.runtime(&record.id))?;
        failure.map_or(Ok(()), Err)
    }
}
