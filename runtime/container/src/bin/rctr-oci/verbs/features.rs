//! `features`: what this program does, as runtime-spec's features document.

use container::capabilities;
use container::seccomp::features;
use serde_json::{Value, json};

use super::Verb;
use crate::args::{Args, Order};
use crate::error::Result;
use crate::{Context, output};

pub(super) const VERB: Verb = Verb {
    name: "features",
    usage: "",
    about: "print what this program does, as JSON",
    flags: &[],
    flags_come: Order::Anywhere,
    run,
};

const NAMESPACES: [&str; 8] = ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"];
const HOOKS: [&str; 6] = ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];
const MEMORY_MODES: [&str; 7] = [
    "MPOL_BIND",
    "MPOL_DEFAULT",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];
const MEMORY_FLAGS: [&str; 3] = ["MPOL_F_NUMA_BALANCING", "MPOL_F_RELATIVE_NODES", "MPOL_F_STATIC_NODES"];
/// Mounts with mappings of their own.
const ID_MAPPED: bool = true;
const NET_DEVICES: bool = true;

fn run(_: &Context, _: &Args) -> Result<u8> {
    output::pretty(&document())
}

/// What the specification calls "irrelevant to the host" is about this program alone; flags and actions of filters are those of this
/// kernel.
fn document() -> Value {
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": crate::spec::VERSION,
        "hooks": HOOKS,
        "mountOptions": container::mount_options(),
        "linux": {
            "namespaces": NAMESPACES,
            "capabilities": capabilities::names(capabilities::all()),
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": false, "rdma": true},
            "seccomp": filters(),
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true, "schemata": true, "monitoring": true},
            "memoryPolicy": {"modes": MEMORY_MODES, "flags": MEMORY_FLAGS},
            "mountExtensions": {"idmap": {"enabled": ID_MAPPED}},
            "netDevices": {"enabled": NET_DEVICES},
        },
        "annotations": {
            "org.opencontainers.runc.checkpoint.enabled": "true",
            "dev.rctr.version": env!("CARGO_PKG_VERSION"),
            "dev.rctr.landlock.abi": sys::landlock::abi().to_string(),
        },
        "potentiallyUnsafeConfigAnnotations": [],
    })
}

fn filters() -> Value {
    let (known, supported) = features::flags();
    json!({
        "enabled": rustix::thread::secure_computing_mode().is_ok(),
        "actions": features::actions(),
        "operators": features::operators(),
        "archs": features::architectures(),
        "knownFlags": known,
        "supportedFlags": supported,
    })
}

#[cfg(test)]
mod tests {
    use container::cgroup::Hierarchies;
    use container::{Host, compile};
    use oci_spec::runtime::Spec;

    use super::*;

    /// Whether a configuration with this change is one that can be run.
    fn compiles(change: impl FnOnce(&mut Value)) -> bool {
        let mut spec = json!({
            "ociVersion": "1.3.0", "root": {"path": "rootfs"}, "mounts": [{"destination": "/x", "type": "tmpfs"}],
            "process": {"user": {"uid": 0, "gid": 0}, "args": ["/bin/true"], "cwd": "/"},
            "linux": {"namespaces": [{"type": "mount"}, {"type": "network"}]},
        });
        change(&mut spec);
        let host = Host {
            locked: false,
            cgroup: Hierarchies::parse("1 1 0:1 / /c rw - cgroup2 none rw\n").unwrap(),
            last_cap: 40,
            grantable: capabilities::all(),
            identity: None,
            seccomp: true,
            apparmor: true,
            selinux: true,
            landlock: 6,
            resctrl: Some("/sys/fs/resctrl".into()),
        };
        serde_json::from_value::<Spec>(spec).is_ok_and(|spec| compile(&spec, &host).is_ok())
    }

    fn names(list: &Value) -> Vec<&str> {
        list.as_array().unwrap().iter().filter_map(Value::as_str).collect()
    }

    #[test]
    fn namespaces_are_those_that_can_be_made() {
        let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        for kind in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts", "time"] {
            let made = compiles(|spec| {
                let both = ["mount", kind].map(|kind| json!({"type": kind}));
                spec["linux"]["namespaces"] = both[usize::from(kind == "mount")..].into();
                if kind == "user" {
                    spec["linux"]["uidMappings"] = mapping.clone();
                    spec["linux"]["gidMappings"] = mapping.clone();
                }
            });
            assert_eq!(made, NAMESPACES.contains(&kind), "{kind}");
        }
        assert_eq!(compiles(|spec| spec["linux"]["netDevices"] = json!({"eth0": {}})), NET_DEVICES);
        let mapped = |spec: &mut Value| {
            spec["mounts"][0] = json!({"destination": "/x", "type": "bind", "source": "/x", "options": ["bind"],
                "uidMappings": mapping, "gidMappings": mapping});
        };
        assert_eq!(compiles(mapped), ID_MAPPED);
    }

    #[test]
    fn what_is_told_is_taken() {
        let told = document();
        let linux = &told["linux"];
        for option in names(&told["mountOptions"]) {
            let new = compiles(|spec| spec["mounts"][0]["options"] = json!([option]));
            let mount = json!({"destination": "/x", "type": "bind", "source": "/x", "options": ["bind", option]});
            // Mappings come from elsewhere.
            let mapped = option.ends_with("idmap");
            assert!(new || mapped || compiles(|spec| spec["mounts"][0] = mount.clone()), "{option}");
        }
        for mode in names(&linux["memoryPolicy"]["modes"]) {
            let nodes = if ["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&mode) { "" } else { "0" };
            let policy = |flag: &str| json!({"mode": mode, "nodes": nodes, "flags": [flag]});
            assert!(
                names(&linux["memoryPolicy"]["flags"])
                    .iter()
                    .all(|flag| compiles(|spec| spec["linux"]["memoryPolicy"] = policy(flag)))
            );
        }
        let filter = |filter: Value| compiles(|spec| spec["linux"]["seccomp"] = filter);
        for action in names(&linux["seccomp"]["actions"]) {
            let rule = json!({"names": ["mount"], "action": action, "args": []});
            assert!(filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": [rule]})), "{action}");
        }
        for arch in names(&linux["seccomp"]["archs"]) {
            assert!(filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch]})), "{arch}");
        }
        for flag in names(&linux["seccomp"]["knownFlags"]) {
            assert!(filter(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag]})), "{flag}");
        }
        for name in names(&linux["capabilities"]) {
            assert!(compiles(|spec| spec["process"]["capabilities"] = json!({"bounding": [name]})), "{name}");
        }
        assert_eq!(names(&linux["seccomp"]["operators"]).len(), 7);
    }
}
