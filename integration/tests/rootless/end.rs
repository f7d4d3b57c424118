//! The end of a user's home, and commands that are run in it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use integration::env::{Env, Running, within};

use super::user::User;

integration::tests![
    migrate_ends_all_of_it,
    two_who_end_a_home,
    one_who_was_about_to_end_it,
    reset_leaves_nothing,
    commands_in_a_home,
    root_has_no_home,
    reset_for_root,
];

const WAITS: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

fn soon(is_so: impl FnMut() -> bool) -> bool {
    within(Duration::from_secs(60), is_so)
}

fn sockets(folder: &Path) -> Vec<String> {
    let found = std::process::Command::new("find").arg(folder).args(["-type", "s"]).output().expect("find (findutils)");
    String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect()
}

fn migrate_ends_all_of_it() {
    let t = User::new();
    let run = |name: &str, flags: &[&str], line: &str| {
        let all = ["run", "-d", "--name", name, "--network", "none"].into_iter().chain(flags.iter().copied());
        t.rctr(all.chain(["busybox", "sh", "-c", line])).ok().text().to_owned()
    };
    let (a, b) = (run("a", &[], &format!("echo kept > /file; {WAITS}")), run("b", &["--restart", "always"], WAITS));
    let mut events = Running::start(t.rctr_command(["events"]));
    let mut shell = Running::start(t.rctr_command(["unshare", "sh", "-c", "trap '' TERM; echo in; sleep 1000"]));
    shell.wait_for("in");
    let before = t.holder();
    let said = t.rctr(["system", "migrate"]);
    let mut ids = said.ok().lines();
    ids.sort();
    let mut both = [a.as_str(), &b];
    both.sort();
    assert_eq!(ids, both);
    assert!(soon(|| t.processes().is_empty()), "{:?}", t.processes());
    assert!(soon(|| events.has_ended() && shell.has_ended()));
    for gone in ["home", "netns", "pasta.pid", "pasta.log"] {
        assert!(!t.run().join(gone).exists(), "{gone} is left");
    }
    assert_eq!(sockets(&t.run()), [""; 0]);
    // A new home has what was kept.
    t.rctr(["start", "a"]).ok();
    assert_ne!(t.holder(), before);
    t.rctr(["exec", "a", "cat", "/file"]).ok().says("kept\n");
    t.rctr(["inspect", "-f", "{{.State.Status}}", "b"]).ok().says("exited\n");
    t.rctr(["rm", "-f", "a", "b"]).ok();
    for _ in 0..2 {
        t.rctr(["system", "migrate"]).ok().says("");
        assert!(soon(|| t.processes().is_empty()), "{:?}", t.processes());
    }
    t.rctr(["system", "migrate", "x"]).code(125).complains(&["unexpected argument 'x'"]);
}

fn two_who_end_a_home() {
    let t = User::new().and_busybox();
    t.rctr(["run", "-d", "--name", "a", "--network", "none", "busybox", "sh", "-c", WAITS]).ok();
    let both: Vec<_> = (0..2).map(|_| Running::start(t.rctr_command(["system", "migrate"]))).collect();
    for one in both {
        one.finish().ok();
    }
    assert!(soon(|| t.processes().is_empty()), "{:?}", t.processes());
}

/// One that is killed has ended nothing, and keeps nobody out.
fn one_who_was_about_to_end_it() {
    let t = User::new().and_busybox();
    let stubborn = ["--stop-timeout", "1000", "busybox", "sh", "-c", "trap '' TERM; echo begun; while :; do sleep 0.1; done"];
    t.rctr(["run", "-d", "--name", "a", "--network", "none"].iter().chain(&stubborn)).ok();
    assert!(soon(|| t.rctr(["logs", "a"]).text().contains("begun")));
    let before = t.holder();
    let migrate = Running::start(t.rctr_command(["system", "migrate"]));
    let home = || fs::read_to_string(t.run().join("home")).expect("a home");
    assert!(soon(|| home().contains("\"ending\":true")));
    // Nobody comes in meanwhile.
    let mut waits = Running::start(t.rctr_command(["ps", "-q"]));
    assert!(!within(Duration::from_secs(1), || waits.has_ended()));
    migrate.kill();
    assert_eq!(waits.finish().ok().lines().len(), 1);
    assert_eq!(t.holder(), before);
    assert!(home().contains("\"ending\":false"));
    t.rctr(["rm", "-f", "a"]).ok();
}

fn reset_leaves_nothing() {
    let t = User::new();
    let root = t.path(".local/share/rctr");
    t.write("d/Dockerfile", "FROM busybox\nRUN chown 5:6 /bin && mkdir /new\nVOLUME /v\n");
    t.rctr(["build", "-q", "--network", "none", "-t", "built", "d"]).ok();
    t.rctr(["run", "-d", "--name", "a", "--network", "none", "-v", "named:/n", "built", "sh", "-c", "touch /v/x /n/x; sleep 1000"])
        .ok();
    t.rctr(["run", "--name", "b", "--network", "none", "built", "true"]).ok();
    t.write("word", "x");
    t.rctr(["secret", "create", "s", "word"]).ok();
    t.rctr(["network", "create", "n"]).ok();
    fs::write(root.join("containers").join(t.rctr(["inspect", "-f", "{{.Id}}", "b"]).text()).join("config.json"), "{")
        .expect("a file");
    t.rctr(["system", "reset"]).fails(125, &["nobody is there to ask", "--force", "images", root.to_str().expect("UTF-8")]);
    t.rctr(["system", "reset", "--force", "x"]).code(125).complains(&["unexpected argument 'x'"]);
    t.rctr(["inspect", "-f", "{{.State.Status}}", "a"]).ok().says("running\n");
    // Not a thing of ours.
    t.write(".local/share/rctr/letter", "dear");
    for _ in 0..2 {
        t.rctr(["system", "reset", "--force"]).ok();
        assert!(soon(|| t.processes().is_empty()), "{:?}", t.processes());
        let left: Vec<_> = fs::read_dir(&root).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(left, ["letter"]);
        let run: Vec<_> = fs::read_dir(t.run()).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(run, ["home.lock"]);
    }
    for list in [["ps", "-aq"], ["images", "-aq"], ["volume", "ls"]] {
        assert!(t.rctr(list).ok().lines().len() <= 1);
    }
    t.rctr(["run", "--rm", "--network", "none", "busybox", "true"]).ok();
}

