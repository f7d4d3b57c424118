//! The control plane of a lab.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Wires;
use crate::debian::program;
use crate::env::{Env, Running};

/// The control plane, which runs beside the router.
#[derive(Debug)]
pub struct Plane {
    folder: PathBuf,
    start: Vec<String>,
    variables: Vec<(String, String)>,
    running: Option<Running>,
}

/// `noded`, as it is to be tested.
pub(super) fn noded() -> PathBuf {
    let found = std::env::var_os("NODED").map_or_else(|| program("noded"), |path| Ok(path.into()));
    found.unwrap_or_else(|error| panic!("{error:#}"))
}

impl Plane {
    /// One that is reached at `address`, with these options more, in a folder of this name.
    pub(super) fn new(env: &Env, wires: &Wires, name: &str, address: &str, more: &[&str]) -> Plane {
        let folder = env.path(name);
        fs::create_dir(&folder).expect("a folder");
        let flags = rustix::mount::MountFlags::empty();
        rustix::mount::mount("tmpfs", &folder, "tmpfs", flags, c"size=32m,mode=700").expect("a disk of its own");
        let mut command = wires.command(env, 0, &noded().display().to_string());
        command
            .args(["control-plane", "--listen", &format!("{address}:6443"), "--pod-range", "10.77.0.0/16"])
            .args(more)
            .arg("--data")
            .arg(&folder);
        let text = |word: &std::ffi::OsStr| word.to_string_lossy().into_owned();
        let start = std::iter::once(command.get_program()).chain(command.get_args()).map(text).collect();
        let variables = command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?)))).collect();
        Plane { folder, start, variables, running: None }
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn folder(&self) -> &PathBuf {
        &self.folder
    }

    /// Starts it.
    pub fn begin(&mut self) {
        let mut command = Command::new(&self.start[0]);
        command.args(&self.start[1..]).env_clear().envs(self.variables.iter().cloned());
        self.running = Some(Running::start(command));
    }

    /// Ends it with SIGTERM.
    ///
    /// # Panics
    /// When it does not run, or ends with an error.
    pub fn end(&mut self) {
        let running = self.running.take().expect("a control plane that runs");
        running.signal(rustix::process::Signal::TERM);
        running.finish().ok();
    }

    /// Kills it with SIGKILL. (`nsenter` has become it.)
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        self.running.take().expect("a control plane that runs").kill();
    }

    /// Fills its disk, a small one of its own, and answers the file that does it.
    ///
    /// # Panics
    /// When the file cannot be made.
    #[must_use]
    pub fn fill(&self) -> PathBuf {
        let path = self.folder.join("filler");
        let mut file = fs::File::create(&path).expect("a file");
        let zeros = vec![0; 1 << 16];
        while std::io::Write::write_all(&mut file, &zeros).is_ok() {}
        path
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(Running::pid)
    }

    /// What it has said.
    #[must_use]
    pub fn said(&self) -> String {
        self.running.as_ref().map(Running::said).unwrap_or_default()
    }

    /// What the administrator's kubectl takes.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// What is typed on a new node.
    pub(super) fn invitation(&self, env: &Env, wires: &Wires) -> Vec<String> {
        let mut command = wires.command(env, 0, &noded().display().to_string());
        command.args(["token", "create", "--kubeconfig"]).arg(self.kubeconfig());
        Running::start(command).finish().ok().stdout.split_whitespace().skip(2).map(str::to_owned).collect()
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
        // A disk that a test has put there.
        let _ = rustix::mount::unmount(&self.folder, rustix::mount::UnmountFlags::DETACH);
        let _ = fs::remove_dir_all(&self.folder);
    }
}
