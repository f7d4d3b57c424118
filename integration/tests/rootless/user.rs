//! An ordinary user of the host, made for one test, with ids to give to containers.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use integration::debian::is_installed;
use integration::env::{Running, within, world};
use integration::output::Output;
use integration::registry::mirror_of_docker_hub;
use rustix::process::{Pid, Signal, kill_process};

/// A user. Dropping it removes the user, its containers, its home and its folders.
pub(super) struct User {
    pub(super) name: String,
    pub(super) uid: u32,
    folder: tempfile::TempDir,
    run: tempfile::TempDir,
    /// What the user sees as `/dev/net/tun`, if that is not the host's.
    tun: Option<PathBuf>,
}

impl User {
    /// A fresh one, whose Docker Hub is the fixture registry. Skips the test where there can be none.
    pub(super) fn new() -> User {
        if !rustix::process::geteuid().is_root() {
            integration::skip!("needs root, to make a user");
        }
        for program in ["newuidmap", "useradd", "usermod"] {
            if !is_installed(program) {
                integration::skip!("{program} is not installed");
            }
        }
        if fs::read_to_string("/proc/sys/user/max_user_namespaces").is_ok_and(|most| most.trim() == "0") {
            integration::skip!("no user namespaces here");
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rctr{:x}-{:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = tempfile::Builder::new().prefix("rctr-").tempdir_in("/var/tmp").expect("a folder in /var/tmp");
        let run = tempfile::Builder::new().prefix("rt-").tempdir_in("/run").expect("a folder in /run");
        done(&["useradd", "--no-create-home", "--home-dir", &path(folder.path()), "--shell", "/bin/sh", &name]);
        let id = Command::new("id").args(["-u", &name]).output().expect("id (coreutils)");
        let uid = String::from_utf8_lossy(&id.stdout).trim().parse().expect("a number");
        let user = User { name, uid, folder, run, tun: None };
        // What useradd gives by itself, if it does, differs from host to host.
        user.give("/etc/subuid", "--del-subuids", "--add-subuids");
        user.give("/etc/subgid", "--del-subgids", "--add-subgids");
        for own in [user.folder.path(), user.run.path()] {
            user.owns(own);
        }
        user.programs();
        user.write("config/containers/registries.conf", &mirror_of_docker_hub(&world().registry.address));
        user
    }

    /// The same, on a host whose networks an ordinary user can lead to the host's.
    pub(super) fn with_network() -> User {
        if !is_installed("pasta") {
            integration::skip!("pasta is not installed");
        }
        let Ok(tun) = fs::metadata("/dev/net/tun") else { integration::skip!("there is no /dev/net/tun") };
        let mut user = Self::new();
        if tun.mode() & 0o006 != 0o006 {
            user.sees_tun("666");
        }
        user
    }

    /// Gives the user a `/dev/net/tun` of its own, of root's with this mode.
    pub(super) fn sees_tun(&mut self, mode: &str) {
        let own = self.path("tun");
        done(&["mknod", &format!("--mode={mode}"), &path(&own), "c", "10", "200"]);
        self.tun = Some(own);
    }

    /// One with no id but its own.
    pub(super) fn alone() -> User {
        let user = Self::new();
        user.take("/etc/subuid", "--del-subuids");
        user
    }

    fn ranges(&self, file: &str) -> Vec<String> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let own = text.lines().filter_map(|line| line.strip_prefix(&format!("{}:", self.name)));
        let numbers = own.filter_map(|range| {
            let (first, count) = range.split_once(':')?;
            Some((first.parse::<u32>().ok()?, count.parse::<u32>().ok()?))
        });
        numbers.map(|(first, count)| format!("{first}-{}", first + count - 1)).collect()
    }

    fn take(&self, file: &str, remove: &str) {
        for range in self.ranges(file) {
            done(&["usermod", remove, &range, &self.name]);
        }
    }

    fn give(&self, file: &str, remove: &str, add: &str) {
        self.take(file, remove);
        done(&["usermod", add, "1500000000-1500065535", &self.name]);
    }

    pub(super) fn owns(&self, path: &Path) {
        chown(path, Some(self.uid), Some(self.uid)).expect("chown");
    }

    /// Copies of the programs, where the user can reach them.
    fn programs(&self) {
        let bin = self.path("bin");
        fs::create_dir(&bin).expect("a folder");
        for name in ["rctr", "rctr-monitor"] {
            let built = world().rctr.with_file_name(name);
            fs::hard_link(&built, bin.join(name)).or_else(|_| fs::copy(&built, bin.join(name)).map(drop)).expect("a copy");
        }
        fs::set_permissions(&bin, Permissions::from_mode(0o755)).expect("chmod");
    }

    /// A path in the user's own folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file of the user's.
    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        let mut above: Vec<_> = path.ancestors().skip(1).take_while(|above| *above != self.folder.path()).collect();
        above.reverse();
        for folder in above {
            if !folder.exists() {
                fs::create_dir(folder).expect("a folder");
                self.owns(folder);
            }
        }
        fs::write(&path, text).expect("a file");
        self.owns(&path);
    }

