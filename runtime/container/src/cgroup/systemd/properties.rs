//! Limits as properties of a unit (systemd.resource-control(5)).

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxResources};

use super::super::convert::{io_weight, swap, weight};
use super::super::limits::nonsense;
use super::super::v2::{given, throttles};
use super::super::{Error, Hierarchies};
use super::devices::devices;
use crate::dbus::Value;

/// No limit, for all properties that have one.
const INFINITY: u64 = u64::MAX;

/// A name and a value.
pub(super) type Property = (String, Value);

/// Properties that systemd learnt late: CPUQuotaPeriodUSec (242), AllowedCPUs and AllowedMemoryNodes (244), a CPUWeight of 0 (252),
/// OOMPolicy of scopes (253). Without them the limits are only written.
pub(super) const LATE: [&str; 5] = ["CPUQuotaPeriodUSec", "AllowedCPUs", "AllowedMemoryNodes", "CPUWeight", "OOMPolicy"];

/// The limits that `resources` gives and systemd has properties for.
pub(super) fn properties(hierarchies: &Hierarchies, resources: &LinuxResources) -> Result<Vec<Property>, Error> {
    let mut all = Vec::new();
    let v1 = |controller| hierarchies.v1(controller).is_some();
    if let Some(limits) = resources.memory() {
        memory(limits, v1("memory"), &mut all);
    }
    if let Some(limits) = resources.cpu() {
        cpu(limits, v1("cpu"), &mut all)?;
    }
    if let Some(pids) = resources.pids() {
        // For systemd no task is nonsense. With one there is no second, and the limit itself is written, too.
        add(&mut all, "TasksMax", if pids.limit() < 0 { INFINITY } else { pids.limit().max(1) as u64 });
    }
    if let Some(block) = resources.block_io() {
        blkio(block, v1("blkio"), &mut all);
    }
    if let (Some(rules), true) = (resources.devices(), v1("devices")) {
        all.extend(devices(rules));
    }
    for (file, value) in resources.unified().iter().flatten().collect::<std::collections::BTreeMap<_, _>>() {
        unified(file, value.trim(), &mut all)?;
    }
    Ok(last_of_each(all))
}

fn add(all: &mut Vec<Property>, name: &str, value: u64) {
    all.push((name.to_owned(), Value::Uint64(value)));
}

/// Of two values for one property the later one counts: that of `unified`.
fn last_of_each(all: Vec<Property>) -> Vec<Property> {
    let mut kept: Vec<Property> = Vec::new();
    for (name, value) in all {
        match kept.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = value,
            None => kept.push((name, value)),
        }
    }
    kept
}

/// -1 is no limit.
fn limit(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(INFINITY)
}

fn memory(memory: &LinuxMemory, v1: bool, all: &mut Vec<Property>) {
    if let Some(value) = given(memory.limit()) {
        add(all, if v1 { "MemoryLimit" } else { "MemoryMax" }, limit(value));
    }
    if v1 {
        return;
    }
    if let Some(value) = given(memory.reservation()) {
        add(all, "MemoryLow", limit(value));
    }
    // What cannot be has been refused before. Equal limits are no swap at all.
    let (total, most) = (memory.swap().unwrap_or(0), memory.limit().unwrap_or(0));
    if let Ok(alone) = swap(total, most)
        && (alone != 0 || total > 0)
    {
        add(all, "MemorySwapMax", limit(alone));
    }
}

fn cpu(cpu: &LinuxCpu, v1: bool, all: &mut Vec<Property>) -> Result<(), Error> {
    if let Some(shares) = given(cpu.shares()) {
        if v1 {
            add(all, "CPUShares", shares);
        } else {
            add(all, "CPUWeight", weight(shares));
        }
    }
    if cpu.idle() == Some(1) && !v1 {
        // systemd.resource-control(5): CPUWeight=idle.
        add(all, "CPUWeight", 0);
    }
    quota(given(cpu.quota()), given(cpu.period()), all);
    for (list, field, name) in
        [(cpu.cpus(), "linux.resources.cpu.cpus", "AllowedCPUs"), (cpu.mems(), "linux.resources.cpu.mems", "AllowedMemoryNodes")]
    {
        if let Some(list) = list.as_deref().filter(|list| !list.is_empty()) {
            all.push((name.to_owned(), mask(list).ok_or_else(|| nonsense(field, list, "not a list such as 0-2,5"))?));
        }
    }
    Ok(())
}

