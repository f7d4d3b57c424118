//! A runtime that is killed at each of its system calls, one after the other: `state` tells the truth, `delete --force` works, and
//! nothing is left.

use std::collections::BTreeMap;
use std::process::Stdio;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::fixture::{Bundle, eventually};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("create_killed_at_every_call", Of::Ours, create_killed_at_every_call),
    ("start_killed_at_every_call", Of::Ours, start_killed_at_every_call),
    ("run_killed_at_every_call", Of::Ours, run_killed_at_every_call),
    ("exec_killed_at_every_call", Of::Ours, exec_killed_at_every_call),
    ("delete_killed_at_every_call", Of::Ours, delete_killed_at_every_call),
];

/// No verb makes so many.
const LIMIT: u32 = 5000;

#[allow(clippy::zombie_processes, reason = "waited for as a traced process")]
/// Runs a verb up to its system call `at`, counted from its first execve, and kills it before that call. False when it has ended before.
fn killed(bundle: &Bundle, words: &[&str], at: u32) -> bool {
    // A shell that stops itself is one that can be attached to before the runtime begins.
    let inner = bundle.command(words);
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(bundle.dir.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let pid = Pid::from_raw(child.id() as i32);
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).unwrap();
    nix::sys::signal::kill(pid, Signal::SIGCONT).unwrap();
    let (mut executed, mut entering, mut calls) = (false, true, 0);
    loop {
        let pass = match waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap() {
            WaitStatus::Exited(..) | WaitStatus::Signaled(..) => return false,
            WaitStatus::PtraceEvent(_, _, event) => {
                if !executed && event == ptrace::Event::PTRACE_EVENT_EXEC as i32 {
                    // The next stop is the exit of that call.
                    (executed, entering) = (true, false);
                }
                None
            }
            WaitStatus::PtraceSyscall(_) if executed => {
                calls += u32::from(entering);
                if entering && calls == at {
                    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
                    while !matches!(waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap(), WaitStatus::Signaled(..)) {}
                    return true;
                }
                entering = !entering;
                None
            }
            WaitStatus::Stopped(_, Signal::SIGTRAP | Signal::SIGSTOP | Signal::SIGCONT) => None,
            WaitStatus::Stopped(_, signal) => Some(signal),
            _ => None,
        };
        ptrace::syscall(pid, pass).unwrap();
    }
}

/// Kills a verb at every call, with a container of its own each time, and says what was found.
fn at_every_call(words: &[&str], prepare: impl Fn() -> Bundle, check: impl Fn(&Bundle, u32) -> String) {
    let mut seen = BTreeMap::new();
    for at in 1..LIMIT {
        let bundle = prepare();
        let more = killed(&bundle, words, at);
        *seen.entry(check(&bundle, at)).or_insert(0) += 1;
        bundle.ok(&["delete", "--force", "ID"]);
        // An init that notices the end of its maker is gone a moment later.
        eventually(&format!("nothing left after call {at} of {words:?}, but {:?} {:?}", bundle.left(), processes(&bundle)), || {
            bundle.left().is_empty() && processes(&bundle).is_empty()
        });
        assert_eq!(std::fs::read_dir(bundle.path("root")).unwrap().count(), 0, "call {at}");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(bundle.path("").to_str().unwrap()), "call {at}: {mounts}");
        bundle.fails(&["state", "ID"], "does not exist");
        if !more {
            println!("{words:?} killed at {} calls: {seen:?}", at - 1);
            assert!(at > 20);
            return;
        }
    }
    panic!("{words:?} does not end");
}

/// Processes in the container's cgroup.
fn processes(bundle: &Bundle) -> Vec<String> {
    let folders = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let ours = |path: &std::path::PathBuf| {
        let cgroup = std::fs::read_to_string(path.join("cgroup")).unwrap_or_default();
        cgroup.lines().any(|line| line.ends_with(&format!("/{}", bundle.id)))
    };
    folders.filter(ours).map(|path| path.display().to_string()).collect()
}

/// What is said of it; its absence is a status too.
fn status(bundle: &Bundle) -> String {
    let said = bundle.call(&["state", "ID"]);
    if said.code != Some(0) {
        assert!(said.err.contains("does not exist"), "{said:?}");
        return "none".to_owned();
    }
    let state: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    let (status, pid) = (state["status"].as_str().unwrap().to_owned(), state["pid"].as_u64().unwrap());
    assert_eq!(pid == 0, ["stopped", "creating"].contains(&status.as_str()), "{state}");
    status
}

fn create_killed_at_every_call() {
    at_every_call(
        &["create", "ID"],
        || Bundle::new(&["wait"]),
        |bundle, at| {
            let status = status(bundle);
            match status.as_str() {
                "none" | "creating" | "stopped" => {}
                // Whatever is said to be created can be started, unless it has just noticed the end of its maker.
                "created" => {
                    let started = bundle.call(&["start", "ID"]);
                    if started.code == Some(0) {
                        let truth = self::status(bundle);
                        assert!(["running", "stopped"].contains(&truth.as_str()), "call {at}: {truth}");
                    } else {
                        eventually(&format!("stopped after call {at}: {started:?}"), || self::status(bundle) == "stopped");
                    }
                }
                other => panic!("call {at}: {other}"),
            }
            status
        },
    );
}

fn start_killed_at_every_call() {
    let prepare = || {
        let bundle = Bundle::new(&["wait"]);
        bundle.ok(&["create", "ID"]);
        bundle
    };
    at_every_call(&["start", "ID"], prepare, |bundle, at| {
        let status = status(bundle);
        match status.as_str() {
            "running" => {}
            "created" => {
                // The word may have been given: then it runs a moment later, and only then is there nothing to start.
                let started = bundle.call(&["start", "ID"]);
                assert!(started.code == Some(0) || started.err.contains("already running"), "call {at}: {started:?}");
                bundle.until("running");
            }
            other => panic!("call {at}: {other}"),
        }
        status
    });
}

fn run_killed_at_every_call() {
    at_every_call(
        &["run", "-d", "ID"],
        || Bundle::new(&["wait"]),
        |bundle, at| {
            let status = status(bundle);
            assert!(["none", "creating", "stopped", "created", "running"].contains(&status.as_str()), "call {at}: {status}");
            status
        },
    );
}

fn exec_killed_at_every_call() {
    let prepare = || {
        let bundle = Bundle::new(&["wait"]);
        bundle.ok(&["run", "-d", "ID"]);
        bundle
    };
    at_every_call(&["exec", "-d", "ID", "/probe", "wait"], prepare, |bundle, at| {
        let status = status(bundle);
        assert_eq!(status, "running", "call {at}");
        // The next one is not hindered.
        bundle.ok(&["exec", "ID", "/probe", "exit", "0"]);
        status
    });
}

fn delete_killed_at_every_call() {
    let prepare = || {
        let bundle = Bundle::new(&["wait"]);
        bundle.ok(&["run", "-d", "ID"]);
        bundle
    };
    at_every_call(&["delete", "--force", "ID"], prepare, |bundle, at| {
        let status = status(bundle);
        assert!(["none", "stopped", "running"].contains(&status.as_str()), "call {at}: {status}");
        status
    });
}
