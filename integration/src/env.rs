//! One test's own `rctr`: a root, a runtime folder, a bridge and a home of its own, and a clean host afterwards.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use base64::Engine;

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

    /// Asserts that neither the state nor the host holds anything of a container or of a half pull. The state must be
    /// clean now; the host has a moment, because the kernel takes network namespaces apart in its own time, and so have the
    /// files of a removed container, which nobody waits for, and the folder that its monitor removes last, and the lock of a layer whose
    /// files go to the disk behind the pull.
    ///
    /// # Panics
    /// When something is left; the message lists it.
    #[track_caller]
    pub fn nothing_left(&self) {
        let mut state = self.left_in_state();
        let moments = ["containers/.gone-", "volumes/.gone-", "run/containers/"];
        state.retain(|path| !moments.iter().any(|beginning| path.starts_with(beginning)) && !path.ends_with(".lock"));
        assert!(state.is_empty(), "left behind:\n  {}", state.join("\n  "));
        let clean = within(Duration::from_secs(20), || self.left().is_empty());
        assert!(clean, "left behind:\n  {}", self.left().join("\n  "));
    }

    /// What is left of containers and half pulls.
    #[must_use]
    pub fn left(&self) -> Vec<String> {
        self.left_in_state().into_iter().chain(self.left_on_host()).collect()
    }

    fn look(&self) -> Host {
        // The layers that are mounted for all containers stay.
        let run = ["containers", "net", "images"].map(|name| self.run().join(name));
        Host::look(&[self.folder.path(), &run[0], &run[1], &run[2]], &self.bridge)
    }

    /// How many layers are mounted for all containers.
    #[must_use]
    pub fn mounted_layers(&self) -> usize {
        leaks::mounts(&[&self.run().join("layers")]).len()
    }

    fn left_on_host(&self) -> Vec<String> {
        self.look().since(&self.before)
    }

    fn left_in_state(&self) -> Vec<String> {
        let mut left = self.half_images();
        for folder in ["containers", "names"] {
            left.extend(leaks::files(&self.root().join(folder), &|_| false).into_iter().map(|path| format!("{folder}/{path}")));
        }
        // A volume is kept, but for what is being made or removed.
        let volumes = leaks::files(&self.root().join("volumes"), &|path| !half_volume(path));
        left.extend(volumes.into_iter().map(|path| format!("volumes/{path}")));
        for folder in ["containers", "net"] {
            let below = leaks::files(&self.run().join(folder), &allowed_at_run_time);
            left.extend(below.into_iter().map(|path| format!("run/{folder}/{path}")));
        }
        left
    }

    /// Whatever in the image store is neither whole nor a folder that is always there.
    fn half_images(&self) -> Vec<String> {
        let images = self.root().join("images");
        let mut left = Vec::new();
        for entry in fs::read_dir(images.join("layers/sha256")).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let whole = name.len() == 64 && entry.path().join("layer.json").is_file();
            if !whole {
                left.push(format!("half layer {name}"));
            }
        }
        let part = |path: &str| ["tmp", "part", "ingest", "staging"].iter().any(|word| path.to_lowercase().contains(word));
        for folder in ["layers", "blobs", "refs"] {
            let below = leaks::files(&images.join(folder), &|path| !part(path) || path.contains("/tree/"));
            left.extend(below.into_iter().map(|path| format!("images/{folder}/{path}")));
        }
        left
    }

    /// Waits, with a bound, for what nobody tells: the end of a clean-up that goes on in the background, say.
    ///
    /// # Panics
    /// When it does not come true within a minute.
    #[track_caller]
    pub fn soon(&self, what: &str, is_so: impl FnMut() -> bool) {
        assert!(within(Duration::from_secs(60), is_so), "not within a minute: {what}");
    }

    /// As [`Env::nothing_left`], for a clean-up that goes on after the command has answered.
    ///
    /// # Panics
    /// When something is left after a minute.
    #[track_caller]
    pub fn nothing_left_soon(&self) {
        within(Duration::from_secs(60), || self.left().is_empty());
        self.nothing_left();
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

/// Part of a volume in the making, or of one that goes. A copy into one that is there is gone on with when it is used.
fn half_volume(path: &str) -> bool {
    path.starts_with('.')
}

/// Locks, the folders themselves, and what belongs to a network rather than to a container.
fn allowed_at_run_time(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let of_a_container = name.len() >= 12 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let lease = name.parse::<std::net::IpAddr>().is_ok();
    !(of_a_container || lease || name.contains(".sock"))
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

/// A started command: its output is collected as it comes.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Stream,
    stderr: Stream,
}

/// One of a command's two outputs.
#[derive(Debug)]
struct Stream {
    chunks: Receiver<Vec<u8>>,
    text: Vec<u8>,
}

impl Stream {
    fn new(mut from: impl Read + Send + 'static) -> Self {
        let (send, chunks) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 8192];
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                if send.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { chunks, text: Vec::new() }
    }

    /// Takes what comes until it has `part`, or to the end; false when time runs out.
    fn read(&mut self, deadline: Instant, part: Option<&str>) -> bool {
        loop {
            if part.is_some_and(|part| self.text().contains(part)) {
                return true;
            }
            match self.chunks.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.text.extend(chunk),
                Err(RecvTimeoutError::Disconnected) => return true,
                Err(RecvTimeoutError::Timeout) => return false,
            }
        }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

impl Running {
    /// Starts `command` with pipes.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(mut command: Command) -> Self {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
        Self { command: line, stdin: child.stdin.take(), child, stdout: Stream::new(stdout), stderr: Stream::new(stderr) }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input, which stays open.
    ///
    /// # Panics
    /// When it does not take it.
    pub fn type_in(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("open standard input");
        stdin.write_all(text.as_bytes()).and_then(|()| stdin.flush()).expect("input taken");
    }

    /// Waits until its standard output has `part`.
    ///
    /// # Panics
    /// When it ends or time runs out first.
    #[track_caller]
    pub fn wait_for(&mut self, part: &str) {
        let in_time = self.stdout.read(Instant::now() + PATIENCE, Some(part));
        let text = self.stdout.text();
        let said = || format!("$ {}\n--- stdout\n{text}\n--- stderr\n{}", self.command, self.stderr.text());
        assert!(in_time && text.contains(part), "waited in vain for {part:?}\n{}", said());
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// What it has said on its standard output so far.
    #[must_use]
    pub fn said(&self) -> String {
        self.stdout.text()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw);
        let _ = pid.map(|pid| rustix::process::kill_process(pid, signal));
    }

    /// Kills it and takes its end.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Closes its standard input and waits for its end and for the end of its outputs.
    ///
    /// # Panics
    /// When it takes longer than [`PATIENCE`]: either it hangs, or someone keeps its outputs open.
    #[track_caller]
    pub fn finish(mut self) -> Output {
        drop(self.stdin.take());
        let deadline = Instant::now() + PATIENCE;
        let ended = self.stdout.read(deadline, None) && self.stderr.read(deadline, None);
        if !ended {
            let _ = self.child.kill();
        }
        let status = self.child.wait().expect("a child to wait for");
        let output = Output { command: self.command, code: code(status), stdout: self.stdout.text(), stderr: self.stderr.text() };
        assert!(ended, "took longer than {PATIENCE:?}, or its outputs stayed open\n{output}");
        output
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}
