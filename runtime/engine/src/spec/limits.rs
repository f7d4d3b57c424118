//! Limits and devices.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxHugepageLimit, LinuxMemory, LinuxPids,
    LinuxResources,
};
use sys::Call;

use super::devices::asked;
use crate::Error;
use crate::error::During;
use crate::record::Record;
use crate::request::{DiskLimit, DiskLimitKind, Resources};

/// Microseconds in which a container may use its CPU time, as Docker has it.
const PERIOD: u64 = 100_000;
/// The smallest memory limit with which a container starts at all, as Docker has it.
const LEAST_MEMORY: i64 = 6 << 20;

/// `linux.resources` of a container.
pub(crate) fn resources(record: &Record) -> Result<LinuxResources, Error> {
    let mut resources = limits(&record.resources)?;
    let mut rules = devices(record.security.privileged);
    rules.extend(asked(record)?.1);
    resources.set_devices(Some(rules));
    Ok(resources)
}

/// Its limits alone, which may change while it runs.
pub(crate) fn limits(asked: &Resources) -> Result<LinuxResources, Error> {
    let mut resources = LinuxResources::default();
    resources.set_devices(None);
    let memory = memory(asked)?;
    resources.set_memory(Some(memory).filter(|memory| *memory != LinuxMemory::default()));
    resources.set_cpu(Some(cpu(asked)?));
    if let Some(limit) = asked.pids.filter(|limit| *limit != 0) {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        resources.set_pids(Some(pids));
    }
    if asked.blkio_weight.is_some() || !asked.disks.is_empty() {
        resources.set_block_io(Some(disks(asked)?));
    }
    if !asked.huge_pages.is_empty() {
        resources.set_hugepage_limits(Some(asked.huge_pages.iter().map(huge_page).collect::<Result<_, _>>()?));
    }
    if !asked.unified.is_empty() {
        resources.set_unified(Some(asked.unified.clone().into_iter().collect()));
    }
    Ok(resources)
}

fn memory(asked: &Resources) -> Result<LinuxMemory, Error> {
    let least = [("memory limit", asked.memory), ("memory reservation", asked.memory_reservation)];
    for (what, limit) in least.into_iter().filter_map(|(what, limit)| Some((what, limit?))) {
        if !asked.tiny && (0..LEAST_MEMORY).contains(&limit) {
            return Err(invalid(what, format!("{limit} bytes is below the least, 6 MiB")));
        }
    }
    match (asked.memory, asked.memory_swap) {
        (None, Some(1..)) => return Err(invalid("limit of memory and swap", "it needs a limit of memory".to_owned())),
        (Some(memory), Some(swap @ 1..)) if swap < memory => {
            return Err(invalid("limit of memory and swap", format!("{swap} bytes is below the limit of memory, {memory}")));
        }
        _ => {}
    }
    if asked.memory.zip(asked.memory_reservation).is_some_and(|(limit, reserved)| reserved > limit) {
        return Err(invalid("memory reservation", "it is above the limit of memory".to_owned()));
    }
    let mut memory = LinuxMemory::default();
    memory.set_limit(asked.memory).set_swap(asked.memory_swap).set_reservation(asked.memory_reservation);
    memory.set_swappiness(asked.memory_swappiness);
    memory.set_disable_oom_killer(asked.oom_kill_disable.then_some(true));
    Ok(memory)
}

fn cpu(asked: &Resources) -> Result<LinuxCpu, Error> {
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(asked.cpu_shares).set_cpus(asked.cpuset_cpus.clone()).set_mems(asked.cpuset_mems.clone());
    let Some(nano) = asked.nano_cpus else {
        cpu.set_quota(asked.cpu_quota).set_period(asked.cpu_period);
        return Ok(cpu);
    };
    if asked.cpu_quota.is_some() || asked.cpu_period.is_some() {
        return Err(invalid("number of CPUs", "it says the same as a CPU quota and period: give one of the two".to_owned()));
    }
    let quota = i64::try_from(u128::from(nano) * u128::from(PERIOD) / 1_000_000_000).unwrap_or(i64::MAX);
    // The kernel refuses less than a millisecond.
    if quota < 1000 {
        return Err(invalid("number of CPUs", format!("{} is below the least, 0.01", nano as f64 / 1e9)));
    }
    cpu.set_quota(Some(quota)).set_period(Some(PERIOD));
    Ok(cpu)
}

fn huge_page((size, limit): (&String, &u64)) -> Result<LinuxHugepageLimit, Error> {
    let mut huge = LinuxHugepageLimit::default();
    // The kernel has no more than that.
    let limit = i64::try_from(*limit).map_err(|_| invalid(&format!("limit of huge pages of {size}"), "too much".to_owned()))?;
    huge.set_page_size(size.clone()).set_limit(limit);
    Ok(huge)
}

/// Limits of disks, by the numbers that their nodes have on this host now.
fn disks(asked: &Resources) -> Result<LinuxBlockIo, Error> {
    let of = |kind: DiskLimitKind| -> Result<Vec<serde_json::Value>, Error> {
        let wanted = asked.disks.iter().filter(|limit| limit.kind == kind);
        wanted.map(|limit| disk(limit, if kind == DiskLimitKind::Weight { "weight" } else { "rate" })).collect()
    };
    let value = serde_json::json!({
        "weight": asked.blkio_weight,
        "weightDevice": of(DiskLimitKind::Weight)?,
        "throttleReadBpsDevice": of(DiskLimitKind::ReadBps)?,
        "throttleWriteBpsDevice": of(DiskLimitKind::WriteBps)?,
        "throttleReadIOPSDevice": of(DiskLimitKind::ReadIops)?,
        "throttleWriteIOPSDevice": of(DiskLimitKind::WriteIops)?,
    });
    serde_json::from_value(value).map_err(|error| invalid("limits of disks", error.to_string()))
}

