//! A bundle in a folder of its own, and the runtime that is looked at.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::probe;

/// The runtime.
pub fn runtime() -> PathBuf {
    // Asked at run time: the shell around the compiler drops variables whose names have a dash.
    let ours = || std::env::var_os("CARGO_BIN_EXE_rctr-oci").expect("run by cargo, or with RUNTIME");
    std::env::var_os("RUNTIME").unwrap_or_else(ours).into()
}

/// Another one than ours.
pub fn foreign() -> bool {
    std::env::var_os("RUNTIME").is_some_and(|path| Path::new(&path).file_name().is_none_or(|name| name != "rctr-oci"))
}

/// Whether the runtime knows a version of the specification. Ours knows all.
pub fn knows(version: &str) -> bool {
    if !foreign() {
        return true;
    }
    let output = Command::new(runtime()).arg("features").output().unwrap();
    let features: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let numbers = |text: &str| text.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect::<Vec<u32>>();
    let known = numbers(features["ociVersionMax"].as_str().unwrap_or_default()) >= numbers(version);
    if !known {
        crate::skip(&format!("needs runtime-spec {version}"));
    }
    known
}

/// The root of a [`Bundle::mapped`] container on the host.
pub const HOST_ID: u32 = 100_000;

/// A container to be, or one that is. It is removed at the end.
pub struct Bundle {
    pub dir: TempDir,
    pub id: String,
    pub spec: Value,
    /// Words before the runtime's: what runs it as somebody else.
    pub before: Vec<String>,
    /// Systemd makes its cgroup.
    pub systemd: bool,
}

