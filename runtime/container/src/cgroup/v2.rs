//! Limits in the files of cgroup v2 (Documentation/admin-guide/cgroup-v2.rst).

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxHugepageLimit, LinuxMemory, LinuxNetwork, LinuxPids, LinuxRdma, LinuxThrottleDevice,
};
use rustix::io::Errno;

use super::Error;
use super::convert::{io_weight, or_max, swap, weight};
use super::create::Folder;
use super::files::{put, read, read_at};
use super::limits::{Limit, Limits, nonsense};

/// No process can be started in less: its page tables and kernel stack alone need more.
const LEAST_MEMORY: i64 = 64 << 10;

/// The controller that a file belongs to.
pub(super) fn controller(file: &str) -> &str {
    file.split_once('.').map_or(file, |(controller, _)| controller)
}

/// A number that means something: 0 is "not given" in OCI, as in Docker's and runc's interfaces.
pub(super) fn given<T: PartialEq + Default>(value: Option<T>) -> Option<T> {
    value.filter(|value| *value != T::default())
}

/// What v1 and v2 have in common: limits that cannot be.
pub(super) fn check_memory(memory: &LinuxMemory) -> Result<(), Error> {
    let (limit, with_swap) = (memory.limit().unwrap_or(0), memory.swap().unwrap_or(0));
    if (1..LEAST_MEMORY).contains(&limit) {
        return Err(nonsense("linux.resources.memory.limit", limit, "too small to start a process: the least is 65536 bytes"));
    }
    swap(with_swap, limit).map(drop).map_err(|why| nonsense("linux.resources.memory.swap", with_swap, why))
}

pub(super) fn memory(memory: &LinuxMemory, limits: &mut Limits<'_>) -> Result<(), Error> {
    check_memory(memory)?;
    if let Some(swappiness) = memory.swappiness() {
        return Err(nonsense("linux.resources.memory.swappiness", swappiness, "cgroup v2 has no such setting"));
    }
    if memory.disable_oom_killer() == Some(true) {
        return Err(nonsense("linux.resources.memory.disableOOMKiller", true, "cgroup v2 has no such setting"));
    }
    if let Some(limit) = given(memory.limit()) {
        limits.set("memory.max", or_max(limit), "linux.resources.memory.limit", limit)?;
    }
    if let Some(limit) = given(memory.reservation()) {
        limits.set("memory.low", or_max(limit), "linux.resources.memory.reservation", limit)?;
    }
    let total = memory.swap().unwrap_or(0);
    let alone = swap(total, memory.limit().unwrap_or(0)).unwrap_or(0);
    // Equal limits mean no swap at all, which is not "not given".
    if alone != 0 || (total > 0 && memory.swap() == memory.limit()) {
        // Without swap in the kernel there is nothing to limit.
        limits.set("memory.swap.max", or_max(alone), "linux.resources.memory.swap", total)?.optional = alone <= 0;
    }
    Ok(())
}

pub(super) fn cpu(cpu: &LinuxCpu, limits: &mut Limits<'_>) -> Result<(), Error> {
    for (field, value) in [
        ("linux.resources.cpu.realtimeRuntime", given(cpu.realtime_runtime()).map(|value| value.to_string())),
        ("linux.resources.cpu.realtimePeriod", given(cpu.realtime_period()).map(|value| value.to_string())),
    ] {
        if let Some(value) = value {
            return Err(nonsense(field, value, "cgroup v2 has no such limit"));
        }
    }
    if let Some(shares) = given(cpu.shares()) {
        limits.set("cpu.weight", weight(shares), "linux.resources.cpu.shares", shares)?.depends = true;
    }
    let (quota, period) = (given(cpu.quota()), given(cpu.period()));
    if quota.is_some() || period.is_some() {
        let (time, per) = (or_max(quota.unwrap_or(-1)), period.unwrap_or(100_000));
        let field = if quota.is_some() { "linux.resources.cpu.quota" } else { "linux.resources.cpu.period" };
        limits.set("cpu.max", format!("{time} {per}"), field, format!("{time} of {per} us"))?.depends = true;
    }
    if let Some(burst) = cpu.burst() {
        limits.set("cpu.max.burst", burst, "linux.resources.cpu.burst", burst)?;
    }
    if let Some(idle) = cpu.idle() {
        limits.set("cpu.idle", idle, "linux.resources.cpu.idle", idle)?;
    }
    Ok(())
}

