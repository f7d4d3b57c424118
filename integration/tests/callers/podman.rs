//! podman, which calls the runtime itself and through conmon.

use std::process::Command;

use integration::output::Output;

use super::ground::{Ground, finish, on_terminal};

integration::tests![containers_run_and_end, a_container_is_looked_at_and_changed, terminals];

/// Where the runtime keeps its states unless told otherwise: podman does not pass such a flag on to the process that cleans up.
const STATES: &str = "/run/rctr-oci";

pub(crate) struct Podman {
    pub(crate) ground: Ground,
}

/// What every container of a test gets: podman asks for more files and processes than a build machine may have.
pub(crate) fn flags(cgroup_parent: &str) -> Vec<&str> {
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--pids-limit", "-1"];
    [&["--network", "none", "--cgroup-parent", cgroup_parent], &limits[..]].concat()
}

impl Podman {
    pub(crate) fn new() -> Self {
        Self { ground: Ground::new(&["podman", "conmon"]) }
    }

    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let g = &self.ground;
        let (root, state, tmp, runtime) = (g.path("podman"), g.run("state"), g.run("tmp"), Ground::runtime());
        let own = ["--root", &root, "--runroot", &state, "--tmpdir", &tmp, "--storage-driver", "vfs"];
        let more = ["--cgroup-manager", "cgroupfs", "--events-backend", "file", "--runtime", &runtime];
        g.command("podman", own.iter().chain(&more).chain(words))
    }

    pub(crate) fn podman(&self, words: &[&str]) -> Output {
        finish(self.command(words))
    }

    fn run(&self, flags: &[&str], words: &[&str]) -> Command {
        let parent = format!("/{}", self.ground.cgroup);
        self.command(&[&["run"], &self::flags(&parent)[..], flags, &["--rootfs", &self.ground.rootfs()], words].concat())
    }

    fn status(&self, name: &str) -> String {
        self.podman(&["inspect", "-f", "{{.State.Status}}", name]).ok().text().to_owned()
    }
}

fn containers_run_and_end() {
    let p = Podman::new();
    finish(p.run(&["--rm"], &["sh", "-c", "echo hello; exit 3"])).code(3).says("hello\n");
    finish(p.run(&["--rm"], &["/bin/nonsuch"])).code(127).complains(&["no such file or directory"]);
    finish(p.run(&["--rm"], &["nonsuch"])).code(127).complains(&["executable file not found in $PATH"]);
    finish(p.run(&["--rm"], &["/bin/plain"])).code(126).complains(&["permission denied"]);
    finish(
        p.run(&["--rm", "--user", "1000:1000", "--read-only", "--hostname", "box"], &["sh", "-c", "id -u; hostname; echo > /x"]),
    )
    .code(1)
    .says("1000\nbox\n")
    .complains(&["read-only file system"]);
    p.ground.nothing_left(STATES);
}

fn a_container_is_looked_at_and_changed() {
    let p = Podman::new();
    finish(p.run(&["-d", "--name", "c"], &["sh", "-c", "trap 'echo got it' USR1; echo begun; while :; do sleep 1 & wait; done"]))
        .ok();
    p.podman(&["exec", "c", "sh", "-c", "echo inside; exit 4"]).code(4).says("inside\n");
    p.podman(&["exec", "--user", "7:8", "--env", "A=b", "--workdir", "/tmp", "c", "sh", "-c", "id -u; id -g; echo $A; pwd"])
        .ok()
        .says("7\n8\nb\n/tmp\n");
    p.podman(&["exec", "c", "/bin/nonsuch"]).code(127);
    p.podman(&["pause", "c"]).ok();
    assert_eq!(p.status("c"), "paused");
    p.podman(&["unpause", "c"]).ok();
    assert_eq!(p.status("c"), "running");
    p.podman(&["top", "c"]).ok().has("begun");
    p.podman(&["kill", "-s", "USR1", "c"]).ok();
    let logged = integration::env::within(super::ground::PATIENCE, || p.podman(&["logs", "c"]).ok().text() == "begun\ngot it");
    assert!(logged, "{}", p.podman(&["logs", "c"]));
    p.podman(&["stop", "-t", "0", "c"]).ok();
    assert_eq!(p.status("c"), "exited");
    p.podman(&["start", "c"]).ok();
    assert_eq!(p.status("c"), "running");
    p.podman(&["rm", "-f", "-t", "0", "c"]).ok();
    p.ground.nothing_left(STATES);
}

fn terminals() {
    let p = Podman::new();
    let (code, screen) = on_terminal(&p.run(&["--rm", "-it"], &["sh", "-c", "tty; exit 4"]));
    assert!(code == 4 && screen.contains("/dev/pts/0"), "{code}: {screen}");
    finish(p.run(&["-d", "--name", "c"], &["sleep", "1000"])).ok();
    let (code, screen) = on_terminal(&p.command(&["exec", "-it", "c", "sh", "-c", "tty; exit 5"]));
    assert!(code == 5 && screen.contains("/dev/pts/"), "{code}: {screen}");
    p.podman(&["rm", "-f", "-t", "0", "c"]).ok();
    p.ground.nothing_left(STATES);
}
