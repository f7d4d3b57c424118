//! Who needs an image.

use images::Image;

use crate::{Engine, Mount, MountSource};

impl Engine {
    /// What needs an image: ids of containers, and where it is mounted. Asked anew for each image, so that one made meanwhile is seen.
    pub fn users_of(&self, image: &Image) -> Vec<String> {
        let Ok(containers) = self.containers() else { return vec!["containers that cannot be listed".to_owned()] };
        let Ok(views) = self.views() else { return vec!["mounts that cannot be listed".to_owned()] };
        let mounted =
            |mount: &Mount| matches!(&mount.source, MountSource::Image { manifest: Some(own), .. } if *own == image.manifest);
        let uses = containers
            .iter()
            .filter(|container| container.record.image.manifest == image.manifest || container.record.mounts.iter().any(mounted));
        let uses = uses.map(|container| container.record.id[..12].to_owned());
        let views = views.iter().filter(|view| view.manifest == image.manifest);
        uses.chain(views.map(|view| format!("a mount at {}", view.path.display()))).collect()
    }
}
