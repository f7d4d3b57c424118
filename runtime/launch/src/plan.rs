//! The plan: a value in which nothing is left to choose. It is made by `container`, printed, compared and tested
//! without root, sent to the monitor, and executed by the loop in this crate.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Attributes;

/// A place in the table of descriptors that travels with a plan. They are opened before the clone: the child never
/// looks anything up on the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Slot(pub u32);

/// One container's start.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Namespaces that are made, as `CLONE_NEW*` flags.
    pub unshare: u64,
    /// Namespaces joined: the `CLONE_NEW*` flag of each, and its descriptor. With a mount namespace among them the root is that
    /// namespace's own: `rootfs` and `steps` are not looked at.
    pub join: Vec<(u64, Slot)>,
    /// Who is who in the user namespace. Written for a new one; one that is joined must say the same.
    pub users: Option<Users>,
    /// Clocks of a new time namespace, set before anybody enters it.
    pub clocks: Vec<ClockOffset>,
    /// Network devices of the host that become the container's.
    pub devices: Vec<NetDevice>,
    /// Where the process is accounted.
    pub cgroup: CgroupPlan,
    /// The root file system: a detached mount tree.
    pub rootfs: Slot,
    /// Leave the host's root by chroot(2) instead of pivot_root(2), which an initramfs refuses.
    pub no_pivot: bool,
    /// Make the root read-only once everything is mounted.
    pub rootfs_readonly: bool,
    /// Propagation of the container's mounts (`MS_PRIVATE`, `MS_SLAVE` …, always recursive).
    pub propagation: u64,
    /// What to build below the root, in this order.
    pub steps: Vec<Step>,
    /// Host name, when there is a UTS namespace of its own.
    pub hostname: Option<String>,
    /// NIS domain name.
    pub domainname: Option<String>,
    /// Bring the loopback interface of a new network namespace up.
    pub loopback: bool,
    /// `sysctl` settings: a key with dots or slashes, and its value.
    pub sysctls: Vec<(String, String)>,
    /// The first process.
    pub process: Process,
}

impl Plan {
    /// All slots the plan names.
    pub fn slots(&self) -> impl Iterator<Item = Slot> {
        let steps = self.steps.iter().flat_map(|step| match step {
            Step::Bind { tree, .. } => vec![*tree],
            Step::Cgroup { v1, .. } => v1.iter().map(|(_, slot)| *slot).collect(),
            _ => Vec::new(),
        });
        let joined = self.join.iter().map(|(_, slot)| *slot);
        let cgroup = self.cgroup.into.iter().chain(&self.cgroup.join).copied();
        [self.rootfs].into_iter().chain(joined).chain(cgroup).chain(steps)
    }
}

/// Users and groups of a user namespace (user_namespaces(7)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// Users.
    pub uids: Vec<IdRange>,
    /// Groups.
    pub gids: Vec<IdRange>,
    /// Who writes them down.
    pub mapper: Mapper,
}

/// Ids of a user namespace and what they are outside. Reads like a line of `/proc/PID/uid_map`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdRange {
    /// The first inside.
    pub inside: u32,
    /// The first outside.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// Who may write the maps of a new user namespace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mapper {
    /// The caller, who has CAP_SETUID and CAP_SETGID.
    #[default]
    Caller,
    /// The caller, who maps itself alone. Groups cannot be changed in such a namespace: or who is kept out of a file by being in a group
    /// could leave that group (CVE-2014-8989).
    Itself,
    /// newuidmap(1) and newgidmap(1), which know what `/etc/subuid` and `/etc/subgid` grant.
    Helpers,
}

/// How far a clock of a time namespace is from the host's (time_namespaces(7)).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockOffset {
    /// `monotonic` or `boottime`.
    pub clock: String,
    /// Whole seconds.
    pub seconds: i64,
    /// And nanoseconds.
    pub nanoseconds: u32,
}

/// A network device that is moved into the container's network namespace, with its addresses (runtime-spec, "Network devices").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetDevice {
    /// Its name in the caller's network namespace.
    pub outside: String,
    /// Its name in the container.
    pub inside: String,
}

