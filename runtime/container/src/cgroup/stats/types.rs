//! One reading as runc's `events` names its parts.

use std::collections::BTreeMap;

use serde::Serialize;

/// One reading. Numbers of a controller that is not there are 0; times are nanoseconds.
#[derive(Debug, Default, Serialize)]
pub struct Stats {
    /// Processor time.
    pub(super) cpu: Cpu,
    /// Processors and memory nodes.
    pub(super) cpuset: Cpuset,
    /// Memory.
    pub(super) memory: Memory,
    /// Processes.
    pub(super) pids: Pids,
    /// Disks.
    pub(super) blkio: Blkio,
    /// Huge pages by size, such as `2MB`.
    pub(super) hugetlb: BTreeMap<String, Hugetlb>,
    /// RDMA devices.
    #[serde(skip_serializing_if = "Rdma::is_empty")]
    pub(super) rdma: Rdma,
    /// Counters of the misc controller by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) misc: BTreeMap<String, Misc>,
}

/// Processor time.
#[derive(Debug, Default, Serialize)]
pub(super) struct Cpu {
    /// What was used.
    pub(super) usage: CpuUsage,
    /// What was refused.
    pub(super) throttling: Throttling,
    /// How much was waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) psi: Option<Pressure>,
}

/// Processor time that was used.
#[derive(Debug, Default, Serialize)]
pub(super) struct CpuUsage {
    #[serde(skip_serializing_if = "zero")]
    pub(super) total: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) percpu: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) percpu_kernel: Vec<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) percpu_user: Vec<u64>,
    pub(super) kernel: u64,
    pub(super) user: u64,
}

/// How often a limit on processor time was reached.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Throttling {
    #[serde(skip_serializing_if = "zero")]
    pub(super) periods: u64,
    #[serde(skip_serializing_if = "zero")]
    pub(super) throttled_periods: u64,
    #[serde(skip_serializing_if = "zero")]
    pub(super) throttled_time: u64,
}

/// Pressure stall information (Documentation/accounting/psi.rst).
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Pressure {
    /// Some tasks waited.
    pub(super) some: Stalled,
    /// All did.
    pub(super) full: Stalled,
}

/// Shares of time in per cent, and all of it in microseconds.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Stalled {
    pub(super) avg10: f64,
    pub(super) avg60: f64,
    pub(super) avg300: f64,
    pub(super) total: u64,
}

/// Where processes may run, and the flags of a v1 cpuset (cpuset(7)).
#[derive(Debug, Default, Serialize)]
pub(super) struct Cpuset {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cpus: Vec<u16>,
    pub(super) cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) mems: Vec<u16>,
    pub(super) mem_hardwall: u64,
    pub(super) mem_exclusive: u64,
    pub(super) memory_migrate: u64,
    pub(super) memory_spread_page: u64,
    pub(super) memory_spread_slab: u64,
    pub(super) memory_pressure: u64,
    pub(super) sched_load_balance: u64,
    pub(super) sched_relax_domain_level: i64,
}

/// Memory in bytes.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Memory {
    #[serde(skip_serializing_if = "zero")]
    pub(super) cache: u64,
    pub(super) usage: MemoryEntry,
    /// Memory and swap together, on v2 as on v1.
    pub(super) swap: MemoryEntry,
    pub(super) kernel: MemoryEntry,
    #[serde(rename = "kernelTCP")]
    pub(super) kernel_tcp: MemoryEntry,
    /// `memory.stat`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) raw: BTreeMap<String, u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) psi: Option<Pressure>,
}

/// One kind of memory; without a limit that is the greatest number.
#[derive(Debug, Default, Serialize)]
pub(super) struct MemoryEntry {
    pub(super) limit: u64,
    #[serde(skip_serializing_if = "zero")]
    pub(super) usage: u64,
    #[serde(skip_serializing_if = "zero")]
    pub(super) max: u64,
    /// How often the limit was reached.
    pub(super) failcnt: u64,
}

/// Processes and threads; without a limit that is 0, as with runc.
#[derive(Debug, Default, Serialize)]
pub(super) struct Pids {
    #[serde(skip_serializing_if = "zero")]
    pub(super) current: u64,
    #[serde(skip_serializing_if = "zero")]
    pub(super) limit: u64,
}

/// What went to and from disks.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Blkio {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) io_service_bytes_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) io_serviced_recursive: Vec<BlkioEntry>,
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub(super) io_queued_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) io_service_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) io_wait_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) io_merged_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) io_time_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) sectors_recursive: Vec<BlkioEntry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) psi: Option<Pressure>,
}

/// A count of one disk and one kind of operation.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct BlkioEntry {
    #[serde(skip_serializing_if = "zero")]
    pub(super) major: u64,
    #[serde(skip_serializing_if = "zero")]
    pub(super) minor: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) op: String,
    #[serde(skip_serializing_if = "zero")]
    pub(super) value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Hugetlb {
    #[serde(skip_serializing_if = "zero")]
    pub(super) usage: u64,
    #[serde(skip_serializing_if = "zero")]
    pub(super) max: u64,
    pub(super) failcnt: u64,
}

/// RDMA devices: what they may hold, and what they do.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rdma {
    pub(super) rdma_limit: Vec<RdmaEntry>,
    pub(super) rdma_current: Vec<RdmaEntry>,
}

impl Rdma {
    fn is_empty(&self) -> bool {
        self.rdma_limit.is_empty() && self.rdma_current.is_empty()
    }
}

/// One RDMA device; without a limit that is the greatest number.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RdmaEntry {
    pub(super) device: String,
    pub(super) hca_handles: u32,
    pub(super) hca_objects: u32,
}

/// A counter of the misc controller, and how often its limit was reached.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Misc {
    pub(super) usage: u64,
    pub(super) events: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn zero(number: &u64) -> bool {
    *number == 0
}
