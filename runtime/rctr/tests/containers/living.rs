//! Verbs about containers that live: attach, pause, rename, restart, top, stats, wait, prune.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::sync::mpsc::{TryRecvError, channel};

use crate::host::{Host, said};

fn status(host: &Host, name: &str) -> String {
    host.rctr(&["inspect", "-f", "{{.State.Status}}", name]).ok().trim().to_owned()
}

#[test]
fn a_paused_container_stands_still_and_goes_on() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--name", "app", "busybox", "sleep", "1000"]).ok();
    assert_eq!(host.rctr(&["pause", "app"]).ok(), "app\n");
    assert_eq!(status(&host, "app"), "paused");
    assert!(host.rctr(&["ps", "--format", "{{.Status}}"]).ok().contains("(Paused)"));
    for verb in [&["pause", "app"][..], &["exec", "app", "true"], &["attach", "app"]] {
        let refused = host.rctr(verb);
        assert!(refused.code == 125 && refused.err.contains("is paused: unpause it first"), "{verb:?} {refused:?}");
    }
    host.rctr(&["unpause", "app"]).ok();
    assert_eq!(status(&host, "app"), "running");
    host.rctr(&["exec", "app", "true"]).ok();
    assert!(host.rctr(&["unpause", "app"]).err.contains("container app is not paused"));
    // What ends a container ends its pause.
    for verb in [&["stop", "-t", "0", "app"][..], &["kill", "app"], &["rm", "-f", "app"]] {
        host.rctr(&["start", "app"]).ok();
        host.rctr(&["pause", "app"]).ok();
        host.rctr(verb).ok();
        if verb[0] != "rm" {
            host.rctr(&["wait", "app"]).ok();
            assert_eq!(status(&host, "app"), "exited");
        }
    }
    host.nothing_left();
}

#[test]
fn a_renamed_container_goes_by_its_new_name() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--rm", "--name", "old", "busybox", "sleep", "1000"]).ok();
    host.rctr(&["create", "--name", "taken", "busybox"]).ok();
    for (new, why) in [("taken", "in use"), ("a b", "invalid container name"), ("old", "already")] {
        let refused = host.rctr(&["rename", "old", new]);
        assert!(refused.code == 125 && refused.err.contains(why), "{refused:?}");
    }
    assert_eq!(host.rctr(&["rename", "old", "new"]).ok(), "");
    assert_eq!(host.rctr(&["ps", "--format", "{{.Names}}"]).ok(), "new\n");
    // Its monitor lives and is in charge; the old name is another's now, and stays when the container goes.
    host.rctr(&["create", "--name", "old", "busybox"]).ok();
    assert!(host.rctr(&["rm", "new"]).err.contains("is running"));
    host.rctr(&["exec", "new", "true"]).ok();
    host.rctr(&["kill", "new"]).ok();
    host.rctr(&["wait", "new"]);
    assert_eq!(host.rctr(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "old\ntaken\n");
    host.rctr(&["create", "--name", "new", "busybox"]).ok();
    host.rctr(&["rename", "new", "newer"]).ok();
    assert!(!fs::exists(host.root().join("names/new")).unwrap() && fs::exists(host.root().join("names/newer")).unwrap());
}

#[test]
fn a_restart_is_another_run_even_of_what_is_to_be_removed() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--rm", "--name", "app", "busybox", "sh", "-c", "echo begun; sleep 1000"]).ok();
    let (_, before) = host.processes("app");
    assert_eq!(host.rctr(&["restart", "-t", "0", "app"]).ok(), "app\n");
    let (_, after) = host.processes("app");
    assert_ne!(before, after);
    assert_eq!(host.rctr(&["logs", "app"]).ok(), "begun\nbegun\n");
    host.rctr(&["kill", "app"]).ok();
    host.rctr(&["wait", "--condition", "removed", "app"]);
    assert_eq!(host.rctr(&["ps", "-aq"]).ok(), "");
    host.rctr(&["create", "--name", "fresh", "--network", "none", "busybox", "sleep", "1000"]).ok();
    let partly = host.rctr(&["restart", "nobody", "fresh"]);
    assert!(partly.code == 125 && partly.out == "fresh\n" && partly.err.contains("no such container: nobody"), "{partly:?}");
    assert_eq!(status(&host, "fresh"), "running");
}