fn commands_in_a_home() {
    let t = User::new().and_busybox();
    t.rctr(["unshare", "id", "-u"]).ok().says("0\n");
    t.rctr(["unshare", "sh", "-c", "tr -s ' ' < /proc/self/uid_map"]).ok().says(&format!(" 0 {} 1\n 1 1500000000 65536\n", t.uid));
    t.rctr(["unshare", "sh", "-c", "touch owned; chown 5:6 owned; exit 7"]).code(7);
    t.rctr(["unshare", "rm", "-f", "owned"]).ok();
    assert!(!t.path("owned").exists());
    // Which command line is meant by rctr there is not another one's.
    t.rctr(["create", "--name", "a", "--network", "none", "busybox", "true"]).ok();
    let own = t.path("bin/rctr");
    t.rctr(["unshare", own.to_str().expect("UTF-8"), "ps", "-a", "--format", "{{.Names}}"]).ok().says("a\n");
    let place = t.path(".local/share/rctr");
    t.rctr(["unshare", "sh", "-c", "echo $CONTAINERS_GRAPHROOT"]).ok().says(&format!("{}\n", place.display()));
    let inside = fs::read_link(format!("/proc/{}/ns/net", t.holder())).expect("a namespace");
    let host = fs::read_link("/proc/self/ns/net").expect("a namespace");
    t.rctr(["unshare", "readlink", "/proc/self/ns/net"]).ok().says(&format!("{}\n", host.display()));
    t.rctr(["unshare", "--rootless-netns", "readlink", "/proc/self/ns/net"]).ok().says(&format!("{}\n", inside.display()));
    // Without a command it is the user's shell.
    let mut shell = t.rctr_command(["unshare"]);
    shell.env("SHELL", "/bin/pwd");
    Running::start(shell).finish().ok().says(&format!("{}\n", t.path("").display().to_string().trim_end_matches('/')));
    t.write("plain", "x");
    fs::set_permissions(t.path("plain"), Permissions::from_mode(0o644)).expect("chmod");
    t.rctr(["unshare", "./plain"]).fails(126, &["execute ./plain", "Permission denied"]);
    t.rctr(["unshare", "no-such-program"]).fails(127, &["execute no-such-program"]);
    t.rctr(["unshare", "--nonsense"]).code(125).complains(&["--nonsense"]);
}

fn root_has_no_home() {
    let t = Env::new();
    t.rctr(["unshare", "true"]).fails(125, &["users without root"]);
    t.rctr(["run", "-d", "--name", "a", "--network", "none", "busybox", "sh", "-c", WAITS]).ok();
    let id = t.inspect("a", "{{.Id}}");
    t.rctr(["system", "migrate"]).ok().says(&format!("{id}\n"));
    assert_eq!(t.inspect("a", "{{.State.Status}}"), "exited");
    t.rctr(["system", "migrate"]).ok().says("");
    t.rctr(["rm", "a"]).ok();
    t.nothing_left();
}

fn reset_for_root() {
    let t = Env::new();
    t.rctr(["network", "create", "n"]).ok();
    t.rctr(["run", "-d", "--name", "a", "--network", "n", "-v", "named:/n", "busybox", "sh", "-c", "touch /n/x; sleep 1000"]).ok();
    t.rctr(["run", "--name", "b", "--network", "none", "busybox", "true"]).ok();
    fs::write(t.root().join("containers").join(t.inspect("b", "{{.Id}}")).join("config.json"), "{").expect("a file");
    t.rctr(["image", "mount", "busybox"]).ok();
    // With the default bridge, its rules and its subnet.
    t.rctr(["run", "--rm", "-p", "127.0.0.1::80", "busybox", "true"]).ok();
    let bridge = format!("/sys/class/net/{}", t.bridge());
    assert!(Path::new(&bridge).exists());
    t.rctr(["system", "reset"]).fails(125, &["nobody is there to ask"]);
    for _ in 0..2 {
        t.rctr(["system", "reset", "-f"]).ok();
        for folder in [&t.root(), t.run()] {
            let left = fs::read_dir(folder).map(|all| all.flatten().map(|entry| entry.file_name()).collect::<Vec<_>>());
            assert_eq!(left.unwrap_or_default(), [""; 0], "{}", folder.display());
        }
    }
    assert!(!Path::new(&bridge).exists());
    t.nothing_left();
    t.rctr(["run", "--rm", "busybox", "true"]).ok();
    t.nothing_left();
}
