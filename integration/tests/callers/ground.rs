//! What a caller stands on: folders, a root file system, its daemon, and a look at what is left.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use integration::debian::{is_installed, program};
use integration::env::{Running, within};
use integration::leaks;
use integration::output::Output;
use integration::terminal::Terminal;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) use integration::env::PATIENCE;

/// Folders that end with the test, as its daemon does.
pub(crate) struct Ground {
    folder: tempfile::TempDir,
    run: tempfile::TempDir,
    /// The parent of the cgroups, which no other test has.
    pub(crate) cgroup: String,
    daemon: Option<Child>,
    /// What the daemon itself has made.
    before: Vec<String>,
}

impl Ground {
    /// Skips the test where there is no root or one of `programs` is missing.
    pub(crate) fn new(programs: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        if !rustix::process::geteuid().is_root() {
            integration::skip!("needs root");
        }
        if let Some(missing) = programs.iter().find(|program| !is_installed(program)) {
            integration::skip!("needs {missing}");
        }
        let folder = tempfile::Builder::new().prefix("caller-").tempdir_in("/var/tmp").expect("a folder in /var/tmp");
        let run = tempfile::Builder::new().prefix("c-").tempdir_in("/run").expect("a folder in /run");
        let cgroup = format!("caller-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let ground = Self { folder, run, cgroup, daemon: None, before: Vec::new() };
        ground.make_rootfs();
        ground
    }

    /// The runtime under test.
    pub(crate) fn runtime() -> String {
        let named = std::env::var_os("RUNTIME").map(PathBuf::from);
        named.unwrap_or_else(|| program("rctr-oci").expect("rctr-oci")).display().to_string()
    }

    /// A path in the folder on disk.
    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A path in the folder below /run.
    pub(crate) fn run(&self, name: &str) -> String {
        self.run.path().join(name).display().to_string()
    }

    pub(crate) fn rootfs(&self) -> String {
        self.path("rootfs")
    }

    /// A busybox.
    fn make_rootfs(&self) {
        let rootfs = self.folder.path().join("rootfs");
        for name in ["bin", "dev", "etc", "proc", "root", "sys", "tmp"] {
            fs::create_dir_all(rootfs.join(name)).expect("a folder");
        }
        fs::set_permissions(rootfs.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
        fs::write(rootfs.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("accounts");
        fs::write(rootfs.join("bin/plain"), "no program\n").expect("a file");
        if fs::copy("/bin/busybox", rootfs.join("bin/busybox")).is_err() {
            integration::skip!("needs busybox-static");
        }
        for name in ["cat", "echo", "grep", "hostname", "id", "kill", "ls", "ps", "sh", "sleep", "stty", "true", "tty"] {
            symlink("busybox", rootfs.join("bin").join(name)).expect("a link");
        }
    }

    /// A command with nothing of this test's environment.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, program: &str, words: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(program);
        command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder.path()).env("TMPDIR", self.folder.path()).current_dir(self.folder.path());
        command
    }

    /// Starts a daemon and waits until `ready` is answered. It gets a SIGTERM at the end of the test, or dies with this process.
    pub(crate) fn start(&mut self, daemon: &Command, ready: impl Fn() -> Command) {
        let log = File::create(self.path("daemon.log")).expect("a log");
        let mut tied = self.command("setpriv", ["--pdeathsig", "KILL"]);
        tied.arg(daemon.get_program()).args(daemon.get_args());
        tied.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        self.daemon = Some(tied.spawn().expect("setpriv (util-linux)"));
        let up =
            within(PATIENCE, || ready().stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success()));
        assert!(up, "{daemon:?} does not answer:\n{}", self.log());
        self.before = self.look(Path::new(""));
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    /// Asserts that no cgroup, mount or process of the containers is left, nor anything in the runtime's `states`.
    pub(crate) fn nothing_left(&self, states: &str) {
        let look = || self.look(Path::new(states));
        within(PATIENCE, || look().is_empty());
        assert!(look().is_empty(), "left behind:\n  {}", look().join("\n  "));
    }

    fn look(&self, states: &Path) -> Vec<String> {
        let mut left = leaks::of_caller(&[self.folder.path(), self.run.path()], &self.cgroup, states);
        left.retain(|thing| !self.before.contains(thing));
        left
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let pid = Pid::from_child(&daemon);
            let _ = kill_process(pid, Signal::TERM);
            let _ = daemon.wait();
        }
        leaks::clear_caller(&[self.folder.path(), self.run.path()], &self.cgroup);
    }
}

/// Runs a command to its end.
pub(crate) fn finish(command: Command) -> Output {
    Running::start(command).finish()
}

/// Runs a command in a terminal: its code and what the screen showed.
pub(crate) fn on_terminal(command: &Command) -> (i32, String) {
    Terminal::start(command, 91, 31).finish()
}
