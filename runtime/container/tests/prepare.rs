//! Opening what a plan refers to. Needs root.

#![allow(clippy::print_stderr, reason = "a test says what it leaves out")]

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use container::cgroup::{self, Cgroup};
use container::{Error, Host, compile, prepare};
use launch::Plan;
use oci_spec::runtime::{LinuxResources, Spec};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use serde_json::{Value, json};

/// Runs in a thread with a mount namespace of its own, with a cgroup made for it.
fn prepared(name: &'static str, test: impl FnOnce(&dyn Fn(Value) -> Result<(Plan, Vec<OwnedFd>), Error>, &Path) + Send + 'static) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let run = move || {
        sys::ns::unshare(0x2_0000 | 0x400_0000).unwrap();
        mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
        let scratch = tempfile::tempdir().unwrap();
        mount("none", scratch.path(), "tmpfs", MountFlags::empty(), None::<&std::ffi::CStr>).unwrap();
        let host = Host::gather().unwrap();
        let path = format!("/rctr-test-{}-{name}", std::process::id());
        let cgroup = cgroup::create(&host.cgroup, &path, &LinuxResources::default()).unwrap();
        test(&|patch| prepare(compile(&spec(patch), &host)?, root(), &cgroup), scratch.path());
        rustix::mount::unmount(scratch.path(), rustix::mount::UnmountFlags::DETACH).unwrap();
        check(&host, cgroup);
    };
    std::thread::spawn(run).join().unwrap();
}

/// The cgroup of another host shape is refused, not misread.
fn check(host: &Host, cgroup: Cgroup) {
    let mut compiled = compile(&spec(json!({})), host).unwrap();
    compiled.sources.push(container::Source::Cgroup(99));
    assert!(matches!(prepare(compiled, root(), &cgroup), Err(Error::CgroupFolder { wanted: 99, .. })));
}

fn root() -> OwnedFd {
    sys::fs::open_dir("/").unwrap()
}

fn spec(patch: Value) -> Spec {
    let mut linux = json!({"namespaces": [{"type": "mount"}]});
    if let Some(own) = patch.get("linux") {
        own.as_object().unwrap().iter().for_each(|(key, value)| linux[key] = value.clone());
    }
    let mut spec = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["true"], "cwd": "/"},
        "mounts": patch.get("mounts").cloned().unwrap_or(json!([])),
    });
    spec["linux"] = linux;
    serde_json::from_value(spec).unwrap()
}

fn bind(source: &Path, target: &str, options: &[&str]) -> Value {
    json!({"mounts": [{"destination": target, "type": "bind", "source": source, "options": options}]})
}

fn join(kind: &str, path: impl AsRef<Path>) -> Value {
    json!({"linux": {"namespaces": [{"type": "mount"}, {"type": kind, "path": path.as_ref()}]}})
}

