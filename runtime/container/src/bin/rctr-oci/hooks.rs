//! Hooks: programs of the caller that run at six points of a container's life (runtime-spec, "POSIX-platform Hooks").
//!
//! ```text
//!   create  prestart, createRuntime   here, when the namespaces are made and the root is not
//!           createContainer           in init, before its root is changed
//!   start   startContainer            in init, right before execve
//!           poststart                 here, after that
//!   delete  poststop                  here, when the container is gone; failures are warnings
//! ```

use std::os::fd::OwnedFd;
use std::path::Path;

use oci_spec::runtime::{Hook, Hooks};
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

fn run(hook: &Hook, state: &str) -> Result<(), String> {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    launch::Hook { path: hook.path().clone(), args: list(hook.args()), env: list(hook.env()), timeout: hook.timeout() }.run(state)
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
