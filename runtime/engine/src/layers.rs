//! Layers that are mounted for all containers (see `images`), and stacks of them.

use std::collections::BTreeSet;
use std::os::fd::OwnedFd;
use std::path::Path;

use images::{Digest, Lower};

use crate::{Container, Engine, Error};

/// How often a stack of layers is made that somebody unmounts meanwhile.
const TRIES: usize = 6;

impl Engine {
    /// Unmounts layers that no running container has. Each start mounts those that it lacks.
    ///
    /// # Errors
    /// A layer cannot be unmounted. The other ones are.
    pub fn unmount_layers(&self) -> Result<(), Error> {
        let containers = self.containers()?;
        let running = containers.iter().filter(|container| container.is_running()).map(|Container { record, .. }| record);
        let used: BTreeSet<_> = running.flat_map(|record| &record.image.layers).map(Digest::hex).collect();
        Ok(self.images.unmount_layers(&|hex| used.contains(hex))?)
    }

    /// Gives `mount` the folders of `layers`, which are listed lowest first, topmost first, and then `bottom`.
    pub(crate) fn stacked(
        &self,
        layers: &[Digest],
        bottom: &Path,
        mount: impl Fn(&[Lower]) -> Result<OwnedFd, Error>,
    ) -> Result<OwnedFd, Error> {
        let stack = || {
            let mut lower = self.images.stack(layers.iter())?;
            lower.push(Lower::Folder(bottom.to_owned()));
            mount(&lower)
        };
        // Again: a layer may have been unmounted between the two steps, and once more by another who cleans up.
        (1..TRIES).find_map(|_| stack().ok()).map_or_else(stack, Ok)
    }
}