#[test]
fn every_slot_has_its_descriptor() {
    prepared("slots", |prepare, scratch| {
        fs::write(scratch.join("file"), "inside").unwrap();
        let mut patch = bind(&scratch.join("file"), "/x", &["ro"]);
        let cgroup = json!({"destination": "/sys/fs/cgroup", "type": "cgroup"});
        patch["mounts"].as_array_mut().unwrap().push(cgroup);
        let (plan, fds) = prepare(patch).unwrap();
        let launch::Step::Bind { tree, .. } = &plan.steps[0] else { panic!() };
        let tree = fds[tree.0 as usize].as_fd();
        let file = format!("/proc/thread-self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&tree));
        assert_eq!(fs::read_to_string(file).unwrap(), "inside");
        let launch::Step::Cgroup { v1, .. } = &plan.steps[1] else { panic!() };
        for (name, slot) in v1 {
            let names = sys::fs::list(
                sys::fs::open_in_root(&fds[slot.0 as usize], ".", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty())
                    .unwrap(),
            );
            assert!(names.unwrap().iter().any(|file| file == "cgroup.procs"), "{name}");
        }
        let into = plan.cgroup.into.into_iter().chain(plan.cgroup.join);
        for slot in into {
            assert!(sys::fs::list(&fds[slot.0 as usize]).unwrap().iter().any(|file| file == "cgroup.procs"));
        }
    });
}

#[test]
fn what_is_missing_is_named() {
    prepared("missing", |prepare, scratch| {
        let missing = scratch.join("nothing");
        let error = prepare(bind(&missing, "/x", &[])).unwrap_err();
        assert_eq!(error.to_string(), format!("bind source {}: no such file or directory", missing.display()));
        let error = prepare(join("network", &missing)).unwrap_err();
        assert_eq!(error.to_string(), format!("network namespace {}", missing.display()));
    });
}

#[test]
fn namespaces_are_what_they_say() {
    prepared("namespaces", |prepare, scratch| {
        fs::write(scratch.join("file"), "").unwrap();
        let not = |kind: &str, path: &Path| {
            let error = prepare(join(kind, path)).unwrap_err();
            assert_eq!(error.to_string(), format!("{} is not a {kind} namespace", path.display()));
        };
        not("network", Path::new("/proc/self/ns/uts"));
        not("network", &scratch.join("file"));
        not("pid", Path::new("/dev/zero"));
        // A pipe would keep a reader waiting for ever.
        rustix::fs::mkfifoat(rustix::fs::CWD, scratch.join("pipe"), rustix::fs::Mode::RUSR).unwrap();
        not("ipc", &scratch.join("pipe"));
        prepare(join("network", "/proc/self/ns/net")).unwrap();
    });
}

/// Settings for a container must not be made for the host because the namespace that it joins is the host's.
#[test]
fn settings_need_a_foreign_namespace() {
    prepared("foreign", |prepare, _| {
        let with = |path: &str| {
            let mut patch = join("network", path);
            patch["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
            prepare(patch)
        };
        let error = with("/proc/self/ns/net").unwrap_err().to_string();
        assert_eq!(
            error,
            "linux.namespaces: /proc/self/ns/net is the host's own network namespace: the settings would be made for the host"
        );
        let mut other = std::process::Command::new("unshare").args(["--net", "sleep", "60"]).spawn().unwrap();
        let path = format!("/proc/{}/ns/net", other.id());
        let own = fs::read_link("/proc/self/ns/net").unwrap();
        while fs::read_link(&path).unwrap() == own {
            std::thread::yield_now();
        }
        let foreign = with(&path).map(drop);
        other.kill().unwrap();
        other.wait().unwrap();
        foreign.unwrap();
    });
}

#[test]
fn only_procfs_goes_to_proc() {
    prepared("procfs", |prepare, scratch| {
        let error = prepare(bind(scratch, "/proc", &["rbind"])).unwrap_err().to_string();
        assert!(error.ends_with("is not a procfs, and nothing else may be bound on /proc"), "{error}");
        prepare(bind(Path::new("/proc"), "/proc", &["rbind"])).unwrap();
    });
}

#[test]
fn what_is_mounted_below_comes_along_if_asked_for() {
    prepared("tree", |prepare, scratch| {
        let below = scratch.join("below");
        fs::create_dir(&below).unwrap();
        mount_bind("/usr", &below).unwrap();
        let empty = |options: &[&str]| {
            let (plan, fds) = prepare(bind(scratch, "/x", options)).unwrap();
            let launch::Step::Bind { tree, .. } = plan.steps[0] else { panic!() };
            let inside =
                sys::fs::open_in_root(&fds[tree.0 as usize], "below", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty());
            sys::fs::list(inside.unwrap()).unwrap().is_empty()
        };
        assert!(empty(&["bind"]) && !empty(&["rbind"]));
    });
}

#[test]
fn a_source_that_is_a_link_is_followed_or_not() {
    prepared("link", |prepare, scratch| {
        std::os::unix::fs::symlink("/usr", scratch.join("link")).unwrap();
        let kind = |options: &[&str]| {
            let (plan, fds) = prepare(bind(&scratch.join("link"), "/x", options)).unwrap();
            let launch::Step::Bind { tree, .. } = plan.steps[0] else { panic!() };
            rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&fds[tree.0 as usize]).unwrap().st_mode)
        };
        assert_eq!(kind(&["bind"]), rustix::fs::FileType::Directory);
        for option in ["src-nofollow", "copy-symlink"] {
            assert_eq!(kind(&["bind", option]), rustix::fs::FileType::Symlink);
        }
    });
}
