//! What a container may do, seen from inside.

use integration::env::{Env, Running};
use integration::output::Output;

integration::tests![
    usual_capabilities,
    capabilities_added_and_dropped,
    no_capability_for_other_users,
    system_calls_are_filtered,
    filter_follows_the_capabilities,
    no_new_privileges,
    proc_and_sys_are_masked,
    proc_and_sys_are_read_only,
    mounts_are_as_usual,
    devices_are_as_usual,
    other_devices_cannot_be_opened,
    other_devices_cannot_be_opened_without_a_devices_controller,
    namespaces_are_its_own,
    nothing_mounted_inside_shows_outside,
    privileged,
    host_sees_no_open_door,
];

const NONE: [&str; 4] = ["run", "--rm", "--network", "none"];
/// CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETGID, SETUID, SETPCAP, NET_BIND_SERVICE, NET_RAW, SYS_CHROOT, MKNOD,
/// AUDIT_WRITE, SETFCAP: capabilities(7)
const USUAL: u64 = 0xa804_25fb;

fn probe(t: &Env, flags: &[&str], checks: &[&str]) -> integration::output::Output {
    let output = t.rctr(NONE.iter().chain(flags).chain(&["test/probe"]).chain(checks));
    output.ok();
    output
}

fn capabilities(output: &integration::output::Output, set: &str) -> u64 {
    u64::from_str_radix(output.field(&format!("{set}: ")), 16).expect("hexadecimal")
}

fn usual_capabilities() {
    let t = Env::new();
    let status = probe(&t, &[], &["status"]);
    for (set, expected) in [("CapInh", 0), ("CapPrm", USUAL), ("CapEff", USUAL), ("CapBnd", USUAL), ("CapAmb", 0)] {
        assert_eq!(capabilities(&status, set), expected, "{set}\n{status}");
    }
    t.nothing_left();
}

fn capabilities_added_and_dropped() {
    let t = Env::new();
    let (net_admin, kill, chown) = (1 << 12, 1 << 5, 1 << 0);
    for (flags, expected) in [
        (&["--cap-add", "NET_ADMIN"][..], USUAL | net_admin),
        (&["--cap-add", "cap_net_admin", "--cap-drop", "KILL"], (USUAL | net_admin) & !kill),
        (&["--cap-drop", "all"], 0),
        (&["--cap-drop", "ALL", "--cap-add", "CHOWN"], chown),
    ] {
        let status = probe(&t, flags, &["status"]);
        assert_eq!(capabilities(&status, "CapEff"), expected, "{status}");
        assert_eq!(capabilities(&status, "CapBnd"), expected, "{status}");
        assert_eq!(capabilities(&status, "CapInh"), 0, "{status}");
    }
    let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").expect("a number").trim().parse().expect("a number");
    let status = probe(&t, &["--cap-add", "ALL", "--cap-drop", "KILL"], &["status"]);
    // no more than this machine can give
    let own = std::fs::read_to_string("/proc/self/status").expect("a status");
    let bounding = own.lines().find_map(|line| line.strip_prefix("CapBnd:")).expect("a set").trim().to_owned();
    let possible = u64::from_str_radix(&bounding, 16).expect("hexadecimal") & ((1 << (last + 1)) - 1);
    assert_eq!(capabilities(&status, "CapEff"), possible & !kill, "{status}");
    t.rctr(NONE.iter().chain(&["--cap-add", "FLY", "test/probe", "id"])).code(125).complains(&["--cap-add", "FLY"]);
    t.nothing_left();
}

fn no_capability_for_other_users() {
    let t = Env::new();
    let status = probe(&t, &["-u", "app"], &["status", "--", "id"]);
    for (set, expected) in [("CapInh", 0), ("CapPrm", 0), ("CapEff", 0), ("CapBnd", USUAL), ("CapAmb", 0)] {
        assert_eq!(capabilities(&status, set), expected, "{set}\n{status}");
    }
    t.nothing_left();
}

fn system_calls_are_filtered() {
    let t = Env::new();
    let status = probe(&t, &[], &["status"]);
    status.has("Seccomp: 2\n").has("NoNewPrivs: 0\n");
    for call in
        ["unshare-user", "unshare-mount", "mount", "fsopen", "umount-proc", "sethostname", "init-module", "bpf", "clock-settime"]
    {
        probe(&t, &[], &["try", call]).says("EPERM\n");
    }
    for call in ["chroot", "chown", "bind-low-port"] {
        probe(&t, &[], &["try", call]).says("ok\n");
    }
    let open = probe(&t, &["--security-opt", "seccomp=unconfined"], &["status", "--", "try", "unshare-user"]);
    open.has("Seccomp: 0\n").has("\nok\n");
    t.nothing_left();
}

