//! `--init`: the first process of a container that has none of its own for it. It starts the container's program, passes signals on to it,
//! and reaps what it leaves behind (with the word `--pause` in its place there is none); the kernel gives signals to a first process only if it has asked for them (pid_namespaces(7)).

use std::ffi::OsString;
use std::io::{ErrorKind, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, wait};

use crate::reap::code;

const SIGCHLD: i32 = 17;
/// Those that cannot be caught, that mean this process itself, and that only its own terminal sends it.
const OWN: [i32; 9] = [4, 5, 7, 8, 9, 11, 19, 21, 22];

/// Runs the program to its end and returns its exit code.
pub(crate) fn run(args: Vec<OsString>) -> u8 {
    if args == ["--pause"] {
        return pause();
    }
    let Some(own) = std::env::args_os().next() else { return failed("no name", 125) };
    let all: Vec<i32> = (1..=64).filter(|signal| !OWN.contains(signal)).collect();
    // Before there is a child, so that neither its end is missed nor a signal for it. It inherits the mask, and `exec` ends that.
    let signals = match sys::signal::signalfd(&[all.as_slice(), &[21, 22]].concat()) {
        Ok(signals) => signals,
        Err(error) => return failed(&error.to_string(), 125),
    };
    let child = match Command::new(&own).arg("--exec").args(args).process_group(0).spawn() {
        Ok(child) => Pid::from_child(&child),
        Err(error) => return failed(&format!("execute {}: {error}", own.to_string_lossy()), 125),
    };
    // With a terminal its keys mean the program.
    let _ = rustix::termios::tcsetpgrp(std::io::stdin(), child);
    let process = pidfd_open(child, PidfdFlags::empty()).ok();
    loop {
        let _ = poll(&mut [PollFd::new(&signals, PollFlags::IN)], None);
        while let Some(signal) = sys::signal::read(&signals) {
            match (signal, &process) {
                (SIGCHLD | 21 | 22, _) => {}
                (signal, Some(process)) => drop(sys::process::signal(process, signal)),
                (signal, None) => drop(Signal::from_named_raw(signal).map(|signal| kill_process(child, signal))),
            }
        }
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            if pid == child {
                // With this process go all that are left (pid_namespaces(7)).
                return code(status) as u8;
            }
        }
    }
}

/// Waits until it is asked to end, and reaps what others leave behind: for containers that share their processes.
fn pause() -> u8 {
    let asked = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT].map(Signal::as_raw);
    let signals = match sys::signal::signalfd(&[asked.as_slice(), &[SIGCHLD]].concat()) {
        Ok(signals) => signals,
        Err(error) => return failed(&error.to_string(), 125),
    };
    loop {
        let _ = poll(&mut [PollFd::new(&signals, PollFlags::IN)], None);
        while let Some(signal) = sys::signal::read(&signals) {
            if asked.contains(&signal) {
                return 0;
            }
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}

/// Becomes the program, with no signal blocked or ignored.
pub(crate) fn exec(args: Vec<OsString>) -> u8 {
    let Some((program, args)) = args.split_first() else { return failed("no program", 127) };
    sys::signal::reset();
    let error = Command::new(program).args(args).exec();
    let code = if error.kind() == ErrorKind::NotFound { 127 } else { 126 };
    failed(&format!("execute {}: {error}", program.to_string_lossy()), code)
}

fn failed(text: &str, code: u8) -> u8 {
    let _ = writeln!(std::io::stderr(), "rctr-init: {text}");
    code
}
