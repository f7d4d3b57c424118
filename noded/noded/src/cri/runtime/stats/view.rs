//! Readings as CRI shows them.

use std::path::Path;

use cri::{
    ContainerAttributes, ContainerStats, CpuUsage, FilesystemIdentifier, FilesystemUsage, IoUsage, LinuxPodSandboxStats,
    MemoryUsage, NetworkInterfaceUsage, NetworkUsage, PodSandboxAttributes, PodSandboxStats, ProcessUsage, PsiData, PsiStats,
    SwapUsage, UInt64Value,
};
use engine::{Pod, Pressure, Stats, Taken, Traffic};

use crate::cri::runtime::container::Member;
use crate::cri::runtime::kept;

pub(super) fn container(
    member: &Member,
    at: u64,
    stats: Option<&Stats>,
    rate: Option<u64>,
    layer: FilesystemUsage,
) -> ContainerStats {
    let config = &member.kept.config;
    ContainerStats {
        attributes: Some(ContainerAttributes {
            id: member.id().to_owned(),
            metadata: config.metadata.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
        }),
        cpu: stats.map(|stats| cpu(at, stats, rate)),
        memory: stats.map(|stats| memory(at, stats)),
        writable_layer: Some(layer),
        swap: stats.map(|stats| swap(at, stats)),
        io: stats.map(|stats| io(at, stats)),
    }
}

pub(super) fn pod(
    pod: &Pod,
    at: u64,
    stats: &Stats,
    rate: Option<u64>,
    interfaces: &[Traffic],
    containers: Vec<ContainerStats>,
) -> PodSandboxStats {
    let config = kept::pod(pod);
    PodSandboxStats {
        attributes: Some(PodSandboxAttributes {
            id: pod.record.id.clone(),
            metadata: config.metadata,
            labels: config.labels,
            annotations: config.annotations,
        }),
        linux: Some(LinuxPodSandboxStats {
            cpu: Some(cpu(at, stats, rate)),
            memory: Some(memory(at, stats)),
            network: network(at, interfaces),
            process: Some(ProcessUsage { timestamp: time(at), process_count: number(stats.pids.current) }),
            containers,
            io: Some(io(at, stats)),
        }),
    }
}

/// What a container has written.
pub(super) fn layer(at: u64, folder: &Path, taken: Taken) -> FilesystemUsage {
    FilesystemUsage {
        timestamp: time(at),
        fs_id: Some(FilesystemIdentifier { mountpoint: folder.display().to_string() }),
        used_bytes: number(taken.bytes),
        inodes_used: number(taken.inodes),
    }
}

fn cpu(at: u64, stats: &Stats, rate: Option<u64>) -> CpuUsage {
    CpuUsage {
        timestamp: time(at),
        usage_core_nano_seconds: number(stats.cpu.usage.total),
        usage_nano_cores: rate.and_then(number),
        psi: stats.cpu.psi.as_ref().map(psi),
    }
}

/// What v2 and v1 call the same.
fn raw(stats: &Stats, v2: &str, v1: &str) -> u64 {
    let all = &stats.memory.raw;
    all.get(v1).or_else(|| all.get(v2)).copied().unwrap_or(0)
}

/// Bytes that are in use and would be missed: without page cache that goes first.
pub(in crate::cri) fn working_set(stats: &Stats) -> u64 {
    stats.memory.usage.usage.saturating_sub(raw(stats, "inactive_file", "total_inactive_file"))
}

/// Bytes of memory of its own, beside page cache.
pub(super) fn rss(stats: &Stats) -> u64 {
    raw(stats, "anon", "total_rss")
}

/// Numbers without a limit are near the greatest one there is: the kernel's own on v1.
fn limited(limit: u64) -> Option<u64> {
    (limit > 0 && limit < i64::MAX as u64 & !0xffff).then_some(limit)
}

