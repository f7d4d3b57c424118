//! The command line in the hands of somebody who is not root.

use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::fixture::{Bundle, HOST_ID, MAPPED, foreign, runtime};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("rootless_life", Of::Every, rootless_life),
    ("rootless_mounts", Of::Every, rootless_mounts),
    ("rootless_groups_stay", Of::Ours, rootless_groups_stay),
    ("rootless_limits_are_an_error", Of::Ours, rootless_limits_are_an_error),
    ("rootless_needs_a_user_namespace", Of::Every, rootless_needs_a_user_namespace),
    ("rootless_cannot_map_others", Of::Every, rootless_cannot_map_others),
    ("rootless_several_ranges", Of::Every, rootless_several_ranges),
    ("rootless_delegated_cgroup", Of::Ours, rootless_delegated_cgroup),
    ("rootless_finds_its_folder", Of::Ours, rootless_finds_its_folder),
    ("rootless_configuration", Of::Every, rootless_configuration),
    ("rootless_cannot_reach_others", Of::Every, rootless_cannot_reach_others),
    ("rootless_root_of_a_user_namespace", Of::Ours, rootless_root_of_a_user_namespace),
    ("rootless_user_namespace_in_another", Of::Every, rootless_user_namespace_in_another),
];

/// `nobody`, a user on every host: newuidmap(1) wants one with a name.
const USER: u32 = 65534;

fn drop_to_user() -> Vec<String> {
    ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--"].map(str::to_owned).to_vec()
}

/// A bundle of that user, who maps only itself.
fn own(words: &[&str]) -> Bundle {
    let mut bundle = Bundle::new(words);
    std::fs::set_permissions(bundle.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["", "rootfs", "root"] {
        chown(bundle.path(path), Some(USER), Some(USER)).unwrap();
    }
    bundle.before = drop_to_user();
    bundle.with(|spec| {
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        for field in ["uidMappings", "gidMappings"] {
            spec["linux"][field] = json!([{"containerID": 0, "hostID": USER, "size": 1}]);
        }
        spec["linux"].as_object_mut().unwrap().remove("cgroupsPath");
        // The group of terminals is not mapped.
        spec["mounts"][2]["options"] = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]);
    })
}

fn line<'a>(facts: &'a str, key: &str) -> &'a str {
    facts.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).unwrap_or_else(|| panic!("no {key} in {facts}"))
}

fn rootless_life() {
    let bundle = own(&["wait"]);
    bundle.ok(&["create", "--pid-file", "BUNDLE/root/pid", "ID"]);
    assert_eq!(bundle.status(), "created");
    bundle.ok(&["start", "ID"]);
    assert_eq!(bundle.status(), "running");
    let status = std::fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    assert!(status.contains(&format!("Uid:\t{USER}\t{USER}\t{USER}\t{USER}")), "{status}");
    let facts = bundle.ok(&["exec", "ID", "/probe", "facts"]);
    assert_eq!((line(&facts, "Uid"), line(&facts, "host"), line(&facts, "CapInh")), ("0 0 0 0", "box", "0000000000000000"));
    for name in ["user", "pid", "net", "mnt", "ipc", "uts"] {
        assert_ne!(
            std::fs::read_link(format!("/proc/{}/ns/{name}", bundle.pid())).unwrap(),
            std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap()
        );
    }
    let process = json!({"args": ["/probe", "read", "/proc/self/oom_score_adj"], "cwd": "/", "user": {"uid": 0, "gid": 0},
        "oomScoreAdj": 654, "noNewPrivileges": true});
    std::fs::write(bundle.path("process.json"), process.to_string()).unwrap();
    assert_eq!(bundle.ok(&["exec", "--process", "BUNDLE/process.json", "ID"]), "654\n");
    bundle.ok(&["kill", "ID", "KILL"]);
    bundle.until("stopped");
    bundle.ok(&["delete", "ID"]);
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    assert_eq!(own(&["exit", "9"]).call(&["run", "ID"]).code, Some(9));
}

