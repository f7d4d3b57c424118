//! What is mounted below a container's root file system: the usual kernel file systems, its own name files, the host's folders.

use std::path::Path;

use oci_spec::runtime::Mount;

use crate::record::Record;
use crate::request::NetworkMode;

pub(super) fn mount(kind: &str, source: &Path, target: impl AsRef<Path>, options: &[&str]) -> Mount {
    let mut mount = Mount::default();
    mount.set_destination(target.as_ref().to_owned());
    mount.set_typ(Some(kind.to_owned()));
    mount.set_source(Some(source.to_owned()));
    mount.set_options(Some(options.iter().map(|option| (*option).to_owned()).collect()));
    mount
}

/// The user has put something of the host there.
pub(super) fn is_bound(record: &Record, target: &Path) -> bool {
    record.binds.iter().any(|bind| bind.target == target)
}

/// All mounts of a container, in order: a folder before what is below it, as Docker sorts them. What the user mounts replaces ours of the
/// same place, and a `/dev` of the host all of ours in it. `files` is the folder with its `hosts`, `hostname` and `resolv.conf`.
pub(super) fn mounts(record: &Record, files: &Path) -> Vec<Mount> {
    let mut all = kernel(record.security.privileged);
    for name in ["resolv.conf", "hostname", "hosts"] {
        all.push(mount("bind", &files.join(name), Path::new("/etc").join(name), &["bind", "rprivate"]));
    }
    let dev = is_bound(record, Path::new("/dev"));
    let replaced = |target: &Path| is_bound(record, target) || dev && target.starts_with("/dev");
    all.retain(|mount| !replaced(mount.destination()));
    for bind in &record.binds {
        let access = if bind.readonly { "rro" } else { "rw" };
        all.push(mount("bind", &bind.source, &bind.target, &["rbind", "rprivate", access]));
    }
    all.sort_by_key(|mount| mount.destination().components().count());
    all
}

fn kernel(privileged: bool) -> Vec<Mount> {
    let guarded = if privileged { "rw" } else { "ro" };
    let new = |kind: &str, source: &str, target: &str, options: &[&str]| mount(kind, Path::new(source), target, options);
    vec![
        new("proc", "proc", "/proc", &["nosuid", "noexec", "nodev"]),
        new("tmpfs", "tmpfs", "/dev", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        new("devpts", "devpts", "/dev/pts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        new("sysfs", "sysfs", "/sys", &["nosuid", "noexec", "nodev", guarded]),
        new("cgroup", "cgroup", "/sys/fs/cgroup", &["nosuid", "noexec", "nodev", "relatime", guarded]),
        new("mqueue", "mqueue", "/dev/mqueue", &["nosuid", "noexec", "nodev"]),
        new("tmpfs", "shm", "/dev/shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
    ]
}

/// Files of procfs and sysfs that tell about the host, hidden as Docker hides them.
pub(super) const MASKED: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

/// Files of procfs that change the host.
pub(super) const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Only a container with its own network may change the network's settings, and then only harmless ones.
pub(super) fn sysctls(record: &Record) -> Vec<(String, String)> {
    if record.network == NetworkMode::Host {
        return Vec::new();
    }
    // Docker's defaults since 20.10: ordinary users may listen on low ports and send pings.
    [("net.ipv4.ip_unprivileged_port_start", "0"), ("net.ipv4.ping_group_range", "0 2147483647")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Bind, Resources, Security};

    fn record() -> Record {
        let digest = format!("sha256:{}", "0".repeat(64));
        serde_json::from_value(serde_json::json!({
            "id": "", "name": "", "created": 0, "entrypoint": [], "cmd": [], "env": [], "workdir": "/", "user": "", "hostname": "",
            "image": { "name": "", "id": digest, "manifest": digest, "layers": [] }, "tty": false, "stdin": false, "labels": {},
            "binds": [], "network": "bridge", "ports": [], "exposed": [], "resources": Resources::default(),
            "security": Security::default(), "remove": false, "stop_signal": 15,
        }))
        .unwrap()
    }

    fn order(binds: &[&str]) -> Vec<String> {
        let bind = |target: &&str| Bind { source: "/host".into(), target: target.into(), readonly: false };
        let record = Record { binds: binds.iter().map(bind).collect(), ..record() };
        mounts(&record, Path::new("/files")).iter().map(|mount| mount.destination().display().to_string()).collect()
    }

    fn at(order: &[String], target: &str) -> usize {
        order.iter().position(|other| other == target).unwrap_or_else(|| panic!("no {target} in {order:?}"))
    }

    #[test]
    fn a_folder_comes_before_what_is_below_it() {
        let order = order(&["/data/sub", "/data", "/etc"]);
        assert!(at(&order, "/data") < at(&order, "/data/sub"));
        assert!(at(&order, "/etc") < at(&order, "/etc/hosts"));
        assert!(at(&order, "/sys") < at(&order, "/sys/fs/cgroup"));
    }

    #[test]
    fn the_users_mounts_replace_ours() {
        let order = order(&["/dev", "/etc/hosts"]);
        assert!(!order.iter().any(|target| target.starts_with("/dev/")));
        assert_eq!(order.iter().filter(|target| *target == "/dev" || *target == "/etc/hosts").count(), 2);
    }
}
