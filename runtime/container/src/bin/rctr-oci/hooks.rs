//! Hooks: programs of the caller that run at six points of a container's life (runtime-spec, "POSIX-platform Hooks").
//!
//! ```text
//!   create  prestart, createRuntime   here, when the namespaces are made and the root is not
//!           createContainer           in init, before its root is changed
//!   start   startContainer            in init, right before execve
//!           poststart                 here, after that
//!   delete  poststop                  here, when the container is gone; failures are warnings
//! ```

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::{Hook, Hooks};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::json;

use crate::log::Log;
use crate::record::Record;
use crate::rootless::Trees;

/// Hooks of a container on its way up.
pub(crate) struct Staged<'a> {
    pub(crate) hooks: &'a Hooks,
    pub(crate) record: &'a Record,
    /// Trees that this process may not open.
    pub(crate) trees: Option<&'a Trees<'a>>,
}

/// The hooks that the specification deprecates.
#[allow(deprecated, reason = "nvidia's toolkit and others send them to this day")]
fn prestart(hooks: &Hooks) -> &Option<Vec<Hook>> {
    hooks.prestart()
}

/// Whether there is any that runs before the program does.
pub(crate) fn before_start(hooks: &Hooks) -> bool {
    let all = [prestart(hooks), hooks.create_runtime(), hooks.create_container(), hooks.start_container()];
    all.iter().any(|hooks| hooks.as_ref().is_some_and(|hooks| !hooks.is_empty()))
}

impl launch::Stages for Staged<'_> {
    fn open(&self, locked: bool) -> Result<Vec<(launch::Slot, OwnedFd)>, String> {
        self.trees.map_or(Ok(Vec::new()), |trees| trees.open(locked))
    }

    fn beside(&self) -> bool {
        self.trees.is_some_and(|trees| trees.beside)
    }

    fn made(&self, pid: u32) -> Result<(), String> {
        made(self.hooks, self.record, pid)
    }

    fn inside(&self) -> Result<(), String> {
        let state = state(self.record, std::process::id(), "creating");
        run_all("createContainer", self.hooks.create_container().as_deref(), &state)
    }

    fn starting(&self) -> Result<(), String> {
        let state = state(self.record, std::process::id(), "created");
        run_all("startContainer", self.hooks.start_container().as_deref(), &state)
    }
}

/// Runs those for which the namespaces of the first process are made.
pub(crate) fn made(hooks: &Hooks, record: &Record, pid: u32) -> Result<(), String> {
    let state = state(record, pid, "creating");
    run_all("prestart", prestart(hooks).as_deref(), &state)?;
    run_all("createRuntime", hooks.create_runtime().as_deref(), &state)
}

/// The state that a hook reads from its standard input.
pub(crate) fn state(record: &Record, pid: u32, status: &str) -> String {
    let own = &record.rctr;
    let mut state = json!({"ociVersion": own.oci_version, "id": record.id, "status": status, "bundle": own.bundle, "annotations": own.annotations});
    if pid != 0 {
        state["pid"] = pid.into();
    }
    state.to_string()
}

/// Runs those for the end of a container. Those that come after one that fails run too (runtime-spec, "Lifecycle").
pub(crate) fn poststop(log: &Log, record: &Record) {
    let found = record.rctr.hooks.as_ref().and_then(|hooks| hooks.poststop().as_deref()).unwrap_or_default();
    if !found.is_empty()
        && let Err(error) = sys::fds::close_on_exec_from(3)
    {
        return log.warn(&error.to_string());
    }
    for hook in found {
        if let Err(why) = run_all("poststop", Some(std::slice::from_ref(hook)), &state(record, 0, "stopped")) {
            log.warn(&why);
        }
    }
}

/// Runs hooks in order up to the first that fails.
pub(crate) fn run_all(kind: &str, hooks: Option<&[Hook]>, state: &str) -> Result<(), String> {
    for (at, hook) in hooks.unwrap_or_default().iter().enumerate() {
        run(hook, state).map_err(|why| format!("error running {kind} hook #{at} ({}): {why}", hook.path().display()))?;
    }
    Ok(())
}

/// Runs one. It has no descriptor of this program's, and no environment but its own.
fn run(hook: &Hook, state: &str) -> Result<(), String> {
    let path = hook.path();
    if !path.is_absolute() {
        return Err("its path is not absolute".to_owned());
    }
    if hook.timeout().is_some_and(|seconds| seconds <= 0) {
        return Err("its timeout is not above zero".to_owned());
    }
    let args = hook.args().clone().unwrap_or_default();
    let mut command = Command::new(path);
    // A file and no pipe: neither much text nor a daemon that keeps it open can block.
    let said = File::from(memfd_create("hook", MemfdFlags::CLOEXEC).map_err(|errno| errno.to_string())?);
    let stderr = said.try_clone().map_err(|error| error.to_string())?;
    command.env_clear().stdin(Stdio::piped()).stdout(Stdio::null()).stderr(stderr);
    if let Some((first, rest)) = args.split_first() {
        command.arg0(first).args(rest);
    }
    for entry in hook.env().iter().flatten() {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        command.env(key, value);
    }
    let mut child = command.spawn().map_err(|error| error.to_string())?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that does not read it has ended, or does not care. A pipe takes 64 KiB without a reader.
        let _ = stdin.write_all(state.as_bytes());
    }
    let ended = match hook.timeout() {
        Some(seconds) => within(&child, Duration::from_secs(seconds.unsigned_abs())),
        None => Ok(true),
    };
    if !ended.map_err(|errno| errno.to_string())? {
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("it has not ended within {} s", hook.timeout().unwrap_or_default()));
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() {
        return Ok(());
    }
    let mut text = [0; 1024];
    let length = said.read_at(&mut text, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&text[..length]).trim().replace('\n', " ");
    Err(format!("{status}{}{text}", if text.is_empty() { "" } else { ", stderr: " }))
}

/// Waits until a child has ended; false when that takes too long.
fn within(child: &std::process::Child, limit: Duration) -> Result<bool, Errno> {
    let pid = Pid::from_raw(child.id() as i32).ok_or(Errno::SRCH)?;
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)], Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether a hook could be run at all: told before anything is made.
pub(crate) fn check(hooks: &Hooks) -> Result<(), String> {
    let all = [
        ("prestart", prestart(hooks)),
        ("createRuntime", hooks.create_runtime()),
        ("createContainer", hooks.create_container()),
        ("startContainer", hooks.start_container()),
        ("poststart", hooks.poststart()),
        ("poststop", hooks.poststop()),
    ];
    for (kind, hooks) in all {
        let wrong = |hook: &&Hook| !Path::new(hook.path()).is_absolute();
        if let Some(hook) = hooks.iter().flatten().find(wrong) {
            return Err(format!("hooks.{kind}: {} is not an absolute path", hook.path().display()));
        }
    }
    Ok(())
}
