//! Namespaces that are not simply made, and the ways into a root.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::fixture::{Bundle, knows};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("clocks_are_set", Of::Every, clocks_are_set),
    ("clocks_that_make_no_sense", Of::Ours, clocks_that_make_no_sense),
    ("a_cgroup_namespace_is_joined", Of::Every, a_cgroup_namespace_is_joined),
    ("a_mount_namespace_is_joined", Of::Ours, a_mount_namespace_is_joined),
    ("a_pid_namespace_is_joined", Of::Every, a_pid_namespace_is_joined),
    ("no_pivot_is_another_way_in", Of::Every, no_pivot_is_another_way_in),
    ("no_pivot_lets_nobody_out", Of::Every, no_pivot_lets_nobody_out),
    ("the_hosts_cgroups_are_not_shown", Of::Ours, the_hosts_cgroups_are_not_shown),
    ("network_devices_move", Of::Every, network_devices_move),
    ("network_devices_that_cannot_move_stay", Of::Ours, network_devices_that_cannot_move_stay),
    ("network_devices_that_make_no_sense", Of::Ours, network_devices_that_make_no_sense),
];

fn add(spec: &mut Value, namespace: Value) {
    let all = spec["linux"]["namespaces"].as_array_mut().unwrap();
    all.retain(|one| one["type"] != namespace["type"]);
    all.push(namespace);
}

fn clocks_are_set() {
    if !knows("1.1.0") {
        return;
    }
    let uptime = |bundle: &Bundle| -> Vec<i64> {
        let out = bundle.ok(&["exec", "ID", "/probe", "uptime"]);
        out.lines().map(|line| line.parse().unwrap()).collect()
    };
    let host = rustix::time::clock_gettime(rustix::time::ClockId::Boottime).tv_sec;
    let offsets = json!({"monotonic": {"secs": 86400, "nanosecs": 5}, "boottime": {"secs": 864_000}});
    for user in [false, true] {
        let bundle = Bundle::new(&["wait"]);
        let bundle = if user { bundle.mapped() } else { bundle };
        let bundle = bundle.with(|spec| {
            add(spec, json!({"type": "time"}));
            spec["linux"]["timeOffsets"] = offsets.clone();
        });
        bundle.ok(&["run", "-d", "ID"]);
        let clocks = uptime(&bundle);
        assert!(clocks[0] >= 86400 && clocks[1] >= host + 864_000, "{clocks:?} {host}");
        let other = Bundle::new(&["wait"]).with(|spec| {
            add(spec, json!({"type": "time", "path": format!("/proc/{}/ns/time", bundle.pid())}));
        });
        other.ok(&["run", "-d", "ID"]);
        assert!(uptime(&other)[1] >= host + 864_000);
    }
    let plain = Bundle::new(&["uptime"]).with(|spec| add(spec, json!({"type": "time"})));
    plain.ok(&["run", "ID"]);
}

fn clocks_that_make_no_sense() {
    for (offsets, text) in [
        (json!({"realtime": {"secs": 1}}), "linux.timeOffsets.realtime: is neither monotonic nor boottime"),
        (json!({"monotonic": {"nanosecs": 2_000_000_000}}), "linux.timeOffsets.monotonic: 2000000000 nanoseconds"),
        (json!({"boottime": {"secs": -999_999_999}}), "set the clocks: boottime -999999999 0"),
    ] {
        let bundle = Bundle::new(&["exit", "0"]).with(|spec| {
            add(spec, json!({"type": "time"}));
            spec["linux"]["timeOffsets"] = offsets;
        });
        bundle.fails(&["run", "ID"], text);
        assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    }
    let bundle = Bundle::new(&["exit", "0"]).with(|spec| spec["linux"]["timeOffsets"] = json!({"monotonic": {"secs": 1}}));
    bundle.fails(&["run", "ID"], "clocks can only be set in a new time namespace");
}

fn link(pid: u32, name: &str) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap()
}

fn a_cgroup_namespace_is_joined() {
    let first = Bundle::new(&["wait"]).with(|spec| add(spec, json!({"type": "cgroup"})));
    first.ok(&["run", "-d", "ID"]);
    let path = format!("/proc/{}/ns/cgroup", first.pid());
    let second = Bundle::new(&["wait"]).with(|spec| add(spec, json!({"type": "cgroup", "path": path})));
    second.ok(&["run", "-d", "ID"]);
    assert_eq!(link(first.pid(), "cgroup"), link(second.pid(), "cgroup"));
}

