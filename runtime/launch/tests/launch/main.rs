//! Containers started by this crate alone, looked at from inside by a copy of this very program. Every check runs in a process of its
//! own, forked while there is one thread. Needs root.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a test harness talks")]
#![allow(unreachable_pub)]

mod attacks;
mod fixture;
mod isolation;
mod joining;
mod probe;
mod process;
mod sealing;
mod starting;
mod terminal;

use sys::process::{Clone, Ended, clone3, wait};

/// A check's name and what it does; it panics when something is wrong.
pub type Check = (&'static str, fn());

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[0] == probe::PATH {
        return probe::main(&args[1..]);
    }
    if args.get(1).is_some_and(|arg| arg == "bench") {
        return fixture::bench(args.get(2).and_then(|runs| runs.parse().ok()).unwrap_or(200));
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let wanted: Vec<&String> = args[1..].iter().filter(|arg| !arg.starts_with('-')).collect();
    let all =
        [isolation::CHECKS, attacks::CHECKS, process::CHECKS, joining::CHECKS, terminal::CHECKS, sealing::CHECKS, starting::CHECKS]
            .concat();
    let chosen = all.iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| name.contains(part.as_str())));
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in chosen {
        let ended = clone3(&Clone::default(), || {
            check();
            0
        });
        let ended = ended.and_then(|child| wait(child.pidfd)).expect("fork");
        match ended {
            Ended::Exited(0) => passed += 1,
            _ => failed += 1,
        }
        println!("test {name} ... {}", if ended == Ended::Exited(0) { "ok".to_owned() } else { format!("FAILED ({ended:?})") });
    }
    println!("\nlaunch: {passed} passed, {failed} failed");
    if failed > 0 {
        std::process::exit(1);
    }
}