fn disk(limit: &DiskLimit, key: &str) -> Result<serde_json::Value, Error> {
    let what = || format!("limit of the disk {}", limit.path.display());
    let data = rustix::fs::stat(&limit.path).call(|| format!("stat({:?})", limit.path)).during(what)?;
    if rustix::fs::FileType::from_raw_mode(data.st_mode) != rustix::fs::FileType::BlockDevice {
        return Err(Error::Invalid { what: what(), why: "it is no block device".to_owned() });
    }
    let (major, minor) = (rustix::fs::major(data.st_rdev), rustix::fs::minor(data.st_rdev));
    Ok(serde_json::json!({ "major": major, "minor": minor, key: limit.value }))
}

fn invalid(what: &str, why: String) -> Error {
    Error::Invalid { what: what.to_owned(), why }
}

/// Which devices may be used: the harmless ones, and making any node (which grants nothing by itself).
fn devices(privileged: bool) -> Vec<LinuxDeviceCgroup> {
    use LinuxDeviceType::{A, B, C};
    let rule = |allow: bool, kind, major: Option<i64>, minor: Option<i64>, access: &str| {
        let mut rule = LinuxDeviceCgroup::default();
        rule.set_allow(allow).set_typ(Some(kind)).set_major(major).set_minor(minor).set_access(Some(access.to_owned()));
        rule
    };
    if privileged {
        return vec![rule(true, A, None, None, "rwm")];
    }
    let mut rules = vec![rule(false, A, None, None, "rwm"), rule(true, C, None, None, "m"), rule(true, B, None, None, "m")];
    // null zero full random urandom tty console ptmx pts
    let harmless = [
        (1, Some(3)),
        (1, Some(5)),
        (1, Some(7)),
        (1, Some(8)),
        (1, Some(9)),
        (5, Some(0)),
        (5, Some(1)),
        (5, Some(2)),
        (136, None),
    ];
    rules.extend(harmless.map(|(major, minor)| rule(true, C, Some(major), minor, "rwm")));
    rules
}

/// All device nodes of the host, for a privileged container.
pub(super) fn host_devices() -> Result<Vec<LinuxDevice>, Error> {
    let mut devices = Vec::new();
    collect(Path::new("/dev"), &mut devices).call(|| "readdir(\"/dev\")").during(|| "list the host's devices")?;
    Ok(devices)
}

/// Nodes that a container has of its own, or must not share.
const OWN: [&str; 6] = ["/dev/pts", "/dev/shm", "/dev/mqueue", "/dev/console", "/dev/ptmx", "/dev/.lxc"];

fn collect(folder: &Path, devices: &mut Vec<LinuxDevice>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if OWN.iter().any(|own| path == Path::new(own)) {
            continue;
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            collect(&path, devices)?;
        } else if kind.is_char_device() || kind.is_block_device() {
            let Ok(data) = entry.metadata() else { continue };
            let number = data.rdev();
            let mut device = LinuxDevice::default();
            device
                .set_path(path)
                .set_typ(if kind.is_block_device() { LinuxDeviceType::B } else { LinuxDeviceType::C })
                .set_major(i64::from(rustix::fs::major(number)))
                .set_minor(i64::from(rustix::fs::minor(number)))
                .set_file_mode(Some(data.mode() & 0o7777))
                .set_uid(Some(data.uid()))
                .set_gid(Some(data.gid()));
            devices.push(device);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(asked: &Resources) -> String {
        limits(asked).unwrap_err().to_string()
    }

    #[test]
    fn limits_fit_together() {
        let mib = |count: i64| Some(count << 20);
        assert!(why(&Resources { memory: Some(1), ..Resources::default() }).contains("6 MiB"));
        assert!(why(&Resources { memory_swap: mib(64), ..Resources::default() }).contains("needs a limit of memory"));
        assert!(why(&Resources { memory: mib(64), memory_swap: mib(32), ..Resources::default() }).contains("below"));
        assert!(why(&Resources { memory: mib(64), memory_reservation: mib(65), ..Resources::default() }).contains("above"));
        let both = Resources { nano_cpus: Some(1_000_000_000), cpu_quota: Some(1000), ..Resources::default() };
        assert!(why(&both).contains("give one of the two"));
        let disk = DiskLimit { path: "/dev/null".into(), kind: DiskLimitKind::ReadBps, value: 1 };
        assert!(why(&Resources { disks: vec![disk], ..Resources::default() }).contains("no block device"));
        let fine = Resources { memory: mib(64), memory_swap: Some(-1), cpuset_cpus: Some("0".into()), ..Resources::default() };
        let fine = limits(&fine).unwrap();
        assert_eq!((fine.memory().as_ref().unwrap().swap(), fine.devices()), (Some(-1), &None));
    }

    #[test]
    fn a_change_takes_over_what_it_gives() {
        let mut all = Resources { memory: Some(64 << 20), cpu_shares: Some(512), ..Resources::default() };
        all.change(&Resources { memory: Some(0), nano_cpus: Some(5), ..Resources::default() });
        assert_eq!(all, Resources { nano_cpus: Some(5), cpu_shares: Some(512), ..Resources::default() });
    }
}