    /// The same with an image in the store, of which nothing is said any more.
    pub(super) fn and_busybox(self) -> User {
        self.rctr(["pull", "-q", "busybox"]).ok();
        self
    }

    /// The folder of run.
    pub(super) fn run(&self) -> PathBuf {
        self.run.path().join("rctr")
    }

    /// What `program` is as this user.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match &self.tun {
            None => Command::new(program),
            Some(tun) => {
                let id = self.uid.to_string();
                let line = r#"mount --bind "$1" /dev/net/tun && shift && exec "$@""#;
                let mut command = Command::new("unshare");
                command.args(["--mount", "--propagation", "slave", "sh", "-c", line, "sh"]).arg(tun);
                command.args(["setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--"]).arg(program);
                command
            }
        };
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", self.folder.path());
        command.env("XDG_RUNTIME_DIR", self.run.path()).env("XDG_CONFIG_HOME", self.path("config"));
        command.current_dir(self.folder.path());
        if self.tun.is_none() {
            command.uid(self.uid).gid(self.uid);
        }
        command
    }

    pub(super) fn rctr_command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.command(self.path("bin/rctr"));
        command.args(args);
        command
    }

    /// Runs `rctr ARGS` as this user, to its end.
    pub(super) fn rctr<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Output {
        Running::start(self.rctr_command(args)).finish()
    }

    /// The process that keeps the home.
    pub(super) fn holder(&self) -> u32 {
        let text = fs::read_to_string(self.run().join("home")).expect("a home");
        let home: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        home["holder"][0].as_u64().expect("a number") as u32
    }

    /// What runs as this user.
    pub(super) fn processes(&self) -> Vec<String> {
        let all = fs::read_dir("/proc").expect("/proc").flatten();
        let own = all.filter(|entry| entry.metadata().is_ok_and(|data| data.uid() == self.uid));
        let mut names: Vec<_> = own
            .filter(|entry| entry.file_name().to_string_lossy().parse::<u32>().is_ok())
            // One that waits to be reaped is none any more.
            .filter(|entry| !fs::read_to_string(entry.path().join("stat")).is_ok_and(|stat| stat.contains(") Z ")))
            .filter_map(|entry| Some(fs::read_to_string(entry.path().join("comm")).ok()?.trim().to_owned()))
            .collect();
        names.sort();
        names
    }

    /// Ends the process that keeps the home.
    pub(super) fn end_home(&self) {
        if self.run().join("home").exists() {
            let _ = Pid::from_raw(self.holder() as i32).map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let quiet = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let ids = self.rctr(["ps", "-aq"]);
            let ids: Vec<_> = ids.lines().into_iter().map(str::to_owned).collect();
            if !ids.is_empty() {
                let _ = self.rctr(["rm".to_owned(), "-f".to_owned()].into_iter().chain(ids));
            }
            self.end_home();
        }));
        drop(quiet);
        // What leads to the host's network ends with the process that keeps the home.
        let _ = within(Duration::from_secs(20), || self.processes().is_empty());
        let _ = Command::new("userdel").arg(&self.name).stderr(Stdio::null()).status();
    }
}

fn path(path: &Path) -> String {
    path.to_str().expect("UTF-8").to_owned()
}

#[track_caller]
fn done(words: &[&str]) {
    let output = Command::new(words[0]).args(&words[1..]).output().expect("it is installed");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}
