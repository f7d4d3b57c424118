//! What the kernel alone needs for a container: the namespaces, mounts, masks, nodes and links that a bundle asks for, made by the
//! calls that are fastest, then `pivot_root` and `execve`, and nothing else: no JSON, no state, no check, no capability, no filter.
//! The floor that `bench oci` and `bench run` measure against.
//!
//! ```text
//! bench-bare run PLAN PROGRAM ARGS…        a container from nothing to its end
//! bench-bare exec PID PLAN PROGRAM ARGS…   a further process in the one whose init is PID
//! ```
//!
//! A plan is a text that `bench` makes of a bundle, one step a line, fields separated by tabs; the first names the root, the second
//! the namespaces as a number. With a folder beside the root it is the lower layer of an overlay, whose upper one is made in that folder, named
//! after this process, and left there: nobody waits for its removal. The cgroup has the same name, and goes.

#![forbid(unsafe_code)]
#![allow(clippy::print_stderr, reason = "a program that prints")]

mod build;

use std::ffi::CString;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use build::Root;
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use sys::ns::kind;
use sys::process::{Clone, Exec, clone3, wait};

/// Where the cgroups are, which is one hierarchy here.
const CGROUPS: &str = "/sys/fs/cgroup";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["run", plan, program @ ..] => run(plan, program),
        ["exec", pid, plan, program @ ..] => exec(pid, plan, program),
        _ => Err(anyhow::anyhow!("run PLAN PROGRAM… | exec PID PLAN PROGRAM…")),
    };
    match done {
        Ok(code) => ExitCode::from(code as u8),
        Err(error) => {
            eprintln!("bench-bare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The plan's text, its root and its namespaces.
fn read(plan: &str) -> Result<(String, Root, u64)> {
    let text = std::fs::read_to_string(plan)?;
    let mut lines = text.lines();
    let (root, namespaces) = (lines.next().context("no root")?, lines.next().context("no namespaces")?);
    let (folder, layers) = root.split_once('\t').map_or((root, None), |(folder, layers)| (folder, Some(layers)));
    let own = |layers: &str| Path::new(layers).join(std::process::id().to_string());
    let (root, namespaces) = (Root { folder: folder.into(), layer: layers.map(own) }, namespaces.parse()?);
    Ok((text, root, namespaces))
}

fn ready(program: &[&str]) -> Result<(CString, Exec)> {
    let args = program.iter().map(|word| CString::new(*word)).collect::<Result<Vec<_>, _>>()?;
    let Some(path) = args.first().cloned() else { bail!("no program") };
    Ok((path, Exec::new(args, Vec::new())))
}

fn run(plan: &str, program: &[&str]) -> Result<i32> {
    let (text, root, namespaces) = read(plan)?;
    let (path, exec) = ready(program)?;
    let cgroup = PathBuf::from(CGROUPS).join(format!("bench-bare-{}", std::process::id()));
    rustix::fs::mkdirat(CWD, &cgroup, Mode::from_raw_mode(0o755))?;
    let folder = open(&cgroup, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let clone = Clone { namespaces: namespaces & !kind::CGROUP, cgroup: Some(folder.as_fd()), sibling: false };
    let child = clone3(&clone, || {
        let error = match build::root(&root, namespaces, text.lines().skip(2)) {
            Ok(()) => exec.exec(&path).map_or_else(anyhow::Error::from, |never| match never {}),
            Err(error) => error,
        };
        eprintln!("bench-bare: {error:#}");
        127
    })?;
    let ended = wait(&child.pidfd)?;
    rustix::fs::unlinkat(CWD, &cgroup, rustix::fs::AtFlags::REMOVEDIR)?;
    Ok(ended.code())
}

fn exec(pid: &str, plan: &str, program: &[&str]) -> Result<i32> {
    let (_, _, namespaces) = read(plan)?;
    let (path, exec) = ready(program)?;
    let pid = Pid::from_raw(pid.parse()?).context("no process")?;
    let init = pidfd_open(pid, PidfdFlags::empty())?;
    // A new process is born in the pid namespace; the others are entered all at once.
    sys::ns::setns(&init, kind::PID as i32)?;
    let child = clone3(&Clone::default(), || {
        if sys::ns::setns(&init, (namespaces & !kind::PID) as i32).is_ok() {
            let _ = exec.exec(&path);
        }
        127
    })?;
    Ok(wait(&child.pidfd)?.code())
}
