//! The monitor of one container: its init's parent, the writer of its log, the server of its socket, the undoer of what was made for
//! it. One thread, no daemon behind it; it outlives the command that started it and every daemon's restart.
//!
//! ```text
//!   inherited socket ──▶ begin: Launch ─▶ Start ─▶ Started                   CLI gone before Start: all undone, no trace
//!                                                  │
//!                                                  ▼
//!      ┌───────────────────────────── session: poll ◀────────────────────────────┐
//!      │ signals        listener        clients           outputs        inputs  │
//!      │    │               │              │                 │              │    │
//!      │  reap           accept        request, exec    log, clients   pipe, tty │
//!      └────┼────────────────────────────────────────────────────────────────────┘
//!           ▼ init has ended
//!      end: drain ─▶ out of memory? ─▶ status.json ─▶ names, ports free ─▶ Exited to all who listen or wait ─▶ the rest removed ─▶ exit
//!                                                                          restart policy: a pause ─▶ execve(rctr)
//! ```
//!
//! | module | what |
//! |---|---|
//! | `begin` | from the first packet to a running program |
//! | `session` | the loop, and what it waits for |
//! | `serve`, `client`, `queue` | connections, and how much is kept for a slow one |
//! | `request`, `exec` | what clients ask for |
//! | `task` | a process and its streams |
//! | `input`, `output` | bytes to and from a task |
//! | `relay`, `nobody` | published ports that rules for packets do not lead to the container: a process of its own, while somebody uses them |
//! | `net::dns` | answers for the container's processes who ask for names: a part of the loop |
//! | `reap`, `end`, `memory` | what becomes of processes, and of the container; whether memory ran out |
//! | `health` | checks, and what they lead to |
//! | `again` | the pause before a restart, and the program that it is left to |
//! | `cleanup`, `cgroup` | undo as data |
//!
//! Called with `--init` inside a container, the same program is that container's first process: see `init`. Called with `--users` it makes
//! namespaces for a pod with users of its own: see `users`. With `--relay` it passes on what comes to some published ports: see `relay`.
//!
//! It ends with the container's exit code: as the main process of a unit of systemd (`rctr run --sdnotify`) it tells what became of that.
//!
//! Signals: SIGTERM goes on to the container, since who sends it to a monitor (systemd at shutdown, an operator) wants the container to
//! stop, and the monitor ends when that has. SIGHUP, SIGINT, SIGQUIT, SIGUSR1 and SIGUSR2 mean a terminal or a command that the monitor does not
//! have: ignored. They are blocked rather than ignored, so that nothing of it is inherited by the container.

#![forbid(unsafe_code)]

mod again;
mod begin;
mod cgroup;
mod cleanup;
mod client;
mod end;
mod exec;
mod health;
mod hooks;
mod init;
mod input;
mod memory;
mod nobody;
mod output;
mod queue;
mod reap;
mod relay;
mod request;
mod serve;
mod session;
mod task;
mod users;

use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    match args.next() {
        Some(arg) if arg == "--version" => {
            let text = concat!("rctr-monitor ", env!("CARGO_PKG_VERSION"), "\n");
            return ExitCode::from(u8::from(std::io::stdout().write_all(text.as_bytes()).is_err()));
        }
        Some(arg) if arg == "--users" => return users::run(args),
        Some(arg) if arg == "--relay" => return relay::run(),
        Some(arg) if arg == "--init" => return ExitCode::from(init::run(args.collect())),
        Some(arg) if arg == "--exec" => return ExitCode::from(init::exec(args.collect())),
        _ => {}
    }
    let Ok(socket) = sys::socket::inherited() else {
        let text = "rctr-monitor: this program watches one container and is started by rctr; it cannot be run by hand\n";
        let _ = std::io::stderr().write_all(text.as_bytes());
        return ExitCode::from(2);
    };
    match settle().and_then(|signals| begin::begin(signals, socket)) {
        Ok(Some(session)) => ExitCode::from(session.run()),
        // Nothing was started, and whoever asked knows why.
        Ok(None) => ExitCode::SUCCESS,
        // There is nobody to tell: the socket has ended or is of no use.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Makes the process fit for its job, and returns the descriptor from which signals are read.
fn settle() -> sys::Result<std::os::fd::OwnedFd> {
    use rustix::process::{DumpableBehavior, set_child_subreaper, set_dumpable_behavior};
    use sys::Call;

    // Or its name would be the number of the descriptor it was executed from.
    rustix::thread::set_name(c"rctr-monitor").call(|| "prctl(PR_SET_NAME)")?;
    // The folder of whoever called must not stay busy for as long as the container lives.
    rustix::process::chdir("/").call(|| "chdir(\"/\")")?;
    // No process of a container may look into the monitor, even if it shares the pid namespace (CVE-2016-9962).
    set_dumpable_behavior(DumpableBehavior::NotDumpable).call(|| "prctl(PR_SET_DUMPABLE, 0)")?;
    // Without a pid namespace of its own the container's orphans would go to the host's init, out of sight of whoever must wait
    // until all have ended.
    set_child_subreaper(Some(rustix::process::getpid())).call(|| "prctl(PR_SET_CHILD_SUBREAPER)")?;
    sys::signal::signalfd(&reap::SIGNALS)
}