fn a_mount_namespace_is_joined() {
    let first = Bundle::new(&["wait"]);
    std::fs::write(first.path("rootfs/of-the-first"), "x").unwrap();
    first.ok(&["run", "-d", "ID"]);
    let second = Bundle::new(&["wait"]).with(|spec| {
        add(spec, json!({"type": "mount", "path": format!("/proc/{}/ns/mnt", first.pid())}));
    });
    second.ok(&["run", "-d", "ID"]);
    assert_eq!(link(first.pid(), "mnt"), link(second.pid(), "mnt"));
    assert_ne!(link(first.pid(), "pid"), link(second.pid(), "pid"));
    // It has mounted nothing, made nothing, and covered nothing.
    let mounts = |bundle: &Bundle| std::fs::read_to_string(format!("/proc/{}/mountinfo", bundle.pid())).unwrap();
    assert_eq!(mounts(&first).lines().filter(|line| line.contains(" /proc ")).count(), 1);
    assert_eq!(std::fs::read_dir(second.path("rootfs")).unwrap().count(), 0);
    assert_eq!(second.ok(&["exec", "ID", "/probe", "read", "/of-the-first"]), "x");
    second.ok(&["delete", "--force", "ID"]);
    assert_eq!(first.status(), "running");
}

fn a_pid_namespace_is_joined() {
    let first = Bundle::new(&["wait"]);
    first.ok(&["run", "-d", "ID"]);
    let path = format!("/proc/{}/ns/pid", first.pid());
    let second = Bundle::new(&["wait"]).with(|spec| add(spec, json!({"type": "pid", "path": path})));
    second.ok(&["run", "-d", "ID"]);
    assert_eq!(link(first.pid(), "pid"), link(second.pid(), "pid"));
    second.ok(&["delete", "--force", "ID"]);
    assert_eq!(first.status(), "running");
}

fn no_pivot_is_another_way_in() {
    let bundle = Bundle::new(&["facts"]).with(|spec| spec["root"]["readonly"] = json!(true));
    std::fs::write(bundle.path("rootfs/probe"), "").unwrap();
    for name in ["proc", "dev"] {
        std::fs::create_dir(bundle.path("rootfs").join(name)).unwrap();
    }
    let facts = bundle.ok(&["run", "--no-pivot", "ID"]);
    for line in ["cwd=/", "root=3", "pid=1", "host=box"] {
        assert!(facts.lines().any(|one| one == line), "{line} is not in {facts}");
    }
    let bundle = Bundle::new(&["wait"]).mapped();
    bundle.ok(&["create", "--no-pivot", "ID"]);
    bundle.ok(&["start", "ID"]);
    let facts = bundle.ok(&["exec", "ID", "/probe", "facts"]);
    assert!(facts.lines().any(|one| one == "root=3"), "{facts}");
}

fn no_pivot_lets_nobody_out() {
    let bundle = Bundle::new(&["escape"]).with(|spec| {
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = json!(["CAP_SYS_CHROOT", "CAP_SYS_ADMIN"]);
        }
    });
    assert_eq!(bundle.ok(&["run", "--no-pivot", "ID"]), "[\"cell\", \"dev\", \"probe\", \"proc\"]\n");
    // Nor is the host's procfs there to be looked at.
    let bundle = Bundle::new(&["read", "/proc/self/mountinfo"]);
    let mounts = bundle.ok(&["run", "--no-pivot", "ID"]);
    assert!(mounts.lines().all(|line| !line.contains(" /home ") && !line.contains(" sysfs ")), "{mounts}");
}

/// A veth pair of this host, removed at the end.
struct Pair(String);

impl Pair {
    fn new(name: &str) -> Option<Pair> {
        let pair = Pair(format!("{name}{}", std::process::id() % 100_000));
        let (a, b) = (pair.0.clone(), format!("{}p", pair.0));
        let commands: [&[&str]; 4] = [
            &["link", "add", &a, "mtu", "1300", "type", "veth", "peer", "name", &b],
            &["link", "set", &b, "up"],
            &["addr", "add", "10.98.7.6/24", "broadcast", "10.98.7.255", "dev", &a],
            &["addr", "add", "fd00:98::6/64", "nodad", "dev", &a],
        ];
        let done = commands.iter().all(|words| Command::new("ip").args(*words).status().is_ok_and(|status| status.success()));
        if !done {
            println!("skipped: needs ip(8) and veth");
        }
        done.then_some(pair)
    }

    fn here(&self) -> bool {
        std::path::Path::new("/sys/class/net").join(&self.0).exists()
    }