/// The same on v1 and v2.
pub(super) fn cpuset(cpu: &LinuxCpu, limits: &mut Limits<'_>) -> Result<(), Error> {
    if let Some(cpus) = cpu.cpus().as_ref().filter(|cpus| !cpus.is_empty()) {
        limits.set("cpuset.cpus", cpus, "linux.resources.cpu.cpus", cpus)?;
    }
    if let Some(mems) = cpu.mems().as_ref().filter(|mems| !mems.is_empty()) {
        limits.set("cpuset.mems", mems, "linux.resources.cpu.mems", mems)?;
    }
    Ok(())
}

/// The same on v1 and v2. 0 is a limit: no process may fork (runtime-spec 1.3).
pub(super) fn pids(pids: &LinuxPids, limits: &mut Limits<'_>) -> Result<(), Error> {
    limits.set("pids.max", or_max(pids.limit()), "linux.resources.pids.limit", pids.limit()).map(drop)
}

pub(super) fn io(block: &LinuxBlockIo, limits: &mut Limits<'_>) -> Result<(), Error> {
    if let Some(leaf) = given(block.leaf_weight()) {
        return Err(nonsense("linux.resources.blockIO.leafWeight", leaf, "cgroup v2 has no such setting"));
    }
    if let Some(weight) = given(block.weight()) {
        let field = "linux.resources.blockIO.weight";
        let mut instead = Vec::new();
        Limits { folder: limits.folder, all: &mut instead }.set(
            "io.weight",
            format!("default {}", io_weight(weight)),
            field,
            weight,
        )?;
        // BFQ has a file of its own, and reads the weight of v1 as it is.
        limits.set("io.bfq.weight", weight, field, weight)?.instead = instead.pop().map(Box::new);
    }
    for device in block.weight_device().iter().flatten() {
        let field = "linux.resources.blockIO.weightDevice";
        let number = format!("{}:{}", device.major(), device.minor());
        if let Some(leaf) = given(device.leaf_weight()) {
            return Err(nonsense(field, format!("{number} leafWeight {leaf}"), "cgroup v2 has no such setting"));
        }
        if let Some(weight) = given(device.weight()) {
            limits.set("io.bfq.weight", format!("{number} {weight}"), field, format!("{number} {weight}"))?;
        }
    }
    for (devices, key, field) in throttles(block) {
        for device in devices {
            let value = format!("{}:{} {key}={}", device.major(), device.minor(), unlimited(device.rate()));
            limits.set("io.max", &value, field, &value)?;
        }
    }
    Ok(())
}

fn unlimited(rate: u64) -> String {
    if rate == 0 { "max".to_owned() } else { rate.to_string() }
}

/// Throttled devices, with the key of `io.max` and the field of the configuration.
pub(super) fn throttles(block: &LinuxBlockIo) -> [(&[LinuxThrottleDevice], &'static str, &'static str); 4] {
    let all = |devices| Option::as_deref(devices).unwrap_or_default();
    [
        (all(block.throttle_read_bps_device()), "rbps", "linux.resources.blockIO.throttleReadBpsDevice"),
        (all(block.throttle_write_bps_device()), "wbps", "linux.resources.blockIO.throttleWriteBpsDevice"),
        (all(block.throttle_read_iops_device()), "riops", "linux.resources.blockIO.throttleReadIOPSDevice"),
        (all(block.throttle_write_iops_device()), "wiops", "linux.resources.blockIO.throttleWriteIOPSDevice"),
    ]
}

pub(super) fn hugetlb(huge: &[LinuxHugepageLimit], limits: &mut Limits<'_>) -> Result<(), Error> {
    for page in huge {
        let size = page_size(page)?;
        let (field, asked) = ("linux.resources.hugepageLimits", format!("{size} {}", page.limit()));
        limits.set(format!("hugetlb.{size}.max"), or_max(page.limit()), field, &asked)?;
        // Reservations are limited, too, or a process dies of SIGBUS long after its mmap succeeded (Linux 5.7).
        limits.set(format!("hugetlb.{size}.rsvd.max"), or_max(page.limit()), field, &asked)?.optional = true;
    }
    Ok(())
}

/// The size becomes part of a file name.
pub(super) fn page_size(page: &LinuxHugepageLimit) -> Result<&str, Error> {
    let size = page.page_size();
    let digits = size.trim_end_matches("KB").trim_end_matches("MB").trim_end_matches("GB");
    let plain = !digits.is_empty() && digits.len() + 2 == size.len() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { Ok(size) } else { Err(nonsense("linux.resources.hugepageLimits.pageSize", size, "not a page size such as 2MB")) }
}

