//! Metrics as a table: name, what it says, labels, and where its values are.

use cri::MetricType::{self, Counter, Gauge};
use engine::{BlkioEntry, Container, Pressure, Resources, Stalled, Stats, Status, Traffic};

use super::open::Open;
use super::view::{rss, working_set};

/// Values with what tells them apart, in the order of the row's labels.
type Values = Vec<(Vec<String>, u64)>;

/// One metric of something.
pub(super) struct Row<T: ?Sized> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricType,
    /// Beside those that all have.
    pub(super) labels: &'static [&'static str],
    pub(super) values: fn(&T) -> Values,
}

const fn row<T>(name: &'static str, help: &'static str, kind: MetricType, values: fn(&T) -> Values) -> Row<T> {
    Row { name, help, kind, labels: &[], values }
}

const fn disk(name: &'static str, help: &'static str, values: fn(&Stats) -> Values) -> Row<Stats> {
    Row { name, help, kind: Counter, labels: &["device"], values }
}

const fn traffic(name: &'static str, help: &'static str, values: fn(&Traffic) -> Values) -> Row<Traffic> {
    Row { name, help, kind: Counter, labels: &["interface"], values }
}

fn one(value: u64) -> Values {
    vec![(Vec::new(), value)]
}

fn seconds(nanos: u64) -> Values {
    one(nanos / 1_000_000_000)
}

fn raw(stats: &Stats, v2: &str, v1: &str) -> u64 {
    let all = &stats.memory.raw;
    all.get(v1).or_else(|| all.get(v2)).copied().unwrap_or(0)
}

fn no_max(value: u64) -> u64 {
    if value >= i64::MAX as u64 & !0xffff { 0 } else { value }
}

fn device(entry: &BlkioEntry) -> String {
    format!("{}:{}", entry.major, entry.minor)
}

fn of(entries: &[BlkioEntry], op: &str) -> Values {
    entries.iter().filter(|entry| entry.op == op).map(|entry| (vec![device(entry)], entry.value)).collect()
}

fn by_operation(stats: &Stats) -> Values {
    let entries = stats.blkio.io_service_bytes_recursive.iter();
    let labels = |entry: &BlkioEntry| vec![device(entry), entry.major.to_string(), entry.minor.to_string(), entry.op.clone()];
    entries.map(|entry| (labels(entry), entry.value)).collect()
}

/// Page faults of the cgroup with those below it.
fn failures(stats: &Stats) -> Values {
    let of = |kind: &str, value: u64| (vec![kind.to_owned(), "hierarchy".to_owned()], value);
    vec![of("pgfault", raw(stats, "pgfault", "total_pgfault")), of("pgmajfault", raw(stats, "pgmajfault", "total_pgmajfault"))]
}

/// For how long something was waited for, in microseconds; nothing where the kernel does not say (Documentation/accounting/psi.rst).
fn waited(pressure: Option<&Pressure>, part: fn(&Pressure) -> &Stalled) -> Values {
    pressure.map_or_else(Vec::new, |pressure| one(part(pressure).total / 1_000_000))
}

/// Huge pages by their size.
const fn pages(name: &'static str, help: &'static str, values: fn(&Stats) -> Values) -> Row<Stats> {
    Row { name, help, kind: Gauge, labels: &["pagesize"], values }
}

