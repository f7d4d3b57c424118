//! Commands and monitors that are killed, starts that fail, records that are damaged: nothing hangs, and nothing is left.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::host::{Host, said};

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn a_start_that_failed_can_be_repeated() {
    let Some(host) = Host::new() else { return };
    fs::write(host.path("later"), "").unwrap();
    let bind = format!("{}/inner:/data", host.path("later").display());
    host.rctr(&["create", "--rm", "--name", "again", "--network", "none", "-v", &bind, "busybox", "echo", "ran"]).ok();
    assert_eq!(host.rctr(&["start", "again"]).code, 125);
    host.nothing_left();
    fs::remove_file(host.path("later")).unwrap();
    fs::create_dir_all(host.path("later/inner")).unwrap();
    assert_eq!(host.rctr(&["start", "-a", "again"]).ok(), "ran\n");
}

#[test]
fn as_much_environment_as_the_kernel_takes_and_no_more() {
    let Some(host) = Host::new() else { return };
    let file = |count: u32| {
        let text: String = (0..count).map(|number| format!("V{number}={}\n", "x".repeat(20_000))).collect();
        fs::write(host.path("env"), text).unwrap();
        host.path("env").display().to_string()
    };
    host.run(&["--rm", "--env-file", &file(80), "busybox", "true"]).ok();
    let refused = host.run(&["--name", "large", "--env-file", &file(250), "busybox", "true"]);
    assert_eq!(refused.code, 125);
    assert!(refused.err.contains("arguments and environment"), "{refused:?}");
    host.nothing_left();
}

/// The command that starts a container is killed when it has asked for the start, and the record is not written yet. The record is put
/// aside for that time, with the monitor stopped.
#[test]
fn rm_finds_a_container_that_comes_to_run_after_all() {
    const RECVMSG: &str = "47 ";
    const FLOCK: &str = "73 ";
    let Some(host) = Host::new() else { return };
    if cfg!(not(target_arch = "x86_64")) {
        return eprintln!("skipped: knows the system calls of x86_64");
    }
    host.run(&["-d", "--name", "late", "busybox", "sleep", "1000"]).ok();
    let (monitor, _) = host.processes("late");
    let (record, aside) = (host.container("late").join("status.json"), host.path("aside"));
    signal(monitor, Signal::STOP);
    fs::rename(&record, &aside).unwrap();
    let removal = host.spawn(&["rm", "-f", "late"]);
    let waits_in = loop {
        let call = fs::read_to_string(format!("/proc/{}/syscall", removal.id())).unwrap();
        if call.starts_with(RECVMSG) || call.starts_with(FLOCK) {
            break call;
        }
        std::thread::yield_now();
    };
    fs::rename(&aside, &record).unwrap();
    signal(monitor, Signal::CONT);
    if waits_in.starts_with(FLOCK) {
        // It would wait for the container's end, in 1000 seconds.
        host.rctr(&["kill", "late"]);
        panic!("rm waits for the monitor's end");
    }
    assert_eq!(said(removal.wait_with_output().unwrap()).ok(), "late\n");
    host.nothing_left();
}

#[test]
fn containers_are_stopped_at_once() {
    let Some(host) = Host::new() else { return };
    let names = ["one", "two", "three", "four"];
    for name in names {
        // A first process that handles no SIGTERM is not ended by it.
        host.run(&["-d", "--name", name, "busybox", "sleep", "1000"]).ok();
    }
    assert_eq!(host.rctr(&[&["stop", "-t", "2"], &names[..]].concat()).ok(), "one\ntwo\nthree\nfour\n");
    let past = ["events", "--since", "10m", "--until", "0s", "--filter", "event=kill", "--filter", "event=die"];
    let events = host.rctr(&[&past[..], &["--format", "{{.Action}}"]].concat()).ok();
    // All are asked before the first has ended.
    assert!(events.starts_with(&"kill\n".repeat(names.len())), "{events}");
}

#[test]
fn rm_does_not_need_the_record_of_what_runs() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--name", "lost", "busybox", "sleep", "1000"]).ok();
    fs::remove_file(host.container("lost").join("status.json")).unwrap();
    let begin = std::time::Instant::now();
    host.rctr(&["rm", "-f", "lost"]).ok();
    assert!(begin.elapsed().as_secs() < 500, "it waited for the container's end");
    host.nothing_left();
}

#[test]
fn a_container_without_its_monitor_is_named_so_and_can_be_started_anew() {
    let Some(host) = Host::new() else { return };
    host.run(&["-d", "--name", "alone", "busybox", "sleep", "1000"]).ok();
    let (monitor, init) = host.processes("alone");
    signal(monitor, Signal::KILL);
    let exec = host.rctr(&["exec", "alone", "true"]);
    assert!(exec.code == 125 && exec.err.contains("monitor"), "{exec:?}");
    host.rctr(&["stop", "-t", "0", "alone"]).ok();
    assert!(
        fs::read_to_string(format!("/proc/{init}/stat")).is_ok_and(|stat| !stat.contains(") S "))
            || !fs::exists(format!("/proc/{init}")).unwrap()
    );
    host.rctr(&["start", "alone"]).ok();
    host.rctr(&["exec", "alone", "true"]).ok();
    host.rctr(&["rm", "-f", "alone"]).ok();
    host.nothing_left();
}

#[test]
fn one_damaged_record_hides_no_other_container() {
    let Some(host) = Host::new() else { return };
    for name in ["whole", "broken"] {
        host.rctr(&["create", "--name", name, "busybox"]).ok();
    }
    let folder = host.container("broken");
    fs::write(folder.join("config.json"), "").unwrap();
    let listed = host.rctr(&["ps", "-a", "--format", "{{.Names}}"]);
    assert_eq!((listed.code, listed.out.as_str()), (0, "whole\n"));
    assert!(listed.err.contains("damaged record"), "{listed:?}");
    assert_eq!(host.rctr(&["rm", "broken"]).code, 125);
    host.rctr(&["rm", "-f", "broken"]).ok();
    assert!(!folder.exists());
    host.rctr(&["create", "--name", "broken", "busybox"]).ok();
}
