//! Limits, seen from inside and felt.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::env::Env;

integration::tests![
    memory_is_limited,
    too_much_memory_ends_it_and_is_reported,
    processors_are_limited,
    processor_shares,
    processes_are_limited,
    no_limits_by_default,
    bad_limits_are_refused,
    monitor_is_small,
    its_own_files_are_limited,
];

/// The controllers that this machine can limit with.
fn needs(controller: &str) {
    let v1 = std::path::Path::new("/sys/fs/cgroup").join(controller).is_dir();
    let v2 = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")
        .is_ok_and(|all| all.split_whitespace().any(|name| name == controller));
    if !v1 && !v2 {
        integration::skip!("no {controller} controller on this machine");
    }
}

/// The first of these cgroup files that the container has.
fn limit(t: &Env, flags: &[&str], files: [&str; 2]) -> String {
    let run = ["run", "--rm", "--network", "none"].iter().chain(flags).copied();
    let read = run.chain(["test/probe", "cgroup", files[0], "--", "cgroup", files[1]]);
    let output = t.rctr(read);
    output.ok().lines().into_iter().find(|line| *line != "ENOENT").unwrap_or_default().to_owned()
}

fn memory_is_limited() {
    needs("memory");
    let t = Env::new();
    for (flag, bytes) in [("64m", 64 << 20), ("100000k", 100_000 << 10), ("1g", 1 << 30)] {
        let seen = limit(&t, &["-m", flag], ["memory.max", "memory.limit_in_bytes"]);
        assert_eq!(seen, bytes.to_string(), "{flag}");
    }
    t.nothing_left();
}

fn too_much_memory_ends_it_and_is_reported() {
    needs("memory");
    let t = Env::new();
    t.rctr(["run", "--network", "none", "--name", "app", "-m", "32m", "test/probe", "eat", "200"]).code(137).says("");
    assert_eq!(t.inspect("app", "{{.State.OOMKilled}} {{.State.ExitCode}}"), "true 137");
    t.rctr(["run", "--rm", "--network", "none", "-m", "64m", "test/probe", "eat", "16"]).ok().says("ate 16 MiB\n");
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}

fn processors_are_limited() {
    needs("cpu");
    let t = Env::new();
    let output = t.rctr(["run", "--rm", "--network", "none", "--cpus", "0.25", "test/probe", "burn", "2000"]);
    let used: u32 = output.ok().text().parse().expect("milliseconds");
    assert!((200..800).contains(&used), "{used} ms of processor time in 2 s with a quarter of a processor");
    t.nothing_left();
}

fn processor_shares() {
    needs("cpu");
    let t = Env::new();
    let seen = limit(&t, &["--cpu-shares", "512"], ["cpu.weight", "cpu.shares"]);
    assert!(["20", "59", "512"].contains(&seen.as_str()), "{seen}");
    t.nothing_left();
}

fn processes_are_limited() {
    needs("pids");
    let t = Env::new();
    t.rctr(["run", "--rm", "--network", "none", "--pids-limit", "20", "test/probe", "threads", "100"]).ok().says("19\n");
    t.rctr(["run", "--rm", "--network", "none", "--pids-limit", "-1", "test/probe", "threads", "100"]).ok().says("100\n");
    t.nothing_left();
}

fn no_limits_by_default() {
    let t = Env::new();
    t.rctr(["run", "--rm", "--network", "none", "test/probe", "threads", "100"]).ok().says("100\n");
    if std::path::Path::new("/sys/fs/cgroup/memory").is_dir() {
        let seen: u64 = limit(&t, &[], ["memory.max", "memory.limit_in_bytes"]).parse().expect("bytes");
        assert!(seen > 1 << 50, "{seen}");
    }
    t.nothing_left();
}

fn bad_limits_are_refused() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    for (flag, value) in [("-m", "lots"), ("-m", "-1m"), ("-m", "1m"), ("--cpus", "many"), ("--cpus", "-1"), ("--pids-limit", "x")]
    {
        t.rctr(["run", "--rm", flag, value, "test/probe", "out", "x"]).code(125).says("");
    }
    t.nothing_left();
}

/// The budget is conmon's: a quarter of a megabyte of private memory for each idle container.
fn monitor_is_small() {
    if cfg!(debug_assertions) {
        integration::skip!("debug build");
    }
    let t = Env::new();
    let id = t.start(["--network", "none", "test/probe", "sleep"]);
    let pid = t.inspect(&id, "{{.State.Pid}}");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let monitor = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent").trim().to_owned();
    let rollup = std::fs::read_to_string(format!("/proc/{monitor}/smaps_rollup")).expect("a rollup");
    let private = rollup
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    let private: u64 = private.sum();
    assert!(private <= 256, "{private} kB private\n{rollup}");
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}

/// On a file system with quotas of projects, and on one without.
fn its_own_files_are_limited() {
    if !Path::new("/sbin/mkfs.ext4").exists() {
        integration::skip!("needs mkfs.ext4 (e2fsprogs)");
    }
    let mut t = Env::new();
    let (disk, root) = (t.path("disk").display().to_string(), t.path("limited").display().to_string());
    fs::create_dir(&root).expect("a folder");
    let run = |line: &str| {
        let mut words = line.split(' ');
        Command::new(words.next().unwrap_or_default()).args(words).output().is_ok_and(|output| output.status.success())
    };
    assert!(
        run(&format!("truncate -s 200M {disk}"))
            && run(&format!("/sbin/mkfs.ext4 -q -O quota,project -E quotatype=prjquota {disk}"))
    );
    if !run(&format!("mount -o loop,prjquota {disk} {root}")) {
        integration::skip!("needs ext4 with quotas of projects");
    }
    t.set("RCTR_ROOT", &root);
    t.use_driver("tree");
    t.rctr(["pull", "-q", "busybox"]).ok();
    let fill =
        "dd if=/dev/zero of=/a bs=1M count=6 2>/dev/null && echo six; dd if=/dev/zero of=/b bs=1M count=6 2>/dev/null || echo full";
    let limited = ["run", "--network", "none", "--storage-opt", "size=10m", "--name"];
    for name in ["one", "two"] {
        t.rctr([&limited[..], &[name, "busybox", "sh", "-c", fill]].concat()).ok().says("six\nfull\n");
    }
    assert_eq!(t.inspect("one", "{{.HostConfig.StorageOpt.size}}"), "10485760");
    // What goes leaves room, and others have no limit.
    t.rctr(["rm", "one"]).ok();
    t.rctr([&limited[..], &["one", "busybox", "sh", "-c", fill]].concat()).ok().says("six\nfull\n");
    t.rctr(["run", "--rm", "--network", "none", "busybox", "dd", "if=/dev/zero", "of=/a", "bs=1M", "count=30"]).ok();
    t.rctr(["rm", "one", "two"]).ok();
    assert!(run("sync") && run(&format!("umount {root}")) && run(&format!("mount -o loop {disk} {root}")));
    let refused = t.rctr(["create", "--storage-opt", "size=10m", "busybox"]);
    refused.fails(125, &["prjquota", &root]);
    t.rctr(["ps", "-aq"]).ok().says("");
    assert!(run(&format!("umount {root}")));
}
