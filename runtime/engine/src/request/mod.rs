//! What a caller asks for: absolute, parsed, resolved. Nothing below the command line sees what was typed.

mod entries;
mod exec;
mod health;
mod isolation;
mod limits;
mod mounts;
mod network;
mod rootfs;
mod secret;
mod security;
mod startup;

use std::collections::BTreeMap;

use monitor::Policy;

pub use entries::{Caller, Entries};
pub use exec::ExecRequest;
pub use health::{HealthRecord, HealthRequest};
pub use isolation::{
    AutoUsers, Device, DeviceRule, GroupPolicy, LogConfig, Namespaces, Sharing, Tuning, Ulimit, UserMap, UserPool, Users,
};
pub use limits::{DiskLimit, DiskLimitKind, Resources};
pub use mounts::{Access, Mount, MountSource, Propagation, VolumeSpec, VolumesFrom};
pub use network::{Dns, Endpoint, HostEntry, HostsBase, NetworkMode, Port, Protocol};
pub use rootfs::RootFs;
pub use secret::{SecretPlace, SecretUse};
pub use security::{Security, SystemPaths};
pub use startup::{StartupRecord, StartupRequest};

/// A container to make. `None` and empty mean: as the image says, or the default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CreateRequest {
    /// Its name; one is made up when there is none.
    pub name: Option<String>,
    /// The image as the user wrote it, for display.
    pub image: String,
    /// Replaces the image's entrypoint, and drops its command; an empty list clears both.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command.
    pub cmd: Vec<String>,
    /// `KEY=VALUE`, later ones win; a bare `KEY` removes the variable.
    pub env: Vec<String>,
    /// `KEY=VALUE` of variables that neither the image nor `env` speaks of.
    pub env_below: Vec<String>,
    /// `KEY=VALUE` of variables that `env` does not speak of. The value may name what else there is, such as `${PATH}`, as in a Dockerfile.
    pub env_merge: Vec<String>,
    /// Working folder.
    pub workdir: Option<String>,
    /// `user[:group]`, each a name or a number.
    pub user: Option<String>,
    /// Host name; the first 12 digits of the id when there is none.
    pub hostname: Option<String>,
    /// Give it a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub stdin: bool,
    /// Labels, on top of the image's.
    pub labels: BTreeMap<String, String>,
    /// What is mounted in it.
    pub mounts: Vec<Mount>,
    /// Containers whose mounts it gets, too.
    pub volumes_from: Vec<VolumesFrom>,
    /// Bytes of shared memory, in `/dev/shm`; 64 MiB when there is none.
    pub shm_size: Option<u64>,
    /// The network.
    pub network: NetworkMode,
    /// With [`NetworkMode::Bridge`] the networks, in the order of its interfaces; the default one when empty.
    pub networks: Vec<Endpoint>,
    /// How it finds others by name.
    pub dns: Dns,
    /// Ports to publish.
    pub ports: Vec<Port>,
    /// Publish what the image and `exposed` name, too, each on any free port.
    pub publish_all: bool,
    /// What it listens on beside what the image says, such as `8080/tcp`.
    pub exposed: Vec<String>,
    /// Limits.
    pub resources: Resources,
    /// Privileges.
    pub security: Security,
    /// Remove it when it has ended.
    pub remove: bool,
    /// A folder with `upper` and `work`, in which what it writes stays when it is removed; `None`: a folder of its own.
    pub upper: Option<std::path::PathBuf>,
    /// A folder of the host that is its root file system. Then there is no image: what stands for it is [`crate::no_image`].
    pub rootfs: Option<RootFs>,
    /// Signal that asks it to end, by number.
    pub stop_signal: Option<i32>,
    /// Seconds from that to SIGKILL; -1 waits for ever.
    pub stop_timeout: Option<i64>,
    /// What happens when it has ended.
    pub restart: Policy,
    /// Whether it is well.
    pub health: HealthRequest,
    /// What it shares with others.
    pub namespaces: Namespaces,
    /// Whose users it has; one in a pod has the pod's.
    pub users: Users,
    /// What is set for it.
    pub tuning: Tuning,
    /// The pod that it is in. Its network, its host name, its shared memory and the place of its cgroup are the pod's then, and what is asked
    /// for of that does not count.
    pub pod: Option<crate::PodMember>,
    /// Secrets that it gets.
    pub secrets: Vec<SecretUse>,
}
