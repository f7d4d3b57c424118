//! An `rctr` of its own: an image without a registry, a state folder, a cgroup. Containers get no network, so nothing of the host
//! is touched.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use images::Digest;
use serde_json::{Value, json};

const BUSYBOX: [&str; 2] = ["/usr/bin/busybox", "/bin/busybox"];

pub struct Host {
    folder: tempfile::TempDir,
    /// A name that no other test has at the same time.
    cgroup: String,
}

/// What a command has said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Host {
    /// `None`, and a line that says why, where containers cannot be run.
    pub fn new() -> Option<Host> {
        let busybox = BUSYBOX.iter().find(|path| is_static(Path::new(path)));
        let monitor = Path::new(env!("CARGO_BIN_EXE_rctr")).with_file_name("rctr-monitor");
        if !rustix::process::geteuid().is_root() || busybox.is_none() || !monitor.exists() {
            eprintln!("skipped: needs root, a static busybox, and rctr-monitor beside rctr (cargo build -p monitor)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let cgroup = format!("/rctr-test{}", folder.path().file_name().unwrap().to_str().unwrap());
        let host = Host { folder, cgroup };
        host.image(busybox?);
        Some(host)
    }

    /// The image `busybox`, as a pull would have left it.
    fn image(&self, busybox: &str) {
        let images = self.root().join("images");
        let layer = Digest::sha256(b"layer");
        let tree = images.join(format!("layers/sha256/{}/tree", layer.hex()));
        for name in ["bin", "etc", "tmp", "root"] {
            fs::create_dir_all(tree.join(name)).unwrap();
        }
        fs::copy(busybox, tree.join("bin/busybox")).unwrap();
        for name in ["sh", "cat", "echo", "env", "ls", "sleep", "true", "false", "test", "pwd", "readlink", "wc", "grep", "mkdir"] {
            symlink("busybox", tree.join("bin").join(name)).unwrap();
        }
        let diff = Digest::sha256(b"diff");
        let record = json!({ "diffId": diff, "blobSize": 1, "size": 1, "entries": 1, "bootId": "x" });
        fs::write(tree.with_file_name("layer.json"), record.to_string()).unwrap();
        let blob = |value: Value| {
            let (folder, text) = (images.join("blobs/sha256"), value.to_string());
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(Digest::sha256(text.as_bytes()).hex()), &text).unwrap();
            (Digest::sha256(text.as_bytes()), text.len())
        };
        let (config, size) = blob(json!({
            "architecture": "amd64", "os": "linux", "config": { "Cmd": ["sh"], "Env": ["PATH=/bin", "FROM=image"] },
            "rootfs": { "type": "layers", "diff_ids": [diff] },
        }));
        let kind = |name: &str| format!("application/vnd.oci.image.{name}");
        let (manifest, _) = blob(json!({
            "schemaVersion": 2, "mediaType": kind("manifest.v1+json"),
            "config": { "mediaType": kind("config.v1+json"), "digest": config, "size": size },
            "layers": [{ "mediaType": kind("layer.v1.tar+gzip"), "digest": layer, "size": 1 }],
        }));
        let record = json!({
            "target": manifest, "manifest": manifest, "mediaType": kind("manifest.v1+json"), "config": config, "layers": [layer],
        });
        for path in ["refs/docker.io/library/busybox/:latest".to_owned(), format!("refs/@/{manifest}")] {
            fs::create_dir_all(images.join(&path).parent().unwrap()).unwrap();
            fs::write(images.join(path), record.to_string()).unwrap();
        }
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder of the container `name`.
    pub fn container(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.root().join("names").join(name)).unwrap()
    }

    /// The parent of its containers' cgroups.
    pub fn cgroup(&self) -> &str {
        &self.cgroup
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rctr"));
        command.args(args).env("RCTR_ROOT", self.root()).env("RCTR_RUN", self.path("run"));
        command.env("RCTR_CGROUP_PARENT", &self.cgroup).env_remove("NOWHERE").stdin(Stdio::null());
        command
    }

    pub fn spawn(&self, args: &[&str]) -> Child {
        self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    pub fn spawn_with_input(&self, args: &[&str]) -> Child {
        self.command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// A run without a network: options, then the image and the command.
    pub fn run(&self, args: &[&str]) -> Said {
        self.rctr(&[&["run", "--network", "none"], args].concat())
    }

    pub fn rctr(&self, args: &[&str]) -> Said {
        said(self.command(args).output().unwrap())
    }

    /// The process numbers of a container's monitor and first process.
    pub fn processes(&self, name: &str) -> (i32, i32) {
        let pid: i32 = self.rctr(&["inspect", "-f", "{{.State.Pid}}", name]).out.trim().parse().unwrap();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        (stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap(), pid)
    }

    /// Nothing is left of runs, or will be in a moment: a monitor tells the end before it removes what nobody waits for.
    #[track_caller]
    pub fn nothing_left(&self) {
        let late = Instant::now() + Duration::from_secs(10);
        while !self.left().is_empty() && Instant::now() < late {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.left(), Vec::<PathBuf>::new());
    }

    /// What is left of runs: folders of the running, cgroups.
    fn left(&self) -> Vec<PathBuf> {
        let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let cgroups = below("/sys/fs/cgroup".into()).flat_map(|hierarchy| below(hierarchy.join(&self.cgroup[1..])));
        let cgroups = cgroups.filter(|path| path.is_dir() && !path.ends_with("monitors"));
        below(self.path("run/containers")).chain(cgroups).collect()
    }
}

pub fn said(output: Output) -> Said {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    Said { code: output.status.code().unwrap_or(-1), out: text(&output.stdout), err: text(&output.stderr) }
}

impl Said {
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self.out
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        for id in fs::read_dir(self.root().join("containers")).into_iter().flatten().flatten() {
            self.rctr(&["rm", "-f", &id.file_name().to_string_lossy()]);
        }
        let parents = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|hierarchy| hierarchy.path());
        for parent in parents.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let folder = parent.join(&self.cgroup[1..]);
            let _ = fs::remove_dir(folder.join("monitors"));
            let _ = fs::remove_dir(folder);
        }
    }
}

/// It has no interpreter, so it runs in a root file system with nothing else.
fn is_static(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| !bytes.windows(8).any(|window| window == b"/ld-linu"))
}
