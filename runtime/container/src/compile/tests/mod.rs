//! Pieces of a configuration, and what becomes of them. No root, no kernel.

mod mounts;
mod namespaces;
mod process;
mod strange;
mod users;

pub(crate) use strange::full;

use launch::Step;
use serde_json::{Value, json};

use super::*;
use crate::capabilities;
use crate::cgroup::Hierarchies;

pub(super) const HYBRID: &str = "\
1 1 0:1 / /c/memory rw - cgroup cgroup rw,memory
1 1 0:2 / /c/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
1 1 0:3 / /c/unified rw - cgroup2 none rw
";
pub(super) const V2: &str = "1 1 0:1 / /c rw - cgroup2 none rw\n";

pub(super) fn host(mountinfo: &str) -> Host {
    Host {
        cgroup: Hierarchies::parse(mountinfo).unwrap(),
        last_cap: 40,
        grantable: capabilities::all(),
        identity: None,
        locked: false,
        seccomp: true,
        apparmor: false,
        selinux: false,
        landlock: 6,
        resctrl: None,
    }
}

/// The least configuration, with `patch` (RFC 7386: a value replaces, null removes) applied.
pub(super) fn spec(patch: &Value) -> Spec {
    let mut spec = json!({
        "ociVersion": "1.3.0",
        "root": {"path": "rootfs"},
        "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": "/"},
        "linux": {"namespaces": [{"type": "mount"}]},
    });
    merge(&mut spec, patch);
    serde_json::from_value(spec).unwrap()
}

fn merge(into: &mut Value, patch: &Value) {
    match (into, patch) {
        (Value::Object(into), Value::Object(patch)) => {
            for (key, value) in patch {
                match value {
                    Value::Null => drop(into.remove(key)),
                    value => merge(into.entry(key.clone()).or_insert(Value::Null), value),
                }
            }
        }
        (into, patch) => *into = patch.clone(),
    }
}

#[track_caller]
pub(super) fn compiled(patch: Value) -> Compiled {
    compile(&spec(&patch), &host(V2)).unwrap_or_else(|error| panic!("{patch}: {error}"))
}

pub(super) fn refused(patch: Value) -> String {
    match compile(&spec(&patch), &host(V2)) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{patch} was compiled"),
    }
}

#[test]
fn the_least() {
    let Compiled { plan, sources, warnings } = compiled(json!({}));
    assert_eq!(sources, [Source::Rootfs, Source::Cgroup(0)]);
    assert_eq!((plan.rootfs, plan.cgroup.into, plan.cgroup.join), (Slot(0), Some(Slot(1)), vec![]));
    assert_eq!((plan.unshare, plan.join.len(), plan.loopback, plan.rootfs_readonly), (0x2_0000, 0, false, false));
    assert_eq!(plan.propagation, 1 << 19, "MS_SLAVE");
    assert_eq!(plan.process.args, ["/bin/true"]);
    assert_eq!(plan.process.capabilities, Some(Default::default()), "none asked for, none given");
    assert!(warnings.is_empty());
}

#[test]
fn two_compilations_are_equal() {
    let patch = json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "network"}],
        "sysctl": {"net.a": "1", "net.b": "2", "net.c": "3", "net.d": "4", "net/e": "5"}}});
    assert_eq!(compiled(patch.clone()), compiled(patch));
}

#[test]
fn hybrid_cgroups_are_entered_both_ways() {
    let compiled = compile(&spec(&json!({})), &host(HYBRID)).unwrap();
    assert_eq!(compiled.sources, [Source::Rootfs, Source::Cgroup(0), Source::Cgroup(1), Source::Cgroup(2)]);
    assert_eq!((compiled.plan.cgroup.join, compiled.plan.cgroup.into), (vec![Slot(1), Slot(2)], Some(Slot(3))));
}

#[test]
fn devices_of_every_container() {
    let steps = compiled(json!({})).plan.steps;
    let nodes: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Device { path, mode, major, minor, .. } => Some(format!("{} {mode:o} {major}:{minor}", path.display())),
            _ => None,
        })
        .collect();
    assert_eq!(
        nodes,
        [
            "/dev/null 20666 1:3",
            "/dev/zero 20666 1:5",
            "/dev/full 20666 1:7",
            "/dev/random 20666 1:8",
            "/dev/urandom 20666 1:9",
            "/dev/tty 20666 5:0"
        ]
    );
    let link = Step::Symlink { content: "pts/ptmx".into(), path: "/dev/ptmx".into() };
    assert!(steps.contains(&link) && !steps.contains(&Step::Console));
    assert_eq!(compiled(json!({"process": {"terminal": true}})).plan.steps.last(), Some(&Step::Console));
}