/// The usual policy opens calls for the capabilities that a container has.
fn filter_follows_the_capabilities() {
    let t = Env::new();
    let admin = ["--cap-add", "SYS_ADMIN"];
    for call in ["unshare-mount", "unshare-user", "fsopen", "sethostname"] {
        probe(&t, &admin, &["try", call]).says("ok\n");
    }
    probe(&t, &admin, &["try", "init-module"]).says("EPERM\n");
    probe(&t, &["--cap-add", "SYS_TIME"], &["try", "clock-settime"]).says("ok\n");
    t.nothing_left();
}

fn no_new_privileges() {
    let t = Env::new();
    probe(&t, &["--security-opt", "no-new-privileges"], &["status"]).has("NoNewPrivs: 1\n");
    probe(&t, &["--security-opt", "no-new-privileges:true"], &["status"]).has("NoNewPrivs: 1\n");
    probe(&t, &["--security-opt", "no-new-privileges", "-u", "app"], &["status"]).has("NoNewPrivs: 1\n").has("Seccomp: 2\n");
    t.rctr(NONE.iter().chain(&["--security-opt", "magic", "test/probe", "id"])).fails(125, &["magic"]);
    t.nothing_left();
}

fn proc_and_sys_are_masked() {
    let t = Env::new();
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"] {
        if std::path::Path::new(path).exists() {
            probe(&t, &[], &["size", path]).says("0\n");
        }
    }
    for path in ["/proc/acpi", "/sys/firmware", "/proc/scsi", "/sys/devices/virtual/powercap"] {
        if std::path::Path::new(path).exists() {
            probe(&t, &[], &["list", path, "--", "create", &format!("{path}/x")]).says("0\nEROFS\n");
        }
    }
    t.nothing_left();
}

fn proc_and_sys_are_read_only() {
    let t = Env::new();
    for path in ["/proc/sys/kernel/hostname", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/proc/irq/default_smp_affinity"] {
        if std::path::Path::new(path).exists() {
            probe(&t, &[], &["writable", path]).says("EROFS\n");
        }
    }
    probe(&t, &[], &["create", "/sys/x", "--", "mkdir", "/sys/fs/cgroup/x"]).lacks("ok");
    // a process' own files stay writable
    probe(&t, &[], &["writable", "/proc/self/oom_score_adj"]).says("ok\n");
    t.nothing_left();
}

fn mounts_are_as_usual() {
    let t = Env::new();
    let mounts = probe(&t, &[], &["mounts"]);
    let find = |point: &str| {
        let found = mounts.lines().into_iter().rev().find(|line| line.split(' ').next() == Some(point));
        found.unwrap_or_else(|| panic!("no mount on {point}\n{mounts}"))
    };
    for (point, kind, options) in [
        ("/", "overlay", &["rw"][..]),
        ("/proc", "proc", &["rw", "nosuid", "nodev", "noexec"]),
        ("/dev", "tmpfs", &["rw", "nosuid"]),
        ("/dev/pts", "devpts", &["rw", "nosuid", "noexec"]),
        ("/dev/shm", "tmpfs", &["rw", "nosuid", "nodev", "noexec"]),
        ("/dev/mqueue", "mqueue", &["rw", "nosuid", "nodev", "noexec"]),
        ("/sys", "sysfs", &["ro", "nosuid", "nodev", "noexec"]),
    ] {
        let fields: Vec<_> = find(point).split(' ').collect();
        assert_eq!(fields[1], kind, "{point}\n{mounts}");
        let has: Vec<_> = fields[2].split(',').collect();
        assert!(options.iter().all(|option| has.contains(option)), "{point} is {has:?}, not {options:?}\n{mounts}");
    }
    assert!(find("/dev/shm").contains("size=65536k"), "{mounts}");
    // no mount of the host's shows its path, and none passes anything on to the host
    assert!(mounts.lines().iter().all(|line| !line.contains("shared:")), "{mounts}");
    assert!(!mounts.stdout.contains(".old") && mounts.lines()[0].starts_with("/ "), "{mounts}");
    t.nothing_left();
}

