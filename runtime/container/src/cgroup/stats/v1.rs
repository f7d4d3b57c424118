//! What the files of v1 say.

use std::path::Path;

use super::{BlkioEntry, Cpuset, Hugetlb, Memory, MemoryEntry, Pids, Stats, number, page_sizes, parse, text};

/// Adds what one controller says.
pub(super) fn read(controller: &str, folder: &Path, stats: &mut Stats) {
    match controller {
        "cpu" => throttling(folder, stats),
        "cpuacct" => usage(folder, stats),
        "cpuset" => stats.cpuset = cpuset(folder),
        "memory" => stats.memory = memory(folder),
        "pids" => {
            let limit = number(folder, "pids.max");
            stats.pids = Pids { current: number(folder, "pids.current"), limit: if limit == u64::MAX { 0 } else { limit } };
        }
        "blkio" => blkio(folder, stats),
        "hugetlb" => hugetlb(folder, stats),
        "rdma" => {
            stats.rdma.rdma_limit = parse::rdma(&text(folder, "rdma.max"));
            stats.rdma.rdma_current = parse::rdma(&text(folder, "rdma.current"));
        }
        _ => {}
    }
}

fn throttling(folder: &Path, stats: &mut Stats) {
    let stat = parse::keyed(&text(folder, "cpu.stat"));
    let at = |key: &str| stat.get(key).copied().unwrap_or(0);
    let throttling = &mut stats.cpu.throttling;
    (throttling.periods, throttling.throttled_periods) = (at("nr_periods"), at("nr_throttled"));
    throttling.throttled_time = at("throttled_time");
}

fn usage(folder: &Path, stats: &mut Stats) {
    let stat = parse::keyed(&text(folder, "cpuacct.stat"));
    // In hundredths of a second (USER_HZ).
    let ticks = |key: &str| stat.get(key).copied().unwrap_or(0) * 10_000_000;
    let usage = &mut stats.cpu.usage;
    (usage.total, usage.kernel, usage.user) = (number(folder, "cpuacct.usage"), ticks("system"), ticks("user"));
    usage.percpu = text(folder, "cpuacct.usage_percpu").split_whitespace().filter_map(|one| one.parse().ok()).collect();
    // `cpu user system`, a line a processor (Linux 4.7).
    for line in text(folder, "cpuacct.usage_all").lines().skip(1) {
        let mut words = line.split_whitespace().skip(1).map(|word| word.parse().unwrap_or(0));
        if let (Some(user), Some(kernel)) = (words.next(), words.next()) {
            usage.percpu_user.push(user);
            usage.percpu_kernel.push(kernel);
        }
    }
}

fn cpuset(folder: &Path) -> Cpuset {
    let flag = |name: &str| number(folder, &format!("cpuset.{name}"));
    Cpuset {
        cpus: parse::list(&text(folder, "cpuset.cpus")),
        cpu_exclusive: flag("cpu_exclusive"),
        mems: parse::list(&text(folder, "cpuset.mems")),
        mem_hardwall: flag("mem_hardwall"),
        mem_exclusive: flag("mem_exclusive"),
        memory_migrate: flag("memory_migrate"),
        memory_spread_page: flag("memory_spread_page"),
        memory_spread_slab: flag("memory_spread_slab"),
        memory_pressure: flag("memory_pressure"),
        sched_load_balance: flag("sched_load_balance"),
        sched_relax_domain_level: text(folder, "cpuset.sched_relax_domain_level").trim().parse().unwrap_or(0),
    }
}

fn memory(folder: &Path) -> Memory {
    let raw = parse::keyed(&text(folder, "memory.stat"));
    let entry = |prefix: &str| {
        let number = |name: &str| number(folder, &format!("{prefix}.{name}"));
        MemoryEntry {
            limit: number("limit_in_bytes"),
            usage: number("usage_in_bytes"),
            max: number("max_usage_in_bytes"),
            failcnt: number("failcnt"),
        }
    };
    let cache = if number(folder, "memory.use_hierarchy") == 1 { "total_cache" } else { "cache" };
    Memory {
        cache: raw.get(cache).copied().unwrap_or(0),
        usage: entry("memory"),
        swap: entry("memory.memsw"),
        kernel: entry("memory.kmem"),
        kernel_tcp: entry("memory.kmem.tcp"),
        raw,
        psi: None,
        oom_kills: parse::keyed(&text(folder, "memory.oom_control")).get("oom_kill").copied().unwrap_or(0),
    }
}

/// The scheduler's own counts where it keeps some, else those of the throttling layer, which sees all requests.
fn blkio(folder: &Path, stats: &mut Stats) {
    let list = |files: &[&str]| -> Vec<BlkioEntry> {
        files
            .iter()
            .map(|file| parse::blkio(&text(folder, &format!("blkio.{file}"))))
            .find(|list| !list.is_empty())
            .unwrap_or_default()
    };
    let blkio = &mut stats.blkio;
    blkio.io_service_bytes_recursive = list(&[
        "bfq.io_service_bytes_recursive",
        "io_service_bytes_recursive",
        "throttle.io_service_bytes_recursive",
        "throttle.io_service_bytes",
    ]);
    blkio.io_serviced_recursive =
        list(&["bfq.io_serviced_recursive", "io_serviced_recursive", "throttle.io_serviced_recursive", "throttle.io_serviced"]);
    blkio.io_queued_recursive = list(&["bfq.io_queued_recursive", "io_queued_recursive"]);
    blkio.io_service_time_recursive = list(&["bfq.io_service_time_recursive", "io_service_time_recursive"]);
    blkio.io_wait_time_recursive = list(&["bfq.io_wait_time_recursive", "io_wait_time_recursive"]);
    blkio.io_merged_recursive = list(&["bfq.io_merged_recursive", "io_merged_recursive"]);
    blkio.io_time_recursive = list(&["bfq.time_recursive", "time_recursive"]);
    blkio.sectors_recursive = list(&["bfq.sectors_recursive", "sectors_recursive"]);
}

fn hugetlb(folder: &Path, stats: &mut Stats) {
    for size in page_sizes(folder, ".usage_in_bytes") {
        // Reservations say more than pages: a process that cannot fault a page in dies (Linux 5.7).
        let infix = if text(folder, &format!("hugetlb.{size}.rsvd.usage_in_bytes")).is_empty() { "" } else { ".rsvd" };
        let number = |name: &str| number(folder, &format!("hugetlb.{size}{infix}.{name}"));
        let one = Hugetlb { usage: number("usage_in_bytes"), max: number("max_usage_in_bytes"), failcnt: number("failcnt") };
        stats.hugetlb.insert(size, one);
    }
}
