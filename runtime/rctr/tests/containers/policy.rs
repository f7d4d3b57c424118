//! Containers that are started again: by their monitors, by `rctr boot`, and not when somebody has stopped them.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::host::Host;

fn state(host: &Host, name: &str, template: &str) -> String {
    host.rctr(&["inspect", "-f", template, name]).ok().trim().to_owned()
}

/// Waits until a template says something. Who restarts a container tells nobody.
#[track_caller]
fn until(host: &Host, name: &str, template: &str, wanted: impl Fn(&str) -> bool) {
    let begin = std::time::Instant::now();
    loop {
        let said = state(host, name, template);
        if wanted(&said) {
            return;
        }
        assert!(begin.elapsed().as_secs() < 100, "{template} of {name} is still {said:?}");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_failure_is_tried_again_as_often_as_was_said() {
    let Some(host) = Host::new() else { return };
    let script = "echo run; sleep 0.1; exit 3";
    host.run(&["-d", "--restart", "on-failure:2", "--name", "app", "busybox", "sh", "-c", script]).ok();
    until(&host, "app", "{{.State.Status}} {{.RestartCount}}", |said| said == "exited 2");
    assert_eq!(state(&host, "app", "{{.State.ExitCode}} {{.State.Restarting}}"), "3 false");
    assert_eq!(host.rctr(&["logs", "app"]).ok(), "run\nrun\nrun\n");
    assert_eq!(
        state(&host, "app", "{{.HostConfig.RestartPolicy.Name}} {{.HostConfig.RestartPolicy.MaximumRetryCount}}"),
        "on-failure 2"
    );
    // Somebody's own start counts anew.
    host.rctr(&["start", "app"]).ok();
    until(&host, "app", "{{.State.Status}} {{.RestartCount}}", |said| said == "exited 2");
    // Its monitor has put everything away.
    assert_eq!(host.rctr(&["wait", "app"]).ok(), "3\n");
    host.nothing_left();
}

#[test]
fn success_is_the_end_of_on_failure() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--restart", "on-failure", "--name", "app", "busybox", "true"]).ok();
    host.rctr(&["wait", "app"]).ok();
    assert_eq!(state(&host, "app", "{{.State.Status}} {{.RestartCount}}"), "exited 0");
    host.nothing_left();
}

#[test]
fn a_killed_process_comes_back_and_a_stopped_container_does_not() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--restart", "always", "--name", "app", "busybox", "sleep", "1000"]).ok();
    let (_, before) = host.processes("app");
    kill_process(Pid::from_raw(before).unwrap(), Signal::KILL).unwrap();
    until(&host, "app", "{{.State.Status}} {{.RestartCount}}", |said| said == "running 1");
    let (monitor, after) = host.processes("app");
    assert_ne!(before, after);
    // Whoever started it has left nothing of himself in it.
    let own = |file: &str| fs::read_to_string(format!("/proc/{after}/{file}")).unwrap();
    assert_eq!(own("oom_score_adj"), "0\n");
    assert!(own("status").lines().any(|line| line == "SigBlk:\t0000000000000000"));
    assert_eq!(fs::read_to_string(format!("/proc/{monitor}/comm")).unwrap(), "rctr-monitor\n");
    host.rctr(&["exec", "app", "true"]).ok();
    host.rctr(&["stop", "-t", "0", "app"]).ok();
    assert_eq!(state(&host, "app", "{{.State.Status}}"), "exited");
    host.nothing_left();
}

/// The monitor is where no unit of systemd takes it along at its end, after a restart, too.
#[test]
fn a_monitor_is_not_in_its_callers_cgroup() {
    let Some(host) = Host::new() else { return };
    let home = |monitor: i32| {
        let text = fs::read_to_string(format!("/proc/{monitor}/cgroup")).unwrap();
        let tracked = text.lines().find(|line| line.starts_with("0::") || line.contains(":name=systemd:")).map(str::to_owned);
        tracked.map(|line| line.rsplit_once(':').unwrap().1.to_owned())
    };
    if home(std::process::id() as i32).is_none() {
        return eprintln!("skipped: needs cgroup v2, or systemd's hierarchy of v1");
    }
    host.run(&["-d", "--restart", "always", "--name", "app", "busybox", "sleep", "1000"]).ok();
    let (monitor, init) = host.processes("app");
    assert_eq!(home(monitor).unwrap(), format!("{}/monitors", host.cgroup()));
    assert!(home(init).unwrap().starts_with(&format!("{}/{}", host.cgroup(), &state(&host, "app", "{{.Id}}")[..12])));
    kill_process(Pid::from_raw(init).unwrap(), Signal::KILL).unwrap();
    until(&host, "app", "{{.State.Status}} {{.RestartCount}}", |said| said == "running 1");
    assert_eq!(home(host.processes("app").0).unwrap(), format!("{}/monitors", host.cgroup()));
}

#[test]
fn a_pause_before_a_restart_is_ended_by_who_does_not_want_it() {
    let Some(host) = Host::new() else { return };
    for verb in [&["stop", "app"][..], &["rm", "-f", "app"]] {
        host.run(&["-d", "--restart", "unless-stopped", "--name", "app", "busybox", "false"]).ok();
        // The pauses grow: by now one is long enough to be met.
        until(&host, "app", "{{.State.Status}} {{.RestartCount}}", |said| said == "restarting 3");
        assert!(host.rctr(&["ps", "--format", "{{.Status}}"]).ok().starts_with("Restarting (1) "));
        assert!(host.rctr(&["rm", "app"]).err.contains("is running"));
        host.rctr(verb).ok();
        if verb[0] == "stop" {
            assert_eq!(state(&host, "app", "{{.State.Status}} {{.State.ExitCode}} {{.State.Running}}"), "exited 1 false");
            host.rctr(&["rm", "app"]).ok();
        }
        host.nothing_left();
        assert_eq!(host.rctr(&["ps", "-aq"]).ok(), "");
    }
}

