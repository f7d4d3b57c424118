//! Flags of create and run whose effect is seen from inside.

use std::fs;

use crate::host::Host;

/// What a shell in a container says.
fn says(host: &Host, flags: &[&str], script: &str) -> String {
    host.run(&[&["--rm"], flags, &["busybox", "sh", "-c", script]].concat()).ok().trim_end().to_owned()
}

#[test]
fn an_init_passes_signals_on_and_reaps() {
    let Some(host) = Host::new() else { return };
    // An orphan ends, and is gone.
    let script =
        "(sh -c 'sleep 0.1 & echo $!' > /tmp/orphan); sleep 0.5; test ! -e /proc/$(cat /tmp/orphan) && echo reaped; echo $$";
    let said = says(&host, &["--init"], script);
    assert!(said.starts_with("reaped\n") && said != "reaped\n1", "{said}");
    assert_eq!(host.run(&["--rm", "--init", "busybox", "sh", "-c", "exit 7"]).code, 7);
    let missing = host.run(&["--rm", "--init", "busybox", "no-such-program"]);
    assert!(missing.code == 127 && missing.err.contains("rctr-init: execute no-such-program"), "{missing:?}");
    // A first process that handles no SIGTERM is not ended by it; with an init it is not the first.
    host.run(&["-d", "--init", "--name", "app", "busybox", "sleep", "1000"]).ok();
    host.rctr(&["stop", "-t", "100", "app"]).ok();
    assert_eq!(host.rctr(&["inspect", "-f", "{{.State.ExitCode}} {{.HostConfig.Init}}", "app"]).ok(), "143 true\n");
    let written = host.run(&["--rm", "--init", "busybox", "sh", "-c", "echo x > /dev/init"]);
    assert!(written.code != 0, "{written:?}");
}

#[test]
fn limits_of_processes() {
    let Some(host) = Host::new() else { return };
    let flags = ["--ulimit", "nofile=100:200", "--ulimit", "core=0", "--oom-score-adj", "500"];
    let script = "ulimit -n; ulimit -Hn; ulimit -c; cat /proc/self/oom_score_adj";
    assert_eq!(says(&host, &flags, script), "100\n200\n0\n500");
    for (value, why) in [("nofile", "--ulimit"), ("nothing=1", "there is no such limit"), ("nofile=5:1", "above the hard one")] {
        let refused = host.run(&["--ulimit", value, "busybox", "true"]);
        assert!(refused.code == 125 && refused.err.contains(why), "{refused:?}");
    }
    let refused = host.run(&["--oom-score-adj", "2000", "busybox", "true"]);
    assert!(refused.code == 125 && refused.err.contains("--oom-score-adj"), "{refused:?}");
    assert_eq!(host.rctr(&["ps", "-aq"]).ok(), "");
}

#[test]
fn settings_names_and_groups() {
    let Some(host) = Host::new() else { return };
    let flags =
        ["--sysctl", "net.ipv4.ip_forward=1", "--sysctl", "kernel.msgmax=4096", "--domainname", "example", "--group-add", "4321"];
    let script =
        "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/kernel/domainname; grep Groups: /proc/self/status";
    assert_eq!(says(&host, &flags, script).replace(['\t', ' '], ""), "1\n4096\nexample\nGroups:04321");
    for (flags, why) in [
        (["--sysctl", "kernel.panic=1"], "kernel.panic"),
        (["--sysctl", "x"], "--sysctl"),
        (["--group-add", "nobody-has-it"], "--group-add nobody-has-it"),
    ] {
        let refused = host.run(&[&["--rm"], &flags[..], &["busybox", "true"]].concat());
        assert!(refused.code == 125 && refused.err.contains(why), "{refused:?}");
    }
    fs::write(host.path("labels"), "# comment\na=1\nb\n").unwrap();
    let file = host.path("labels").display().to_string();
    host.rctr(&["create", "--name", "app", "--label", "a=2", "--label-file", &file, "--annotation", "n=v", "busybox"]).ok();
    let shown = host.rctr(&["inspect", "-f", "{{json .Config.Labels}} {{json .HostConfig.Annotations}}", "app"]).ok();
    assert_eq!(shown, "{\"a\":\"2\",\"b\":\"\"} {\"n\":\"v\"}\n");
}