/// Descriptors of the container's own cgroup folders.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// A v2 folder to be born in (`CLONE_INTO_CGROUP`), where the kernel and the view allow it.
    pub into: Option<Slot>,
    /// Folders that init enters first thing, by writing 0 to `tasks` (v1) or `cgroup.procs` (v2 as fallback).
    pub join: Vec<Slot>,
}

/// One thing to build below the root file system. Targets are absolute paths inside the container; they are resolved with
/// `RESOLVE_IN_ROOT`, missing components are created one by one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Step {
    /// A new file system: `fsopen(kind)`, options, `fsmount`.
    Mount {
        /// File system type.
        kind: String,
        /// What mountinfo shows as the source.
        source: String,
        /// Where.
        target: PathBuf,
        /// Options, with a value or as a flag.
        options: Vec<(String, Option<String>)>,
        /// `MOUNT_ATTR_*` bits.
        attributes: u64,
        /// `MS_*` propagation, 0 for that of the tree.
        propagation: u64,
        /// Begin with what is in the target (`tmpcopyup`).
        copy_up: bool,
    },
    /// A tree that was opened before (`open_tree(OPEN_TREE_CLONE)`): a bind mount. The target becomes a folder or a file as
    /// the source is.
    Bind {
        /// The tree.
        tree: Slot,
        /// Where.
        target: PathBuf,
        /// What the mounts of the tree are to be like.
        attributes: Attributes,
        /// What becomes of links.
        links: Links,
    },
    /// Changes a mount that is there, of one of the steps before.
    Remount {
        /// Its mount point.
        target: PathBuf,
        /// What it is to be like.
        attributes: Attributes,
        /// Settings of its file system, as for a new one; none for what is bound, of which only the mount is changed.
        options: Vec<(String, Option<String>)>,
    },
    /// The container's own cgroup folder(s) on `target`: v2 as one cgroup2 mount, v1 as one bind per hierarchy.
    Cgroup {
        /// Usually `/sys/fs/cgroup`.
        target: PathBuf,
        /// v1 only: name of each hierarchy's folder and the opened tree to bind there.
        v1: Vec<(String, Slot)>,
        /// Read-only.
        readonly: bool,
    },
    /// A device node; bound from the host's (`fallback`) where mknod is refused (user namespaces).
    Device {
        /// Path of the node.
        path: PathBuf,
        /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, with the permission bits.
        mode: u32,
        /// Device number.
        major: u32,
        /// Device number.
        minor: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A symbolic link. An existing entry is left alone.
    Symlink {
        /// What it says.
        content: String,
        /// Where it is.
        path: PathBuf,
    },
    /// Hides a path: `/dev/null` over a file, an empty read-only tmpfs over a folder. A path that does not exist is skipped.
    Mask(PathBuf),
    /// Labels a folder for SELinux, for a file system that cannot be mounted with its label.
    Label {
        /// The folder.
        path: PathBuf,
        /// The context.
        label: String,
    },
    /// Makes a path read-only by a bind on itself. A path that does not exist is skipped.
    Readonly(PathBuf),
    /// The container's terminal on `/dev/console`. Only with [`Process::terminal`].
    Console,
}

/// Symbolic links at both ends of a bind mount. Those on the way are always followed, inside the root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Links {
    /// A source that is a link is made anew in the target's place (`copy-symlink`).
    pub copy: bool,
    /// A target that is a link is mounted over itself, not where it leads (`dest-nofollow`).
    pub keep_target: bool,
}

impl Step {
    /// The place in the container that it is about.
    pub fn place(&self) -> &Path {
        match self {
            Step::Mount { target, .. } | Step::Bind { target, .. } | Step::Remount { target, .. } => target,
            Step::Cgroup { target, .. } => target,
            Step::Device { path, .. }
            | Step::Symlink { path, .. }
            | Step::Label { path, .. }
            | Step::Mask(path)
            | Step::Readonly(path) => path,
            Step::Console => Path::new("/dev/console"),
        }
    }
}

