//! One test's own `rctr`: a root, a runtime folder, a bridge and a home of its own, and a clean host afterwards.

mod left;
mod running;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;

pub use running::Running;

use crate::catalog;
use crate::debian::program;
use crate::leaks::{self, Host};
use crate::output::Output;
use crate::registry::{Registry, mirror_of_docker_hub};

/// How long a command may take before the test fails: nothing here takes seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What all tests share.
#[derive(Debug)]
pub struct World {
    /// The registry that stands for Docker Hub.
    pub registry: Registry,
    /// The program under test.
    pub rctr: PathBuf,
}

/// Starts the registry and pushes the small images, the first time.
///
/// # Panics
/// When a fixture cannot be made.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let registry = Registry::start(false).unwrap_or_else(|error| panic!("registry: {error:#}"));
        for (name, bundle) in catalog::small().unwrap_or_else(|error| panic!("images: {error:#}")) {
            registry.push(name, &bundle).unwrap_or_else(|error| panic!("{error:#}"));
        }
        let rctr = std::env::var_os("RCTR").map_or_else(|| program("rctr"), |path| Ok(path.into()));
        World { registry, rctr: rctr.unwrap_or_else(|error| panic!("{error:#}")) }
    })
}

/// Pushes the images of the three applications, the first time (this builds the layers of Debian packages).
///
/// # Panics
/// When a fixture cannot be made.
pub fn applications() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        for (name, bundle) in catalog::applications().unwrap_or_else(|error| panic!("images: {error:#}")) {
            world().registry.push(name, &bundle).unwrap_or_else(|error| panic!("{error:#}"));
        }
    });
}

/// An environment. Dropping it removes its containers, its bridge and its folders.
#[derive(Debug)]
pub struct Env {
    folder: tempfile::TempDir,
    run: tempfile::TempDir,
    bridge: String,
    before: Host,
    variables: BTreeMap<String, String>,
    /// How layers are kept; nothing: as rctr does by itself.
    driver: Option<String>,
}

impl Default for Env {
    fn default() -> Self {
        Self::new()
    }
}

impl Env {
    /// A fresh one, whose Docker Hub is the fixture registry. Skips the test where there is no root.
    ///
    /// # Panics
    /// When the fixtures or the folders cannot be made.
    #[must_use]
    pub fn new() -> Self {
        if !rustix::process::geteuid().is_root() {
            crate::skip!("needs root");
        }
        let world = world();
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let bridge = format!("rt{:x}-{count:x}", std::process::id());
        let folder = tempfile::Builder::new().prefix("rctr-").tempdir_in("/var/tmp").expect("a folder in /var/tmp");
        // sockets live here: their whole path may have 107 bytes (unix(7))
        let run = tempfile::Builder::new().prefix("rt-").tempdir_in("/run").expect("a folder in /run");
        fs::create_dir(folder.path().join("home")).expect("a home");
        let mut env = Self {
            folder,
            run,
            bridge,
            before: Host::default(),
            variables: BTreeMap::new(),
            driver: std::env::var("RCTR_TEST_DRIVER").ok(),
        };
        env.before = env.look();
        env.registries(&mirror_of_docker_hub(&world.registry.address));
        env
    }

    /// One that keeps layers in this way: `tree` or `erofs`.
    #[must_use]
    pub fn with_driver(driver: &str) -> Self {
        let mut env = Self::new();
        env.use_driver(driver);
        env
    }

    /// Keeps layers in this way from now on.
    pub fn use_driver(&mut self, driver: &str) {
        self.driver = Some(driver.to_owned());
    }

