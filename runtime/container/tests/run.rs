//! A configuration like Docker's, compiled, prepared, launched, and looked at from inside. Needs root. This program is also what runs
//! inside.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of its own")]

use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Instant;

use container::cgroup::{self, Kind};
use container::{Host, capabilities, compile, prepare, seccomp};
use launch::Stdio;
use oci_spec::runtime::Spec;
use rustix::mount::MountAttrFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use serde_json::{Value, json};
use sys::mount::Filesystem;
use sys::process::{Ended, wait};

fn main() {
    if std::env::args().nth(1).as_deref() == Some("inside") {
        return inside();
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let host = Host::gather().unwrap();
    let path = format!("/rctr-test-{}-run", std::process::id());
    let spec = spec();
    let begun = Instant::now();
    let cgroup = cgroup::create(&host.cgroup, &path, spec.linux().as_ref().unwrap().resources().as_ref().unwrap()).unwrap();
    let rootfs = Filesystem::open("tmpfs").unwrap().mount(MountAttrFlags::empty()).unwrap();
    let mut compiled = compile(&spec, &host).unwrap();
    // What a group of Intel RDT is to init: a folder with `tasks`.
    let group = tempfile::tempdir().unwrap();
    fs::write(group.path().join("tasks"), "").unwrap();
    compiled.enter(group.path().to_owned());
    let made = begun.elapsed();
    let (plan, fds) = prepare(compiled, rootfs, &cgroup).unwrap();
    println!("cgroup made and configuration compiled in {made:?}, prepared in {:?}", begun.elapsed() - made);
    let (mut output, stdio) = streams();
    let running = launch::create(&plan, &fds, Some(stdio)).and_then(launch::Created::start);
    let running = running.unwrap_or_else(|failure| panic!("{failure}"));
    let mut said = String::new();
    output.read_to_string(&mut said).unwrap();
    assert_eq!(wait(&running.pidfd).unwrap(), Ended::Exited(0), "{said}");
    check(&said, host.cgroup.kind());
    assert_eq!(fs::read_to_string(group.path().join("tasks")).unwrap(), "0", "whoever writes it enters");
    cgroup::kill(&host.cgroup, &path).unwrap();
    drop(cgroup);
    for folder in cgroup::paths(&host.cgroup, &path) {
        assert!(!folder.exists(), "{folder:?} is left");
    }
    println!("test result: ok");
}

fn streams() -> (fs::File, Stdio) {
    let (output, stdout) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let null = || -> OwnedFd { fs::File::open("/dev/null").unwrap().into() };
    (output.into(), Stdio { stdin: null(), stdout, stderr: rustix::io::dup(rustix::stdio::stderr()).unwrap() })
}

fn spec() -> Spec {
    let safe = ["nosuid", "noexec", "nodev"];
    let mount = |kind: &str, target: &str, more: &[&str]| json!({"destination": target, "type": kind, "source": kind, "options": safe.iter().chain(more).collect::<Vec<_>>()});
    let granted: Value = capabilities::names(capabilities::DEFAULT).into();
    let namespaces: Vec<Value> = ["mount", "pid", "ipc", "uts", "cgroup", "network"].map(|kind| json!({"type": kind})).into();
    let spec = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "inside",
        "process": {
            "user": {"uid": 0, "gid": 0, "umask": 0o27, "additionalGids": [44]},
            "args": ["/probe", "inside"], "env": ["PATH=/"], "cwd": "/",
            "capabilities": {"bounding": granted, "permitted": granted, "effective": granted},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}],
            "noNewPrivileges": true, "oomScoreAdj": 5,
        },
        "mounts": [
            mount("proc", "/proc", &[]),
            {"destination": "/dev", "type": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k", "ro"]},
            mount("devpts", "/dev/pts", &["newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
            mount("sysfs", "/sys", &["ro"]),
            mount("cgroup", "/sys/fs/cgroup", &["relatime", "ro"]),
            mount("mqueue", "/dev/mqueue", &[]),
            mount("tmpfs", "/dev/shm", &["mode=1777", "size=65536k"]),
            {"destination": "/probe", "type": "bind", "source": std::env::current_exe().unwrap(), "options": ["rbind", "rprivate", "ro", "rnosuid"]},
        ],
        "linux": {
            "namespaces": namespaces,
            "rootfsPropagation": "private",
            "sysctl": {"net.ipv4.ip_unprivileged_port_start": "81", "kernel.msgmax": "8193"},
            "maskedPaths": ["/proc/interrupts", "/sys/firmware"],
            "readonlyPaths": ["/proc/sys"],
            "seccomp": seccomp::default_profile(capabilities::DEFAULT),
            "resources": {"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "access": "m"},
                {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]},
        },
    });
    serde_json::from_value(spec).unwrap()
}