/// The same on v1 and v2.
pub(super) fn rdma(rdma: &HashMap<String, LinuxRdma>, limits: &mut Limits<'_>) -> Result<(), Error> {
    let limit = |count: Option<u32>| count.map_or("max".to_owned(), |count| count.to_string());
    let mut devices: Vec<_> = rdma.iter().collect();
    devices.sort_by_key(|(name, _)| *name);
    for (name, rdma) in devices {
        let value = format!("{name} hca_handle={} hca_object={}", limit(rdma.hca_handles()), limit(rdma.hca_objects()));
        limits.set("rdma.max", &value, "linux.resources.rdma", &value)?;
    }
    Ok(())
}

pub(super) fn no_class(network: &LinuxNetwork) -> Result<(), Error> {
    refuse("linux.resources.network.classID", given(network.class_id()))
}

pub(super) fn no_priority(network: &LinuxNetwork) -> Result<(), Error> {
    refuse("linux.resources.network.priorities", network.priorities().iter().flatten().next().map(|first| first.name().clone()))
}

fn refuse(field: &'static str, asked: Option<impl Display>) -> Result<(), Error> {
    match asked {
        Some(asked) => Err(nonsense(field, asked, "needs the v1 controllers net_cls and net_prio")),
        None => Ok(()),
    }
}

/// Files and values as they are: `linux.resources.unified`.
pub(super) fn unified(unified: &HashMap<String, String>, limits: &mut Limits<'_>) -> Result<(), Error> {
    let mut files: Vec<_> = unified.iter().collect();
    files.sort();
    for (file, value) in files {
        let field = "linux.resources.unified";
        if file.contains('/') || !file.contains('.') {
            return Err(nonsense(field, file, "not the name of a cgroup v2 file"));
        }
        limits.set(file, value, field, format!("{file}={value}"))?;
    }
    Ok(())
}

/// Hands down all controllers that the mount has and `folder` has not. Those with limits must get there.
pub(super) fn hand_down_all(mount: &Path, folder: &Folder, limits: &[Limit]) -> Result<(), Error> {
    let top = sys::fs::open_dir(mount).map_err(|source| Error::Read { path: mount.to_owned(), source })?;
    let (available, have) = (read_at(top, mount, "cgroup.controllers")?, read(folder, "cgroup.controllers")?);
    let missing: Vec<&str> =
        available.split_whitespace().filter(|name| !have.split_whitespace().any(|known| known == *name)).collect();
    if missing.is_empty() { Ok(()) } else { hand_down(mount, folder, limits.iter(), &missing) }
}

/// Hands the controllers of the limits that are asked for down from `mount` to `folder`, and others where that works.
pub(super) fn hand_down<'a>(
    mount: &Path,
    folder: &Folder,
    asked: impl Iterator<Item = &'a Limit>,
    others: &[&str],
) -> Result<(), Error> {
    let mut must: Vec<&Limit> = Vec::new();
    for limit in asked {
        let name = controller(&limit.file);
        if name != "cgroup" && !must.iter().any(|known| controller(&known.file) == name) {
            must.push(limit);
        }
    }
    let names = must.iter().map(|limit| controller(&limit.file));
    let all: Vec<&str> =
        names.chain(others.iter().copied().filter(|other| !must.iter().any(|limit| controller(&limit.file) == *other))).collect();
    let command = all.iter().map(|name| format!("+{name}")).collect::<Vec<_>>().join(" ");
    let mut above: Vec<&Path> = folder.path.ancestors().skip(1).take_while(|path| path.starts_with(mount)).collect();
    above.reverse();
    for parent in above {
        let file = parent.join("cgroup.subtree_control");
        if put(&file, &command).is_ok() {
            continue;
        }
        // Such a write is refused as a whole, and does not say for which. Nobody need write what is there: what is above a user's own
        // cgroups is not the user's.
        let on = std::fs::read_to_string(&file).unwrap_or_default();
        for name in all.iter().filter(|name| !on.split_whitespace().any(|known| known == **name)) {
            let limit = must.iter().find(|limit| controller(&limit.file) == *name);
            if let (Err(errno), Some(limit)) = (put(&file, &format!("+{name}")), limit) {
                return Err(refused(limit, &file, errno));
            }
        }
    }
    Ok(())
}

fn refused(limit: &Limit, file: &Path, errno: Errno) -> Error {
    let controller = controller(&limit.file).to_owned();
    if matches!(errno, Errno::NOENT | Errno::INVAL) {
        return Error::NoController { field: limit.field, asked: limit.asked.clone(), controller };
    }
    let source = sys::Error::new(format!("write({:?})", format!("+{controller}")), errno);
    Error::Enable { controller, file: file.to_owned(), busy: errno == Errno::BUSY, source }
}
