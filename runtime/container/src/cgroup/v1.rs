//! Limits in the files of cgroup v1 (Documentation/admin-guide/cgroup-v1/).

use std::path::Path;

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxHugepageLimit, LinuxMemory, LinuxNetwork,
};
use sys::Call;

use super::Error;
use super::create::Folder;
use super::files::{put, read, read_at};
use super::limits::{Limits, access, is_all, nonsense};
use super::v2::{check_memory, given, page_size, throttles};

pub(super) fn memory(memory: &LinuxMemory, limits: &mut Limits<'_>) -> Result<(), Error> {
    check_memory(memory)?;
    let (limit, swap) = (given(memory.limit()), given(memory.swap()));
    // A limit on both may not be below that on memory: to be raised, it has to be raised first.
    if let Some(limit) = limit {
        limits.set("memory.limit_in_bytes", limit, "linux.resources.memory.limit", limit)?.depends = true;
    }
    // Without a word on swap an unlimited memory means both, as with Docker.
    if let Some(swap) = swap.or(limit.filter(|limit| *limit == -1)) {
        limits.set("memory.memsw.limit_in_bytes", swap, "linux.resources.memory.swap", swap)?.optional = swap == -1;
    }
    if let Some(limit) = given(memory.reservation()) {
        limits.set("memory.soft_limit_in_bytes", limit, "linux.resources.memory.reservation", limit)?;
    }
    if let Some(limit) = given(memory.kernel_tcp()) {
        limits.set("memory.kmem.tcp.limit_in_bytes", limit, "linux.resources.memory.kernelTCP", limit)?;
    }
    if let Some(swappiness) = memory.swappiness() {
        limits.set("memory.swappiness", swappiness, "linux.resources.memory.swappiness", swappiness)?;
    }
    if memory.disable_oom_killer() == Some(true) {
        limits.set("memory.oom_control", 1, "linux.resources.memory.disableOOMKiller", true)?;
    }
    Ok(())
}

pub(super) fn cpu(cpu: &LinuxCpu, limits: &mut Limits<'_>) -> Result<(), Error> {
    if let Some(shares) = given(cpu.shares()) {
        limits.set("cpu.shares", shares, "linux.resources.cpu.shares", shares)?.depends = true;
    }
    // The time must fit into the period, in proportion also into that of the folder above, and the burst into the time.
    if let Some(period) = given(cpu.period()) {
        limits.set("cpu.cfs_period_us", period, "linux.resources.cpu.period", period)?.depends = true;
    }
    if let Some(quota) = given(cpu.quota()) {
        limits.set("cpu.cfs_quota_us", quota, "linux.resources.cpu.quota", quota)?.depends = true;
    }
    if let Some(burst) = cpu.burst() {
        limits.set("cpu.cfs_burst_us", burst, "linux.resources.cpu.burst", burst)?;
    }
    if let Some(period) = given(cpu.realtime_period()) {
        limits.set("cpu.rt_period_us", period, "linux.resources.cpu.realtimePeriod", period)?.depends = true;
    }
    if let Some(runtime) = given(cpu.realtime_runtime()) {
        limits.set("cpu.rt_runtime_us", runtime, "linux.resources.cpu.realtimeRuntime", runtime)?;
    }
    if let Some(idle) = cpu.idle() {
        limits.set("cpu.idle", idle, "linux.resources.cpu.idle", idle)?;
    }
    Ok(())
}

pub(super) fn blkio(block: &LinuxBlockIo, limits: &mut Limits<'_>) -> Result<(), Error> {
    for (name, value, field) in [
        ("weight", given(block.weight()), "linux.resources.blockIO.weight"),
        ("leaf_weight", given(block.leaf_weight()), "linux.resources.blockIO.leafWeight"),
    ] {
        if let Some(weight) = value {
            weight_file(limits, name, &weight.to_string(), field)?;
        }
    }
    for device in block.weight_device().iter().flatten() {
        let field = "linux.resources.blockIO.weightDevice";
        for (name, value) in [("weight_device", device.weight()), ("leaf_weight_device", device.leaf_weight())] {
            if let Some(weight) = given(value) {
                weight_file(limits, name, &format!("{}:{} {weight}", device.major(), device.minor()), field)?;
            }
        }
    }
    for (devices, key, field) in throttles(block) {
        let file = match key {
            "rbps" => "blkio.throttle.read_bps_device",
            "wbps" => "blkio.throttle.write_bps_device",
            "riops" => "blkio.throttle.read_iops_device",
            _ => "blkio.throttle.write_iops_device",
        };
        for device in devices {
            let value = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            limits.set(file, &value, field, &value)?;
        }
    }
    Ok(())
}