#[test]
fn devices_are_given_and_ruled() {
    let Some(host) = Host::new() else { return };
    if !fs::exists("/dev/fuse").unwrap() && !fs::exists("/dev/net/tun").unwrap() {
        return eprintln!("skipped: needs a device that containers do not have by themselves");
    }
    let device = if fs::exists("/dev/fuse").unwrap() { "/dev/fuse" } else { "/dev/net/tun" };
    let open = "exec 3<>/dev/given && echo opened";
    assert_eq!(says(&host, &["--device", &format!("{device}:/dev/given")], open), "opened");
    let refused = host.run(&["--rm", "--device", &format!("{device}:/dev/given:r"), "busybox", "sh", "-c", open]);
    assert!(refused.code != 0 && refused.out.is_empty(), "{refused:?}");
    assert!(says(&host, &["--device", "/dev/pts:/dev/all"], "ls /dev/all").contains("ptmx"));
    for (value, why) in
        [("/dev/no-such-device", "stat(\"/dev/no-such-device\")"), ("/etc/passwd", "neither a device"), ("x", "--device")]
    {
        let refused = host.run(&["--rm", "--device", value, "busybox", "true"]);
        assert!(refused.code == 125 && refused.err.contains(why), "{refused:?}");
    }
    let refused = host.run(&["--rm", "--device-cgroup-rule", "c 1 rwm", "busybox", "true"]);
    assert!(refused.code == 125 && refused.err.contains("--device-cgroup-rule"), "{refused:?}");
    host.nothing_left();
}

#[test]
fn namespaces_are_shared() {
    let Some(host) = Host::new() else { return };
    let own = |name: &str| fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
    for (flag, name) in [("--ipc", "ipc"), ("--pid", "pid"), ("--uts", "uts"), ("--cgroupns", "cgroup")] {
        let look = format!("readlink /proc/self/ns/{name}");
        assert_eq!(says(&host, &[flag, "host"], &look), own(name), "{flag}");
        assert_ne!(says(&host, &[flag, "private"], &look), own(name), "{flag}");
        let refused = host.run(&[flag, "nonsense", "busybox", "true"]);
        assert!(refused.code == 125 && refused.err.contains(flag) && refused.err.contains("private"), "{refused:?}");
    }
    host.run(&["-d", "--name", "app", "busybox", "sh", "-c", "echo shared > /dev/shm/file; exec sleep 1000"]).ok();
    let joined = ["--ipc", "container:app", "--pid", "container:app"];
    assert_eq!(
        says(&host, &joined, "until test -s /dev/shm/file; do sleep 0.01; done; cat /dev/shm/file; cat /proc/1/comm"),
        "shared\nsleep"
    );
    // What has joined ends by itself, and not with its first process alone.
    host.run(&[&["-d", "--name", "guest"], &joined[..], &["busybox", "sh", "-c", "sleep 1000 & exec sleep 1000"]].concat()).ok();
    host.rctr(&["rm", "-f", "guest"]).ok();
    host.rctr(&["exec", "app", "true"]).ok();
    host.rctr(&["rm", "-f", "app"]).ok();
    let refused = host.run(&["--pid", "container:app", "busybox", "true"]);
    assert!(refused.code == 125 && refused.err.contains("no such container: app"), "{refused:?}");
    host.nothing_left();
}

#[test]
fn what_is_hidden_can_be_chosen() {
    let Some(host) = Host::new() else { return };
    let keys = "wc -c < /proc/keys; test -w /proc/sysrq-trigger && echo rw || echo ro";
    assert_eq!(says(&host, &[], keys), "0\nro");
    assert!(says(&host, &["--security-opt", "systempaths=unconfined"], keys) != "0\nro");
    assert!(says(&host, &["--security-opt", "unmask=/proc/keys"], keys) != "0\nro");
    assert_eq!(says(&host, &["--security-opt", "mask=/proc/version"], "wc -c < /proc/version"), "0");
    let profile = host.path("profile.json");
    fs::write(
        &profile,
        r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#,
    )
    .unwrap();
    let option = format!("seccomp={}", profile.display());
    assert_eq!(says(&host, &["--security-opt", &option], "mkdir /x 2>/dev/null || echo refused"), "refused");
    fs::write(&profile, "{}").unwrap();
    for (option, why) in [
        (option.as_str(), "no defaultAction"),
        ("seccomp=/no/such/file", "/no/such/file"),
        ("mask=x", "absolute"),
        ("x", "there are"),
    ] {
        let refused = host.run(&["--security-opt", option, "busybox", "true"]);
        assert!(refused.code == 125 && refused.err.contains(why), "{refused:?}");
    }
    assert_eq!(host.rctr(&["ps", "-aq"]).ok(), "");
}