/// What a process of the container sees.
fn inside() {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_else(|error| format!("{error}\n"));
    let status = read("/proc/self/status");
    for key in ["CapEff", "CapBnd", "CapInh", "NoNewPrivs", "Seccomp", "Umask", "Groups"] {
        println!("{}", status.lines().find(|line| line.starts_with(&format!("{key}:"))).unwrap_or(key));
    }
    for path in ["kernel/hostname", "net/ipv4/ip_unprivileged_port_start", "kernel/msgmax"] {
        print!("{path}: {}", read(&format!("/proc/sys/{path}")));
    }
    print!("oom: {}", read("/proc/self/oom_score_adj"));
    print!("masked: {:?}\n{}", fs::read("/proc/interrupts").map(|bytes| bytes.len()).map_err(drop), read("/proc/self/cgroup"));
    print!("{}", read("/proc/self/mountinfo"));
    println!("write: {:?}", fs::write("/new", "").map_err(|error| error.to_string()));
    println!(
        "null: {:?}, zero: {:?}",
        fs::File::open("/dev/null").is_ok(),
        fs::File::open("/dev/zero").map_err(|error| error.to_string()).err()
    );
    println!("core: {}", fs::read_link("/dev/core").unwrap_or_default().display());
    println!("limits: {:?}", rustix::process::getrlimit(rustix::process::Resource::Nofile));
}

fn check(said: &str, kind: Kind) {
    let line = |start: &str| said.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in\n{said}"));
    for expected in [
        "CapEff:\t00000000a80425fb",
        "CapBnd:\t00000000a80425fb",
        "CapInh:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "Umask:\t0027",
        "kernel/hostname: inside",
        "net/ipv4/ip_unprivileged_port_start: 81",
        "kernel/msgmax: 8193",
        "oom: 5",
        "masked: Ok(0)",
        "write: Err(\"Read-only file system (os error 30)\")",
        "null: true, zero: Some(\"Operation not permitted (os error 1)\")",
        "core: /proc/kcore",
        "limits: Rlimit { current: Some(77), maximum: Some(88) }",
    ] {
        assert!(said.lines().any(|line| line == expected), "{expected:?} is not in\n{said}");
    }
    assert!(line("Groups:").contains("44"), "{said}");
    // Its own cgroup is the root of what it sees, in every hierarchy.
    assert!(said.lines().filter(|line| line.contains("rctr-test")).count() == 0, "{said}");
    let mount = |target: &str| -> Vec<&str> {
        let line = said.lines().rfind(|line| line.split(' ').nth(4) == Some(target));
        line.unwrap_or_else(|| panic!("{target} is not mounted in\n{said}")).split(' ').collect()
    };
    assert!(mount("/dev")[5].starts_with("ro,"), "{said}");
    assert!(mount("/dev/shm")[5].starts_with("rw,"), "{said}");
    assert!(mount("/proc/sys")[5].starts_with("ro,"), "{said}");
    assert!(mount("/sys")[5].starts_with("ro,nosuid,nodev,noexec"), "{said}");
    assert!(mount("/probe")[5].starts_with("ro,nosuid"), "{said}");
    let cgroup = if kind == Kind::V2 { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" };
    assert_eq!(mount(cgroup)[3], "/", "{said}");
    assert!(mount(cgroup)[5].starts_with("ro,"), "{said}");
}
