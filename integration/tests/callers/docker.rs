//! dockerd, with `rctr-oci` as its default runtime in daemon.json, and its own containerd.

use std::process::{Command, Stdio};

use integration::output::Output;
use serde_json::json;

use super::ground::{Ground, finish, on_terminal};

integration::tests![containers_run_and_end, a_container_is_looked_at_and_changed, terminals];

pub(crate) struct Docker {
    pub(crate) ground: Ground,
}

impl Docker {
    pub(crate) fn start() -> Self {
        let mut ground = Ground::new(&["dockerd", "docker", "containerd"]);
        let config = json!({
            "data-root": ground.path("docker"), "exec-root": ground.run("exec"), "pidfile": ground.run("pid"),
            "hosts": [format!("unix://{}", ground.run("sock"))], "storage-driver": "vfs",
            "bridge": "none", "iptables": false, "ip-forward": false, "ip-masq": false,
            "runtimes": {"ours": {"path": Ground::runtime()}}, "default-runtime": "ours",
            "exec-opts": ["native.cgroupdriver=cgroupfs"], "cgroup-parent": format!("/{}", ground.cgroup),
        });
        std::fs::write(ground.path("daemon.json"), config.to_string()).expect("daemon.json");
        let daemon = ground.command("dockerd", ["--config-file", &ground.path("daemon.json")]);
        let (folder, host) = (ground.path("."), format!("unix://{}", ground.run("sock")));
        ground.start(&daemon, || {
            let mut ready = Command::new("docker");
            ready.args(["-H", &host, "version"]).current_dir(&folder);
            ready
        });
        let docker = Self { ground };
        docker.import();
        docker
    }

    /// The busybox as the image `box`.
    fn import(&self) {
        let tar = self.ground.path("box.tar");
        let mut pack = self.ground.command("tar", ["-C", &self.ground.rootfs(), "-cf", &tar, "."]);
        assert!(pack.stdin(Stdio::null()).status().is_ok_and(|status| status.success()), "tar");
        self.docker(&["import", &tar, "box"]).ok();
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = self.ground.command("docker", ["-H", &format!("unix://{}", self.ground.run("sock"))]);
        command.args(words);
        command
    }

    pub(crate) fn docker(&self, words: &[&str]) -> Output {
        finish(self.command(words))
    }

    fn status(&self, name: &str) -> String {
        self.docker(&["inspect", "-f", "{{.State.Status}}", name]).ok().text().to_owned()
    }

    fn nothing_left(&self) {
        self.ground.nothing_left(&self.ground.run("exec/runtime-ours/moby"));
    }
}

fn containers_run_and_end() {
    let d = Docker::start();
    d.docker(&["info", "-f", "{{.DefaultRuntime}}"]).ok().says("ours\n");
    d.docker(&["run", "--rm", "box", "sh", "-c", "echo hello; exit 3"]).code(3).says("hello\n");
    d.docker(&["run", "--rm", "box", "/bin/nonsuch"]).code(127).complains(&["no such file or directory"]);
    d.docker(&["run", "--rm", "box", "nonsuch"]).code(127).complains(&["executable file not found in $PATH"]);
    d.docker(&["run", "--rm", "box", "/bin/plain"]).code(126).complains(&["permission denied"]);
    d.docker(&[
        "run",
        "--rm",
        "--user",
        "1000:1000",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "box",
        "sh",
        "-c",
        "id -u; echo > /tmp/x; echo > /x",
    ])
    .code(1)
    .says("1000\n")
    .complains(&["can't create /x: read-only file system"]);
    d.docker(&["run", "--rm", "--privileged", "box", "sh", "-c", "ls /dev/full; grep Seccomp: /proc/self/status"])
        .ok()
        .says("/dev/full\nSeccomp:\t0\n");
    let mount = format!("{}:/there:ro", d.ground.path("rootfs"));
    let flags =
        ["--volume", &mount, "--sysctl", "kernel.msgmax=1000", "--ulimit", "core=0", "--hostname", "box", "--oom-score-adj", "500"];
    let said = "/there/bin/sh\n1000\nbox\n500\n";
    let look = ["box", "sh", "-c", "ls /there/bin/sh; cat /proc/sys/kernel/msgmax; hostname; cat /proc/self/oom_score_adj"];
    d.docker(&[["run", "--rm"].as_slice(), &flags, &look].concat()).ok().says(said);
    d.docker(&["run", "--rm", "--pid", "host", "--ipc", "host", "--uts", "host", "box", "true"]).ok();
    d.nothing_left();
}

fn a_container_is_looked_at_and_changed() {
    let d = Docker::start();
    d.docker(&["run", "-d", "--name", "one", "-m", "64m", "--memory-swap", "64m", "--pids-limit", "50", "box", "sleep", "1000"])
        .ok();
    d.docker(&["exec", "one", "sh", "-c", "echo inside; exit 4"]).code(4).says("inside\n");
    d.docker(&["exec", "--user", "7:8", "--env", "A=b", "--workdir", "/tmp", "one", "sh", "-c", "id -u; id -g; echo $A; pwd"])
        .ok()
        .says("7\n8\nb\n/tmp\n");
    // the code depends on the daemon's version, not on the runtime
    let missing = d.docker(&["exec", "one", "/bin/nonsuch"]);
    assert!([126, 127].contains(&missing.code) && format!("{missing}").contains("no such file or directory"), "{missing}");
    // a process and its limit; no memory controller, no limit
    d.docker(&["stats", "--no-stream", "--format", "{{.Name}} {{.PIDs}} {{.MemUsage}}", "one"]).ok().has("one 1 ");
    d.docker(&["top", "one"]).ok().has("sleep 1000");
    d.docker(&["pause", "one"]).ok();
    assert_eq!(d.status("one"), "paused");
    d.docker(&["unpause", "one"]).ok();
    d.docker(&["update", "--pids-limit", "60", "one"]).ok();
    d.docker(&["restart", "-t", "0", "one"]).ok();
    assert_eq!(d.status("one"), "running");
    d.docker(&["kill", "-s", "WINCH", "one"]).ok();
    d.docker(&["stop", "-t", "0", "one"]).ok();
    assert_eq!(d.status("one"), "exited");
    d.docker(&["rm", "one"]).ok();
    d.nothing_left();
}

fn terminals() {
    let d = Docker::start();
    let (code, screen) = on_terminal(&d.command(&["run", "--rm", "-it", "box", "sh", "-c", "tty; exit 4"]));
    assert!(code == 4 && screen.contains("/dev/pts/0"), "{code}: {screen}");
    d.docker(&["run", "-d", "--name", "one", "box", "sleep", "1000"]).ok();
    let (code, screen) = on_terminal(&d.command(&["exec", "-it", "one", "sh", "-c", "tty; exit 5"]));
    assert!(code == 5 && screen.contains("/dev/pts/"), "{code}: {screen}");
    d.docker(&["rm", "-f", "one"]).ok();
    let init = d.docker(&["run", "--rm", "--init", "box", "cat", "/proc/1/cmdline"]);
    if init.stderr.contains("executable file not found") || init.stderr.contains("docker-init") {
        integration::skip!("the rest needs docker-init");
    }
    init.ok().has("docker-init");
    d.nothing_left();
}
