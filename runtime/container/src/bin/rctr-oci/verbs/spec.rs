//! `spec`: a configuration to begin with.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::Verb;
use crate::Context;
use crate::args::{Args, Order, switch, value};
use crate::error::{Failed, Result};

pub(super) const VERB: Verb = Verb {
    name: "spec",
    usage: "[FLAGS]",
    about: "write a config.json to begin with",
    flags: &[value(&["bundle", "b"], "DIR", "where"), switch(&["rootless"], "an error: not supported yet")],
    flags_come: Order::Anywhere,
    run,
};

fn run(_: &Context, args: &Args) -> Result<u8> {
    if args.on("rootless") {
        return Err(Failed::new("--rootless: running without root is not supported yet"));
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
    serde::Serialize::serialize(&default(), &mut writer)?;
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

#[cfg(test)]
mod tests {
    #[test]
    fn it_is_one() {
        let spec: oci_spec::runtime::Spec = serde_json::from_value(super::default()).unwrap();
        assert_eq!(spec.version(), crate::spec::VERSION);
    }
}