    /// Replaces the registries.conf of this environment.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn registries(&self, text: &str) {
        fs::write(self.path("registries.conf"), text).expect("registries.conf");
    }

    /// Adds a Docker login for `registry` to this environment's home.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn login(&self, registry: &str, user: &str, password: &str) {
        let auth = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let folder = self.path("home/.docker");
        fs::create_dir_all(&folder).expect("a folder");
        let config = serde_json::json!({"auths": {registry: {"auth": auth}}});
        fs::write(folder.join("config.json"), config.to_string()).expect("config.json");
    }

    /// Sets a variable for every later command.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// A path in this environment's own folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The state on disk (`--root`).
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// The runtime folder (`--run`).
    #[must_use]
    pub fn run(&self) -> &Path {
        self.run.path()
    }

    /// The name of the bridge.
    #[must_use]
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// The parent of the containers' cgroups.
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("/rctr-{}", self.bridge)
    }

    /// The slice of pods' cgroups where they are systemd's.
    #[must_use]
    pub fn slice(&self) -> String {
        format!("{}.slice", leaks::slice(&self.bridge))
    }

    /// The command `program` in this environment.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", self.path("home"));
        command.env("RCTR_ROOT", self.root()).env("RCTR_RUN", self.run()).env("RCTR_BRIDGE", &self.bridge);
        command.env("RCTR_CGROUP_PARENT", self.cgroup());
        command.env("CONTAINERS_REGISTRIES_CONF", self.path("registries.conf")).envs(&self.variables);
        command.current_dir(self.folder.path());
        command
    }

    /// `rctr ARGS`, to be started by the caller.
    #[must_use]
    pub fn rctr_command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(&world().rctr);
        let mut args = args.into_iter().peekable();
        if args.peek().is_some() {
            command.args(self.driver.iter().flat_map(|driver| ["--storage-driver", driver]));
        }
        command.args(args);
        command
    }

    /// Runs `rctr ARGS` to its end.
    pub fn rctr<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        self.spawn(args).finish()
    }

    /// Runs `rctr ARGS` with `input` on its standard input.
    pub fn rctr_with<S: AsRef<OsStr>>(&self, input: &str, args: impl IntoIterator<Item = S>) -> Output {
        let mut running = self.spawn(args);
        running.type_in(input);
        running.finish()
    }

    /// Starts `rctr ARGS`.
    pub fn spawn<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Running {
        Running::start(self.rctr_command(args))
    }

    /// Starts a container in the background and answers its id.
    ///
    /// # Panics
    /// When it does not start.
    #[track_caller]
    pub fn start<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let words = ["run".into(), "-d".into()].into_iter().chain(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        let output = self.rctr(words);
        output.ok();
        let id = output.text().to_owned();
        assert!(id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "expected an id\n{output}");
        id
    }

    /// The value of a template of `rctr inspect`.
    #[track_caller]
    pub fn inspect(&self, name: &str, template: &str) -> String {
        self.rctr(["inspect", "-f", template, name]).ok().text().to_owned()
    }

    /// Waits until a container's log has a line with `part`.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn wait_for_log(&self, name: &str, part: &str) {
        let mut follow = self.spawn(["logs", "-f", name]);
        follow.wait_for(part);
        follow.kill();
    }

    /// Waits, with a bound, for what nobody tells: the end of a clean-up that goes on in the background, say.
    ///
    /// # Panics
    /// When it does not come true within a minute.
    #[track_caller]
    pub fn soon(&self, what: &str, is_so: impl FnMut() -> bool) {
        assert!(within(Duration::from_secs(60), is_so), "not within a minute: {what}");
    }

    /// Removes all containers.
    pub fn remove_all(&self) {
        let ids = self.rctr(["ps", "-aq"]);
        let ids: Vec<_> = ids.lines().into_iter().map(str::to_owned).collect();
        if !ids.is_empty() {
            let _ = self.rctr(["rm".to_owned(), "-f".to_owned()].into_iter().chain(ids));
        }
    }
}

/// Whether it comes true in time.
pub fn within(time: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + time;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        let quiet = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            self.remove_all();
            let _ = self.rctr(["network", "prune", "-f"]);
        }));
        drop(quiet);
        let _ = Command::new("ip").args(["link", "delete", &self.bridge]).stderr(Stdio::null()).status();
        for table in [self.bridge.clone(), format!("{}-services", self.bridge)] {
            let _ = Command::new("nft").args(["delete", "table", "ip", &table]).stderr(Stdio::null()).status();
        }
        leaks::remove_cgroup(&self.cgroup());
        leaks::unmount(&[self.run(), self.folder.path()]);
    }
}
