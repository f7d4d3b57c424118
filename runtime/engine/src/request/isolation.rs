//! What a container shares with others, and what is set for it alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use launch::IdRange;
use serde::{Deserialize, Serialize};

use super::entries::Entries;

/// Where a namespace comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// It is the container's own.
    #[default]
    Own,
    /// It is the host's.
    Host,
    /// It is the container's own, and no other may join it.
    Private,
    /// It is the container's own, and none of what belongs to it is mounted.
    Nothing,
    /// It is that of another container, which must run.
    Container(String),
    /// It is that of the pod that the container is in, by its id; in a request any text will do.
    Pod(String),
}

/// The namespaces that a container may share. Its mounts are always its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Namespaces {
    /// Shared memory, semaphores and message queues.
    pub ipc: Sharing,
    /// Processes.
    pub pid: Sharing,
    /// Host and domain name.
    pub uts: Sharing,
    /// The view of cgroups.
    pub cgroup: Sharing,
    /// Users of its own, or of the pod that it is in. A request says so in [`crate::CreateRequest::users`].
    pub users: Option<UserMap>,
}

/// Who is who in a user namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserMap {
    /// Users.
    pub uids: Vec<IdRange>,
    /// Groups.
    pub gids: Vec<IdRange>,
}

/// Whose users a container is to have (user_namespaces(7)).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Users {
    /// The host's.
    #[default]
    Host,
    /// Its own, who are these on the host.
    Map(UserMap),
    /// Its own, who are nobody else's on the host.
    Auto(AutoUsers),
}

/// Users that are to be chosen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AutoUsers {
    /// How many; as many as the image's files name when there is no number.
    pub size: Option<u32>,
    /// Some that are not to be chosen.
    pub fixed: UserMap,
    /// What they are taken from.
    pub pool: UserPool,
}

/// Ids of the host that containers may be given, in ranges: the first one and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UserPool {
    /// Users.
    pub uids: Vec<(u32, u32)>,
    /// Groups.
    pub gids: Vec<(u32, u32)>,
}

/// Settings of a container's processes and its kernel view.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tuning {
    /// A first process that reaps orphans and passes signals on.
    pub init: bool,
    /// The program of the host that this is, instead of the usual one: an absolute path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_path: Option<PathBuf>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// Resource limits of processes.
    pub ulimits: Vec<Ulimit>,
    /// `sysctl` settings of its namespaces.
    pub sysctls: BTreeMap<String, String>,
    /// Further groups, by name or number.
    pub groups: Vec<String>,
    /// Which of the image's groups its user is in, too.
    pub group_policy: GroupPolicy,
    /// What its files of users get, where they do not know its user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<Entries>,
    /// How soon its processes are killed when memory runs out, from -1000 to 1000.
    pub oom_score_adj: Option<i32>,
    /// Permissions that its processes take from files that they make (umask(2)); the kernel's usual ones without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub umask: Option<u32>,
    /// The file of the host that it sees as `/etc/localtime` (tzfile(5)).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timezone: Option<PathBuf>,
    /// Notes for tools. They change nothing.
    pub annotations: BTreeMap<String, String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// Devices by the names that the host's descriptions give them, such as `vendor.com/class=name`.
    pub cdi: Vec<String>,
    /// Devices that it may use whether they are there or not.
    pub device_rules: Vec<DeviceRule>,
    /// The cgroup above its own, instead of the usual one.
    pub cgroup_parent: Option<String>,
    /// That is a slice, and the container a scope of systemd in it. Whoever makes pods decides it.
    pub scope: bool,
    /// How many bytes its own files may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What becomes of its output.
    pub log: LogConfig,
}

/// Which groups of the image's `/etc/group` a process is in by its user's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupPolicy {
    /// Those that name its user, unless its primary group is asked for: as Docker has it.
    #[default]
    Docker,
    /// Those that name its user.
    Merge,
    /// None: only what is asked for.
    Strict,
}

/// A limit of getrlimit(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Such as `nofile`.
    pub name: String,
    /// What processes have; they may raise it up to the other one. -1 is no limit.
    pub soft: i64,
    /// The most that they may have.
    pub hard: i64,
}

/// A device of the host, or a folder of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its node on the host.
    pub host: PathBuf,
    /// Its node in the container.
    pub container: PathBuf,
    /// Made of `r`, `w` and `m`.
    pub access: String,
}

/// A rule of the device controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// `a`, `b` or `c`.
    pub kind: char,
    /// All without it.
    pub major: Option<i64>,
    /// All without it.
    pub minor: Option<i64>,
    /// Made of `r`, `w` and `m`.
    pub access: String,
}

/// What becomes of a container's output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// It is not kept.
    pub none: bool,
    /// It is kept as JSON, as Docker keeps it.
    pub json: bool,
    /// It is kept in this file and not in the container's folder, in the format of the Kubernetes CRI: an absolute path, whose folder is made if it
    /// is missing. With a `max_size` it is rotated beside itself and goes with the container, else others rotate it: see
    /// [`crate::Engine::reopen_log`].
    pub path: Option<PathBuf>,
    /// It goes to systemd's journal.
    pub journal: bool,
    /// What else is noted with each record: a template of names for `tag`, and keys of labels and of variables.
    pub tag: Option<String>,
    /// See `tag`.
    pub labels: Vec<String>,
    /// See `tag`.
    pub env: Vec<String>,
    /// Bytes of a file; 10 MB without it, in the container's folder.
    pub max_size: Option<u64>,
    /// Files; 3 without it.
    pub max_files: Option<u32>,
}