#[test]
fn devices_asked_for() {
    let devices = json!({"linux": {"devices": [
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600, "uid": 5, "gid": 6},
        {"path": "/dev/sda", "type": "b", "major": 8, "minor": 0, "fileMode": 0o60660},
        {"path": "/dev/null", "type": "u", "major": 1, "minor": 3, "fileMode": 0o444},
        {"path": "/run/pipe", "type": "p", "major": 0, "minor": 0},
    ]}});
    let steps = compiled(devices).plan.steps;
    let device = |path: &str, mode, major, minor, uid, gid| Step::Device { path: path.into(), mode, major, minor, uid, gid };
    assert_eq!(steps[0], device("/dev/fuse", 0o20600, 10, 229, 5, 6));
    assert_eq!(steps[1], device("/dev/sda", 0o60660, 8, 0, 0, 0));
    assert_eq!(steps[2], device("/dev/null", 0o20444, 1, 3, 0, 0));
    assert_eq!(steps[3], device("/run/pipe", 0o10666, 0, 0, 0, 0));
    let nulls = steps.iter().filter(|step| matches!(step, Step::Device { path, .. } if path.ends_with("null"))).count();
    assert_eq!(nulls, 1);
    for (device, expected) in [
        (json!({"path": "dev/x", "type": "c"}), "linux.devices[0].path: dev/x is not an absolute path"),
        (json!({"path": "/dev/../x", "type": "c"}), "linux.devices[0].path: /dev/../x contains .."),
        (json!({"path": "/dev/x", "type": "a"}), "linux.devices[0].type: a is for rules"),
        (json!({"path": "/dev/x", "type": "c", "major": -1}), "linux.devices[0].major: -1"),
    ] {
        let mut device = device;
        merge(&mut device, &json!({"minor": 0}));
        if device.get("major").is_none() {
            merge(&mut device, &json!({"major": 0}));
        }
        let error = refused(json!({"linux": {"devices": [device]}}));
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_dev_of_the_host_stays_as_it_is() {
    let mounts = json!([{"destination": "/dev/", "type": "bind", "source": "/dev", "options": ["rbind"]}]);
    let steps = compiled(json!({"mounts": mounts})).plan.steps;
    assert!(matches!(steps[..], [Step::Bind { .. }]), "{steps:?}");
    let device = json!([{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]);
    assert!(refused(json!({"mounts": mounts, "linux": {"devices": device}})).starts_with("linux.devices"));
}

#[test]
fn hidden_paths_come_last() {
    let steps = compiled(json!({
        "mounts": [{"destination": "/run", "type": "tmpfs", "options": ["ro"]}],
        "linux": {"maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys//"]},
    }))
    .plan
    .steps;
    let last: Vec<_> = steps.into_iter().rev().take(3).collect();
    assert_eq!(last, [Step::Mask("/proc/kcore".into()), Step::Readonly("/proc/sys".into()), Step::Readonly("/run".into())]);
    assert!(refused(json!({"linux": {"maskedPaths": ["/a/../b"]}})).starts_with("linux.maskedPaths[0]"));
}

#[test]
fn what_a_plan_cannot_say_is_refused_by_name() {
    for (patch, expected) in [
        (json!({"ociVersion": "2.0.0"}), "ociVersion: \"2.0.0\" is not a version 1"),
        (json!({"linux": null}), "linux: missing"),
        (json!({"root": null}), "root: missing"),
        (json!({"process": null}), "process: missing"),
        (json!({"hooks": {"poststart": [{"path": "/bin/true"}]}}), "hooks: hooks are not supported"),
        (json!({"vm": {"kernel": {"path": "/k"}}}), "vm: virtual machines are not supported"),
        (
            json!({"linux": {"mountLabel": "system_u"}}),
            "linux.mountLabel: \"system_u\" is asked for, and SELinux is not active on this host",
        ),
        (json!({"linux": {"intelRdt": {"closID": "x"}}}), "linux.intelRdt: there is no resctrl mounted on this host"),
        (json!({"linux": {"rootfsPropagation": "upwards"}}), "linux.rootfsPropagation: \"upwards\" is not one of"),
    ] {
        let error = refused(patch);
        assert!(error.starts_with(expected), "{error}");
    }
    compiled(json!({"hooks": {"poststart": []}, "linux": {"uidMappings": [], "mountLabel": ""}}));
}