fn memory(at: u64, stats: &Stats) -> MemoryUsage {
    let working_set = working_set(stats);
    MemoryUsage {
        timestamp: time(at),
        working_set_bytes: number(working_set),
        available_bytes: limited(stats.memory.usage.limit).and_then(|limit| number(limit.saturating_sub(working_set))),
        usage_bytes: number(stats.memory.usage.usage),
        rss_bytes: number(rss(stats)),
        page_faults: number(raw(stats, "pgfault", "total_pgfault")),
        major_page_faults: number(raw(stats, "pgmajfault", "total_pgmajfault")),
        psi: stats.memory.psi.as_ref().map(psi),
    }
}

/// The kernel's counters of v1, and ours of v2, are of memory and swap together.
fn swap(at: u64, stats: &Stats) -> SwapUsage {
    let memory = &stats.memory;
    let used = memory.swap.usage.saturating_sub(memory.usage.usage);
    let limit = limited(memory.swap.limit).zip(limited(memory.usage.limit)).map(|(both, memory)| both.saturating_sub(memory));
    SwapUsage {
        timestamp: time(at),
        swap_available_bytes: limit.and_then(|limit| number(limit.saturating_sub(used))),
        swap_usage_bytes: number(used),
    }
}

fn io(at: u64, stats: &Stats) -> IoUsage {
    IoUsage { timestamp: time(at), psi: stats.blkio.psi.as_ref().map(psi) }
}

/// The first interface is the one that all goes through, unless it is told otherwise.
fn network(at: u64, interfaces: &[Traffic]) -> Option<NetworkUsage> {
    let (first, rest) = interfaces.split_first()?;
    let view = |traffic: &Traffic| NetworkInterfaceUsage {
        name: traffic.interface.clone(),
        rx_bytes: number(traffic.received),
        rx_errors: number(traffic.receive_errors),
        tx_bytes: number(traffic.sent),
        tx_errors: number(traffic.send_errors),
    };
    Some(NetworkUsage { timestamp: time(at), default_interface: Some(view(first)), interfaces: rest.iter().map(view).collect() })
}

fn psi(pressure: &Pressure) -> PsiStats {
    let data = |stalled: &engine::Stalled| PsiData {
        total: stalled.total,
        avg10: stalled.avg10,
        avg60: stalled.avg60,
        avg300: stalled.avg300,
    };
    PsiStats { full: Some(data(&pressure.full)), some: Some(data(&pressure.some)) }
}

fn number(value: u64) -> Option<UInt64Value> {
    Some(UInt64Value { value })
}

pub(super) fn time(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(raw: &[(&str, u64)], usage: u64, limit: u64) -> Stats {
        let mut stats = Stats::default();
        stats.memory.raw = raw.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        (stats.memory.usage.usage, stats.memory.usage.limit) = (usage, limit);
        stats
    }

    #[test]
    fn both_versions_of_cgroups_say_the_same() {
        let v2 = stats(&[("inactive_file", 10), ("anon", 50), ("pgfault", 7)], 100, u64::MAX);
        let v1 =
            stats(&[("inactive_file", 1), ("total_inactive_file", 10), ("total_rss", 50), ("total_pgfault", 7)], 100, u64::MAX);
        assert_eq!(memory(1, &v2), memory(1, &v1));
        assert_eq!(working_set(&v2), 90);
        assert_eq!(memory(1, &v2).available_bytes, None);
        assert_eq!(memory(1, &stats(&[], 100, 300)).available_bytes, number(200));
        // The kernel's own "no limit" of v1.
        assert_eq!(limited(9_223_372_036_854_771_712), None);
    }

    #[test]
    fn swap_is_what_is_beyond_memory() {
        let mut stats = stats(&[], 100, 200);
        (stats.memory.swap.usage, stats.memory.swap.limit) = (130, 300);
        let swap = swap(1, &stats);
        assert_eq!((swap.swap_usage_bytes, swap.swap_available_bytes), (number(30), number(70)));
    }
}