fn rootless_mounts() {
    let bundle = own(&["read", "/volume/file"]);
    let volume = bundle.path("volume");
    std::fs::create_dir(&volume).unwrap();
    std::fs::write(volume.join("file"), "text").unwrap();
    let bundle = bundle.with(|spec| {
        let mount = json!({"destination": "/volume", "type": "bind", "source": volume, "options": ["rbind", "ro"]});
        spec["mounts"].as_array_mut().unwrap().push(mount);
    });
    assert_eq!(bundle.ok(&["run", "ID"]), "text");
    let bundle = own(&["exit", "0"]).with(|spec| spec["mounts"][3]["source"] = json!("/nonsuch"));
    bundle.fails(&["run", "ID"], "no such file or directory");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

/// CVE-2014-8989: who can leave a group can read what is kept from it.
fn rootless_groups_stay() {
    let caps = |spec: &mut Value| {
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = json!(["CAP_SETGID", "CAP_SYS_ADMIN"]);
        }
    };
    assert_eq!(own(&["setgroups"]).with(caps).ok(&["run", "ID"]), "errno 1\n");
    assert_eq!(own(&["read", "/proc/self/setgroups"]).ok(&["run", "ID"]), "deny\n");
    let bundle = own(&["exit", "0"]).with(|spec| spec["process"]["user"]["additionalGids"] = json!([0]));
    bundle.fails(&["run", "ID"], "process.user.additionalGids: groups cannot be changed where a user maps only itself");
    let bundle = own(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    bundle.fails(&["exec", "--additional-gids", "1", "ID", "/probe", "exit", "0"], "denied in this user namespace");
    // The group that it has anyway is no further one.
    bundle.ok(&["exec", "--additional-gids", "0", "ID", "/probe", "exit", "0"]);
}

fn rootless_limits_are_an_error() {
    let bundle = own(&["exit", "0"]).with(|spec| spec["linux"]["resources"] = json!({"memory": {"limit": 100_000_000}}));
    bundle.fails(&["run", "ID"], "as far as cgroups are delegated to this user: linux.resources.memory.limit");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    // Rules about devices say nothing where nobody can make one.
    let bundle = own(&["exit", "4"]).with(|spec| {
        spec["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
    });
    assert_eq!(bundle.call(&["run", "ID"]).code, Some(4));
}

fn rootless_needs_a_user_namespace() {
    let bundle = own(&["exit", "0"]).with(|spec| {
        spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "user");
        let linux = spec["linux"].as_object_mut().unwrap();
        linux.remove("uidMappings");
        linux.remove("gidMappings");
    });
    bundle.fails(&["run", "ID"], "user namespace");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

fn helpers() -> bool {
    let there = Path::new("/usr/bin/newuidmap").exists();
    if !there {
        println!("skipped: needs newuidmap");
    }
    there
}

fn ranges(spec: &mut Value) {
    for field in ["uidMappings", "gidMappings"] {
        spec["linux"][field] =
            json!([{"containerID": 0, "hostID": USER, "size": 1}, {"containerID": 1, "hostID": 700_000, "size": 1000}]);
    }
}

fn rootless_cannot_map_others() {
    if !helpers() {
        return;
    }
    let bundle = own(&["exit", "0"]).with(ranges);
    let said = bundle.call(&["run", "ID"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("newgidmap") || said.err.contains("newuidmap"), "{said:?}");
    if !foreign() {
        assert!(said.err.contains("/usr/bin/newgidmap: 0 65534 1, 1 700000 1000: exit status: 1, newgidmap: "), "{said:?}");
    }
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

/// With what `/etc/subuid` grants, which is another file for this runtime alone.
fn rootless_several_ranges() {
    if !helpers() {
        return;
    }
    let mut bundle = own(&["read", "/proc/self/uid_map"]).with(ranges);
    std::fs::write(bundle.path("subid"), "nobody:700000:1000\n").unwrap();
    let script = "mount --bind \"$0\" /etc/subuid && mount --bind \"$0\" /etc/subgid && exec \"$@\"";
    let subid = bundle.path("subid").display().to_string();
    let mut before = ["unshare", "--mount", "sh", "-c", script, &subid].map(str::to_owned).to_vec();
    before.extend(drop_to_user());
    bundle.before = before;
    let map: Vec<String> = bundle.ok(&["run", "ID"]).split_whitespace().map(str::to_owned).collect();
    assert_eq!(map, ["0", "65534", "1", "1", "700000", "1000"]);
    let bundle = bundle.with(|spec| {
        // runc gives nobody groups who is not root.
        let groups = if foreign() { json!([]) } else { json!([7]) };
        spec["process"]["user"] = json!({"uid": 5, "gid": 6, "additionalGids": groups});
        spec["process"]["args"] = json!(["/probe", "wait"]);
    });
    bundle.ok(&["run", "-d", "ID"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    assert!(status.contains("Uid:\t700004\t") && status.contains("Gid:\t700005\t"), "{status}");
    assert!(foreign() || status.contains("Groups:\t700006 "), "{status}");
    let facts = bundle.ok(&["exec", "--user", "1000:1000", "ID", "/probe", "facts"]);
    assert_eq!(line(&facts, "Uid"), "1000 1000 1000 1000");
    assert!(foreign() || line(&facts, "Groups") == "7", "{facts}");
}

/// A part of v2 that this user may use, with a shell of root's that goes there first.
fn rootless_delegated_cgroup() {
    let top = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new).into_iter().find(|top| top.join("cgroup.procs").exists());
    let Some(top) = top.filter(|top| rustix::fs::statfs(*top).is_ok_and(|fs| fs.f_type == 0x6367_7270)) else {
        println!("skipped: needs cgroup v2");
        return;
    };
    let mut bundle = own(&["wait"]);
    if bundle.systemd {
        return println!("skipped: systemd delegates no cgroup to a user who is not there");
    }
    let own = top.join(format!("{}-user", bundle.id));
    let caller = own.join("caller");
    std::fs::create_dir_all(&caller).unwrap();
    for file in ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads", "caller", "caller/cgroup.procs"] {
        chown(own.join(file), Some(USER), Some(USER)).unwrap();
    }
    let mut before =
        ["sh", "-c", "echo 0 > \"$0/cgroup.procs\" && exec \"$@\"", caller.to_str().unwrap()].map(str::to_owned).to_vec();
    before.extend(drop_to_user());
    bundle.before = before;
    bundle.ok(&["run", "-d", "ID"]);
    let of = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let place = format!("0::/{0}-user/rctr-oci-{0}", bundle.id);
    assert!(of(bundle.pid()).lines().any(|line| line == place), "{}", of(bundle.pid()));
    let out = bundle.ok(&["exec", "ID", "/probe", "read", "/proc/self/cgroup"]);
    assert!(out.lines().any(|line| line == place), "{out}");
    let events = own.join(format!("rctr-oci-{}", bundle.id)).join("cgroup.events");
    bundle.ok(&["pause", "ID"]);
    assert!(std::fs::read_to_string(&events).unwrap().contains("frozen 1"));
    bundle.ok(&["resume", "ID"]);
    assert_eq!(bundle.json(&["ps", "--format", "json", "ID"]), json!([bundle.pid()]));
    bundle.ok(&["delete", "--force", "ID"]);
    assert!(!events.exists());
    no_way_up(&bundle);
    for folder in [&caller, &own] {
        crate::fixture::eventually("an empty cgroup", || std::fs::remove_dir(folder).is_ok());
    }
}

/// Without a cgroup namespace of its own a container sees its own cgroup all the same, and no other (CVE-2023-25809).
fn no_way_up(bundle: &Bundle) {
    let mut other = own(&["tree", "/sys/fs/cgroup"]);
    other.before = bundle.before.clone();
    let other = other.with(|spec| {
        let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"]});
        spec["mounts"].as_array_mut().unwrap().push(mount);
    });
    let tree = other.ok(&["run", "ID"]);
    assert!(tree.contains("/sys/fs/cgroup/cgroup.procs ") && !tree.contains("caller"), "{tree}");
}

fn rootless_finds_its_folder() {
    let bundle = own(&["exit", "0"]);
    std::fs::write(bundle.path("config.json"), bundle.spec.to_string()).unwrap();
    let run = |folder: Option<&Path>| {
        let words = drop_to_user();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(runtime()).args(["run", "--keep", &bundle.id]).env_remove("XDG_RUNTIME_DIR");
        if let Some(folder) = folder {
            command.env("XDG_RUNTIME_DIR", folder);
        }
        command.current_dir(bundle.dir.path()).stdin(Stdio::null()).output().unwrap()
    };
    assert!(run(Some(&bundle.path("root"))).status.success());
    let kept = bundle.path("root/rctr-oci");
    assert_eq!(std::fs::metadata(&kept).unwrap().permissions().mode() & 0o7777, 0o1700);
    assert!(kept.join(&bundle.id).exists());
    let said = run(None);
    let said = String::from_utf8_lossy(&said.stderr);
    assert!(said.contains("/run/rctr-oci") && said.contains("ermission denied"), "{said}");
}

fn rootless_configuration() {
    let mut bundle = own(&["exit", "8"]);
    let (process, probe) = (bundle.spec["process"]["args"].clone(), bundle.spec["mounts"][3].clone());
    let words = drop_to_user();
    let mut command = Command::new(&words[0]);
    let status = command.args(&words[1..]).arg(runtime()).args(["spec", "--rootless"]).current_dir(bundle.path("root")).status();
    assert!(status.unwrap().success());
    let mut spec: Value = serde_json::from_slice(&std::fs::read(bundle.path("root/config.json")).unwrap()).unwrap();
    spec["process"]["args"] = process;
    spec["process"]["terminal"] = json!(false);
    spec["root"]["readonly"] = json!(false);
    spec["mounts"].as_array_mut().unwrap().push(probe);
    bundle.spec = spec;
    assert_eq!(bundle.call(&["run", "ID"]).code, Some(8));
}

/// A user's container and root's: neither verb nor signal crosses.
fn rootless_cannot_reach_others() {
    let root = Bundle::new(&["wait"]);
    root.ok(&["run", "-d", "ID"]);
    let pid = root.pid();
    // Its network and pid namespace are not the user's to join.
    for (kind, file) in [("network", "net"), ("pid", "pid"), ("user", "user")] {
        let thief = own(&["exit", "0"]).with(|spec| {
            let all = spec["linux"]["namespaces"].as_array_mut().unwrap();
            all.retain(|one| one["type"] != kind);
            all.push(json!({"type": kind, "path": format!("/proc/{pid}/ns/{file}")}));
        });
        let said = thief.call(&["run", "ID"]);
        assert!(said.code.is_some_and(|code| code != 0), "{kind}: {said:?}");
        assert_eq!(thief.left(), Vec::<PathBuf>::new());
    }
    assert_eq!(root.status(), "running");
}

/// As podman(1) calls it: root of a user namespace, which no cgroup is delegated to.
fn rootless_root_of_a_user_namespace() {
    let mut bundle = Bundle::new(&["facts"]);
    std::fs::set_permissions(bundle.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["", "rootfs", "root"] {
        chown(bundle.path(path), Some(USER), Some(USER)).unwrap();
    }
    let mut before = drop_to_user();
    before.extend(["unshare", "--user", "--map-root-user", "--mount", "--"].map(str::to_owned));
    bundle.before = before;
    let bundle = bundle.with(|spec| {
        spec["mounts"][2]["options"] = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]);
    });
    let facts = bundle.ok(&["run", "ID"]);
    assert_eq!((line(&facts, "Uid"), line(&facts, "host")), ("0 0 0 0", "box"));
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    let bundle = bundle.with(|spec| spec["linux"]["resources"] = json!({"pids": {"limit": 5}}));
    bundle.fails(&["run", "ID"], "as far as cgroups are delegated to this user: linux.resources.pids.limit");
    bundle.fails(&["--rootless", "false", "run", "ID"], "");
}

/// Of a root that has a part of the host's ids, and gives a part of these away.
fn rootless_user_namespace_in_another() {
    const SECOND: u32 = 2000;
    let mut bundle = Bundle::new(&["wait"]);
    std::fs::set_permissions(bundle.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for path in ["", "root"] {
        chown(bundle.path(path), Some(HOST_ID), Some(HOST_ID)).unwrap();
    }
    chown(bundle.path("rootfs"), Some(HOST_ID + SECOND), Some(HOST_ID + SECOND)).unwrap();
    let own = std::env::current_exe().unwrap();
    bundle.before = vec![own.to_str().unwrap().to_owned(), MAPPED.to_owned()];
    let mut bundle = bundle.with(|spec| {
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        for field in ["uidMappings", "gidMappings"] {
            spec["linux"][field] = json!([{"containerID": 0, "hostID": SECOND, "size": 1000}]);
        }
        spec["linux"].as_object_mut().unwrap().remove("cgroupsPath");
    });
    bundle.ok(&["create", "ID"]);
    bundle.ok(&["start", "ID"]);
    assert_eq!(bundle.status(), "running");
    let status = std::fs::read_to_string(format!("/proc/{}/status", bundle.pid())).unwrap();
    let outside = HOST_ID + SECOND;
    assert!(status.contains(&format!("Uid:\t{outside}\t{outside}\t{outside}\t{outside}")), "{status}");
    // Each call of the wrapper has other users.
    let wrapper = std::mem::take(&mut bundle.before);
    let map = bundle.ok(&["exec", "ID", "/probe", "read", "/proc/self/uid_map"]);
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "2000", "1000"]);
    assert_eq!(bundle.ok(&["exec", "--user", "5:6", "ID", "/probe", "read", "/proc/self/setgroups"]), "allow\n");
    bundle.ok(&["delete", "--force", "ID"]);
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    // Ids that its maker has not.
    bundle.before = wrapper;
    let bundle = bundle.with(|spec| spec["linux"]["uidMappings"][0]["hostID"] = json!(70_000));
    bundle.fails(&["run", "ID"], "");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}
