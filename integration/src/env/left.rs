//! What is left of an environment's containers and pulls.

use std::fs;
use std::time::Duration;

use super::{Env, within};
use crate::leaks::{self, Host};

impl Env {
    /// Asserts that neither the state nor the host holds anything of a container or of a half pull. The state must be
    /// clean now; the host has a moment, because the kernel takes network namespaces apart in its own time, and so have the
    /// files of a removed container, which nobody waits for, and the folder that its monitor removes last, and the lock of a layer whose
    /// files go to the disk behind the pull.
    ///
    /// # Panics
    /// When something is left; the message lists it.
    #[track_caller]
    pub fn nothing_left(&self) {
        let mut state = self.left_in_state();
        let moments = ["containers/.gone-", "volumes/.gone-", "run/containers/"];
        state.retain(|path| !moments.iter().any(|beginning| path.starts_with(beginning)) && !path.ends_with(".lock"));
        assert!(state.is_empty(), "left behind:\n  {}", state.join("\n  "));
        let clean = within(Duration::from_secs(20), || self.left().is_empty());
        assert!(clean, "left behind:\n  {}", self.left().join("\n  "));
    }

    /// What is left of containers and half pulls.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        self.left_in_state().into_iter().chain(self.left_on_host()).collect()
    }

    pub(super) fn look(&self) -> Host {
        // The layers that are mounted for all containers stay.
        let run = ["containers", "net", "images"].map(|name| self.run().join(name));
        Host::look(&[self.folder.path(), &run[0], &run[1], &run[2]], &self.bridge)
    }

    /// How many layers are mounted for all containers.
    #[must_use]
    pub fn mounted_layers(&self) -> usize {
        leaks::mounts(&[&self.run().join("layers")]).len()
    }

    fn left_on_host(&self) -> Vec<String> {
        self.look().since(&self.before)
    }

    fn left_in_state(&self) -> Vec<String> {
        let mut left = self.half_images();
        for folder in ["containers", "names"] {
            left.extend(leaks::files(&self.root().join(folder), &|_| false).into_iter().map(|path| format!("{folder}/{path}")));
        }
        // A volume is kept, but for what is being made or removed.
        let volumes = leaks::files(&self.root().join("volumes"), &|path| !half_volume(path));
        left.extend(volumes.into_iter().map(|path| format!("volumes/{path}")));
        for folder in ["containers", "net"] {
            let below = leaks::files(&self.run().join(folder), &allowed_at_run_time);
            left.extend(below.into_iter().map(|path| format!("run/{folder}/{path}")));
        }
        left
    }

    /// Whatever in the image store is neither whole nor a folder that is always there.
    fn half_images(&self) -> Vec<String> {
        let images = self.root().join("images");
        let mut left = Vec::new();
        for entry in fs::read_dir(images.join("layers/sha256")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let whole = name.len() == 64 && entry.path().join("layer.json").is_file();
            if !whole {
                left.push(format!("half layer {name}"));
            }
        }
        let part = |path: &str| ["tmp", "part", "ingest", "staging"].iter().any(|word| path.to_lowercase().contains(word));
        for folder in ["layers", "blobs", "refs"] {
            let below = leaks::files(&images.join(folder), &|path| !part(path) || path.contains("/tree/"));
            left.extend(below.into_iter().map(|path| format!("images/{folder}/{path}")));
        }
        left
    }

    /// As [`Env::nothing_left`], for a clean-up that goes on after the command has answered.
    ///
    /// # Panics
    /// When something is left after a minute.
    #[track_caller]
    pub fn nothing_left_soon(&self) {
        within(Duration::from_secs(60), || self.left().is_empty());
        self.nothing_left();
    }
}

/// Part of a volume in the making, or of one that goes. A copy into one that is there is gone on with when it is used.
fn half_volume(path: &str) -> bool {
    path.starts_with('.')
}

/// Locks, the folders themselves, and what belongs to a network rather than to a container.
fn allowed_at_run_time(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let of_a_container = name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lease = name.parse::<std::net::IpAddr>().is_ok();
    !(of_a_container || lease || name.contains(".sock"))
}
