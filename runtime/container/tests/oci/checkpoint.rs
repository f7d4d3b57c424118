//! Checkpoint and restore by criu, where the kernel can.

use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::fixture::{Bundle, eventually};
use crate::{Check, Of, streams};

pub const CHECKS: &[Check] = &[
    ("checkpoint_and_restore", Of::Every, checkpoint_and_restore),
    ("checkpoint_that_leaves_it_running", Of::Every, checkpoint_that_leaves_it_running),
    ("checkpoint_of_a_terminal", Of::Every, checkpoint_of_a_terminal),
    ("checkpoint_in_the_foreground", Of::Every, checkpoint_in_the_foreground),
    ("checkpoint_of_binds_below_links", Of::Every, checkpoint_of_binds_below_links),
    ("checkpoint_keeps_the_network_apart", Of::Ours, checkpoint_keeps_the_network_apart),
    ("checkpoint_keeps_the_host_out", Of::Ours, checkpoint_keeps_the_host_out),
];

/// Whether there is a criu that can do it here.
fn criu() -> bool {
    let said = Command::new("criu").arg("check").output();
    let why = match &said {
        Err(error) => format!("no criu: {error}"),
        Ok(output) if output.status.success() => return true,
        Ok(output) => format!("criu check: {}", String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")),
    };
    crate::skip(&why);
    false
}

/// Cgroups are left alone in these checks: criu 4 changes the mount options of cgroup v2 otherwise (its issue 3029).
const IGNORE: [&str; 2] = ["--manage-cgroups-mode", "ignore"];

pub(crate) fn writable(words: &[&str]) -> Bundle {
    let bundle = Bundle::new(words);
    // Where criu puts the old root.
    std::fs::create_dir(bundle.path("rootfs/tmp")).unwrap();
    bundle
}

/// Runs it without files of the host, which cannot be dumped.
fn start(bundle: &Bundle) {
    let mut command = bundle.command(&["run", "-d", "ID"]);
    assert!(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
}

/// Runs it with pipes of this process's, which a restore must find again.
fn piped(bundle: &Bundle, words: &[&str], out: &std::fs::File) -> bool {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child = bundle.command(words).stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer).spawn().unwrap();
    let mut out = out.try_clone().unwrap();
    std::thread::spawn(move || std::io::copy(&mut { reader }, &mut out));
    child.wait().unwrap().success()
}

fn checkpoint_and_restore() {
    if !criu() {
        return;
    }
    let bundle = writable(&["count", "/count"]);
    let out = std::fs::File::create(bundle.path("out")).unwrap();
    assert!(piped(&bundle, &["run", "-d", "ID"], &out));
    let count = || std::fs::read_to_string(bundle.path("out")).unwrap().lines().filter_map(|line| line.parse::<u32>().ok()).max();
    for round in 0..2 {
        let before = count();
        eventually("counted", || count() > before);
        let pid = bundle.pid();
        bundle.ok(&[&["checkpoint", "--image-path", "BUNDLE/images", "--work-path", "BUNDLE/work"], &IGNORE[..], &["ID"]].concat());
        bundle.fails(&["state", "ID"], "does not exist");
        assert!(sys::process::look(pid).is_none_or(|process| process.ended), "the process has ended");
        assert!(bundle.path("images/inventory.img").exists() && bundle.path("work/dump.log").exists());
        let at = count();
        let restore = ["restore", "-d", "--image-path", "BUNDLE/images", "--work-path", "BUNDLE/work", "--pid-file", "BUNDLE/pid"];
        assert!(piped(&bundle, &[&restore[..], &IGNORE, &["ID"]].concat(), &out), "round {round}");
        assert_eq!(bundle.status(), "running");
        assert_eq!(std::fs::read_to_string(bundle.path("pid")).unwrap(), bundle.pid().to_string());
        eventually("it goes on", || count() > at);
        // It goes on counting where it was.
        assert!(count().unwrap() < at.unwrap() + 1000);
        bundle.ok(&["exec", "ID", "/probe", "exit", "0"]);
        bundle.ok(&["pause", "ID"]);
        assert_eq!(bundle.status(), "paused");
        bundle.ok(&["resume", "ID"]);
    }
    bundle.ok(&["kill", "ID", "KILL"]);
    bundle.until("stopped");
    bundle.ok(&["delete", "ID"]);
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

fn checkpoint_that_leaves_it_running() {
    if !criu() {
        return;
    }
    let bundle = writable(&["wait"]);
    let mut command = bundle.command(&["create", "ID"]);
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    bundle.fails(&["checkpoint", "ID"], "checkpointed in created state");
    bundle.ok(&["start", "ID"]);
    let pid = bundle.pid();
    bundle.ok(&[&["checkpoint", "--leave-running", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]].concat());
    assert_eq!((bundle.status().as_str(), bundle.pid()), ("running", pid));
    bundle.fails(&["restore", "-d", "--image-path", "BUNDLE/images", "ID"], "exist");
}

fn checkpoint_of_a_terminal() {
    if !criu() {
        return;
    }
    let bundle = writable(&["cat"]).with(|spec| spec["process"]["terminal"] = json!(true));
    let listener = UnixListener::bind(bundle.path("console")).unwrap();
    bundle.ok(&["run", "-d", "--console-socket", "BUNDLE/console", "ID"]);
    let _before = streams::accept(&listener);
    bundle.ok(&[&["checkpoint", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]].concat());
    bundle
        .ok(&[&["restore", "-d", "--console-socket", "BUNDLE/console", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]]
            .concat());
    let mut master = streams::accept(&listener);
    master.write_all(b"hello\n\x04").unwrap();
    let said = streams::read(master);
    assert!(said.contains("hello\r\nhello\r\n"), "{said:?}");
    bundle.until("stopped");
}

fn checkpoint_in_the_foreground() {
    if !criu() {
        return;
    }
    let bundle = writable(&["term"]);
    let out = std::fs::File::create(bundle.path("out")).unwrap();
    assert!(piped(&bundle, &["run", "-d", "ID"], &out));
    eventually("ready", || std::fs::read_to_string(bundle.path("out")).unwrap() == "ready\n");
    bundle.ok(&[&["checkpoint", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]].concat());
    let mut child = bundle
        .command(&[&["restore", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    bundle.until_there("running");
    bundle.ok(&["kill", "ID"]);
    assert_eq!(child.wait().unwrap().code(), Some(42));
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

fn checkpoint_of_binds_below_links() {
    if !criu() {
        return;
    }
    let bundle = writable(&["wait"]);
    for folder in ["rootfs/real/conf", "outer", "inner"] {
        std::fs::create_dir_all(bundle.path(folder)).unwrap();
    }
    std::fs::write(bundle.path("inner/name"), "inner").unwrap();
    std::os::unix::fs::symlink("/real", bundle.path("rootfs/link")).unwrap();
    let mount = |source: &str, target: &str| json!({"type": "bind", "source": bundle.path(source), "destination": target, "options": ["bind"]});
    let mounts = [mount("outer", "/link/conf"), mount("inner", "/link/conf/deep/er")];
    let bundle = bundle.with(|spec| spec["mounts"].as_array_mut().unwrap().extend(mounts));
    start(&bundle);
    bundle.ok(&[&["checkpoint", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]].concat());
    // What was made to mount on is made again.
    std::fs::remove_dir_all(bundle.path("outer/deep")).unwrap();
    bundle.ok(&[&["restore", "-d", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]].concat());
    assert_eq!(bundle.ok(&["exec", "ID", "/probe", "read", "/real/conf/deep/er/name"]), "inner");
}

fn checkpoint_keeps_the_network_apart() {
    if !criu() {
        return;
    }
    let bundle = writable(&["wait"]);
    start(&bundle);
    bundle.ok(&[&["checkpoint", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]].concat());
    bundle.ok(&[&["restore", "-d", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]].concat());
    let own = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    let theirs = |kind: &str| std::fs::read_link(format!("/proc/{}/ns/{kind}", bundle.pid())).unwrap();
    assert!(["net", "pid", "ipc", "uts", "mnt"].iter().all(|kind| own(kind) != theirs(kind)));
    // lo is up: an address of it can be bound to.
    assert_eq!(bundle.ok(&["exec", "ID", "/probe", "bind", "8080"]).trim(), "done");
}

/// What runc's way would show of the host: its cgroups, its null device, the caller's keyring.
fn checkpoint_keeps_the_host_out() {
    if !criu() {
        return;
    }
    let bundle = writable(&["wait"]).with(|spec| {
        spec["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "cgroup"}));
        spec["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/acpi"]);
    });
    start(&bundle);
    bundle.ok(&[&["checkpoint", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]].concat());
    bundle.ok(&[&["restore", "-d", "--image-path", "BUNDLE/images"], &IGNORE[..], &["ID"]].concat());
    let cgroup = bundle.ok(&["exec", "ID", "/probe", "read", "/proc/1/cgroup"]);
    assert!(cgroup.lines().all(|line| !line.contains(&bundle.id)), "{cgroup}");
    let info = std::fs::read_to_string(format!("/proc/{}/mountinfo", bundle.pid())).unwrap();
    let mask = info.lines().find(|line| line.contains(" /proc/keys ")).unwrap();
    assert!(mask.contains(" /null ") && mask.contains("- tmpfs "), "{mask}");
    let keyring = |words: &[&str]| bundle.ok(words).trim().to_owned();
    let host = sys::process::session_keyring().unwrap_or(0).to_string();
    assert!(host == "0" || keyring(&["exec", "ID", "/probe", "keyring"]) != host);
}
