//! What the container may use.

use std::path::Path;

use engine::{CreateRequest, DiskLimit, DiskLimitKind, Resources};

use crate::parse;

/// Limits that can be changed later, too.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
#[group(skip)]
pub(crate) struct Limits {
    /// Limit of memory, such as 512m
    #[arg(short, long, value_name = "BYTES", value_parser = parse::bytes)]
    memory: Option<i64>,
    /// Limit of memory and swap together; -1 is none
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true, value_parser = parse::bytes_or_none)]
    memory_swap: Option<i64>,
    /// Memory that is left to it when others need some
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes)]
    memory_reservation: Option<i64>,
    /// Limit of CPUs, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = parse::cpus)]
    cpus: Option<u64>,
    /// Weight for CPU time beside other containers; the usual one is 1024
    #[arg(short, long, value_name = "WEIGHT", value_parser = clap::value_parser!(u64).range(0..=262_144))]
    cpu_shares: Option<u64>,
    /// Microseconds in which the quota may be used
    #[arg(long, value_name = "MICROSECONDS", value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    cpu_period: Option<u64>,
    /// CPU time in a period, in microseconds; -1 is no limit
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    cpu_quota: Option<i64>,
    /// Processors that it may use, such as 0-2,7
    #[arg(long, value_name = "LIST", value_parser = parse::list)]
    cpuset_cpus: Option<String>,
    /// Memory nodes that it may use
    #[arg(long, value_name = "LIST", value_parser = parse::list)]
    cpuset_mems: Option<String>,
    /// Limit of processes and threads; -1 is none
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = clap::value_parser!(i64).range(-1..))]
    pids_limit: Option<i64>,
    /// Weight for disks beside other containers, 10 to 1000
    #[arg(long, value_name = "WEIGHT", value_parser = clap::value_parser!(u16).range(10..=1000))]
    blkio_weight: Option<u16>,
}

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    #[command(flatten)]
    limits: Limits,
    /// How readily its memory is swapped out, from 0 to 100; -1 is the kernel's usual (cgroup v1 only)
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true, value_parser = clap::value_parser!(i8).range(-1..=100))]
    memory_swappiness: Option<i8>,
    /// How much its own files may take: size=BYTES, where the file system of --root has quotas of projects (XFS, ext4 with prjquota)
    #[arg(long, value_name = "KEY=VALUE", value_parser = storage, conflicts_with = "rootfs")]
    storage_opt: Option<u64>,
    /// Let its processes wait for memory instead of killing one (cgroup v1 only)
    #[arg(long)]
    oom_kill_disable: bool,
    /// Write into a file of its cgroup (only cgroup v2): FILE=VALUE, such as memory.high=1073741824
    #[arg(long, value_name = "FILE=VALUE", value_parser = cgroup_file)]
    cgroup_conf: Vec<(String, String)>,
    /// Weight for one disk: /dev/DISK:WEIGHT
    #[arg(long, value_name = "DISK:WEIGHT", value_parser = |text: &str| parse::disk(text, DiskLimitKind::Weight))]
    blkio_weight_device: Vec<DiskLimit>,
    /// Limit of bytes read in a second: /dev/DISK:BYTES
    #[arg(long, value_name = "DISK:BYTES", value_parser = |text: &str| parse::disk(text, DiskLimitKind::ReadBps))]
    device_read_bps: Vec<DiskLimit>,
    /// Limit of bytes written in a second: /dev/DISK:BYTES
    #[arg(long, value_name = "DISK:BYTES", value_parser = |text: &str| parse::disk(text, DiskLimitKind::WriteBps))]
    device_write_bps: Vec<DiskLimit>,
    /// Limit of reads in a second: /dev/DISK:NUMBER
    #[arg(long, value_name = "DISK:NUMBER", value_parser = |text: &str| parse::disk(text, DiskLimitKind::ReadIops))]
    device_read_iops: Vec<DiskLimit>,
    /// Limit of writes in a second: /dev/DISK:NUMBER
    #[arg(long, value_name = "DISK:NUMBER", value_parser = |text: &str| parse::disk(text, DiskLimitKind::WriteIops))]
    device_write_iops: Vec<DiskLimit>,
}

impl Limits {
    /// The limits that were given.
    pub(crate) fn resources(self) -> Resources {
        Resources {
            memory: self.memory,
            memory_swap: self.memory_swap,
            memory_reservation: self.memory_reservation,
            nano_cpus: self.cpus,
            cpu_shares: self.cpu_shares,
            cpu_period: self.cpu_period,
            cpu_quota: self.cpu_quota,
            cpuset_cpus: self.cpuset_cpus,
            cpuset_mems: self.cpuset_mems,
            pids: self.pids_limit,
            blkio_weight: self.blkio_weight,
            ..Resources::default()
        }
    }
}

impl Args {
    pub(super) fn apply(self, request: &mut CreateRequest) {
        let disks =
            [self.blkio_weight_device, self.device_read_bps, self.device_write_bps, self.device_read_iops, self.device_write_iops];
        let mut limits = self.limits.resources();
        limits.memory_swappiness = self.memory_swappiness.and_then(|number| u64::try_from(number).ok()).filter(|_| {
            let v1 = Path::new(V1).exists();
            if !v1 {
                eprintln!("rctr: --memory-swappiness is passed over: cgroup v2 has no such setting");
            }
            v1
        });
        // As Docker has it: as much swap as memory.
        if let (Some(memory @ 1..), None) = (limits.memory, limits.memory_swap) {
            limits.memory_swap = swap_is_counted().then(|| memory.saturating_mul(2));
        }
        request.tuning.size = self.storage_opt;
        limits.unified = self.cgroup_conf.into_iter().collect();
        request.resources = Resources { oom_kill_disable: self.oom_kill_disable, disks: disks.concat(), ..limits };
    }
}

/// The memory controller of cgroup v1.
const V1: &str = "/sys/fs/cgroup/memory";

fn cgroup_file(text: &str) -> Result<(String, String), String> {
    let form = || format!("{text:?}: the form is FILE=VALUE, such as memory.high=1073741824");
    let (file, value) = text.split_once('=').ok_or_else(form)?;
    let fine = file.contains('.') && file.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
    // Those say who is in it, and how the engine ends it.
    match fine && !file.starts_with('.') && !file.starts_with("cgroup.") {
        true => Ok((file.to_owned(), value.to_owned())),
        false => Err(form()),
    }
}

fn storage(text: &str) -> Result<u64, String> {
    let size = text.strip_prefix("size=").ok_or("only size=BYTES is known, such as size=10g")?;
    parse::bytes(size).map(|bytes| bytes.unsigned_abs())
}

/// The kernel counts swap by container: v1 only with `swapaccount`, v2 wherever there is swap at all (proc_swaps(5)).
fn swap_is_counted() -> bool {
    let file = if Path::new(V1).exists() { "/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes" } else { "/proc/swaps" };
    Path::new(file).exists()
}
