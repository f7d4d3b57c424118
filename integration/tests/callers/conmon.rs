//! conmon alone, as podman and CRI-O start it.

use std::process::Command;

use integration::env::within;
use integration::output::Output;
use serde_json::{Value, json};

use super::ground::{Ground, PATIENCE, finish};

integration::tests![a_container_and_a_further_process, a_terminal, what_goes_wrong_is_said];

struct Conmon {
    ground: Ground,
}

impl Conmon {
    fn new(change: impl FnOnce(&mut Value)) -> Self {
        let ground = Ground::new(&["conmon"]);
        let mut spec = json!({
            "ociVersion": "1.0.2", "root": {"path": "rootfs"},
            "process": {"args": ["sh", "-c", "echo hello; echo aside >&2; exit 3"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
                {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
            ],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}], "cgroupsPath": format!("/{}/c", ground.cgroup)},
        });
        change(&mut spec);
        std::fs::write(ground.path("config.json"), spec.to_string()).expect("config.json");
        Self { ground }
    }

    /// Starts it; it goes on in the background once the runtime has answered.
    fn conmon(&self, more: &[&str]) -> Output {
        let g = &self.ground;
        let (bundle, runtime, states) = (g.path("."), Ground::runtime(), self.states());
        let (exits, log, pid, own) = (g.run("exits"), format!("k8s-file:{}", g.path("log")), g.path("pid"), g.path("conmon.pid"));
        let sockets = g.run("sockets");
        for folder in [&exits, &sockets] {
            std::fs::create_dir_all(folder).expect("a folder");
        }
        let mut command = g.command("conmon", ["--api-version", "1", "-c", "c", "-u", "c", "-n", "c"]);
        for (flag, value) in [("-r", &runtime), ("-b", &bundle), ("-p", &pid), ("-P", &own), ("-l", &log)] {
            command.args([flag, value]);
        }
        command.args(["--exit-dir", &exits, "--socket-dir-path", &sockets, "--runtime-arg", "--root", "--runtime-arg", &states]);
        command.args(more);
        finish(command)
    }

    fn runtime(&self, words: &[&str]) -> Output {
        let states = self.states();
        let command: Command = self.ground.command(&Ground::runtime(), ["--root", &states].iter().chain(words));
        finish(command)
    }

    fn states(&self) -> String {
        self.ground.run("states")
    }

    /// Waits for a file of conmon's, and reads it.
    fn file(&self, path: &str) -> String {
        let read = || std::fs::read_to_string(path).unwrap_or_default();
        within(PATIENCE, || !read().is_empty());
        read()
    }

    fn logged(&self, parts: &[&str]) {
        let log = || std::fs::read_to_string(self.ground.path("log")).unwrap_or_default();
        within(PATIENCE, || parts.iter().all(|part| log().contains(part)));
        assert!(parts.iter().all(|part| log().contains(part)), "{parts:?} are not in {}", log());
    }
}

fn a_container_and_a_further_process() {
    let c = Conmon::new(|spec| {
        spec["process"]["args"][2] = json!("echo hello; echo aside >&2; while ! test -e /go; do sleep 1; done; exit 3")
    });
    c.conmon(&[]).ok();
    let pid = c.file(&c.ground.path("pid"));
    c.runtime(&["state", "c"]).ok().has("\"created\"").has(&format!("\"pid\": {pid}"));
    c.runtime(&["start", "c"]).ok();
    let process =
        json!({"args": ["sh", "-c", "echo further; exit 4"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}});
    std::fs::write(c.ground.path("process.json"), process.to_string()).expect("process.json");
    let (file, exits, pid) = (c.ground.path("process.json"), c.ground.run("exec-exits"), c.ground.path("exec.pid"));
    std::fs::create_dir_all(&exits).expect("a folder");
    c.conmon(&["-e", "--exec-process-spec", &file, "--exit-dir", &exits, "-p", &pid]).ok();
    assert_eq!(c.file(&format!("{exits}/c")), "4");
    c.logged(&["stdout F hello", "stderr F aside", "stdout F further"]);
    std::fs::write(c.ground.path("rootfs/go"), "").expect("a file");
    assert_eq!(c.file(&c.ground.run("exits/c")), "3");
    c.runtime(&["delete", "c"]).ok();
    c.ground.nothing_left(&c.states());
}

fn a_terminal() {
    let c = Conmon::new(|spec| {
        spec["process"]["terminal"] = json!(true);
        spec["process"]["args"][2] = json!("tty; exit 5");
    });
    c.conmon(&["-t"]).ok();
    assert!(!c.file(&c.ground.path("pid")).is_empty());
    c.runtime(&["start", "c"]).ok();
    assert_eq!(c.file(&c.ground.run("exits/c")), "5");
    c.logged(&["/dev/pts/0"]);
    c.runtime(&["delete", "c"]).ok();
    c.ground.nothing_left(&c.states());
}

/// With the flags that podman gives to the runtime to read errors.
fn what_goes_wrong_is_said() {
    let c = Conmon::new(|spec| spec["process"]["args"] = json!(["/bin/nonsuch"]));
    let log = c.ground.path("errors");
    // what it answers itself is about its own start, not about the container's
    let _ = c.conmon(&["--runtime-arg", "--log-format=json", "--runtime-arg", "--log", "--runtime-arg", &log]);
    let said = c.file(&log);
    let line: Value = said.lines().next_back().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    assert!(line["level"] == "error" && line["time"].is_string(), "{said}");
    assert!(line["msg"].as_str().is_some_and(|text| text.contains("/bin/nonsuch: no such file or directory")), "{said}");
    c.ground.nothing_left(&c.states());
}