#[test]
fn several_clients_are_attached() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "-i", "--name", "app", "busybox", "sh", "-c", "while read line; do echo got $line; done; exit 7"]).ok();
    let mut silent = host.spawn(&["attach", "--no-stdin", "app"]);
    let mut talking = host.spawn_with_input(&["attach", "app"]);
    let mut input = talking.stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    let mut lines = BufReader::new(talking.stdout.take().unwrap()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "got one");
    let (hears, heard) = channel();
    let silence = BufReader::new(silent.stdout.take().unwrap());
    let silence = std::thread::spawn(move || silence.lines().for_each(|line| hears.send(line.unwrap()).unwrap()));
    // There is no telling when it has come.
    let mut first = heard.try_recv();
    while first == Err(TryRecvError::Empty) {
        input.write_all(b"more\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "got more");
        first = heard.try_recv();
    }
    assert!(first.unwrap().starts_with("got "));
    drop(input);
    assert_eq!(talking.wait().unwrap().code(), Some(7));
    silence.join().unwrap();
    assert_eq!(silent.wait().unwrap().code(), Some(7));
    let ended = host.rctr(&["attach", "app"]);
    assert!(ended.code == 125 && ended.err.contains("is not running"), "{ended:?}");
}

#[test]
fn signals_reach_the_container_through_an_attached_client_unless_told_otherwise() {
    let Some(host) = Host::new() else { return };
    let script = "trap 'echo caught; exit 3' TERM; echo ready; while :; do sleep 0.1; done";
    for (proxy, code) in [("--sig-proxy=true", Some(3)), ("--sig-proxy=false", None)] {
        host.run(&["-d", "--name", "app", "busybox", "sh", "-c", script]).ok();
        let mut client = host.spawn(&["attach", proxy, "app"]);
        // The client is there when the monitor has told it so, which the third descriptor but none of its output shows.
        let socket = || {
            let fds = fs::read_dir(format!("/proc/{}/fd", client.id())).unwrap();
            fds.flatten().filter(|fd| fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"))).count()
        };
        while socket() == 0 {
            std::thread::yield_now();
        }
        let pid = rustix::process::Pid::from_raw(client.id() as i32).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        assert_eq!(client.wait().unwrap().code(), code, "{proxy}");
        assert_eq!(status(&host, "app"), if code.is_some() { "exited" } else { "running" });
        host.rctr(&["rm", "-f", "app"]).ok();
    }
}

#[test]
fn top_shows_what_runs() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--name", "app", "busybox", "sh", "-c", "sleep 1000 & exec sleep 2000"]).ok();
    let (_, pid) = host.processes("app");
    while host.rctr(&["top", "app", "-o", "args"]).ok().lines().filter(|line| line.starts_with("sleep")).count() < 2 {
        std::thread::yield_now();
    }
    let full = host.rctr(&["top", "app"]).ok();
    let mut lines = full.lines();
    assert_eq!(
        lines.next().unwrap().split_whitespace().collect::<Vec<_>>(),
        ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    );
    assert!(lines.any(|line| line.contains(&format!(" {pid} ")) && line.ends_with("sleep 2000")), "{full}");
    let chosen = host.rctr(&["top", "app", "-o", "pid,comm"]).ok();
    assert!(chosen.starts_with("PID ") && chosen.lines().count() == 3, "{chosen}");
    let wrong = host.rctr(&["top", "app", "-o", "pid,nonsense"]);
    assert!(wrong.code == 125 && wrong.err.contains("no column \"nonsense\""), "{wrong:?}");
    host.rctr(&["kill", "app"]).ok();
    host.rctr(&["wait", "app"]).ok();
    assert!(host.rctr(&["top", "app"]).err.contains("is not running"));
}

