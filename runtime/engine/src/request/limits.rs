//! What a container may use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Limits; `None` is no limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    /// Bytes of memory.
    pub memory: Option<i64>,
    /// Bytes of memory and swap together; -1 is no limit.
    pub memory_swap: Option<i64>,
    /// Bytes of memory that are left to it when others need some.
    pub memory_reservation: Option<i64>,
    /// How readily the kernel swaps its memory out, from 0 to 100. Only on cgroup v1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_swappiness: Option<u64>,
    /// Its processes wait for memory instead of being killed for want of it. Only on cgroup v1.
    pub oom_kill_disable: bool,
    /// Billionths of a CPU.
    pub nano_cpus: Option<u64>,
    /// Relative weight in Docker's unit, where 1024 is the ordinary share.
    pub cpu_shares: Option<u64>,
    /// Microseconds in which `cpu_quota` may be used.
    pub cpu_period: Option<u64>,
    /// Microseconds of processor time in a period; -1 is no limit.
    pub cpu_quota: Option<i64>,
    /// Processors, such as `0-2,7`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes.
    pub cpuset_mems: Option<String>,
    /// Processes and threads; -1 is no limit.
    pub pids: Option<i64>,
    /// Weight of its requests to disks, 10 to 1000.
    pub blkio_weight: Option<u16>,
    /// The same for single disks, and limits of what goes to and from them.
    pub disks: Vec<DiskLimit>,
    /// Bytes of huge pages, by their size as the kernel has it, such as `2MB`.
    pub huge_pages: BTreeMap<String, u64>,
    /// Files of cgroup v2 and what is written to them.
    pub unified: BTreeMap<String, String>,
    /// Memory limits below Docker's least one are taken, too.
    pub tiny: bool,
}

/// A limit for one disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskLimit {
    /// Its node on the host.
    pub path: PathBuf,
    /// What is limited.
    pub kind: DiskLimitKind,
    /// How much.
    pub value: u64,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DiskLimitKind {
    /// The weight of requests, 10 to 1000.
    Weight,
    /// Bytes read in a second.
    ReadBps,
    /// Bytes written in a second.
    WriteBps,
    /// Reads in a second.
    ReadIops,
    /// Writes in a second.
    WriteIops,
}

impl Resources {
    /// Takes over what `change` gives. A 0 takes a limit away.
    pub(crate) fn change(&mut self, change: &Resources) {
        fn take<T: Clone + Default + PartialEq>(to: &mut Option<T>, from: &Option<T>) {
            if let Some(value) = from {
                *to = Some(value.clone()).filter(|value| *value != T::default());
            }
        }
        take(&mut self.memory, &change.memory);
        take(&mut self.memory_swap, &change.memory_swap);
        take(&mut self.memory_reservation, &change.memory_reservation);
        take(&mut self.nano_cpus, &change.nano_cpus);
        take(&mut self.cpu_shares, &change.cpu_shares);
        take(&mut self.cpu_period, &change.cpu_period);
        take(&mut self.cpu_quota, &change.cpu_quota);
        take(&mut self.cpuset_cpus, &change.cpuset_cpus);
        take(&mut self.cpuset_mems, &change.cpuset_mems);
        take(&mut self.pids, &change.pids);
        take(&mut self.blkio_weight, &change.blkio_weight);
        self.huge_pages.extend(change.huge_pages.clone());
        self.unified.extend(change.unified.clone());
    }
}