/// What cgroups say of pods and of containers.
pub(super) const OF_CGROUP: &[Row<Stats>] = &[
    row("container_cpu_usage_seconds_total", "Processor time that was used", Counter, |s| seconds(s.cpu.usage.total)),
    row("container_cpu_user_seconds_total", "Processor time of programs", Counter, |s| seconds(s.cpu.usage.user)),
    row("container_cpu_system_seconds_total", "Processor time of the kernel", Counter, |s| seconds(s.cpu.usage.kernel)),
    row("container_cpu_cfs_periods_total", "Periods of the limit on processor time", Counter, |s| one(s.cpu.throttling.periods)),
    row("container_cpu_cfs_throttled_periods_total", "Periods in which the limit was reached", Counter, |s| {
        one(s.cpu.throttling.throttled_periods)
    }),
    row("container_cpu_cfs_throttled_seconds_total", "Time for which the limit held it up", Counter, |s| {
        seconds(s.cpu.throttling.throttled_time)
    }),
    row("container_memory_usage_bytes", "Memory in use, page cache included", Gauge, |s| one(s.memory.usage.usage)),
    row("container_memory_working_set_bytes", "Memory in use without page cache that goes first", Gauge, |s| one(working_set(s))),
    row("container_memory_rss", "Memory of its own, beside page cache", Gauge, |s| one(rss(s))),
    row("container_memory_cache", "Page cache", Gauge, |s| one(s.memory.cache)),
    row("container_memory_mapped_file", "Files that are mapped", Gauge, |s| one(raw(s, "file_mapped", "total_mapped_file"))),
    row("container_memory_kernel_usage", "Memory of the kernel", Gauge, |s| {
        one(s.memory.kernel.usage.max(raw(s, "kernel", "kernel")))
    }),
    row("container_memory_swap", "Memory that is swapped out", Gauge, |s| {
        one(s.memory.swap.usage.saturating_sub(s.memory.usage.usage))
    }),
    row("container_memory_failcnt", "How often the limit of memory was reached", Counter, |s| one(s.memory.usage.failcnt)),
    row("container_memory_max_usage_bytes", "The most memory that was in use", Gauge, |s| one(no_max(s.memory.usage.max))),
    row("container_memory_total_active_file_bytes", "Page cache in use", Gauge, |s| {
        one(raw(s, "active_file", "total_active_file"))
    }),
    row("container_memory_total_inactive_file_bytes", "Page cache that goes first", Gauge, |s| {
        one(raw(s, "inactive_file", "total_inactive_file"))
    }),
    row("container_oom_events_total", "Processes that were killed for want of memory", Counter, |s| one(s.memory.oom_kills)),
    Row {
        name: "container_memory_failures_total",
        help: "Page faults",
        kind: Counter,
        labels: &["failure_type", "scope"],
        values: failures,
    },
    disk("container_fs_reads_bytes_total", "Bytes read from disks", |s| of(&s.blkio.io_service_bytes_recursive, "Read")),
    disk("container_fs_writes_bytes_total", "Bytes written to disks", |s| of(&s.blkio.io_service_bytes_recursive, "Write")),
    disk("container_fs_reads_total", "Reads from disks", |s| of(&s.blkio.io_serviced_recursive, "Read")),
    disk("container_fs_writes_total", "Writes to disks", |s| of(&s.blkio.io_serviced_recursive, "Write")),
    Row {
        name: "container_blkio_device_usage_total",
        help: "Bytes to and from disks by operation",
        kind: Counter,
        labels: &["device", "major", "minor", "operation"],
        values: by_operation,
    },
    pages("container_hugetlb_usage_bytes", "Huge pages in use", |s| {
        s.hugetlb.iter().map(|(size, pages)| (vec![size.clone()], pages.usage)).collect()
    }),
    pages("container_hugetlb_max_usage_bytes", "The most huge pages that were in use; 0 where the kernel does not say", |s| {
        s.hugetlb.iter().map(|(size, pages)| (vec![size.clone()], pages.max)).collect()
    }),
    row("container_pressure_cpu_waiting_seconds_total", "Time for which some waited for a processor", Counter, |s| {
        waited(s.cpu.psi.as_ref(), |pressure| &pressure.some)
    }),
    row("container_pressure_cpu_stalled_seconds_total", "Time for which all waited for a processor", Counter, |s| {
        waited(s.cpu.psi.as_ref(), |pressure| &pressure.full)
    }),
    row("container_pressure_memory_waiting_seconds_total", "Time for which some waited for memory", Counter, |s| {
        waited(s.memory.psi.as_ref(), |pressure| &pressure.some)
    }),
    row("container_pressure_memory_stalled_seconds_total", "Time for which all waited for memory", Counter, |s| {
        waited(s.memory.psi.as_ref(), |pressure| &pressure.full)
    }),
    row("container_pressure_io_waiting_seconds_total", "Time for which some waited for disks", Counter, |s| {
        waited(s.blkio.psi.as_ref(), |pressure| &pressure.some)
    }),
    row("container_pressure_io_stalled_seconds_total", "Time for which all waited for disks", Counter, |s| {
        waited(s.blkio.psi.as_ref(), |pressure| &pressure.full)
    }),
    row("container_processes", "Processes and threads", Gauge, |s| one(s.pids.current)),
    row("container_threads", "Processes and threads", Gauge, |s| one(s.pids.current)),
    row("container_threads_max", "The most processes and threads; 0 is no limit", Gauge, |s| one(no_max(s.pids.limit))),
];

/// A container at a moment.
pub(super) struct Seen {
    pub(super) at: u64,
    /// Bytes of disk that what it has written takes.
    pub(super) written: u64,
    pub(super) started: Option<u64>,
    /// The file system that it writes to.
    pub(super) disk: Disk,
    pub(super) limits: Resources,
    pub(super) open: Open,
}

/// How large a file system is, in bytes and in files, and where it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Disk {
    device: String,
    bytes: u64,
    inodes: u64,
    inodes_free: u64,
}

impl Disk {
    /// That of a folder; nothing when it cannot be asked.
    pub(super) fn of(folder: &std::path::Path) -> Disk {
        use std::os::unix::fs::MetadataExt;
        let device = std::fs::metadata(folder).map_or(0, |data| data.dev());
        let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
        let Ok(data) = rustix::fs::statvfs(folder) else { return Disk { device, ..Disk::default() } };
        Disk { device, bytes: data.f_blocks * data.f_frsize, inodes: data.f_files, inodes_free: data.f_ffree }
    }

