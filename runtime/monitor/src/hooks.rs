//! Hooks, as the runtime specification has them.

use std::path::{Path, PathBuf};

use launch::Stages;
use monitor::{Hooks, Point};

/// Those of a container on its way up.
pub(crate) struct Staged<'a> {
    id: &'a str,
    hooks: &'a Hooks,
    root: PathBuf,
}

impl<'a> Staged<'a> {
    pub(crate) fn new(id: &'a str, hooks: &'a Hooks) -> Self {
        Staged { id, hooks, root: hooks.bundle.join("rootfs") }
    }
}

impl Stages for Staged<'_> {
    fn place(&self) -> Option<&Path> {
        Some(&self.root)
    }

    fn made(&self, pid: u32) -> Result<(), String> {
        let state = state(self.id, self.hooks, pid, "creating");
        run(self.hooks, Point::Prestart, &state)?;
        run(self.hooks, Point::CreateRuntime, &state)
    }

    fn inside(&self) -> Result<(), String> {
        run(self.hooks, Point::CreateContainer, &state(self.id, self.hooks, std::process::id(), "creating"))
    }

    fn starting(&self) -> Result<(), String> {
        run(self.hooks, Point::StartContainer, &state(self.id, self.hooks, std::process::id(), "created"))
    }
}

/// Runs those for the end. Nobody could be told of a failure; those that come after one run too.
pub(crate) fn stopped(id: &str, hooks: &Hooks) {
    let state = state(id, hooks, 0, "stopped");
    for (_, hook) in hooks.all.iter().filter(|(own, _)| *own == Point::Poststop) {
        let _ = hook.run(&state);
    }
}

/// Runs hooks in order up to the first that fails.
fn run(hooks: &Hooks, point: Point, state: &str) -> Result<(), String> {
    for (_, hook) in hooks.all.iter().filter(|(own, _)| *own == point) {
        hook.run(state).map_err(|why| format!("the {point} hook {}: {why}", hook.path.display()))?;
    }
    Ok(())
}

/// The state that a hook reads from its standard input.
fn state(id: &str, hooks: &Hooks, pid: u32, status: &str) -> String {
    let mut state = serde_json::json!({"ociVersion": "1.2.0", "id": id, "status": status, "bundle": hooks.bundle});
    if pid != 0 {
        state["pid"] = pid.into();
    }
    state.to_string()
}
