//! Configurations that strangers write: an answer or an error, never a panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{HYBRID, V2, host};
use crate::compile;

/// One with a value of each kind of field.
pub(crate) fn full() -> Value {
    json!({
        "ociVersion": "1.3.0", "hostname": "h", "domainname": "d", "root": {"path": "rootfs", "readonly": true},
        "annotations": {"dev.rctr.landlock": r#"{"abi": 6, "handled": ["write"], "paths": [{"path": "/tmp", "allow": ["write"]}], "ports": {"bind": [80]}}"#, "org.systemd.property.X": "true"},
        "process": {
            "terminal": true, "consoleSize": {"height": 5, "width": 6}, "args": ["/bin/true", "x"], "env": ["PATH=/bin"], "cwd": "/",
            "user": {"uid": 1, "gid": 2, "umask": 18, "additionalGids": [3]}, "noNewPrivileges": true, "oomScoreAdj": 5,
            "capabilities": {"bounding": ["CAP_KILL"], "effective": ["CAP_KILL"], "permitted": ["CAP_KILL"], "ambient": []},
            "rlimits": [{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}], "apparmorProfile": "p", "selinuxLabel": "l",
            "scheduler": {"policy": "SCHED_FIFO", "priority": 3}, "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
            "execCPUAffinity": {"initial": "0-1", "final": "1"},
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["size=1m", "mode=1777", "rro", "tmpcopyup"]},
            {"destination": "/x", "type": "bind", "source": "/y", "options": ["rbind", "idmap", "ro"],
                "uidMappings": [{"containerID": 0, "hostID": 5, "size": 6}], "gidMappings": [{"containerID": 0, "hostID": 5, "size": 6}]},
            {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"},
        ],
        "linux": {
            "namespaces": [{"type": "mount"}, {"type": "user"}, {"type": "time"}, {"type": "uts"}, {"type": "network", "path": "/proc/1/ns/net"}],
            "uidMappings": [{"containerID": 0, "hostID": 100, "size": 10}], "gidMappings": [{"containerID": 0, "hostID": 100, "size": 10}],
            "timeOffsets": {"monotonic": {"secs": 5, "nanosecs": 6}}, "cgroupsPath": "/a/b", "rootfsPropagation": "rslave",
            "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}],
            "resources": {"devices": [{"allow": true, "type": "c", "major": 1, "minor": 2, "access": "rw"}], "pids": {"limit": 5},
                "memory": {"limit": 9_000_000}, "cpu": {"shares": 5, "quota": 6000, "cpus": "0"}, "unified": {"a.b": "c"}},
            "sysctl": {"net.a": "1"}, "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "mountLabel": "m",
            "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5, "architectures": ["SCMP_ARCH_X86_64"],
                "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                    "args": [{"index": 0, "value": 5, "valueTwo": 6, "op": "SCMP_CMP_MASKED_EQ"}]}]},
            "personality": {"domain": "LINUX"}, "intelRdt": {"closID": "c", "l3CacheSchema": "L3:0=f"},
            "memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": []}, "netDevices": {"eth0": {"name": "eth1"}},
        },
    })
}

/// All values in it, the whole first, each by its way through indices.
fn ways(value: &Value, way: &mut Vec<usize>, all: &mut Vec<Vec<usize>>) {
    all.push(way.clone());
    let below: Vec<&Value> = match value {
        Value::Object(map) => map.values().collect(),
        Value::Array(list) => list.iter().collect(),
        _ => Vec::new(),
    };
    for (at, value) in below.into_iter().enumerate() {
        way.push(at);
        ways(value, way, all);
        way.pop();
    }
}

fn at<'a>(value: &'a mut Value, way: &[usize]) -> &'a mut Value {
    way.iter().fold(value, |value, at| match value {
        Value::Object(map) => map.values_mut().nth(*at).unwrap(),
        Value::Array(list) => &mut list[*at],
        _ => unreachable!(),
    })
}

fn strange() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::from(-1)),
        Just(Value::from(0)),
        ".{0,12}".prop_map(Value::from),
        prop_oneof![
            Just("/"),
            Just(".."),
            Just("/a/../.."),
            Just(""),
            Just("a\0b"),
            Just("0-99999999999"),
            Just("9-1"),
            Just("SCMP_ACT_NOTIFY"),
            Just("rbind"),
            Just("idmap=uids=0-0-1"),
            Just("size=")
        ]
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-zA-Z./]{0,8}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_configuration_never_panics(changes in prop::collection::vec((any::<prop::sample::Index>(), strange()), 1..4)) {
        let mut value = full();
        for (which, new) in changes {
            let mut all = Vec::new();
            ways(&value, &mut Vec::new(), &mut all);
            *at(&mut value, which.get::<Vec<usize>>(&all)) = new;
        }
        if let Ok((spec, _)) = crate::config::spec(value.to_string().as_bytes()) {
            let _ = compile(&spec, &host(V2));
            let _ = compile(&spec, &host(HYBRID));
        }
    }

    #[test]
    fn a_cut_or_spoilt_text_never_panics(cut in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut text = full().to_string().into_bytes();
        let at = cut.index(text.len());
        text[at] = byte;
        let _ = crate::config::spec(&text).map(|(spec, _)| compile(&spec, &host(V2)).is_ok());
        prop_assert!(crate::config::spec(&text[..at]).is_err());
        let _ = crate::config::process(&text);
    }
}
