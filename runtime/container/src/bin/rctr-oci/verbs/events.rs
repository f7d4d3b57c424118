//! `events`: what a container uses, once or again and again, as runc prints it.

use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::{Map, Value, json};

use super::Verb;
use super::status::{Status, init, of};
use crate::args::{Args, Order, switch, value};
use crate::error::{Failed, Result};
use crate::record::Record;
use crate::store::open;
use crate::{Context, output};

pub(super) const VERB: Verb = Verb {
    name: "events",
    usage: "[FLAGS] ID",
    about: "print what a container uses, as JSON",
    flags: &[switch(&["stats"], "once"), value(&["interval"], "TIME", "how often, such as 5s")],
    flags_come: Order::Anywhere,
    run,
};

fn run(context: &Context, args: &Args) -> Result<u8> {
    let (entry, record) = open(&context.root, args.only("container id")?)?;
    let interval = duration(args.get("interval").unwrap_or("5s"))?;
    if matches!(of(&entry, &record), Status::Stopped | Status::Creating) {
        return Err(Failed::not_running(&record.id));
    }
    let process = init(&record)?;
    loop {
        output::line(&json!({"type": "stats", "id": record.id, "data": stats(&record)}))?;
        // Until the next is due, or the container's end.
        if args.on("stats") || ended(&process, interval)? {
            return Ok(0);
        }
    }
}

fn ended(process: &std::os::fd::OwnedFd, within: Duration) -> Result<bool> {
    let limit = Timespec::try_from(within).map_err(|_| Failed::new("--interval: too long"))?;
    match poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&limit)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(sys::Error::new("poll()", errno).into()),
    }
}

/// `500ms`, `5s`, `1m`: what Go's durations are mostly.
fn duration(text: &str) -> Result<Duration> {
    let wrong = || Failed::new(format!("--interval: {text:?} is not a time above zero such as 5s"));
    let at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let number: u64 = text[..at].parse().map_err(|_| wrong())?;
    let millis = match &text[at..] {
        "ms" => number,
        "s" => number.saturating_mul(1000),
        "m" => number.saturating_mul(60_000),
        "h" => number.saturating_mul(3_600_000),
        _ => return Err(wrong()),
    };
    if millis == 0 { Err(wrong()) } else { Ok(Duration::from_millis(millis)) }
}

fn stats(record: &Record) -> Value {
    let folder = |controller: &str| record.cgroup_paths.get(controller).or_else(|| record.cgroup_paths.get(""));
    let v2 = |controller: &str| !record.cgroup_paths.contains_key(controller);
    let with = |controller: &str, old: fn(&Path) -> Value, new: fn(&Path) -> Value| match folder(controller) {
        Some(folder) if v2(controller) => new(folder),
        Some(folder) => old(folder),
        None => json!({}),
    };
    json!({
        "cpu": with("cpuacct", cpu_v1, cpu_v2),
        "cpuset": {},
        "memory": with("memory", memory_v1, memory_v2),
        "pids": with("pids", pids, pids),
        "blkio": {},
        "hugetlb": {},
        "intel_rdt": {},
        "network_interfaces": null,
    })
}

/// A file with one number; `max` is all of them.
fn number(folder: &Path, file: &str) -> u64 {
    let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    if text.trim() == "max" { u64::MAX } else { text.trim().parse().unwrap_or(0) }
}

/// A file of keys and numbers.
fn keyed(folder: &Path, file: &str) -> Map<String, Value> {
    let text = std::fs::read_to_string(folder.join(file)).unwrap_or_default();
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse::<u64>().ok()?.into()))
    };
    text.lines().filter_map(pair).collect()
}

fn at(map: &Map<String, Value>, key: &str) -> u64 {
    map.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn pids(folder: &Path) -> Value {
    let limit = number(folder, "pids.max");
    json!({"current": number(folder, "pids.current"), "limit": if limit == u64::MAX { 0 } else { limit }})
}

fn cpu_v1(folder: &Path) -> Value {
    let (stat, throttled) = (keyed(folder, "cpuacct.stat"), keyed(folder, "cpu.stat"));
    let percpu = std::fs::read_to_string(folder.join("cpuacct.usage_percpu")).unwrap_or_default();
    let percpu: Vec<u64> = percpu.split_whitespace().filter_map(|one| one.parse().ok()).collect();
    // cpuacct.stat counts in hundredths of a second.
    let ticks = |key: &str| at(&stat, key) * 10_000_000;
    json!({
        "usage": {"total": number(folder, "cpuacct.usage"), "percpu": percpu, "kernel": ticks("system"), "user": ticks("user")},
        "throttling": {"periods": at(&throttled, "nr_periods"), "throttledPeriods": at(&throttled, "nr_throttled"), "throttledTime": at(&throttled, "throttled_time")},
    })
}

fn cpu_v2(folder: &Path) -> Value {
    let stat = keyed(folder, "cpu.stat");
    let nanos = |key: &str| at(&stat, key) * 1000;
    json!({
        "usage": {"total": nanos("usage_usec"), "kernel": nanos("system_usec"), "user": nanos("user_usec")},
        "throttling": {"periods": at(&stat, "nr_periods"), "throttledPeriods": at(&stat, "nr_throttled"), "throttledTime": nanos("throttled_usec")},
    })
}

fn memory_v1(folder: &Path) -> Value {
    let raw = keyed(folder, "memory.stat");
    let usage = |prefix: &str| {
        let number = |name: &str| number(folder, &format!("{prefix}.{name}"));
        json!({"limit": number("limit_in_bytes"), "usage": number("usage_in_bytes"), "max": number("max_usage_in_bytes"), "failcnt": number("failcnt")})
    };
    json!({
        "cache": at(&raw, "cache"), "usage": usage("memory"), "swap": usage("memory.memsw"), "kernel": usage("memory.kmem"),
        "kernelTCP": usage("memory.kmem.tcp"), "raw": raw,
    })
}

fn memory_v2(folder: &Path) -> Value {
    let raw = keyed(folder, "memory.stat");
    let usage = |prefix: &str| {
        let number = |name: &str| number(folder, &format!("{prefix}.{name}"));
        json!({"limit": number("max"), "usage": number("current"), "max": number("peak"), "failcnt": at(&keyed(folder, &format!("{prefix}.events")), "max")})
    };
    json!({"cache": at(&raw, "file"), "usage": usage("memory"), "swap": usage("memory.swap"), "kernel": {"failcnt": 0}, "kernelTCP": {"failcnt": 0}, "raw": raw})
}
