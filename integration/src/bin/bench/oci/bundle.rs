//! The bundles: what `spec` writes, and the same with all that Docker adds; and the plan of each for the bare work, which
//! `bench run` has too.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use container::{capabilities, seccomp};
use serde_json::{Value, json};

/// A bundle's folder with a busybox as its root.
#[derive(Debug)]
pub(crate) struct Bundle {
    folder: PathBuf,
    pub(crate) program: Vec<&'static str>,
}

impl Bundle {
    /// Makes one. `docker` adds the filter, capabilities and hidden paths of Docker's containers.
    pub(crate) fn make(folder: &Path, docker: bool, program: &[&'static str]) -> Result<Self> {
        let rootfs = folder.join("rootfs");
        for name in ["bin", "proc", "sys", "dev"] {
            fs::create_dir_all(rootfs.join(name))?;
        }
        let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
        let busybox = busybox.context("busybox-static is not installed")?;
        for name in ["true", "sleep"] {
            fs::copy(busybox, rootfs.join("bin").join(name)).with_context(|| format!("copy {busybox}"))?;
        }
        let mut spec = spec(program);
        if docker {
            as_docker(&mut spec)?;
        }
        fs::write(folder.join("config.json"), spec.to_string())?;
        fs::write(folder.join("plan"), plan(&rootfs, &spec))?;
        Ok(Self { folder: folder.to_owned(), program: program.to_vec() })
    }

    pub(crate) fn folder(&self) -> String {
        self.folder.display().to_string()
    }

    /// What an engine adds to a bundle of Docker's: the root is the upper layer of an overlay, and three files of the host are in `/etc`.
    pub(crate) fn layered(self) -> Result<Self> {
        let (layers, etc) = (self.folder.join("layers"), self.folder.join("rootfs/etc"));
        fs::create_dir_all(&layers)?;
        fs::create_dir_all(&etc)?;
        let plan = fs::read_to_string(self.plan())?;
        let (root, steps) = plan.split_once('\n').context("an empty plan")?;
        let mut text = format!("{root}\t{}\n{steps}", layers.display());
        for name in ["hosts", "hostname", "resolv.conf"] {
            let source = self.folder.join(name);
            fs::write(&source, "")?;
            fs::write(etc.join(name), "")?;
            text += &format!("bind\t{}\tetc/{name}\n", source.display());
        }
        fs::write(self.plan(), text)?;
        Ok(self)
    }

    /// The file that the bare work reads.
    pub(crate) fn plan(&self) -> String {
        self.folder.join("plan").display().to_string()
    }
}

/// As `runc spec` writes it, without a terminal.
fn spec(program: &[&str]) -> Value {
    let caps = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    let mount = |target: &str, kind: &str, source: &str, options: &str| {
        let options: Vec<&str> = options.split_terminator(',').collect();
        json!({"destination": target, "type": kind, "source": source, "options": options})
    };
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": {"uid": 0, "gid": 0}, "args": program, "cwd": "/",
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}], "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "bench",
        "mounts": [
            mount("/proc", "proc", "proc", ""),
            mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
            mount("/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
            mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"),
            mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"),
            mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"),
            mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"),
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

fn as_docker(spec: &mut Value) -> Result<()> {
    let caps = json!(capabilities::to_oci(capabilities::DEFAULT));
    spec["process"]["capabilities"] = json!({"bounding": caps, "effective": caps, "permitted": caps});
    spec["process"]["noNewPrivileges"] = json!(false);
    spec["root"]["readonly"] = json!(false);
    spec["linux"]["seccomp"] = serde_json::to_value(seccomp::default_profile(capabilities::DEFAULT))?;
    let masked = ["/proc/interrupts", "/sys/devices/virtual/powercap"].map(Value::from);
    spec["linux"]["maskedPaths"].as_array_mut().context("masks")?.extend(masked);
    Ok(())
}

/// The steps for the bare work, and what every runtime adds: device nodes and links.
fn plan(rootfs: &Path, spec: &Value) -> String {
    let mut text = format!("{}\n{}\n", rootfs.display(), namespaces(spec));
    let relative = |path: &Value| path.as_str().unwrap_or_default().trim_start_matches('/').to_owned();
    for mount in spec["mounts"].as_array().into_iter().flatten() {
        let kind = mount["type"].as_str().unwrap_or_default().replace("cgroup", "cgroup2");
        let options: Vec<&str> = mount["options"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let attributes = options.iter().filter_map(|option| attribute(option)).fold(0, |all, one| all | one);
        let rest = options.iter().filter(|option| attribute(option).is_none()).map(|option| format!("\t{option}"));
        text += &format!("mount\t{kind}\t{}\t{attributes}{}\n", relative(&mount["destination"]), rest.collect::<String>());
    }
    for (name, major, minor) in [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        text += &format!("node\tdev/{name}\t{major}\t{minor}\n");
    }
    let links = [("pts/ptmx", "ptmx"), ("/proc/self/fd", "fd"), ("/proc/self/fd/0", "stdin"), ("/proc/self/fd/1", "stdout")];
    for (content, name) in links.into_iter().chain([("/proc/self/fd/2", "stderr"), ("/proc/kcore", "core")]) {
        text += &format!("link\t{content}\tdev/{name}\n");
    }
    for (word, list) in [("readonly", "readonlyPaths"), ("mask", "maskedPaths")] {
        for path in spec["linux"][list].as_array().into_iter().flatten() {
            text += &format!("{word}\t{}\n", relative(path));
        }
    }
    text
}

/// `CLONE_NEW*`.
fn namespaces(spec: &Value) -> u64 {
    use sys::ns::kind;
    let known = [
        ("pid", kind::PID),
        ("network", kind::NET),
        ("ipc", kind::IPC),
        ("uts", kind::UTS),
        ("mount", kind::MOUNT),
        ("cgroup", kind::CGROUP),
    ];
    let asked = spec["linux"]["namespaces"].as_array().into_iter().flatten();
    asked.filter_map(|one| known.iter().find(|(name, _)| one["type"] == *name)).fold(0, |all, (_, flag)| all | flag)
}

/// `MOUNT_ATTR_*` of an option that is one.
fn attribute(option: &str) -> Option<u64> {
    let known = [("ro", 1), ("nosuid", 2), ("nodev", 4), ("noexec", 8), ("relatime", 0), ("strictatime", 0x20)];
    known.iter().find(|(name, _)| *name == option).map(|(_, bits)| *bits)
}