#[test]
fn logs_are_kept_as_wished() {
    let Some(host) = Host::new() else { return };
    host.run(&["--name", "none", "--log-driver", "none", "busybox", "echo", "said"]).ok();
    let refused = host.rctr(&["logs", "none"]);
    assert!(refused.code == 125 && refused.err.contains("--log-driver none"), "{refused:?}");
    assert!(!fs::exists(host.container("none").join("log/current")).unwrap());
    assert_eq!(
        host.run(&[
            "--name",
            "json",
            "--log-driver",
            "json-file",
            "busybox",
            "sh",
            "-c",
            "echo one; sleep 0.1; echo \\\"two\\\" >&2"
        ])
        .code,
        0
    );
    let text = fs::read_to_string(host.container("json").join("log/current")).unwrap();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert!(first["log"] == "one\n" && first["stream"] == "stdout" && first["time"].is_string(), "{text}");
    let both = host.rctr(&["logs", "json"]);
    assert_eq!((both.out.as_str(), both.err.as_str()), ("one\n", "\"two\"\n"));
    assert_eq!(host.rctr(&["logs", "-n", "1", "json"]).err, "\"two\"\n");
    let script = "i=0; while test $i -lt 200; do echo line $i; i=$((i + 1)); done";
    let limits = ["--log-opt", "max-size=1k", "--log-opt", "max-file=2"];
    host.run(&[&["--name", "small"], &limits[..], &["busybox", "sh", "-c", script]].concat()).ok();
    let kept = host.rctr(&["logs", "small"]).ok();
    assert!(kept.ends_with("line 199\n") && kept.len() < 2000, "{}", kept.len());
    assert_eq!(
        host.rctr(&[
            "inspect",
            "-f",
            "{{.HostConfig.LogConfig.Type}} {{index .HostConfig.LogConfig.Config \"max-file\"}}",
            "small"
        ])
        .ok(),
        "local 2\n"
    );
    for (flags, why) in [(["--log-driver", "paper"], "--log-driver"), (["--log-opt", "colour=red"], "max-size=BYTES")] {
        let refused = host.run(&[&flags[..], &["busybox", "true"]].concat());
        assert!(refused.code == 125 && refused.err.contains(why), "{refused:?}");
    }
}

#[test]
fn limits_are_written_and_nonsense_names_its_flag() {
    let Some(host) = Host::new() else { return };
    let flags = ["--cpuset-cpus", "0", "--cpu-period", "50000", "--cpu-quota", "25000", "-m", "64m", "--memory-swap", "64m"];
    host.run(&[&["-d", "--name", "app"], &flags[..], &["busybox", "sleep", "1000"]].concat()).ok();
    let id = host.rctr(&["inspect", "-f", "{{.Id}}", "app"]).ok().trim().to_owned();
    let read = |v1: &str, v2: &str| {
        let v1 = format!("/sys/fs/cgroup/{}{}/{id}/{v1}", v1.split('.').next().unwrap(), host.cgroup());
        let v2 = format!("/sys/fs/cgroup{}/{id}/{v2}", host.cgroup());
        fs::read_to_string(v1).or_else(|_| fs::read_to_string(v2)).unwrap().trim().to_owned()
    };
    assert_eq!(read("cpuset.cpus", "cpuset.cpus"), "0");
    assert!(["25000", "25000 50000"].contains(&read("cpu.cfs_quota_us", "cpu.max").as_str()));
    let parent = format!("{}/apart", host.cgroup());
    host.run(&["-d", "--name", "apart", "--cgroup-parent", &parent, "busybox", "sleep", "1000"]).ok();
    let (monitor, init) = host.processes("apart");
    let groups = fs::read_to_string(format!("/proc/{init}/cgroup")).unwrap();
    assert!(groups.contains(&format!(":{parent}/")), "{groups}");
    assert_eq!(host.rctr(&["top", "apart"]).ok().lines().count(), 2);
    // Its cgroup is found without its monitor.
    rustix::process::kill_process(rustix::process::Pid::from_raw(monitor).unwrap(), rustix::process::Signal::KILL).unwrap();
    host.rctr(&["rm", "-f", "apart", "app"]).ok();
    for hierarchy in fs::read_dir("/sys/fs/cgroup").unwrap() {
        let _ = fs::remove_dir(hierarchy.unwrap().path().join(&parent[1..]));
    }
    host.nothing_left();
    for (flags, why) in [
        (&["--cgroup-parent", "x/../y"][..], "--cgroup-parent"),
        (&["--cpuset-cpus", "x"], "--cpuset-cpus"),
        (&["--cpu-period", "5"], "--cpu-period"),
        (&["--memory-swap", "lots"], "--memory-swap"),
        (&["--blkio-weight", "5000"], "--blkio-weight"),
        (&["--device-read-bps", "sda:1m"], "--device-read-bps"),
        (&["--rm", "--device-read-bps", "/dev/null:1m"], "no block device"),
        (&["--rm", "-m", "32m", "--memory-swap", "16m"], "below the limit of memory"),
        (&["--stop-timeout", "soon"], "--stop-timeout"),
    ] {
        let refused = host.run(&[flags, &["busybox", "true"]].concat());
        assert!(refused.code == 125 && refused.err.contains(why), "{flags:?} {refused:?}");
    }
}
