//! Messages: one postcard value per packet of a `SOCK_SEQPACKET` connection, descriptors beside it.
//!
//! ```text
//! engine                               monitor
//!   Launch(plan) + descriptors  ─────▶  clones init, which waits
//!                               ◀─────  Created                 (unless Start is there already)
//!   Start                       ─────▶  lets init execute the program
//!                               ◀─────  Started | Failed
//!                               ◀─────  Output, Exited          (after Attach or Wait)
//! ```
//!
//! The first connection is inherited as descriptor 3; later ones come in through [`Launch::listener`].

use std::fmt;
use std::path::PathBuf;

use launch::{Exit, Hook, Nanos, Plan, Process, Slot};
use serde::{Deserialize, Serialize};

use crate::{Actor, Policy, Used};

/// The longest packet either side sends. Senders raise their send buffer to fit. execve(2) takes some 2 MiB of arguments and environment
/// on an ordinary stack, and a plan needs some more.
pub const MAX_PACKET: usize = 4 << 20;

/// The longest piece of input or output in one packet.
pub const MAX_CHUNK: usize = 32 << 10;

/// What a client asks of the monitor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Make the container. Only on the inherited connection, first, once; the plan's descriptors travel along.
    Launch(Box<Launch>),
    /// Execute the program.
    Start,
    /// Send `Output` on this connection from now on (from the container's first byte if sent before `Start`); take `Stdin` from it.
    Attach {
        /// This client feeds standard input.
        stdin: bool,
    },
    /// Bytes for standard input or the terminal.
    Stdin(#[serde(with = "crate::bytes")] Vec<u8>),
    /// No more input will come.
    StdinEnd,
    /// The client's terminal has changed.
    Resize {
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// Send this signal to the first process, or on an exec connection to the process executed there.
    Signal(i32),
    /// Run another process in the container; this connection is its own from now on: `Started`, `Output`, `Exited` are about it.
    Exec(Box<Exec>),
    /// Answer `Exited` when the container ends, at once if it has.
    Wait,
    /// The container's end is wanted by whoever asks, and comes by itself: its policy does not start it again. Answered by `Done`.
    Stop,
    /// Another restart policy. Answered by `Done`.
    Policy(Policy),
    /// The file of [`Launch::log_file`] was renamed: open the path again. Answered by `Done`, also where there is no such file.
    ReopenLog,
    /// Kill the process executed on this connection, with all in its process group. No answer.
    KillGroup,
    /// The container was connected to a network, or disconnected. Answered by `Done`.
    Networks(Box<NetworkChange>),
    /// Write down that the container's processes were frozen, or thawed. Answered by `Done`.
    Frozen(bool),
    /// The container stays when it ends, with the link `name`, although it was to be removed: it will be started again. Answered by `Done`.
    Keep {
        /// The link with its name.
        name: PathBuf,
    },
    /// The container's name has changed: of the files to unlink at its end, the first stands for the second now. Answered by `Done`.
    Renamed {
        /// The old one.
        from: PathBuf,
        /// The new one.
        to: PathBuf,
    },
}

/// What the monitor tells a client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// Init exists and waits. Not told to a client that has asked for the start by then.
    Created {
        /// Process number on the host.
        pid: u32,
        /// Start time in clock ticks since boot.
        start_time: u64,
    },
    /// The program has been executed.
    Started {
        /// Process number on the host.
        pid: u32,
        /// Start time in clock ticks since boot.
        start_time: u64,
    },
    /// Bytes the container wrote. A terminal's are all `Stdout`.
    Output {
        /// Where it wrote.
        stream: Stream,
        /// What.
        #[serde(with = "crate::bytes")]
        bytes: Vec<u8>,
    },
    /// It has ended, its record is written, its network and (with `remove`) its folder and its name are free. What nobody else can have in
    /// the meantime, as its mounts and its cgroup, goes right after that; until then [`Launch::charge`] is held.
    Exited(Exit),
    /// The request could not be done.
    Failed {
        /// Whose fault it is; decides the exit code.
        kind: launch::Kind,
        /// The whole chain as one line.
        message: String,
    },
    /// The request was done and has no other answer.
    Done,
}

