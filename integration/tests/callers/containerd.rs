//! containerd, by `ctr` and containerd's own shim.

use std::process::Command;

use integration::output::Output;

use super::ground::{Ground, finish, on_terminal};

integration::tests![containers_run_and_end, a_task_is_looked_at_and_changed, terminals];

struct Containerd {
    ground: Ground,
}

impl Containerd {
    fn start() -> Self {
        let mut ground = Ground::new(&["containerd", "ctr", "containerd-shim-runc-v2"]);
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = {:?}\n",
            ground.path("containerd"),
            ground.run("state"),
            ground.run("sock")
        );
        std::fs::write(ground.path("config.toml"), config).expect("config.toml");
        let daemon = ground.command("containerd", ["--config", &ground.path("config.toml")]);
        let ready = ground.command("ctr", ["-a", &ground.run("sock"), "version"]);
        ground.start(&daemon, || {
            let mut again = Command::new(ready.get_program());
            again.args(ready.get_args());
            again
        });
        Self { ground }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.ground.command("ctr", ["-a", &self.ground.run("sock")]);
        command.args(words);
        command
    }

    fn ctr(&self, words: &[&str]) -> Output {
        finish(self.command(words))
    }

    /// `run` of the busybox.
    fn run(&self, flags: &[&str], words: &[&str]) -> Command {
        let (runtime, states, cgroup) = (Ground::runtime(), self.states(), format!("/{}/{}", self.ground.cgroup, words[0]));
        let own = ["run", "--runc-binary", &runtime, "--runc-root", &states, "--cgroup", &cgroup, "--env", "PATH=/bin", "--rootfs"];
        self.command(&[own.as_slice(), flags, &[&self.ground.rootfs()], words].concat())
    }

    fn states(&self) -> String {
        self.ground.run("runc")
    }

    fn status(&self, id: &str) -> String {
        let tasks = self.ctr(&["task", "ls"]);
        tasks.ok();
        tasks.field(id).split_whitespace().nth(1).unwrap_or_default().to_owned()
    }
}

fn containers_run_and_end() {
    let c = Containerd::start();
    finish(c.run(&["--rm"], &["one", "sh", "-c", "echo hello; exit 3"])).code(3).says("hello\n");
    finish(c.run(&["--rm"], &["two", "nonsuch"])).code(1).complains(&["executable file not found in $PATH"]);
    finish(c.run(&["--rm"], &["three", "/bin/plain"])).code(1).complains(&["permission denied"]);
    finish(c.run(&["--rm", "--memory-limit", "33554432", "--read-only"], &["four", "sh", "-c", "echo > /x"]))
        .code(1)
        .complains(&["read-only file system"]);
    c.ground.nothing_left(&c.states());
}

fn a_task_is_looked_at_and_changed() {
    let c = Containerd::start();
    finish(c.run(&["-d"], &["task", "sleep", "1000"])).ok();
    assert_eq!(c.status("task"), "RUNNING");
    c.ctr(&["task", "exec", "--exec-id", "e1", "task", "sh", "-c", "echo inside; exit 4"]).code(4).says("inside\n");
    c.ctr(&["task", "exec", "--exec-id", "e2", "task", "/bin/nonsuch"]).code(1).complains(&["no such file or directory"]);
    c.ctr(&["task", "exec", "-d", "--exec-id", "e3", "task", "sleep", "1000"]).ok();
    let pids = c.ctr(&["task", "ps", "task"]);
    assert_eq!(pids.ok().lines().len(), 3, "a title and two processes\n{pids}");
    c.ctr(&["task", "metrics", "task"]).ok().has("pids.current");
    c.ctr(&["task", "pause", "task"]).ok();
    assert_eq!(c.status("task"), "PAUSED");
    c.ctr(&["task", "resume", "task"]).ok();
    assert_eq!(c.status("task"), "RUNNING");
    c.ctr(&["task", "kill", "--exec-id", "e3", "-s", "KILL", "task"]).ok();
    c.ctr(&["task", "delete", "--exec-id", "e3", "task"]).code(137);
    // sleep is the first process and has no handler: only what cannot be ignored ends it
    c.ctr(&["task", "kill", "-s", "KILL", "task"]).ok();
    let stopped = integration::env::within(super::ground::PATIENCE, || c.status("task") == "STOPPED");
    assert!(stopped, "{}", c.status("task"));
    c.ctr(&["task", "delete", "task"]).complains(&["137"]);
    c.ctr(&["container", "delete", "task"]).ok();
    c.ground.nothing_left(&c.states());
}

fn terminals() {
    let c = Containerd::start();
    let (code, screen) = on_terminal(&c.run(&["--rm", "-t"], &["tty", "sh", "-c", "tty; exit 4"]));
    assert!(code == 4 && screen.contains("/dev/pts/0"), "{code}: {screen}");
    finish(c.run(&["-d"], &["task", "sleep", "1000"])).ok();
    let (code, screen) = on_terminal(&c.command(&["task", "exec", "-t", "--exec-id", "e", "task", "sh", "-c", "tty; exit 5"]));
    assert!(code == 5 && screen.contains("/dev/pts/"), "{code}: {screen}");
    c.ctr(&["task", "delete", "-f", "task"]).complains(&["137"]);
    c.ctr(&["container", "delete", "task"]).ok();
    c.ground.nothing_left(&c.states());
}
