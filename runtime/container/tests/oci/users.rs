//! Containers with a user namespace.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::fixture::{Bundle, HOST_ID, counts, eventually, knows};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("what_the_host_has_made_read_only_stays_so", Of::Every, what_the_host_has_made_read_only_stays_so),
    ("users_are_mapped", Of::Every, users_are_mapped),
    ("users_of_several_ranges", Of::Every, users_of_several_ranges),
    ("users_exec", Of::Every, users_exec),
    ("users_have_their_files", Of::Every, users_have_their_files),
    ("users_have_a_terminal", Of::Ours, users_have_a_terminal),
    ("users_are_limited", Of::Every, users_are_limited),
    ("users_cannot_leave_their_map", Of::Every, users_cannot_leave_their_map),
    ("users_do_not_own_what_is_not_theirs", Of::Every, users_do_not_own_what_is_not_theirs),
    ("users_cannot_look_into_who_joins", Of::Every, users_cannot_look_into_who_joins),
    ("users_joined", Of::Every, users_joined),
    ("users_joined_are_compared", Of::Ours, users_joined_are_compared),
    ("users_beside_foreign_namespaces", Of::Every, users_beside_foreign_namespaces),
    ("users_settings", Of::Ours, users_settings),
    ("users_without_root", Of::Ours, users_without_root),
    ("users_that_make_no_sense", Of::Ours, users_that_make_no_sense),
    ("users_have_all_capabilities_to_give", Of::Every, users_have_all_capabilities_to_give),
    ("users_are_scored_by_the_host", Of::Every, users_are_scored_by_the_host),
];

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn users_are_mapped() {
    let bundle = Bundle::new(&["read", "/proc/self/uid_map"]).mapped();
    assert_eq!(lines(&bundle.ok(&["run", "ID"])), ["0 100000 65536"]);
    let facts = Bundle::new(&["facts"]).mapped().with(|spec| {
        spec["process"]["user"] = json!({"uid": 5, "gid": 6, "additionalGids": [7, 8]});
    });
    let facts = facts.ok(&["run", "ID"]);
    for line in ["Uid=5 5 5 5", "Gid=6 6 6 6", "Groups=7 8", "NoNewPrivs=1", "host=box", "pid=1", "CapEff=0000000000000000"] {
        assert!(facts.lines().any(|one| one == line), "{line} is not in {facts}");
    }
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    let bundle = Bundle::new(&["wait"]).mapped();
    bundle.ok(&["create", "ID"]);
    bundle.ok(&["start", "ID"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    assert!(status.contains(&format!("Uid:\t{HOST_ID}\t{HOST_ID}")), "{status}");
}

fn users_of_several_ranges() {
    let ranges = json!([{"containerID": 0, "hostID": HOST_ID, "size": 10}, {"containerID": 10, "hostID": 300_000, "size": 5},
        {"containerID": 1000, "hostID": 1000, "size": 1}]);
    let bundle = Bundle::new(&["read", "/proc/self/gid_map"]).mapped().with(|spec| {
        spec["linux"]["uidMappings"] = ranges.clone();
        spec["linux"]["gidMappings"] = ranges;
        spec["process"]["user"]["uid"] = json!(1000);
    });
    assert_eq!(lines(&bundle.ok(&["run", "ID"])), ["0 100000 10", "10 300000 5", "1000 1000 1"]);
}

fn users_exec() {
    let bundle = Bundle::new(&["wait"]).mapped();
    bundle.ok(&["run", "-d", "ID"]);
    assert_eq!(lines(&bundle.ok(&["exec", "ID", "/probe", "read", "/proc/self/uid_map"])), ["0 100000 65536"]);
    let facts = bundle.ok(&["exec", "--user", "9:8", "--additional-gids", "7", "ID", "/probe", "facts"]);
    // runc gives it twice.
    assert!(facts.contains("\nGroups=7"), "{facts}");
    for line in ["Uid=9 9 9 9", "Gid=8 8 8 8", "host=box", "CapInh=0000000000000000"] {
        assert!(facts.lines().any(|one| one == line), "{line} is not in {facts}");
    }
    for name in ["user", "pid", "net", "mnt", "ipc", "uts"] {
        let of = |pid: String| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert_ne!(of(bundle.pid().to_string()), of("self".into()), "{name}");
    }
    bundle.fails(&["exec", "--user", "70000", "ID", "/probe", "exit", "0"], "");
}

fn users_have_their_files() {
    // The folder, and nodes bound from the host.
    assert_eq!(Bundle::new(&["dev", "/dev/null"]).mapped().ok(&["run", "ID"]), "65534 1:3\n");
    assert!(Bundle::new(&["dev", "/dev"]).mapped().ok(&["run", "ID"]).starts_with("0 "));
    let bundle = Bundle::new(&["mkdir", "/made"]).mapped();
    assert_eq!(bundle.ok(&["run", "ID"]), "done\n");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(bundle.path("rootfs/made")).unwrap().uid(), HOST_ID);
    let volume = Bundle::new(&["read", "/volume/file"]).mapped();
    std::fs::create_dir(volume.path("volume")).unwrap();
    std::fs::write(volume.path("volume/file"), "text").unwrap();
    let source = volume.path("volume");
    let volume = volume.with(|spec| {
        let mount = json!({"destination": "/volume", "type": "bind", "source": source, "options": ["rbind", "ro"]});
        spec["mounts"].as_array_mut().unwrap().push(mount);
    });
    assert_eq!(volume.ok(&["run", "ID"]), "text");
}

fn users_have_a_terminal() {
    let bundle = Bundle::new(&["dev", "/dev/console"]).mapped().with(|spec| {
        spec["process"]["terminal"] = json!(true);
        spec["process"]["user"]["uid"] = json!(3);
        // The group of terminals.
        spec["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": HOST_ID, "size": 65536}]);
    });
    assert_eq!(bundle.ok(&["run", "ID"]).trim().split(' ').next(), Some("3"));
}