/// One of the two output streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// All a monitor needs for its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// The container's id, for messages and the process title.
    pub id: String,
    /// What to start. Its slots count in the descriptors of this message.
    pub plan: Plan,
    /// The container's folder: `status.json` is replaced here, and logs live in its `log/`.
    pub folder: Slot,
    /// The listening socket for later connections.
    pub listener: Slot,
    /// Descriptors to hold until the end is told: sockets that reserve published ports.
    pub hold: Vec<Slot>,
    /// Published ports that the monitor sees to itself.
    pub relays: Vec<Relayed>,
    /// The network namespace that they reach the container from, if that is not the monitor's own.
    pub relay_from: Option<Slot>,
    /// The lock of whoever is in charge, held until everything is undone.
    pub charge: Option<Slot>,
    /// Nothing of the host is mounted in the container but its own files, so that its mounts may stay for a moment after its end is told: to
    /// take them down takes longer than all else that is to be done.
    pub own_mounts: bool,
    /// The socket for [`Cleanup::nftables`]. Its close makes the kernel finish all pending removals, which takes some 12 ms, so it comes
    /// after the end is told.
    pub netfilter: Option<Slot>,
    /// How much of its output is kept in its folder; none without it.
    pub log: Option<LogLimits>,
    /// Where else it is kept.
    pub log_file: Option<LogFile>,
    /// What is noted with each record, where the format has room for it.
    pub log_notes: Vec<(String, String)>,
    /// Keep standard input open for an attached client; otherwise it is `/dev/null`.
    pub stdin: bool,
    /// The cgroup folder whose out-of-memory counter is read at the end: v2 `memory.events` or v1 `memory.oom_control`.
    pub memory: Option<Slot>,
    /// The v2 cgroup folder for `cgroup.kill`, so that nothing of the container outlives init without a pid namespace.
    pub kill: Option<Slot>,
    /// What to undo when the container has ended.
    pub cleanup: Cleanup,
    /// What happens then.
    pub restart: Restart,
    /// How to find out whether it is well.
    pub health: Option<HealthCheck>,
    /// How its processes find others by name.
    pub names: Option<Names>,
    /// Who it is in events, and the file for them.
    pub events: Option<(Actor, PathBuf)>,
    /// What it uses while it runs, for events about that.
    pub using: Vec<Used>,
    /// Programs that run beside it at points of its life.
    pub hooks: Option<Hooks>,
}

/// Programs of the host's administrator that run at points of a container's life, in this order at each.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// The folder whose `config.json` says what the container is. Its root is at `rootfs` in it while it is made.
    pub bundle: PathBuf,
    /// When each one runs, and what it is.
    pub all: Vec<(Point, Hook)>,
}

/// A point of a container's life (runtime-spec, "Lifecycle").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Point {
    /// As `CreateRuntime`, before that.
    Prestart,
    /// On the host, when the namespaces are made and the root is not.
    CreateRuntime,
    /// In the namespaces, before the root is changed.
    CreateContainer,
    /// In the container, right before its program.
    StartContainer,
    /// On the host, when the container is gone.
    Poststop,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Point::Prestart => "prestart",
            Point::CreateRuntime => "createRuntime",
            Point::CreateContainer => "createContainer",
            Point::StartContainer => "startContainer",
            Point::Poststop => "poststop",
        })
    }
}

/// What happens when a container has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restart {
    /// Whether it is started again.
    pub policy: Policy,
    /// The program that does it, with its arguments. The monitor becomes that program: it needs nothing of its own by then.
    pub command: Vec<String>,
    /// How often that has happened.
    pub count: u32,
    /// Milliseconds that the last time was waited before.
    pub delay: u64,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What is executed in the container. It is well when this ends with 0.
    pub process: Process,
    /// Nanoseconds between checks.
    pub interval: Nanos,
    /// Nanoseconds that one may take.
    pub timeout: Nanos,
    /// Nanoseconds after the start in which failures do not count, until a check has succeeded.
    pub start_period: Nanos,
    /// Nanoseconds between checks in that time.
    pub start_interval: Nanos,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
    /// What happens then.
    pub on_failure: OnFailure,
    /// What is checked instead, until it has succeeded.
    pub startup: Option<StartupCheck>,
    /// Signal that asks the container to end.
    pub stop_signal: i32,
    /// Nanoseconds from that to SIGKILL.
    pub stop_timeout: Nanos,
}