    fn of_device(&self, value: u64) -> Values {
        vec![(vec![self.device.clone()], value)]
    }
}

impl Seen {
    pub(super) fn new(container: &Container, at: u64, written: u64, disk: Disk, open: Open) -> Seen {
        let started = match container.status {
            Status::Running { since, .. } | Status::Paused { since, .. } => Some(since),
            _ => None,
        };
        Seen { at, written, started, disk, limits: container.record.resources.clone(), open }
    }
}

/// A limit, where there is one.
fn limit(value: Option<i64>) -> Values {
    value.and_then(|value| u64::try_from(value).ok()).map_or_else(Vec::new, one)
}

/// The memory that is kept for it: a limit of its own on v1, a file of its cgroup on v2.
fn reservation(limits: &Resources) -> Values {
    let low = || limits.unified.get("memory.low").and_then(|text| text.parse().ok());
    limit(limits.memory_reservation.or_else(low))
}

/// What is on the disk of the runtime's folders.
const fn on_disk(name: &'static str, help: &'static str, values: fn(&Seen) -> Values) -> Row<Seen> {
    Row { name, help, kind: Gauge, labels: &["device"], values }
}

/// What is known of containers alone.
pub(super) const OF_CONTAINER: &[Row<Seen>] = &[
    row("container_start_time_seconds", "When it was started, in seconds since 1970", Gauge, |s| {
        s.started.map_or_else(Vec::new, seconds)
    }),
    row("container_last_seen", "When this was measured, in seconds since 1970", Gauge, |s| seconds(s.at)),
    row("container_spec_cpu_period", "The period of the limit on processor time in microseconds", Gauge, |s| {
        s.limits.cpu_period.map_or_else(Vec::new, one)
    }),
    row("container_spec_cpu_quota", "The limit on processor time in a period in microseconds", Gauge, |s| {
        limit(s.limits.cpu_quota)
    }),
    row("container_spec_cpu_shares", "Its share of processor time", Gauge, |s| s.limits.cpu_shares.map_or_else(Vec::new, one)),
    row("container_spec_memory_limit_bytes", "The limit of memory", Gauge, |s| limit(s.limits.memory)),
    row("container_spec_memory_swap_limit_bytes", "The limit of memory and swap together", Gauge, |s| limit(s.limits.memory_swap)),
    row("container_spec_memory_reservation_limit_bytes", "The memory that is kept for it", Gauge, |s| reservation(&s.limits)),
    row("container_file_descriptors", "Descriptors that are open", Gauge, |s| one(s.open.descriptors)),
    row("container_sockets", "Sockets that are open", Gauge, |s| one(s.open.sockets)),
    Row {
        name: "container_ulimits_soft",
        help: "Limits of its first process",
        kind: Gauge,
        labels: &["ulimit"],
        values: |s| s.open.limit.map_or_else(Vec::new, |limit| vec![(vec!["max_open_files".to_owned()], limit)]),
    },
    on_disk("container_fs_usage_bytes", "Bytes that it has written", |s| s.disk.of_device(s.written)),
    on_disk("container_fs_limit_bytes", "Bytes of the file system that it writes to", |s| s.disk.of_device(s.disk.bytes)),
    on_disk("container_fs_inodes_total", "Files that the file system can have", |s| s.disk.of_device(s.disk.inodes)),
    on_disk("container_fs_inodes_free", "Files that the file system can have yet", |s| s.disk.of_device(s.disk.inodes_free)),
    row("container_scrape_error", "1 if it could not be measured", Gauge, |_| one(0)),
];

fn of_interface(traffic: &Traffic, value: u64) -> Values {
    vec![(vec![traffic.interface.clone()], value)]
}

/// What interfaces of pods say.
pub(super) const NETWORK: &[Row<Traffic>] = &[
    traffic("container_network_receive_bytes_total", "Bytes that came in", |t| of_interface(t, t.received)),
    traffic("container_network_receive_packets_total", "Packets that came in", |t| of_interface(t, t.receive_packets)),
    traffic("container_network_receive_packets_dropped_total", "Packets that were dropped on the way in", |t| {
        of_interface(t, t.receive_dropped)
    }),
    traffic("container_network_receive_errors_total", "Packets that came in broken", |t| of_interface(t, t.receive_errors)),
    traffic("container_network_transmit_bytes_total", "Bytes that went out", |t| of_interface(t, t.sent)),
    traffic("container_network_transmit_packets_total", "Packets that went out", |t| of_interface(t, t.send_packets)),
    traffic("container_network_transmit_packets_dropped_total", "Packets that were dropped on the way out", |t| {
        of_interface(t, t.send_dropped)
    }),
    traffic("container_network_transmit_errors_total", "Packets that could not be sent", |t| of_interface(t, t.send_errors)),
];
