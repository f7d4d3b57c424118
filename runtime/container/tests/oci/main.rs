//! The command line of an OCI runtime, from outside. `RUNTIME=/usr/sbin/runc` runs the same checks against another one; those that only
//! this project promises are left out then, and those of which is known what runc does instead. Words choose checks by name.
//! `SYSTEMD=1` lets systemd make all cgroups. Needs root.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::exit, reason = "a test harness talks, and its probe ends")]
#![allow(unreachable_pub)]

mod attacks;
mod breakouts;
mod cgroups;
mod checkpoint;
mod confine;
mod crash;
mod criu;
mod exec;
mod fake;
mod fields;
mod fixture;
mod hooks;
mod idmap;
mod input;
mod kill;
mod known;
mod labels;
mod life;
mod mounts;
mod namespaces;
mod probe;
mod report;
mod rootless;
mod sealing;
mod streams;
mod systemd;
mod targets;
mod users;

use std::cell::Cell;
use std::panic::catch_unwind;

/// A check: its name, whether every runtime must pass it, what it does. It panics when something is wrong.
pub type Check = (&'static str, Of, fn());

/// Whose promise it is.
#[derive(Clone, Copy, PartialEq)]
pub enum Of {
    /// The specification's, or what all callers of runc rely on.
    Every,
    /// This project's.
    Ours,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if args[0].ends_with("probe") {
        return probe::main(&args[1..]);
    }
    if args[0].ends_with("criu") {
        return fake::main(&args[1..]);
    }
    if args.get(1).is_some_and(|word| word == fixture::MAPPED) {
        return fixture::run_mapped(&args[2..]);
    }
    if args.get(1).is_some_and(|word| word == fixture::WITHOUT) {
        return fixture::run_without(&args[2..]);
    }
    if !rustix::process::geteuid().is_root() {
        println!("skipped: needs root");
        return;
    }
    let wanted: Vec<&String> = args[1..].iter().filter(|arg| !arg.starts_with('-')).collect();
    let all = [
        life::CHECKS,
        exec::CHECKS,
        fields::CHECKS,
        labels::CHECKS,
        confine::CHECKS,
        streams::CHECKS,
        report::CHECKS,
        hooks::CHECKS,
        input::CHECKS,
        cgroups::CHECKS,
        systemd::CHECKS,
        crash::CHECKS,
        kill::CHECKS,
        mounts::CHECKS,
        targets::CHECKS,
        users::CHECKS,
        namespaces::CHECKS,
        idmap::CHECKS,
        attacks::CHECKS,
        breakouts::CHECKS,
        sealing::CHECKS,
        rootless::CHECKS,
        checkpoint::CHECKS,
        criu::CHECKS,
    ]
    .concat();
    let runc = known::version();
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for (name, of, check) in all {
        if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
            continue;
        }
        if of == Of::Ours && fixture::foreign() {
            skipped += 1;
            continue;
        }
        if let Some(what) = runc.as_ref().and_then(|version| known::reason(name, version)) {
            println!("skipped: {name}: runc {what}");
            skipped += 1;
            continue;
        }
        LEFT_OUT.set(false);
        let (count, answer) = match catch_unwind(check) {
            Err(_) => (&mut failed, "FAILED"),
            Ok(()) if LEFT_OUT.get() => (&mut skipped, "skipped"),
            Ok(()) => (&mut passed, "ok"),
        };
        *count += 1;
        println!("test {name} ... {answer}");
    }
    println!("\noci: {passed} passed, {failed} failed, {skipped} skipped");
    if failed > 0 {
        std::process::exit(1);
    }
}

thread_local! {
    static LEFT_OUT: Cell<bool> = const { Cell::new(false) };
}

/// Says that the running check, or a part of it, cannot be made here. It then counts as skipped.
fn skip(why: &str) {
    println!("left out: {why}");
    LEFT_OUT.set(true);
}