/// Weights belonged to CFQ; since Linux 5.0 they are BFQ's, in files of its own.
fn weight_file(limits: &mut Limits<'_>, name: &str, value: &str, field: &'static str) -> Result<(), Error> {
    let mut instead = Vec::new();
    Limits { folder: limits.folder, all: &mut instead }.set(format!("blkio.{name}"), value, field, value)?;
    limits.set(format!("blkio.bfq.{name}"), value, field, value)?.instead = instead.pop().map(Box::new);
    Ok(())
}

pub(super) fn hugetlb(huge: &[LinuxHugepageLimit], limits: &mut Limits<'_>) -> Result<(), Error> {
    for page in huge {
        let size = page_size(page)?;
        let (field, asked) = ("linux.resources.hugepageLimits", format!("{size} {}", page.limit()));
        limits.set(format!("hugetlb.{size}.limit_in_bytes"), page.limit(), field, &asked)?;
        limits.set(format!("hugetlb.{size}.rsvd.limit_in_bytes"), page.limit(), field, &asked)?.optional = true;
    }
    Ok(())
}

pub(super) fn net_cls(network: &LinuxNetwork, limits: &mut Limits<'_>) -> Result<(), Error> {
    if let Some(class) = given(network.class_id()) {
        limits.set("net_cls.classid", class, "linux.resources.network.classID", class)?;
    }
    Ok(())
}

pub(super) fn net_prio(network: &LinuxNetwork, limits: &mut Limits<'_>) -> Result<(), Error> {
    for priority in network.priorities().iter().flatten() {
        let value = format!("{} {}", priority.name(), priority.priority());
        limits.set("net_prio.ifpriomap", &value, "linux.resources.network.priorities", &value)?;
    }
    Ok(())
}

/// Device rules, in order: the kernel takes one a write, and the later ones change what the earlier ones said. As on v2, a rule about
/// all devices starts anew, and without one everything is refused; a new v1 cgroup would allow what its parent does.
pub(super) fn devices(rules: &[LinuxDeviceCgroup], limits: &mut Limits<'_>) -> Result<(), Error> {
    let field = "linux.resources.devices";
    let anew = rules.iter().rposition(is_all);
    match anew.map(|at| &rules[at]) {
        None if rules.is_empty() => return Ok(()),
        // That is what a new cgroup has, as far as its parent may.
        Some(rule) if rule.allow() => {}
        Some(_) | None => drop(limits.set("devices.deny", "a", field, "a *:* rwm")?),
    }
    for rule in &rules[anew.map_or(0, |at| at + 1)..] {
        let file = if rule.allow() { "devices.allow" } else { "devices.deny" };
        limits.set(file, word(rule)?, field, rule.to_string().trim())?;
    }
    Ok(())
}

/// A rule as the kernel reads it.
fn word(rule: &LinuxDeviceCgroup) -> Result<String, Error> {
    let bad = |why: &str| nonsense("linux.resources.devices", rule.to_string().trim(), why);
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok("*".to_owned()),
        Some(number @ 0..=0xffff_ffff) => Ok(number.to_string()),
        Some(_) => Err(bad("not a device number")),
    };
    let kind = match rule.typ() {
        Some(LinuxDeviceType::B) => 'b',
        Some(LinuxDeviceType::P) => return Err(bad("a pipe is not a device")),
        _ => 'c',
    };
    Ok(format!("{kind} {}:{} {}", number(rule.major())?, number(rule.minor())?, access(rule)))
}

/// Gives a new cpuset the processors and memory nodes of its parent: it has none, and no process can be put into it (cpuset(7)).
/// The parent is told to do so itself from now on, which saves this the next time.
pub(super) fn inherit_cpuset(mount: &Path, folder: &Folder) -> Result<(), Error> {
    if read(folder, "cpuset.cpus")?.trim().is_empty() {
        fill(mount, &folder.path)?;
        let parent = folder.path.parent().filter(|parent| *parent != mount);
        if let Some(parent) = parent {
            set(parent, "cgroup.clone_children", "1")?;
        }
    }
    Ok(())
}

/// Fills an empty cpuset from its parent, that one first if it is empty, too.
fn fill(mount: &Path, path: &Path) -> Result<(), Error> {
    let Some(parent) = path.parent().filter(|_| path != mount) else { return Ok(()) };
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let mut above = get(parent, file)?;
        if above.trim().is_empty() {
            fill(mount, parent)?;
            above = get(parent, file)?;
        }
        if get(path, file)?.trim().is_empty() {
            set(path, file, above.trim())?;
        }
    }
    Ok(())
}

fn get(folder: &Path, file: &str) -> Result<String, Error> {
    let fd = sys::fs::open_dir(folder).map_err(|source| Error::Read { path: folder.to_owned(), source })?;
    read_at(fd, folder, file)
}

fn set(folder: &Path, file: &str, value: &str) -> Result<(), Error> {
    let path = folder.join(file);
    put(&path, value).call(|| format!("write({value:?})")).map_err(|source| Error::Write {
        field: "linux.resources.cpu.cpus",
        asked: "as its parent".into(),
        file: path.clone(),
        value: value.into(),
        source,
    })
}