fn quota(quota: Option<i64>, period: Option<u64>, all: &mut Vec<Property>) {
    if quota.is_none() && period.is_none() {
        return;
    }
    if let Some(period) = period {
        add(all, "CPUQuotaPeriodUSec", period);
    }
    let time = match quota.and_then(|quota| u64::try_from(quota).ok()) {
        // systemd counts in hundredths; less than what is asked for would keep cgroups below from having it.
        Some(quota) => (u128::from(quota) * 1_000_000 / u128::from(period.unwrap_or(100_000))).next_multiple_of(10_000) as u64,
        None => INFINITY,
    };
    add(all, "CPUQuotaPerSecUSec", time);
}

/// A list as a mask of bits, the lowest first.
fn mask(list: &str) -> Option<Value> {
    /// More processors than any kernel has (NR_CPUS).
    const MOST: usize = 8192;
    let mut bytes: Vec<u8> = Vec::new();
    for part in list.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.trim().parse::<usize>().ok()?, last.trim().parse::<usize>().ok()?);
        if last < first || last >= MOST {
            return None;
        }
        bytes.resize(bytes.len().max(last / 8 + 1), 0);
        (first..=last).for_each(|bit| bytes[bit / 8] |= 1 << (bit % 8));
    }
    (!bytes.is_empty()).then(|| Value::Array("y".into(), bytes.into_iter().map(Value::Byte).collect()))
}

fn blkio(block: &LinuxBlockIo, v1: bool, all: &mut Vec<Property>) {
    if let Some(value) = given(block.weight()) {
        if v1 {
            add(all, "BlockIOWeight", value.into());
        } else {
            add(all, "IOWeight", io_weight(value));
        }
    }
    if v1 {
        return;
    }
    let node = |major: i64, minor: i64| Value::String(format!("/dev/block/{major}:{minor}"));
    let mut list = |name: &str, entries: Vec<Value>| {
        if !entries.is_empty() {
            all.push((name.to_owned(), Value::Array("(st)".into(), entries)));
        }
    };
    let weights = block.weight_device().iter().flatten().filter_map(|device| {
        let weight = Value::Uint64(io_weight(given(device.weight())?));
        Some(Value::Struct(vec![node(device.major(), device.minor()), weight]))
    });
    list("IODeviceWeight", weights.collect());
    for (devices, key, _) in throttles(block) {
        let name = match key {
            "rbps" => "IOReadBandwidthMax",
            "wbps" => "IOWriteBandwidthMax",
            "riops" => "IOReadIOPSMax",
            _ => "IOWriteIOPSMax",
        };
        let rate = |rate: u64| Value::Uint64(if rate == 0 { INFINITY } else { rate });
        list(name, devices.iter().map(|one| Value::Struct(vec![node(one.major(), one.minor()), rate(one.rate())])).collect());
    }
}

/// The files of v2 that systemd has a property for. Others are only written.
fn unified(file: &str, value: &str, all: &mut Vec<Property>) -> Result<(), Error> {
    let bad = |why: &str| nonsense("linux.resources.unified", format!("{file}={value}"), why);
    let number = || match value {
        "max" => Ok(INFINITY),
        value => value.parse::<u64>().map_err(|_| bad("not a number, nor max")),
    };
    let name = match file {
        "memory.min" => "MemoryMin",
        "memory.low" => "MemoryLow",
        "memory.high" => "MemoryHigh",
        "memory.max" => "MemoryMax",
        "memory.swap.max" => "MemorySwapMax",
        "pids.max" => {
            add(all, "TasksMax", number()?.max(1));
            return Ok(());
        }
        "cpu.weight" => "CPUWeight",
        "cpu.idle" => {
            if value == "1" {
                add(all, "CPUWeight", 0);
            }
            return Ok(());
        }
        "cpu.max" => {
            let mut words = value.split_whitespace();
            let time = match words.next() {
                Some("max") => -1,
                time => time.and_then(|time| time.parse().ok()).ok_or_else(|| bad("not a time, nor max"))?,
            };
            let period =
                words.next().map(|period| period.parse().ok().filter(|period| *period > 0).ok_or_else(|| bad("not a period")));
            quota(Some(time), period.transpose()?, all);
            return Ok(());
        }
        "cpuset.cpus" | "cpuset.mems" => {
            let name = if file == "cpuset.cpus" { "AllowedCPUs" } else { "AllowedMemoryNodes" };
            all.push((name.to_owned(), mask(value).ok_or_else(|| bad("not a list such as 0-2,5"))?));
            return Ok(());
        }
        // For systemd that is what it does itself when one of several processes is killed.
        "memory.oom.group" => {
            let policy = if value == "1" { "kill" } else { "continue" };
            all.push(("OOMPolicy".to_owned(), Value::string(policy)));
            return Ok(());
        }
        _ => return Ok(()),
    };
    // Such as `1M`, which the kernel takes: it is written, and systemd does not hear of it.
    if let Ok(value) = number() {
        add(all, name, value);
    }
    Ok(())
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
