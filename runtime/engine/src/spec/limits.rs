//! Limits and devices.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use oci_spec::runtime::{LinuxCpu, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxPids, LinuxResources};
use sys::Call;

use crate::Error;
use crate::error::During;
use crate::record::Record;

/// Microseconds in which a container may use its CPU time, as Docker has it.
const PERIOD: u64 = 100_000;
/// The smallest memory limit with which a container starts at all, as Docker has it.
const LEAST_MEMORY: i64 = 6 << 20;

/// `linux.resources` of a container.
pub(crate) fn resources(record: &Record) -> Result<LinuxResources, Error> {
    let asked = &record.resources;
    let mut resources = LinuxResources::default();
    resources.set_devices(Some(devices(record.security.privileged)));
    if let Some(limit) = asked.memory {
        if limit < LEAST_MEMORY {
            return Err(invalid("memory limit", format!("{limit} bytes is below the least, 6 MiB")));
        }
        let mut memory = LinuxMemory::default();
        memory.set_limit(Some(limit));
        resources.set_memory(Some(memory));
    }
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(asked.cpu_shares);
    if let Some(nano) = asked.nano_cpus {
        let quota = i64::try_from(u128::from(nano) * u128::from(PERIOD) / 1_000_000_000).unwrap_or(i64::MAX);
        // The kernel refuses less than a millisecond.
        if quota < 1000 {
            return Err(invalid("number of CPUs", format!("{} is below the least, 0.01", nano as f64 / 1e9)));
        }
        cpu.set_quota(Some(quota)).set_period(Some(PERIOD));
    }
    resources.set_cpu(Some(cpu));
    if let Some(limit) = asked.pids.filter(|limit| *limit > 0) {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        resources.set_pids(Some(pids));
    }
    Ok(resources)
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
