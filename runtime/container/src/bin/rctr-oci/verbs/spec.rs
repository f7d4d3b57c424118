//! `spec`: a configuration to begin with.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use serde_json::{Value, json};

use super::Verb;
use crate::Context;
use crate::args::{Args, Order, switch, value};
use crate::error::{Failed, Result};

pub(super) const VERB: Verb = Verb {
    name: "spec",
    usage: "[FLAGS]",
    about: "write a config.json to begin with",
    flags: &[value(&["bundle", "b"], "DIR", "where"), switch(&["rootless"], "one that its user can run without root")],
    flags_come: Order::Anywhere,
    run,
};

fn run(_: &Context, args: &Args) -> Result<u8> {
    let mut spec = default();
    if args.on("rootless") {
        rootless(&mut spec, geteuid().as_raw(), getegid().as_raw());
    }
    let path = Path::new(args.get("bundle").unwrap_or(".")).join("config.json");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = openat(CWD, &path, flags, Mode::from_raw_mode(0o666)).map_err(|errno| match errno {
        Errno::EXIST => Failed::new("File config.json exists. Remove it first"),
        _ => sys::Error::new(format!("open({path:?}, O_CREAT | O_EXCL)"), errno).into(),
    })?;
    // Tabs, as runc writes them.
    let mut text = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut text, serde_json::ser::PrettyFormatter::with_indent(b"\t"));
    serde::Serialize::serialize(&spec, &mut writer)?;
    text.push(b'\n');
    sys::fs::write_all(file.as_fd(), &text)?;
    Ok(0)
}

fn default() -> Value {
    let caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mount = |target: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": source, "options": options});
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": crate::spec::VERSION,
        "process": {
            "terminal": true,
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "rctr",
        "mounts": [
            json!({"destination": "/proc", "type": "proc", "source": "proc"}),
            mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
            mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
            mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
        ],
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": namespaces,
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

/// What runc changes: a user namespace with nobody in it but the user, the host's network, /sys of the host as that network's is not
/// ours to mount, no groups that are not there, and no limits.
fn rootless(spec: &mut Value, uid: u32, gid: u32) {
    let linux = &mut spec["linux"];
    linux.as_object_mut().map(|linux| linux.remove("resources"));
    linux["uidMappings"] = json!([{"containerID": 0, "hostID": uid, "size": 1}]);
    linux["gidMappings"] = json!([{"containerID": 0, "hostID": gid, "size": 1}]);
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    if let Some(mounts) = spec["mounts"].as_array_mut() {
        mounts.retain(|mount| !mount["destination"].as_str().is_some_and(|target| target.starts_with("/sys")));
        for options in mounts.iter_mut().filter_map(|mount| mount["options"].as_array_mut()) {
            options
                .retain(|option| !option.as_str().is_some_and(|option| option.starts_with("gid=") || option.starts_with("uid=")));
        }
        let options = ["rbind", "nosuid", "noexec", "nodev", "ro"];
        mounts.push(json!({"destination": "/sys", "type": "none", "source": "/sys", "options": options}));
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_one() {
        let spec: oci_spec::runtime::Spec = serde_json::from_value(super::default()).unwrap();
        assert_eq!(spec.version(), crate::spec::VERSION);
    }

    #[test]
    fn one_for_anybody() {
        let mut spec = super::default();
        super::rootless(&mut spec, 1000, 1001);
        let spec: oci_spec::runtime::Spec = serde_json::from_value(spec).unwrap();
        let linux = spec.linux().as_ref().unwrap();
        assert_eq!(linux.gid_mappings().as_ref().unwrap()[0].host_id(), 1001);
        assert!(linux.resources().is_none());
        let all = serde_json::to_string(&spec).unwrap();
        assert!(!all.contains("gid=") && !all.contains("\"network\"") && !all.contains("/sys/fs/cgroup"), "{all}");
    }
}