fn users_are_limited() {
    if !counts("pids") {
        return;
    }
    let bundle = Bundle::new(&["wait"]).mapped().with(|spec| spec["linux"]["resources"] = json!({"pids": {"limit": 20}}));
    bundle.ok(&["run", "-d", "ID"]);
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", bundle.pid())).unwrap();
    assert!(groups.lines().all(|line| line.ends_with(&bundle.id) || line.contains(":name=") || line.ends_with(":/")), "{groups}");
    assert!(groups.contains(&bundle.id), "{groups}");
    bundle.ok(&["delete", "--force", "ID"]);
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

fn users_cannot_leave_their_map() {
    let all = |spec: &mut Value| {
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = json!(["CAP_SETUID", "CAP_SETGID", "CAP_SYS_ADMIN", "CAP_MKNOD"]);
        }
    };
    let said = |words: &[&str]| Bundle::new(words).mapped().with(all).ok(&["run", "ID"]);
    assert_eq!(said(&["setuid", "70000"]), "errno 22\n");
    assert_eq!(said(&["setuid", "5"]), "done\n");
    assert_eq!(said(&["setgroups"]), "done\n");
    assert_eq!(said(&["write", "/proc/self/uid_map"]).trim(), "/proc/self/uid_map: done", "opened, as root of the namespace");
}

/// Root of the container is nobody on the host.
fn users_do_not_own_what_is_not_theirs() {
    let bundle =
        Bundle::new(&["write", "/volume/secret", "/volume/new", "/proc/sys/vm/drop_caches", "/proc/sys/kernel/core_pattern"]);
    std::fs::create_dir(bundle.path("volume")).unwrap();
    std::fs::write(bundle.path("volume/secret"), "x").unwrap();
    let source = bundle.path("volume");
    let bundle = bundle.mapped().with(|spec| {
        spec["linux"]["readonlyPaths"] = json!([]);
        let mount = json!({"destination": "/volume", "type": "bind", "source": source, "options": ["bind"]});
        spec["mounts"].as_array_mut().unwrap().push(mount);
    });
    let out = bundle.ok(&["run", "ID"]);
    assert_eq!(out.lines().filter(|line| line.ends_with(": errno 13")).count(), 4, "{out}");
}

/// Root of the container may trace what is in its user namespace, but not a process that is on its way in (CVE-2016-9962).
fn users_cannot_look_into_who_joins() {
    let bundle = Bundle::new(&["spy", "/found"]).mapped().with(|spec| {
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_SYS_ADMIN"]);
        }
    });
    bundle.ok(&["run", "-d", "ID"]);
    let found = bundle.path("rootfs/found");
    eventually("a spy", || found.exists());
    for _ in 0..60 {
        bundle.ok(&["exec", "ID", "/probe", "exit", "0"]);
    }
    assert_eq!(std::fs::read_to_string(found).unwrap(), "");
}

