//! What a caller asks of a pod, and of a container in one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::request::{HostEntry, Port, UserMap};

/// A pod to run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PodRequest {
    /// Its name. With the three that follow it is the pod's identity, which no other pod has as long as this one is not removed.
    pub name: String,
    /// The namespace of names that it is in.
    pub namespace: String,
    /// What tells it from another one that once had its name.
    pub uid: String,
    /// How often it was made before.
    pub attempt: u32,
    /// Host name of its containers; that of the host when it is empty.
    pub hostname: String,
    /// The same with a domain: `/etc/hosts` has it, too. Empty without one, and on the host's network.
    #[serde(default)]
    pub full_name: String,
    /// Further lines of `/etc/hosts`, each with an address of its own.
    #[serde(default)]
    pub hosts: Vec<HostEntry>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Where logs of its containers are to be: an absolute path, which is made if it is missing.
    pub log_directory: Option<PathBuf>,
    /// The cgroup of its containers' cgroups: an absolute path below the root, or the name of a slice of systemd. Without one it has one of
    /// its own, which goes with it.
    pub cgroup_parent: Option<String>,
    /// The runtime handler that was asked for.
    pub handler: String,
    /// The network.
    pub network: PodNetwork,
    /// Shared memory, semaphores and message queues.
    pub ipc: PodSharing,
    /// Users of the pod's own: root in its containers is nobody on the host. Its network and its shared memory are its own then.
    pub users: Option<UserMap>,
    /// How its containers find names; as the host does without it.
    pub dns: Option<PodDns>,
    /// `sysctl` settings of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// What the caller wants to find again.
    pub extra: serde_json::Value,
}

/// What network the containers of a pod see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PodNetwork {
    /// An address of the pod's own on the default network.
    Own {
        /// Ports of the host that lead to it.
        ports: Vec<Port>,
    },
    /// The host's network, and its host name.
    Host,
}

impl Default for PodNetwork {
    fn default() -> Self {
        PodNetwork::Own { ports: Vec::new() }
    }
}

/// Who shares a namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PodSharing {
    /// The containers of the pod.
    #[default]
    Pod,
    /// The host and they.
    Host,
}

/// `/etc/resolv.conf` of a pod, exactly.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodDns {
    /// Whom they ask.
    pub servers: Vec<String>,
    /// Domains in which they look for short names.
    pub searches: Vec<String>,
    /// Options of resolv.conf(5).
    pub options: Vec<String>,
}

/// What makes a container one of a pod.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PodMember {
    /// The pod's id.
    pub pod: String,
    /// The container's name in the pod. With `attempt` no other container of the pod has it as long as this one is not removed.
    pub name: String,
    /// How often it was made before.
    pub attempt: u32,
    /// What the caller wants to find again.
    #[serde(default)]
    pub extra: serde_json::Value,
}