/// A process of a container, its first or one that joins later.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Program and arguments; a program without a slash is looked up in `PATH` of [`Process::env`], in the container.
    pub args: Vec<String>,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// Working folder. Created if missing. Checked after chdir to be inside (CVE-2024-21626).
    pub cwd: PathBuf,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// The caller's own user namespace forbids setgroups(2): the caller's groups stay, and say nothing there. Init and processes that join
    /// find out by themselves about the container's.
    pub groups_denied: bool,
    /// File mode creation mask.
    pub umask: Option<u32>,
    /// Capabilities; `None` leaves them as they are (privileged callers never want that).
    pub capabilities: Option<Capabilities>,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// Resource limits: `RLIMIT_*` number, soft, hard.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<i32>,
    /// A pseudo terminal of the container's own devpts, with this many rows and columns.
    pub terminal: Option<(u16, u16)>,
    /// The system call filter.
    pub seccomp: Option<Seccomp>,
    /// Rights that it does without.
    pub landlock: Option<Landlock>,
    /// Policy and priority; the caller's without it.
    pub scheduler: Option<Scheduler>,
    /// Class and level of ioprio_set(2).
    pub io_priority: Option<(u8, u8)>,
    /// Which CPUs it may use. Without it, all that its cgroup has, whatever the caller may.
    pub affinity: Option<Affinity>,
    /// Execution domain of personality(2).
    pub personality: Option<u32>,
    /// NUMA policy.
    pub memory_policy: Option<MemoryPolicy>,
    /// What security modules know the program by.
    pub labels: Labels,
}

/// A policy of sched_setattr(2).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduler {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For the ordinary policies.
    pub nice: i32,
    /// For the real-time ones.
    pub priority: u32,
    /// Nanoseconds, for `SCHED_DEADLINE` as the two after it.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// Sets of CPUs, bit N of word M for CPU 64 * M + N (sched_setaffinity(2)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affinity {
    /// Until it is in its cgroup. For [`crate::exec`] only.
    pub first: Option<Vec<u64>>,
    /// From there on; without it the kernel decides.
    pub then: Option<Vec<u64>>,
}

/// A policy of set_mempolicy(2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPolicy {
    /// `MPOL_*` with `MPOL_F_*`.
    pub mode: u32,
    /// The nodes, as [`Affinity`] has CPUs.
    pub nodes: Vec<u64>,
}

/// What security modules know a program by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// The AppArmor profile.
    pub apparmor: Option<String>,
    /// The SELinux context of the process and its keyring.
    pub selinux: Option<String>,
}

/// The five capability sets, bit N for capability N.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Bounding set.
    pub bounding: u64,
    /// Effective set.
    pub effective: u64,
    /// Permitted set.
    pub permitted: u64,
    /// Inheritable set; empty unless a config asks for it (CVE-2022-24769).
    pub inheritable: u64,
    /// Ambient set.
    pub ambient: u64,
}

/// A compiled filter.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Seccomp {
    /// Classic BPF: code, jt, jf, k.
    pub program: Vec<(u16, u8, u8, u32)>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
    /// Who answers calls that the filter hands over (`SECCOMP_FILTER_FLAG_NEW_LISTENER`).
    pub listener: Option<Listener>,
}

/// Who answers for a process's calls (seccomp_unotify(2)).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// The stream socket that the descriptor is sent to, on the host.
    pub path: PathBuf,
    /// What it is sent with: the number of the process, as its maker sees it, goes between these parts.
    pub message: Vec<String>,
}

/// Rights that a process and all that it starts do not have, whoever they are (landlock(7)).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Landlock {
    /// What is forbidden where nothing below allows it: `LANDLOCK_ACCESS_FS_*`.
    pub fs: u64,
    /// The same, `LANDLOCK_ACCESS_NET_*`.
    pub net: u64,
    /// `LANDLOCK_SCOPE_*`.
    pub scoped: u64,
    /// What is allowed below paths of the container. On what is no folder, the rights of folders count for nothing.
    pub paths: Vec<(PathBuf, u64)>,
    /// What is allowed with TCP ports.
    pub ports: Vec<(u16, u64)>,
}
