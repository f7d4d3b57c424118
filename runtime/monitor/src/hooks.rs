//! Hooks, as the runtime specification has them.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use launch::Stages;
use monitor::{Hooks, Point};
use rustix::fs::{Access, Mode, OFlags, access, open};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, move_mount};
use sys::Call;
use sys::mount::Filesystem;

/// Those of a container on its way up.
pub(crate) struct Staged<'a> {
    id: &'a str,
    hooks: &'a Hooks,
    root: PathBuf,
    /// What the container is.
    config: sys::Result<Vec<u8>>,
}

/// The file in the bundle that says it.
const CONFIG: &str = "config.json";

impl<'a> Staged<'a> {
    pub(crate) fn new(id: &'a str, hooks: &'a Hooks) -> Self {
        let path = hooks.bundle.join(CONFIG);
        let config = std::fs::read(&path).call(|| format!("read({path:?})"));
        Staged { id, hooks, root: hooks.bundle.join("rootfs"), config }
    }

    /// Puts a file system of the container's own over the folder `closed`, with the bundle in it at the same path.
    fn cover(&self, closed: &Path, config: &[u8]) -> sys::Result<()> {
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let cover = Filesystem::open("tmpfs")?.set("mode", "0755")?.mount(flags)?;
        let place = open(closed, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
        let place = place.call(|| format!("open({closed:?}, O_PATH)"))?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(cover, "", place, "", flags).call(|| format!("move_mount({closed:?})"))?;
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&self.root);
        made.call(|| format!("mkdir({:?})", self.root))?;
        let path = self.hooks.bundle.join(CONFIG);
        File::create(&path).and_then(|mut file| file.write_all(config)).call(|| format!("write({path:?})"))
    }
}

/// The first folder on the way to `path` through which this process may not go.
fn closed(path: &Path) -> Option<&Path> {
    let mut way: Vec<_> = path.ancestors().collect();
    way.reverse();
    way.into_iter().find(|folder| access(*folder, Access::EXEC_OK) == Err(Errno::ACCESS))
}

impl Stages for Staged<'_> {
    fn place(&self) -> Option<&Path> {
        Some(&self.root)
    }

    /// Root of a container with users of its own may not go where our folders are, where root of the host alone may. It sees the bundle all
    /// the same, and nothing else of them, and so do hooks that run as it does.
    fn furnish(&self) -> Result<(), String> {
        let Some(closed) = closed(&self.hooks.bundle) else { return Ok(()) };
        let config = self.config.as_ref().map_err(ToString::to_string)?;
        self.cover(closed, config).map_err(|error| format!("show hooks the container: {error}"))
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