fn devices_are_as_usual() {
    let t = Env::new();
    let devices = probe(&t, &[], &["devices"]);
    let mut names = devices.lines();
    names.retain(|name| *name != "core" && *name != "console");
    let usual =
        ["fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"];
    assert_eq!(names, usual, "{devices}");
    for (device, number) in
        [("null", "1:3"), ("zero", "1:5"), ("full", "1:7"), ("random", "1:8"), ("urandom", "1:9"), ("tty", "5:0")]
    {
        let path = format!("/dev/{device}");
        let stat = probe(&t, &[], &["stat", &path]);
        assert!(stat.stdout.starts_with(&format!("{path} char 666 0:0 ")) && stat.text().ends_with(number), "{stat}");
    }
    probe(&t, &[], &["write", "/dev/null", "x", "--", "open", "/dev/zero", "--", "write", "/dev/full", "x"])
        .says("ok\nok\nENOSPC\n");
    t.nothing_left();
}

/// CAP_MKNOD makes nodes, but the cgroup decides what can be opened.
fn other_devices_cannot_be_opened() {
    let t = Env::new();
    only_usual_devices(|words| probe(&t, &[], words));
    t.nothing_left();
}

/// On cgroup v2 a program does it, which is put in place while the container is being made.
fn other_devices_cannot_be_opened_without_a_devices_controller() {
    let t = Env::new();
    only_usual_devices(|words| {
        let rctr = t.rctr_command(["run", "--rm", "--network", "none", "test/probe"].iter().chain(words));
        let view = "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup && exec \"$@\"";
        let mut command = t.command("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", view, "sh"]).arg(rctr.get_program()).args(rctr.get_args());
        Running::start(command).finish().ok().clone()
    });
    t.nothing_left();
}

fn only_usual_devices(probe: impl Fn(&[&str]) -> Output) {
    // the memory of the machine, a disk, and the kernel's log
    for number in ["1 1", "8 0", "1 11"] {
        let (major, minor) = number.split_once(' ').expect("two numbers");
        let made = probe(&["mknod", "/x", major, minor, "--", "open", "/x"]);
        assert!(["ok\nEPERM\n", "EPERM\nENOENT\n"].contains(&made.stdout.as_str()), "{number}: {made}");
    }
    probe(&["mknod", "/x", "1", "3", "--", "open", "/x"]).says("ok\nok\n");
}

fn namespaces_are_its_own() {
    let t = Env::new();
    let inside = probe(&t, &[], &["namespaces"]);
    let names = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
    for (name, inside) in names.iter().zip(inside.lines()) {
        let outside = std::fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace").display().to_string();
        assert_eq!(inside == outside, *name == "user", "{name}: {inside}, outside {outside}");
    }
    t.nothing_left();
}

fn nothing_mounted_inside_shows_outside() {
    let t = Env::new();
    let bind = format!("{}:/shared", t.path("home").display());
    let script = "mount -t tmpfs none /shared && touch /shared/inside && ls /shared";
    let run = t.rctr(NONE.iter().chain(&["--cap-add", "SYS_ADMIN", "-v", bind.as_str(), "busybox", "sh", "-c", script]));
    run.ok().says("inside\n");
    assert!(!t.path("home/inside").exists());
    t.nothing_left();
}

fn privileged() {
    let t = Env::new();
    let status = probe(&t, &["--privileged"], &["status", "--", "writable", "/proc/sys/vm/drop_caches"]);
    status.has("Seccomp: 0\n").has("\nok\n");
    let own = std::fs::read_to_string("/proc/self/status").expect("a status");
    let own = own.lines().find_map(|line| line.strip_prefix("CapBnd:")).expect("a set").trim();
    assert_eq!(format!("{:016x}", capabilities(&status, "CapEff")), own, "{status}");
    probe(&t, &["--privileged"], &["try", "mount", "--", "mknod", "/x", "1", "11", "--", "open", "/x"]).has("ok\nok\n");
    t.nothing_left();
}

/// Nothing that a container's root could reach the host through: descriptors, the working folder, the parent's memory.
fn host_sees_no_open_door() {
    let t = Env::new();
    let id = t.start(["--network", "none", "test/probe", "sleep"]);
    let pid = t.inspect(&id, "{{.State.Pid}}");
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors").flatten() {
        let target = std::fs::read_link(entry.path()).expect("a target").display().to_string();
        assert!(
            ["pipe:", "/dev/null", "socket:", "anon_inode:[signalfd]"].iter().any(|usual| target.starts_with(usual)),
            "{target}"
        );
    }
    let exe = std::fs::read_link(format!("/proc/{pid}/exe")).expect("a program");
    assert_eq!(exe.display().to_string(), "/probe");
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}
