//! The containers of one pod.

use super::find;
use super::stop::members;
use crate::{Container, Engine, Error, state};

impl Engine {
    /// The containers of a pod, newest first, but for those whose record is damaged. Others are not looked at.
    ///
    /// # Errors
    /// [`Error::NoSuchPod`].
    pub fn containers_of(&self, pod: &str) -> Result<Vec<Container>, Error> {
        let id = find::resolve(&self.config, pod)?;
        let members = match members(&self.config, &id) {
            // It is being removed.
            Err(_) if !self.config.pod(&id).exists() => Vec::new(),
            members => members?,
        };
        let mut containers: Vec<Container> =
            members.iter().filter_map(|container| state::load(&self.config, container).ok().flatten()).collect();
        containers.sort_by_key(|container| std::cmp::Reverse(container.record.created));
        Ok(containers)
    }
}