#[test]
fn stats_are_those_of_the_cgroup() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--name", "busy", "-m", "64m", "busybox", "sh", "-c", "while :; do :; done"]).ok();
    host.rctr(&["create", "--name", "idle", "busybox"]).ok();
    let text = host.rctr(&["stats", "--no-stream", "--format", "json"]).ok();
    let row: serde_json::Value = serde_json::from_str(&text).unwrap();
    let share: f64 = row["CPUPerc"].as_str().unwrap().trim_end_matches('%').parse().unwrap();
    assert!(share > 0.0 && share < 1000.0, "{text}");
    assert!(row["Name"] == "busy" && row["PIDs"] == "1" && row["MemUsage"].as_str().unwrap().ends_with(" / 64MiB"), "{text}");
    let table = host.rctr(&["stats", "--no-stream", "-a"]).ok();
    assert!(table.starts_with("CONTAINER ID   NAME") && table.lines().count() == 3, "{table}");
    assert!(table.lines().any(|line| line.contains("idle") && line.contains("-- / --")), "{table}");
    assert_eq!(host.rctr(&["stats", "--no-stream", "nobody"]).code, 125);
}

#[test]
fn conditions_are_waited_for() {
    let Some(host) = Host::new() else { return };
    host.rctr(&["create", "--name", "app", "--network", "none", "busybox", "sh", "-c", "read line; exit 4"]).ok();
    assert_eq!(host.rctr(&["wait", "--condition", "created", "app"]).ok(), "0\n");
    let waits = |condition: &str| host.spawn(&["wait", "--condition", condition, "app"]);
    let (exit, removed) = (waits("next-exit"), waits("removed"));
    // Without input it ends at once.
    host.rctr(&["restart", "app"]).ok();
    assert_eq!(said(exit.wait_with_output().unwrap()).ok(), "4\n");
    host.rctr(&["rm", "-f", "app"]).ok();
    // How it had ended is told by who was fast enough to read it.
    assert!(["0\n", "4\n"].contains(&said(removed.wait_with_output().unwrap()).ok().as_str()));
    host.run(&["-d", "--name", "app", "busybox", "sleep", "1000"]).ok();
    assert_eq!(host.rctr(&["wait", "--condition", "running", "app"]).ok(), "0\n");
    let wrong = host.rctr(&["wait", "--condition", "happy", "app"]);
    assert!(wrong.code == 125 && wrong.err.contains("--condition") && wrong.err.contains("next-exit"), "{wrong:?}");
}

#[test]
fn prune_removes_what_does_not_run_and_fits() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--name", "runs", "busybox", "sleep", "1000"]).ok();
    host.run(&["--name", "wrote", "--label", "a=1", "busybox", "sh", "-c", "echo 12345678 > /file"]).ok();
    host.rctr(&["create", "--name", "other", "--label", "b", "busybox"]).ok();
    let asks = host.rctr(&["container", "prune"]);
    assert!(asks.code == 125 && asks.err.contains("--force"), "{asks:?}");
    assert_eq!(host.rctr(&["container", "prune", "-f", "--filter", "until=1h"]).ok(), "Total reclaimed space: 0B\n");
    let pruned = host.rctr(&["container", "prune", "-f", "--filter", "label=a=1"]).ok();
    assert!(pruned.starts_with("Deleted Containers:\n") && pruned.ends_with("\n\nTotal reclaimed space: 9B\n"), "{pruned}");
    host.rctr(&["container", "prune", "-f", "--filter", "label!=b"]).ok();
    assert_eq!(host.rctr(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "other\nruns\n");
    host.rctr(&["container", "prune", "-f"]).ok();
    assert_eq!(host.rctr(&["ps", "-a", "--format", "{{.Names}}"]).ok(), "runs\n");
}
