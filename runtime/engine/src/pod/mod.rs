//! Pods: namespaces that several containers share, with addresses and name files of their own, and no process unless containers share theirs.
//!
//! ```text
//! PodRequest ──run.rs──▶ PodRecord (config.json) · namespaces pinned by bind mounts · network.json: the pod is ready
//! CreateRequest.pod ──member.rs──▶ an ordinary container that joins what is pinned
//! stop.rs ──▶ members killed, address given back, nothing pinned      remove.rs ──▶ nothing left
//! ```
//!
//! On disk, below the engine's `root` and `run`:
//!
//! ```text
//! pods/ID/            config.json (written once) · hosts hostname resolv.conf · stopped: there once it was
//!        cni.json     by which plugins it has its network, if by any: they are asked the same again at its end
//!        members/CID  a container of the pod, or one that was meant to be
//! pods/.new-ID        being made: swept when its maker is gone
//! pod-names/HEX       -> ../pods/ID: the identity that it has and no other
//! RUN/pods/ID/        net ipc uts user: namespaces, pinned · shm: what is /dev/shm in its containers
//!        network.json its addresses, or nothing on the host's network; written last, so a pod that has it is ready
//! ```
//!
//! A pod that was being made by a process that was killed is found, is not ready, and is removed like any other. After a reboot `RUN` is empty,
//! and no pod is ready.
//!
//! Locks: whoever makes, stops or removes a pod holds an flock on its folder; whoever makes a container in it shares that lock. A container
//! is started under its own lock, and looks for the mark `stopped` then: [`Engine::stop_pod`] sets the mark first and passes by each
//! container's lock after that, so no start is missed.

mod cgroup;
mod containers;
mod files;
mod find;
mod inside;
mod member;
mod namespaces;
mod pids;
mod ports;
mod record;
mod remove;
mod request;
mod run;
mod stop;

pub use inside::PodUsage;
pub use pids::POD_INIT;
pub use record::{Pod, PodRecord};
pub use request::{PodDns, PodMember, PodNetwork, PodRequest, PodSharing};

pub(crate) use find::{all, load};
pub(crate) use member::{forget, pinned, still_ready, within};
pub(crate) use ports::Held;
pub(crate) use run::plain;

#[cfg(doc)]
use crate::Engine;

use std::path::PathBuf;

use crate::config::Config;

/// The mark of a pod that was stopped.
const STOPPED: &str = "stopped";

/// The folder with a file for each container of a pod.
const MEMBERS: &str = "members";

impl Config {
    /// The folder of all pods.
    pub(crate) fn pods(&self) -> PathBuf {
        self.root.join("pods")
    }

    /// The folder of one.
    pub(crate) fn pod(&self, id: &str) -> PathBuf {
        self.pods().join(id)
    }

    /// What a reboot clears of it.
    pub(crate) fn pod_runtime(&self, id: &str) -> PathBuf {
        self.run.join("pods").join(id)
    }

    /// Who has which identity.
    fn pod_names(&self) -> PathBuf {
        self.root.join("pod-names")
    }
}