    fn hardware(&self) -> String {
        std::fs::read_to_string(format!("/sys/class/net/{}/address", self.0)).unwrap()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &format!("{}p", self.0)]).output();
    }
}

fn network_devices_move() {
    if !knows("1.3.0") {
        return;
    }
    for user in [false, true] {
        let Some(pair) = Pair::new("ocm") else { return };
        let hardware = pair.hardware();
        let bundle = Bundle::new(&["wait"]);
        let bundle = if user { bundle.mapped() } else { bundle };
        let bundle = bundle.with(|spec| spec["linux"]["netDevices"] = json!({&pair.0: {"name": "eth7"}}));
        bundle.ok(&["run", "-d", "ID"]);
        assert!(!pair.here());
        let show = |words: &[&str]| {
            let file = format!("--net=/proc/{}/ns/net", bundle.pid());
            let output = Command::new("nsenter").arg(file).arg("ip").args(words).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        let (link, addresses) = (show(&["link", "show", "eth7"]), show(&["addr", "show", "dev", "eth7"]));
        assert!(link.contains("mtu 1300") && link.contains(hardware.trim()) && link.contains(",UP"), "{link}");
        for text in ["inet 10.98.7.6/24 brd 10.98.7.255 scope global", "inet6 fd00:98::6/64 scope global"] {
            assert!(addresses.contains(text), "{addresses}");
        }
    }
}

fn network_devices_that_cannot_move_stay() {
    let Some(pair) = Pair::new("ocs") else { return };
    let refused = |devices: Value, text: &str| {
        let bundle = Bundle::new(&["exit", "0"]).with(|spec| spec["linux"]["netDevices"] = devices);
        bundle.fails(&["run", "ID"], text);
        assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    };
    refused(json!({"nonsuch0": {}}), "move the network device \"nonsuch0\" to \"nonsuch0\": RTM_GETLINK(\"nonsuch0\") = ENODEV");
    refused(json!({&pair.0: {"name": "lo"}}), "the name is taken = EEXIST");
    assert!(pair.here());
    // The first one moves, and comes back with all it had.
    refused(json!({&pair.0: {"name": "a"}, "zzz0": {}}), "\"zzz0\"");
    assert!(pair.here());
    let output = Command::new("ip").args(["addr", "show", "dev", &pair.0]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("10.98.7.6/24"));
}

fn network_devices_that_make_no_sense() {
    for (devices, text) in [
        (json!({"a/b": {}}), "linux.netDevices.a/b: \"a/b\" is not the name of a network device"),
        (json!({"eth0": {"name": "0123456789abcdef"}}), "linux.netDevices.eth0: \"0123456789abcdef\" is not the name"),
        (json!({"eth0": {"name": "eth%d"}}), "is not the name"),
        (json!({"a": {"name": "x"}, "b": {"name": "x"}}), "linux.netDevices.b: a second device \"x\" in the container"),
    ] {
        Bundle::new(&["exit", "0"]).with(|spec| spec["linux"]["netDevices"] = devices).fails(&["run", "ID"], text);
    }
    let shared = |spec: &mut Value| {
        spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "network");
        spec["linux"]["netDevices"] = json!({"eth0": {}});
    };
    Bundle::new(&["exit", "0"]).with(shared).fails(&["run", "ID"], "linux.netDevices.eth0: needs a network namespace");
    let hosts = json!({"type": "network", "path": "/proc/self/ns/net"});
    let bundle = Bundle::new(&["exit", "0"]).with(|spec| {
        spec["linux"]["netDevices"] = json!({"eth0": {}});
        add(spec, hosts);
    });
    bundle.fails(&["run", "ID"], "is the host's own network namespace");
}

/// Without a cgroup namespace a container sees its own cgroup, not the host's (CVE-2023-25809).
fn the_hosts_cgroups_are_not_shown() {
    let bundle = Bundle::new(&["mkdir", "/sys/fs/cgroup/made-inside"]).with(|spec| {
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set] = json!(["CAP_DAC_OVERRIDE"]);
        }
        let mount = json!({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["rw"]});
        spec["mounts"].as_array_mut().unwrap().push(mount);
    });
    bundle.ok(&["run", "ID"]);
    let above = ["/sys/fs/cgroup/made-inside", "/sys/fs/cgroup/unified/made-inside"].map(std::path::Path::new);
    let reached: Vec<_> = above.iter().filter(|path| path.exists()).collect();
    reached.iter().for_each(|path| std::fs::remove_dir(path).unwrap());
    assert!(reached.is_empty(), "{reached:?}");
}
