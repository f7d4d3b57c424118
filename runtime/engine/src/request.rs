//! What a caller asks for: absolute, parsed, resolved. Nothing below the command line sees what was typed.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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
    /// Folders and files of the host.
    pub binds: Vec<Bind>,
    /// The network.
    pub network: NetworkMode,
    /// Ports to publish.
    pub ports: Vec<Port>,
    /// Limits.
    pub resources: Resources,
    /// Privileges.
    pub security: Security,
    /// Remove it when it has ended.
    pub remove: bool,
    /// Signal that asks it to end, by number.
    pub stop_signal: Option<i32>,
}

/// A file or folder of the host that shows in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Absolute path on the host. A missing one is made as a folder.
    pub source: PathBuf,
    /// Absolute path in the container.
    pub target: PathBuf,
    /// Read-only, with all mounts below it.
    pub readonly: bool,
}

/// What network a container sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// An address of its own on the default bridge.
    #[default]
    Bridge,
    /// The host's network.
    Host,
    /// Only a loopback interface.
    None,
}

/// A published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The host's address; any when there is none.
    pub host_ip: Option<Ipv4Addr>,
    /// The host's port; 0 asks for a free one at each start.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// Limits; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Bytes of memory.
    pub memory: Option<i64>,
    /// Billionths of a CPU.
    pub nano_cpus: Option<u64>,
    /// Relative weight in Docker's unit, where 1024 is the ordinary share.
    pub cpu_shares: Option<u64>,
    /// Processes and threads; -1 is no limit.
    pub pids: Option<i64>,
}

/// What the container may do beyond or below the ordinary.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Security {
    /// Capabilities on top of the ordinary ones, `ALL` for all.
    pub cap_add: Vec<String>,
    /// Capabilities taken away, `ALL` for all.
    pub cap_drop: Vec<String>,
    /// Everything: all capabilities and devices, no filter, nothing masked.
    pub privileged: bool,
    /// No program gains privileges by being executed.
    pub no_new_privileges: bool,
    /// The root file system cannot be written.
    pub readonly_rootfs: bool,
    /// No system call filter.
    pub seccomp_unconfined: bool,
}

/// A process to run in a running container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ExecRequest {
    /// Program and arguments.
    pub cmd: Vec<String>,
    /// Variables on top of the container's.
    pub env: Vec<String>,
    /// Working folder; the container's when there is none.
    pub workdir: Option<String>,
    /// `user[:group]`; the container's when there is none.
    pub user: Option<String>,
    /// Give it a terminal.
    pub tty: bool,
    /// Feed its standard input.
    pub stdin: bool,
    /// Do not listen to its output.
    pub detach: bool,
    /// All capabilities and no filter.
    pub privileged: bool,
    /// Rows and columns of the terminal at the start.
    pub size: Option<(u16, u16)>,
}