#[test]
fn boot_starts_what_nobody_has_stopped() {
    let Some(host) = Host::new() else { return };
    let sleep = ["busybox", "sleep", "1000"];
    for (name, policy) in [("always", "always"), ("unless", "unless-stopped"), ("stopped", "unless-stopped"), ("no", "no")] {
        host.run(&[&["-d", "--restart", policy, "--name", name], &sleep[..]].concat()).ok();
    }
    host.rctr(&["stop", "-t", "0", "stopped", "always"]).ok();
    // The host loses power: what ran is gone, and so is what was on its tmpfs.
    for name in ["unless", "no"] {
        let (monitor, init) = host.processes(name);
        for pid in [monitor, init] {
            kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        }
        until(&host, name, "{{.State.Status}}", |said| said == "exited");
    }
    let started = host.rctr(&["boot"]).ok();
    assert_eq!(started.lines().count(), 2, "{started}");
    for (name, expected) in [("always", "running"), ("unless", "running"), ("stopped", "exited"), ("no", "exited")] {
        assert_eq!(state(&host, name, "{{.State.Status}}"), expected, "{name}");
    }
    assert_eq!(host.rctr(&["boot"]).ok(), "");
}

#[test]
fn a_start_that_fails_is_tried_again_and_told() {
    let Some(host) = Host::new() else { return };
    let folder = host.path("mounted");
    fs::create_dir_all(folder.join("inner")).unwrap();
    let bind = format!("{}:/data", folder.join("inner").display());
    let script = "until test -e /data/end; do sleep 0.1; done; exit 9";
    host.run(&["-d", "--restart", "always", "-v", &bind, "--name", "app", "busybox", "sh", "-c", script]).ok();
    // A file is in the way of the folder that would be made again.
    fs::rename(&folder, host.path("aside")).unwrap();
    fs::write(&folder, "").unwrap();
    fs::write(host.path("aside/inner/end"), "").unwrap();
    until(&host, "app", "{{.State.Status}} {{.State.Error}}", |said| said.starts_with("restarting") && said.contains("mounted"));
    fs::remove_file(&folder).unwrap();
    fs::remove_file(host.path("aside/inner/end")).unwrap();
    fs::rename(host.path("aside"), &folder).unwrap();
    until(&host, "app", "{{.State.Status}}", |said| said == "running");
    host.rctr(&["rm", "-f", "app"]).ok();
    host.nothing_left();
}

#[test]
fn what_makes_no_sense_is_refused() {
    let Some(host) = Host::new() else { return };
    let refused = host.run(&["--restart", "sometimes", "busybox", "true"]);
    assert!(refused.code == 125 && refused.err.contains("--restart") && refused.err.contains("unless-stopped"), "{refused:?}");
    let refused = host.run(&["--rm", "--restart", "always", "busybox", "true"]);
    assert!(refused.code == 125 && refused.err.contains("--rm with --restart"), "{refused:?}");
    let refused = host.run(&["--rm", "--health-cmd", "x", "--health-on-failure", "restart", "busybox", "true"]);
    assert!(refused.code == 125 && refused.err.contains("cannot be started again"), "{refused:?}");
    assert_eq!(host.rctr(&["ps", "-aq"]).ok(), "");
}

#[test]
fn update_changes_limits_at_once_and_ports_later() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "-m", "64m", "--label", "a=1", "--name", "app", "busybox", "sleep", "1000"]).ok();
    let id = state(&host, "app", "{{.Id}}");
    let limit = || {
        let v1 = format!("/sys/fs/cgroup/memory{}/{id}/memory.limit_in_bytes", host.cgroup());
        let v2 = format!("/sys/fs/cgroup{}/{id}/memory.max", host.cgroup());
        fs::read_to_string(v1).or_else(|_| fs::read_to_string(v2)).unwrap().trim().to_owned()
    };
    assert_eq!(limit(), (64 << 20).to_string());
    assert_eq!(host.rctr(&["update", "-m", "32m", "--pids-limit", "50", "--label", "b", "--label-rm", "a", "app"]).ok(), "app\n");
    assert_eq!(limit(), (32 << 20).to_string());
    assert_eq!(state(&host, "app", "{{json .Config.Labels}} {{.HostConfig.PidsLimit}}"), "{\"b\":\"\"} 50");
    let ports = host.rctr(&["update", "-p", "127.0.0.1:8080:80", "app"]);
    assert!(ports.code == 0 && ports.err.contains("next start"), "{ports:?}");
    assert_eq!(state(&host, "app", "{{(index (index .HostConfig.PortBindings \"80/tcp\") 0).HostPort}}"), "8080");
    host.rctr(&["update", "--publish-rm", "80", "--restart", "always", "app"]);
    let (_, pid) = host.processes("app");
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    until(&host, "app", "{{.State.Status}} {{.RestartCount}}", |said| said == "running 1");
    assert_eq!(limit(), (32 << 20).to_string());
    for (flags, why) in [
        (&["-m", "1k"][..], "6 MiB"),
        (&["--cpus", "0.5", "--cpu-quota", "5000"], "one of the two"),
        (&["--publish-rm", "81"], "not published"),
        (&["--restart", "x"], "--restart"),
        (&[], "nothing to change"),
    ] {
        let refused = host.rctr(&[&["update"], flags, &["app"]].concat());
        assert!(refused.code == 125 && refused.err.contains(why), "{flags:?} {refused:?}");
    }
    assert_eq!(limit(), (32 << 20).to_string());
    host.rctr(&["rm", "-f", "app"]).ok();
    host.nothing_left();
}
