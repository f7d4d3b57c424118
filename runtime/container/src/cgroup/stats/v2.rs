//! What the files of v2 say.

use std::path::Path;

use super::{BlkioEntry, Hugetlb, MemoryEntry, Misc, Pids, Stats, number, page_sizes, parse, text};

/// Adds what all controllers of a folder say.
pub(super) fn read(folder: &Path, stats: &mut Stats) {
    cpu(folder, stats);
    stats.cpuset.cpus = parse::list(&text(folder, "cpuset.cpus.effective"));
    stats.cpuset.mems = parse::list(&text(folder, "cpuset.mems.effective"));
    memory(folder, stats);
    let limit = number(folder, "pids.max");
    stats.pids = Pids { current: number(folder, "pids.current"), limit: if limit == u64::MAX { 0 } else { limit } };
    io(folder, stats);
    hugetlb(folder, stats);
    stats.rdma.rdma_limit = parse::rdma(&text(folder, "rdma.max"));
    stats.rdma.rdma_current = parse::rdma(&text(folder, "rdma.current"));
    let events = parse::keyed(&text(folder, "misc.events"));
    for (name, usage) in parse::keyed(&text(folder, "misc.current")) {
        let events = events.get(&format!("{name}.max")).copied().unwrap_or(0);
        stats.misc.insert(name, Misc { usage, events });
    }
}

fn cpu(folder: &Path, stats: &mut Stats) {
    let stat = parse::keyed(&text(folder, "cpu.stat"));
    let at = |key: &str| stat.get(key).copied().unwrap_or(0);
    let nanos = |key: &str| at(key) * 1000;
    let usage = &mut stats.cpu.usage;
    (usage.total, usage.kernel, usage.user) = (nanos("usage_usec"), nanos("system_usec"), nanos("user_usec"));
    let throttling = &mut stats.cpu.throttling;
    (throttling.periods, throttling.throttled_periods) = (at("nr_periods"), at("nr_throttled"));
    throttling.throttled_time = nanos("throttled_usec");
    stats.cpu.psi = parse::pressure(&text(folder, "cpu.pressure"));
}

fn memory(folder: &Path, stats: &mut Stats) {
    let memory = &mut stats.memory;
    memory.raw = parse::keyed(&text(folder, "memory.stat"));
    memory.cache = memory.raw.get("file").copied().unwrap_or(0);
    let entry = |prefix: &str| {
        let events = parse::keyed(&text(folder, &format!("{prefix}.events")));
        let number = |name: &str| number(folder, &format!("{prefix}.{name}"));
        let failcnt = events.get("max").copied().unwrap_or(0);
        MemoryEntry { limit: number("max"), usage: number("current"), max: number("peak"), failcnt }
    };
    memory.usage = entry("memory");
    let swap = entry("memory.swap");
    // As v1 counts; the greatest use of both together is nobody's.
    memory.swap = MemoryEntry {
        limit: swap.limit.saturating_add(memory.usage.limit),
        usage: swap.usage + memory.usage.usage,
        max: 0,
        failcnt: swap.failcnt,
    };
    memory.oom_kills = parse::keyed(&text(folder, "memory.events")).get("oom_kill").copied().unwrap_or(0);
    memory.psi = parse::pressure(&text(folder, "memory.pressure"));
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn io(folder: &Path, stats: &mut Stats) {
    let blkio = &mut stats.blkio;
    for line in text(folder, "io.stat").lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(parse::device) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut blkio.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut blkio.io_service_bytes_recursive, "Write"),
                "dbytes" => (&mut blkio.io_service_bytes_recursive, "Discard"),
                "rios" => (&mut blkio.io_serviced_recursive, "Read"),
                "wios" => (&mut blkio.io_serviced_recursive, "Write"),
                "dios" => (&mut blkio.io_serviced_recursive, "Discard"),
                _ => continue,
            };
            list.push(BlkioEntry { major, minor, op: op.to_owned(), value: parse::number(value) });
        }
    }
    blkio.psi = parse::pressure(&text(folder, "io.pressure"));
}

fn hugetlb(folder: &Path, stats: &mut Stats) {
    for size in page_sizes(folder, ".current") {
        // Reservations say more than pages: a process that cannot fault a page in dies (Linux 5.7).
        let infix = if text(folder, &format!("hugetlb.{size}.rsvd.current")).is_empty() { "" } else { ".rsvd" };
        let usage = number(folder, &format!("hugetlb.{size}{infix}.current"));
        let events = parse::keyed(&text(folder, &format!("hugetlb.{size}.events")));
        stats.hugetlb.insert(size, Hugetlb { usage, max: 0, failcnt: events.get("max").copied().unwrap_or(0) });
    }
}