/// As a pod's second container: it joins what the first has made.
fn beside(pod: &Bundle, words: &[&str], joined: &[(&str, &str)]) -> Bundle {
    let pid = pod.pid();
    Bundle::new(words).mapped().with(|spec| {
        spec["linux"]["namespaces"] = json!([{"type": "mount"}]);
        spec.as_object_mut().unwrap().remove("hostname");
        for kind in ["pid", "user", "network", "ipc", "uts"] {
            let path = joined.iter().find(|(name, _)| *name == kind);
            let path = path.map(|(_, file)| json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")}));
            spec["linux"]["namespaces"].as_array_mut().unwrap().push(path.unwrap_or(json!({"type": kind})));
        }
    })
}

fn users_joined() {
    // Before, runc wanted the ranges of a namespace that has them.
    if !knows("1.2.0") {
        return;
    }
    let pod = Bundle::new(&["wait"]).mapped();
    pod.ok(&["run", "-d", "ID"]);
    let most = [("user", "user"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts")];
    let without_maps = |spec: &mut Value| {
        let linux = spec["linux"].as_object_mut().unwrap();
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    };
    let bundle = beside(&pod, &["facts"], &most).with(without_maps);
    let facts = bundle.ok(&["run", "ID"]);
    assert!(["pid=1", "host=box", "Uid=0 0 0 0"].iter().all(|line| facts.lines().any(|one| one == *line)), "{facts}");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    let all = [("user", "user"), ("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")];
    let bundle = beside(&pod, &["wait"], &all).with(without_maps);
    bundle.ok(&["create", "ID"]);
    bundle.ok(&["start", "ID"]);
    for (_, name) in all {
        let of = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert_eq!(of(bundle.pid()), of(pod.pid()), "{name}");
    }
    assert_eq!(lines(&bundle.ok(&["exec", "ID", "/probe", "read", "/proc/self/uid_map"])), ["0 100000 65536"]);
}

fn users_joined_are_compared() {
    let pod = Bundle::new(&["wait"]).mapped();
    pod.ok(&["run", "-d", "ID"]);
    let joined = [("user", "user")];
    assert_eq!(beside(&pod, &["exit", "7"], &joined).call(&["run", "ID"]).code, Some(7), "the same ranges");
    let other = beside(&pod, &["exit", "7"], &joined)
        .with(|spec| spec["linux"]["uidMappings"] = json!([{"containerID": 0, "hostID": 5, "size": 65536}]));
    other.fails(&["run", "ID"], "has another uid_map than the configuration");
    assert_eq!(other.left(), Vec::<PathBuf>::new());
}

fn users_beside_foreign_namespaces() {
    // runc 1.3.
    if !knows("1.2.0") {
        return;
    }
    // A network that the host's user namespace owns, joined by a container with a new one, and by one that joins another one.
    let host = Bundle::new(&["wait"]);
    host.ok(&["run", "-d", "ID"]);
    let bundle = beside(&host, &["read", "/proc/self/uid_map"], &[("network", "net"), ("ipc", "ipc")]);
    assert_eq!(lines(&bundle.ok(&["run", "ID"])), ["0 100000 65536"]);
    let pod = Bundle::new(&["wait"]).mapped();
    pod.ok(&["run", "-d", "ID"]);
    let bundle = beside(&pod, &["wait"], &[("user", "user")]).with(|spec| {
        let path = format!("/proc/{}/ns/net", host.pid());
        let all = spec["linux"]["namespaces"].as_array_mut().unwrap();
        let network = all.iter_mut().find(|one| one["type"] == "network").unwrap();
        network["path"] = json!(path);
    });
    bundle.ok(&["run", "-d", "ID"]);
    let of = |pid: u32, name: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
    assert_eq!(of(bundle.pid(), "net"), of(host.pid(), "net"));
    assert_eq!(of(bundle.pid(), "user"), of(pod.pid(), "user"));
    let facts = bundle.ok(&["exec", "ID", "/probe", "facts"]);
    assert!(facts.lines().any(|line| line == "Uid=0 0 0 0"), "{facts}");
}

fn users_settings() {
    let read = "/proc/sys/user/max_net_namespaces";
    let bundle = Bundle::new(&["read", read]).mapped().with(|spec| {
        spec["linux"]["sysctl"] = json!({"user.max_net_namespaces": "7", "net.ipv4.ip_forward": "1", "kernel.shmmni": "99"});
    });
    assert_eq!(bundle.ok(&["run", "ID"]), "7\n");
    let bundle = Bundle::new(&["exit", "0"]).with(|spec| spec["linux"]["sysctl"] = json!({"user.max_net_namespaces": "7"}));
    bundle.fails(&["run", "ID"], "linux.sysctl.user.max_net_namespaces: needs a user namespace");
}

fn users_without_root() {
    let one = json!([{"containerID": 1000, "hostID": HOST_ID, "size": 1}]);
    let bundle = Bundle::new(&["facts"]).mapped().with(|spec| {
        spec["linux"]["uidMappings"] = one.clone();
        spec["linux"]["gidMappings"] = one;
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        // Its group is not mapped.
        spec["mounts"][2]["options"] = json!(["newinstance"]);
        spec["mounts"][1]["options"] = json!(["mode=755", "uid=1000", "gid=1000"]);
    });
    let facts = bundle.ok(&["run", "ID"]);
    assert!(facts.lines().any(|line| line == "Uid=1000 1000 1000 1000"), "{facts}");
}

fn users_that_make_no_sense() {
    let range = |inside: u32, outside: u32, size: u32| json!({"containerID": inside, "hostID": outside, "size": size});
    let many = (0..341).map(|id| range(id, id, 1)).collect::<Vec<_>>();
    let long = (0..200).map(|id| range(4_000_000_000 + id, 4_000_000_000 + id, 1)).collect::<Vec<_>>();
    for (ranges, text) in [
        (json!([]), "linux.uidMappings: missing"),
        (json!([range(0, 1, 0)]), "linux.uidMappings: 0 1 0 is no range"),
        (json!([range(0, 1000, 10), range(5, 5000, 1)]), "linux.uidMappings: the ranges 0 1000 10 and 5 5000 1 overlap"),
        (json!([range(0, 1000, 10), range(20, 1005, 1)]), "linux.uidMappings: the ranges 0 1000 10 and 20 1005 1 overlap"),
        (json!([range(0, u32::MAX, 2)]), "linux.uidMappings: 0 4294967295 2 is no range"),
        (json!(many), "linux.uidMappings: 341 ranges are more than the kernel's 340"),
        (json!(long), "linux.uidMappings: 200 ranges take 4800 bytes of text, the kernel reads 4095"),
        (json!([range(5, 1000, 10)]), "process.user.uid: 0 is not mapped"),
    ] {
        let bundle = Bundle::new(&["exit", "0"]).mapped().with(|spec| spec["linux"]["uidMappings"] = ranges);
        bundle.fails(&["run", "ID"], text);
        assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    }
    let bundle = Bundle::new(&["exit", "0"]).with(|spec| spec["linux"]["uidMappings"] = json!([range(0, 1, 1)]));
    bundle.fails(&["run", "ID"], "linux.uidMappings: needs a user namespace");
    let bundle = Bundle::new(&["exit", "0"]).mapped().with(|spec| spec["process"]["user"]["additionalGids"] = json!([1, 70000]));
    bundle.fails(&["run", "ID"], "process.user.additionalGids: 70000 is not mapped");
}

fn users_have_all_capabilities_to_give() {
    let bundle = Bundle::new(&["facts"]).mapped().with(|spec| {
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = json!(["CAP_SYS_RESOURCE", "CAP_SYS_ADMIN"]);
        }
    });
    let facts = bundle.ok(&["run", "ID"]);
    assert!(facts.lines().any(|line| line == "CapEff=0000000001200000"), "{facts}");
}

fn users_are_scored_by_the_host() {
    let bundle =
        Bundle::new(&["read", "/proc/self/oom_score_adj"]).mapped().with(|spec| spec["process"]["oomScoreAdj"] = json!(321));
    assert_eq!(bundle.ok(&["run", "ID"]), "321\n");
}

/// Root in a container with users of its own may change its mounts, but none of the host's.
fn what_the_host_has_made_read_only_stays_so() {
    use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
    let caps = ["CAP_SYS_ADMIN"];
    let bundle = Bundle::new(&["remount", "/volume", "/own"]).mapped().with(|spec| {
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = json!(caps);
        }
    });
    for name in ["volume", "own"] {
        std::fs::create_dir(bundle.path(name)).unwrap();
    }
    let volume = bundle.path("volume");
    mount("tmpfs", &volume, "tmpfs", MountFlags::empty(), c"mode=0777").unwrap();
    mount_remount(&volume, MountFlags::BIND | MountFlags::RDONLY, c"").unwrap();
    let bind = |name: &str| json!({"type": "bind", "source": bundle.path(name), "destination": format!("/{name}"), "options": ["rbind", "ro"]});
    let binds = [bind("volume"), bind("own")];
    let bundle = bundle.with(|spec| spec["mounts"].as_array_mut().unwrap().extend(binds));
    let said = bundle.call(&["run", "ID"]);
    unmount(&volume, UnmountFlags::DETACH).unwrap();
    assert_eq!(said.out.lines().next(), Some("/volume: errno 1"), "{said:?}");
}
