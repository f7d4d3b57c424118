//! How the runtime gets into a sealed copy of itself. That nobody can write to that one is in `breakouts`.

use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::fixture::{Bundle, runtime};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("sealed_before_anything_else", Of::Ours, sealed_before_anything_else),
    ("sealed_without_overlay", Of::Ours, sealed_without_overlay),
    ("sealed_whatever_the_environment_says", Of::Ours, sealed_whatever_the_environment_says),
];

/// How many system calls the runtime makes as one program after the other.
#[allow(clippy::zombie_processes, reason = "waited for as a traced process")]
fn calls(runtime: Command) -> Vec<u32> {
    // A shell that stops itself is one that can be attached to before the runtime begins.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).arg(runtime.get_program()).args(runtime.get_args());
    command.envs(runtime.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command.current_dir(runtime.get_current_dir().unwrap()).stdin(Stdio::null()).stdout(Stdio::null());
    let pid = Pid::from_raw(command.spawn().unwrap().id() as i32);
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    let options = Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    let mut stops: Vec<u32> = Vec::new();
    loop {
        let mut pass = None;
        match waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap() {
            WaitStatus::PtraceSyscall(_) => stops.iter_mut().last().into_iter().for_each(|last| *last += 1),
            WaitStatus::PtraceEvent(_, _, event) if event == ptrace::Event::PTRACE_EVENT_EXEC as i32 => stops.push(0),
            WaitStatus::Exited(_, code) => {
                assert_eq!(code, 0);
                // Each has two stops, but for an execve, whose first one was before.
                return stops.into_iter().map(|stops| stops / 2).collect();
            }
            WaitStatus::Stopped(_, signal) if !matches!(signal, Signal::SIGTRAP | Signal::SIGSTOP | Signal::SIGCONT) => {
                pass = Some(signal);
            }
            WaitStatus::Signaled(_, signal, _) => panic!("{signal}"),
            _ => {}
        }
        ptrace::syscall(pid, pass).unwrap();
    }
}

/// What the C library alone does at its start are more calls than those that seal it.
fn sealed_before_anything_else() {
    let bundle = Bundle::new(&["wait"]);
    let create = calls(bundle.command(&["create", "ID"]));
    assert!(create.len() == 2 && (8..12).contains(&create[0]) && create[1] > 50, "{create:?}");
    let exec = calls(bundle.command(&["exec", "ID", "/probe", "exit", "0"]));
    assert!(exec.len() == 2 && (8..12).contains(&exec[0]), "{exec:?}");
    // This one leads into no container.
    assert_eq!(calls(bundle.command(&["state", "ID"])).len(), 1);
    bundle.ok(&["delete", "--force", "ID"]);
}

/// It is copied into memory, as the program itself can do it.
fn sealed_without_overlay() {
    // Overlay refuses two layers of which one is in the other, and /dev is always the second.
    let folder = tempfile::tempdir_in("/dev").unwrap();
    let copy = folder.path().join("rctr-oci");
    std::fs::copy(runtime(), &copy).unwrap();
    let bundle = Bundle::new(&["exit", "0"]);
    let whole = bundle.command(&["run", "ID"]);
    let mut command = Command::new(copy);
    command.args(whole.get_args()).current_dir(whole.get_current_dir().unwrap());
    let run = calls(command);
    assert!(run.len() == 2 && run.iter().all(|calls| *calls > 30), "{run:?}");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

/// Callers cannot say that it is.
fn sealed_whatever_the_environment_says() {
    let on_overlay = rustix::fs::statfs(Path::new(&runtime())).unwrap().f_type == 0x794c_7630;
    if on_overlay {
        return println!("skipped: the runtime is on an overlay, as a sealed one is");
    }
    let bundle = Bundle::new(&["exit", "0"]);
    for value in ["1", "", "0"] {
        let mut command = bundle.command(&["run", "ID"]);
        command.env(sys::entry::MARK, value);
        let run = calls(command);
        assert!(run.len() == 2 && run.iter().all(|calls| *calls > 30), "{run:?}");
    }
}