/// What a runtime has said.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Bundle {
    /// One whose process is the probe with `words`.
    pub fn new(words: &[&str]) -> Bundle {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::Builder::new().prefix("oci-").tempdir().unwrap();
        for name in ["rootfs", "root"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let id = format!("oci-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let bundle = Bundle { dir, spec: spec(words, &id), id, before: Vec::new(), systemd: false };
        // Every check can be made with either.
        if std::env::var_os("SYSTEMD").is_some() { bundle.in_slice("oci-test.slice") } else { bundle }
    }

    /// Lets systemd make its cgroup, in this slice.
    pub fn in_slice(mut self, slice: &str) -> Bundle {
        self.systemd = true;
        self.spec["linux"]["cgroupsPath"] = json!(format!("{slice}:oci:{}", self.id));
        self
    }

    /// The unit that systemd makes for it.
    pub fn unit(&self) -> String {
        format!("oci-{}.scope", self.id)
    }

    /// Changes the configuration.
    pub fn with(mut self, change: impl FnOnce(&mut Value)) -> Bundle {
        change(&mut self.spec);
        self
    }

    /// In a user namespace, with its root file system handed over to the root of that.
    pub fn mapped(self) -> Bundle {
        use std::os::unix::fs::{PermissionsExt, chown};
        // runc looks the root up as that user.
        std::fs::set_permissions(self.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        chown(self.path("rootfs"), Some(HOST_ID), Some(HOST_ID)).unwrap();
        self.with(|spec| {
            spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
            for field in ["uidMappings", "gidMappings"] {
                spec["linux"][field] = json!([{"containerID": 0, "hostID": HOST_ID, "size": 65536}]);
            }
        })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The runtime with `words`; `ID` stands for the container's id, `BUNDLE` for its folder.
    pub fn command(&self, words: &[&str]) -> Command {
        std::fs::write(self.path("config.json"), self.spec.to_string()).unwrap();
        let mut all = self.before.iter().map(std::ffi::OsString::from).chain([runtime().into_os_string()]);
        let mut command = Command::new(all.next().unwrap());
        command.args(all).arg("--root").arg(self.path("root"));
        if self.systemd {
            command.arg("--systemd-cgroup");
        }
        let bundle = self.dir.path().to_str().unwrap();
        // In this order: the folder's name is random, and may have an ID in it.
        command.args(words.iter().map(|word| word.replace("ID", &self.id).replace("BUNDLE", bundle)));
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    /// As [`Bundle::call`], on a kernel that lacks system calls: those of these numbers.
    pub fn call_without(&self, calls: &[u32], words: &[&str]) -> Said {
        let whole = self.command(words);
        let mut command = Command::new(std::env::current_exe().unwrap());
        let calls: Vec<String> = calls.iter().map(u32::to_string).collect();
        command.args([WITHOUT, &calls.join(",")]).arg(whole.get_program()).args(whole.get_args());
        self.said(command.current_dir(self.dir.path()).stdin(Stdio::null()))
    }

    /// Runs it. Its output goes to files: a container that lives on would keep pipes open.
    pub fn call(&self, words: &[&str]) -> Said {
        self.said(&mut self.command(words))
    }

    /// Runs a command of this container's.
    pub fn said(&self, command: &mut Command) -> Said {
        let file = |name: &str| std::fs::File::create(self.path(name)).unwrap();
        let status = command.stdout(file("stdout")).stderr(file("stderr")).status().unwrap();
        let read = |name: &str| String::from_utf8_lossy(&std::fs::read(self.path(name)).unwrap()).into_owned();
        Said { code: status.code(), out: read("stdout"), err: read("stderr") }
    }

    /// Runs it and expects success.
    pub fn ok(&self, words: &[&str]) -> String {
        let said = self.call(words);
        assert_eq!(said.code, Some(0), "{words:?}: {said:?}");
        said.out
    }

    /// Runs it and expects failure with `text` in its message.
    pub fn fails(&self, words: &[&str], text: &str) {
        let said = self.call(words);
        assert!(said.code.is_some_and(|code| code != 0), "{words:?}: {said:?}");
        assert!(said.err.contains(text), "{words:?}: {text:?} is not in {said:?}");
    }

    pub fn json(&self, words: &[&str]) -> Value {
        let out = self.ok(words);
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
    }

    pub fn state(&self) -> Value {
        self.json(&["state", "ID"])
    }

    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.state()["pid"].as_u64().unwrap() as u32
    }

    /// Waits for a status: other processes get there in their own time.
    pub fn until(&self, status: &str) {
        eventually(&format!("{status}, not {}", self.status()), || self.status() == status);
    }

    /// As [`Bundle::until`], for a container that somebody else makes now.
    pub fn until_there(&self, status: &str) {
        eventually(status, || {
            let said = self.call(&["state", "ID"]);
            said.code == Some(0) && said.out.contains(&format!("\"status\": \"{status}\""))
        });
    }

    /// What is left of it on the host.
    pub fn left(&self) -> Vec<PathBuf> {
        let mut left = Vec::new();
        find(Path::new("/sys/fs/cgroup"), &self.id, 4, &mut left);
        find(Path::new("/sys/fs/cgroup"), &self.unit(), 5, &mut left);
        find(&self.path("root"), &self.id, 1, &mut left);
        left
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = self.command(&["delete", "--force", "ID"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        // What is mounted in its folder keeps that from being removed.
        let _ = unmount(self.path("volume"), UnmountFlags::DETACH);
    }
}

fn find(folder: &Path, name: &str, depth: u32, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name() == name {
            found.push(entry.path());
        } else if depth > 1 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            find(&entry.path(), name, depth - 1, found);
        }
    }
}

/// The word before [`run_without`]'s.
pub const WITHOUT: &str = "without";

/// Runs a program that is told that the kernel has no calls of these numbers: `467,442 PROGRAM WORD…`.
pub fn run_without(words: &[String]) {
    use std::os::unix::process::CommandExt;
    use sys::seccomp::{Instruction, load};
    let calls: Vec<u32> = words[0].split(',').map(|number| number.parse().unwrap()).collect();
    let step = |code, jt, k| Instruction { code, jt, jf: 0, k };
    // Load the number; for each: if it is that one, jump to the last instruction.
    let mut program = vec![step(0x20, 0, 0)];
    program.extend(calls.iter().enumerate().map(|(at, call)| step(0x15, (calls.len() - at) as u8, *call)));
    program.extend([step(0x06, 0, 0x7fff_0000), step(0x06, 0, 0x0005_0000 | 38)]);
    load(&program, 0).unwrap();
    panic!("{}", Command::new(&words[1]).args(&words[2..]).exec());
}

/// The word before [`run_mapped`]'s.
pub const MAPPED: &str = "mapped";

/// Runs a program as root of a user namespace whose ids are [`HOST_ID`] and 65535 more.
pub fn run_mapped(words: &[String]) {
    use std::os::unix::process::CommandExt;
    use sys::ns::kind::{MOUNT, USER};
    let (mut ready, told) = std::io::pipe().unwrap();
    let mut told = Some(told);
    let child = sys::process::clone3(&sys::process::Clone { namespaces: USER | MOUNT, ..Default::default() }, || {
        drop(told.take());
        let _ = std::io::Read::read(&mut ready, &mut [0]);
        rustix::thread::set_thread_res_gid(ids(0), ids(0), ids(0)).unwrap();
        rustix::thread::set_thread_res_uid(uid(0), uid(0), uid(0)).unwrap();
        panic!("{}", Command::new(&words[0]).args(&words[1..]).exec());
    })
    .unwrap();
    for file in ["gid_map", "uid_map"] {
        std::fs::write(format!("/proc/{}/{file}", child.pid.as_raw_nonzero()), format!("0 {HOST_ID} 65536")).unwrap();
    }
    drop(told);
    std::process::exit(sys::process::wait(&child.pidfd).unwrap().code());
}

fn ids(id: u32) -> rustix::process::Gid {
    rustix::process::Gid::from_raw(id)
}

fn uid(id: u32) -> rustix::process::Uid {
    rustix::process::Uid::from_raw(id)
}

/// Waits for something that another process does, for up to a minute.
pub fn eventually(what: &str, is: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether this host counts `what` at all: a v1 hierarchy, or a controller of v2.
pub fn counts(what: &str) -> bool {
    let v2 = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
    let there = Path::new("/sys/fs/cgroup").join(what).exists() || v2.split_whitespace().any(|controller| controller == what);
    if !there {
        crate::skip(&format!("no {what} controller"));
    }
    there
}

/// The output of a finished process as text.
pub fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn spec(words: &[&str], id: &str) -> Value {
    let caps = ["CAP_KILL", "CAP_AUDIT_WRITE", "CAP_SETUID", "CAP_SETGID"];
    let args: Vec<&str> = [probe::PATH].iter().chain(words).copied().collect();
    let namespaces = ["pid", "network", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
    json!({
        "ociVersion": "1.0.2",
        "root": {"path": "rootfs"},
        "hostname": "box",
        "process": {
            "args": args, "env": ["PATH=/bin:/", "HELLO=world"], "cwd": "/", "user": {"uid": 0, "gid": 0},
            "capabilities": {"bounding": caps, "effective": caps, "permitted": caps}, "noNewPrivileges": true,
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
            {"destination": probe::PATH, "type": "bind", "source": std::env::current_exe().unwrap(), "options": ["bind", "ro"]},
        ],
        "linux": {"namespaces": namespaces, "cgroupsPath": format!("/{id}"), "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"]},
    })
}