/// A check of whether a container has started. When it has, it is healthy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StartupCheck {
    /// What is executed in the container.
    pub process: Process,
    /// Nanoseconds between checks.
    pub interval: Nanos,
    /// Nanoseconds that one may take.
    pub timeout: Nanos,
    /// After so many failures the container is stopped and started again, whatever its policy; never with 0.
    pub retries: u32,
    /// So many successes are needed, one at least.
    pub successes: u32,
}

/// What is done about an unhealthy container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFailure {
    /// It is only said.
    #[default]
    None,
    /// It is killed; its restart policy decides about the rest.
    Kill,
    /// It is stopped and started again, whatever its policy.
    Restart,
    /// It is stopped, whatever its policy.
    Stop,
}

/// What has changed about a running container's networks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkChange {
    /// More to undo at its end.
    pub undo: Cleanup,
    /// Files and folders that are gone already.
    pub gone: Vec<PathBuf>,
    /// What its resolver knows from now on.
    pub names: net::dns::Config,
    /// Its resolver's sockets, if it had none: descriptors of this message.
    pub sockets: bool,
    /// The networks that it uses from now on, for events.
    pub using: Vec<Used>,
    /// Where the ports lead from now on that are relayed. Those that are not among them are closed.
    pub relays: Vec<net::relay::Relay>,
}

/// The container's resolver: sockets in its network namespace, and what to answer there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    /// Queries by UDP.
    pub datagrams: Slot,
    /// Queries by TCP: a listening socket.
    pub connections: Slot,
    /// What it knows.
    pub config: net::dns::Config,
}

/// A published port that no rule for packets leads to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// Its socket, which does not block, and listens if it is one of TCP.
    pub socket: Slot,
    /// Where it leads.
    pub relay: net::relay::Relay,
}

/// A log outside the container's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogFile {
    /// Its path on the host.
    pub path: PathBuf,
    /// The file, open for appending.
    pub file: Slot,
    /// When it is rotated. Without it that is for others to do: they rename it, and it is opened anew ([`Request::ReopenLog`]).
    pub limits: Option<LogLimits>,
}

/// Size of one log file and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLimits {
    /// Bytes after which a file is rotated.
    pub max_size: u64,
    /// Files kept, the current one included.
    pub max_files: u32,
    /// How they are written.
    pub format: LogFormat,
}

/// How a log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogFormat {
    /// A text line each, as the Kubernetes CRI has it.
    #[default]
    Text,
    /// The same, without a terminal's line ends, as containerd and CRI-O have it.
    Cri,
    /// A JSON object each, as Docker's `json-file` has it, for what collects such files.
    Json,
    /// No files: records of systemd's journal.
    Journal,
}

impl Default for LogLimits {
    fn default() -> Self {
        LogLimits { max_size: 10_000_000, max_files: 3, format: LogFormat::Text }
    }
}

/// Undo as data: made by whoever made the thing, carried out by whoever sees the container end. Every part may be gone already.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cleanup {
    /// Whole nf_tables netlink batches, each sent as one message, failures (already gone) ignored.
    pub nftables: Vec<Vec<u8>>,
    /// Files to unlink: address leases, the listening socket.
    pub unlink: Vec<PathBuf>,
    /// Folders to remove if they are empty: names that nobody has any more.
    pub folders: Vec<PathBuf>,
    /// cgroup folders to remove, their children first. After the end is told.
    pub cgroups: Vec<PathBuf>,
    /// Trees to remove last of all.
    pub trees: Vec<PathBuf>,
    /// Trees to remove that nobody should wait for: with `--rm`, the container's folder, in which no record of the end is written. Before the
    /// end is told each is renamed to `.gone-` and its name, so nobody finds it any more; the files go after that.
    pub discard: Vec<PathBuf>,
    /// The same for folders that are kept while there is anything in their `users`: volumes of the container's own.
    pub unused: Vec<PathBuf>,
}

/// A process to run in a running container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exec {
    /// The process.
    pub process: Process,
    /// This client feeds its standard input.
    pub stdin: bool,
    /// Nobody listens: output is discarded.
    pub detach: bool,
    /// What it is called in events; nothing for what nobody asked for.
    pub id: String,
}

/// The present time, for records.
pub fn now() -> Nanos {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as Nanos)
}
