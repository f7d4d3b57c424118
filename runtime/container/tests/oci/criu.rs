//! Checkpoint and restore by a program that only speaks like criu: what is said to criu, and what goes wrong.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::checkpoint::writable;
use crate::fake;
use crate::fixture::{Bundle, eventually};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("checkpoint_says_what_it_is_about", Of::Ours, checkpoint_says_what_it_is_about),
    ("checkpoint_without_criu", Of::Every, checkpoint_without_criu),
    ("checkpoint_that_fails_changes_nothing", Of::Ours, checkpoint_that_fails_changes_nothing),
    ("checkpoint_flags_act_or_are_refused", Of::Ours, checkpoint_flags_act_or_are_refused),
    ("restore_says_what_it_is_about", Of::Ours, restore_says_what_it_is_about),
    ("restore_that_fails_leaves_nothing", Of::Ours, restore_that_fails_leaves_nothing),
    ("restore_runs_hooks", Of::Ours, restore_runs_hooks),
];

/// A criu of ours, and a container that it is to work on.
fn with_fake(mode: &str, words: &[&str]) -> (Bundle, fake::Criu) {
    let bundle = writable(words);
    let criu = fake::Criu::new(bundle.dir.path(), mode);
    (bundle, criu)
}

fn call(bundle: &Bundle, criu: &fake::Criu, words: &[&str]) -> crate::fixture::Said {
    bundle.said(criu.see_to(&mut bundle.command(words)))
}

fn checkpoint_says_what_it_is_about() {
    let (bundle, criu) = with_fake("fine", &["wait"]);
    let bundle = bundle.with(|spec| {
        let bind = json!({"type": "bind", "source": "/etc", "destination": "/host/etc", "options": ["rbind"]});
        spec["mounts"].as_array_mut().unwrap().push(bind);
        spec["annotations"] = json!({"org.criu.config": "/etc/other.conf"});
    });
    bundle.ok(&["run", "-d", "ID"]);
    let pid = bundle.pid();
    std::fs::create_dir_all(bundle.path("before")).unwrap();
    let flags = [
        "--image-path",
        "BUNDLE/images",
        "--work-path",
        "BUNDLE/work",
        "--parent-path",
        "../before",
        "--leave-running",
        "--tcp-established",
        "--tcp-skip-in-flight",
        "--link-remap",
        "--ext-unix-sk",
        "--shell-job",
        "--file-locks",
        "--auto-dedup",
        "--empty-ns",
        "network",
        "--manage-cgroups-mode",
        "strict",
        "--page-server",
        "[::1]:27000",
    ];
    let said = call(&bundle, &criu, &[&["checkpoint"], &flags[..], &["ID"]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let request = criu.request();
    assert_eq!(fake::number(&request, 1), Some(1), "DUMP");
    let options = fake::message(&request, 2);
    let number = |field| fake::number(&options, field);
    for on in [3, 4, 5, 7, 8, 12, 15, 16, 18, 24, 46, 50] {
        assert_eq!(number(on), Some(1), "field {on}");
    }
    assert_eq!((number(2), number(9), number(34), number(38)), (Some(u64::from(pid)), Some(4), Some(5), Some(0x4000_0000)));
    assert!([6, 26, 48].iter().all(|field| number(*field).is_none()));
    let text = |field| fake::text(&options, field);
    assert_eq!(
        (text(10).as_deref(), text(14).as_deref(), text(51).as_deref()),
        (Some("dump.log"), Some("../before"), Some("/etc/other.conf"))
    );
    assert_eq!(text(13).unwrap(), bundle.path("rootfs").canonicalize().unwrap().to_str().unwrap());
    let server = fake::message(&options, 11);
    assert_eq!((fake::text(&server, 1).as_deref(), fake::number(&server, 2)), (Some("::1"), Some(27000)));
    let mounts = fake::pairs(&options, 23);
    assert!(mounts.contains(&("/host/etc".into(), "/host/etc".into())), "{mounts:?}");
    // Its folders are those of the flags, as it sees them.
    let facts = criu.facts();
    let folder = |name: &str| json!(bundle.path(name).canonicalize().unwrap());
    assert_eq!((&facts["images"], &facts["work"]), (&folder("images"), &folder("work")));
    assert_eq!(facts["streams"], json!(["/dev/null", "/dev/null", "/dev/null"]));
    assert_eq!(facts["descriptors"].as_array().unwrap().len(), 4, "its streams and its socket: {facts}");
    let kept: Value = serde_json::from_slice(&std::fs::read(bundle.path("images/descriptors.json")).unwrap()).unwrap();
    assert_eq!(kept.as_array().unwrap().len(), 3);
    assert_eq!((bundle.status().as_str(), bundle.pid()), ("running", pid));
    // Without --leave-running it is gone.
    assert_eq!(call(&bundle, &criu, &["checkpoint", "--image-path", "BUNDLE/images", "ID"]).code, Some(0));
    bundle.fails(&["state", "ID"], "does not exist");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

fn checkpoint_without_criu() {
    let bundle = writable(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    let empty = bundle.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let said = bundle.said(bundle.command(&["checkpoint", "--image-path", "BUNDLE/images", "ID"]).env("PATH", &empty));
    assert!(said.code == Some(1) && said.err.contains("criu") && said.err.contains("not found"), "{said:?}");
    assert_eq!(bundle.status(), "running");
}

fn checkpoint_that_fails_changes_nothing() {
    for (mode, text) in [
        ("refuse", "criu failed: type DUMP errno 5"),
        ("die", "criu has ended without an answer"),
        ("nonsense", "criu has answered what it was not asked"),
        ("old", "version 3.14 is older than 3.15"),
    ] {
        let (bundle, criu) = with_fake(mode, &["wait"]);
        bundle.ok(&["run", "-d", "ID"]);
        let (pid, entries) = (bundle.pid(), bundle.left());
        let said = call(&bundle, &criu, &["checkpoint", "--image-path", "BUNDLE/images", "ID"]);
        assert!(said.code == Some(1) && said.err.contains(text), "{mode}: {said:?}");
        if ["refuse", "die"].contains(&mode) {
            assert!(said.err.contains("/images/dump.log"), "it is told where to look: {said:?}");
            assert!(said.err.contains("Error (fake.c:1): it went wrong"), "and what is there: {said:?}");
        }
        // It had been frozen, too.
        assert_eq!((bundle.status().as_str(), bundle.pid()), ("running", pid), "{mode}");
        assert_eq!(bundle.left(), entries, "{mode}");
        bundle.ok(&["exec", "ID", "/probe", "exit", "0"]);
    }
}

fn checkpoint_flags_act_or_are_refused() {
    let (bundle, criu) = with_fake("fine", &["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    for (flags, text) in [
        (&["--page-server", "1.2.3.4"][..], "is not ADDRESS:PORT"),
        (&["--empty-ns", "pid"], "namespace \"pid\" is not supported"),
        (&["--manage-cgroups-mode", "half"], "--manage-cgroups-mode: \"half\""),
        (&["--status-fd", "1"], "only of use with --lazy-pages"),
        (&["--lazy-pages", "--status-fd", "99"], "invalid --status-fd argument 99"),
        (&["--no-such"], "flag provided but not defined"),
        (&["--parent-path", "/absolute"], "--parent-path must be relative"),
        // It is looked for beside the images, so their folder is made first.
        (&["--parent-path", "../none"], "invalid --parent-path"),
    ] {
        let said = call(&bundle, &criu, &[&["checkpoint", "--image-path", "BUNDLE/images"], flags, &["ID"]].concat());
        assert!(said.code == Some(1) && said.err.contains(text), "{flags:?}: {said:?}");
        assert_eq!(bundle.status(), "running");
        assert!(flags[0] == "--parent-path" || !bundle.path("images").exists(), "{flags:?}");
    }
    let said = call(&bundle, &criu, &["restore", "--no-pivot", "--image-path", "BUNDLE/images", "other"]);
    assert!(said.code == Some(1) && said.err.contains("--no-pivot is not supported"), "{said:?}");
    // What is asked of criu first.
    let said = call(&bundle, &criu, &["checkpoint", "--pre-dump", "--image-path", "BUNDLE/images", "ID"]);
    assert_eq!((said.code, bundle.status().as_str()), (Some(0), "running"), "{said:?}");
    assert_eq!(fake::number(&criu.request(), 1), Some(4), "PRE_DUMP");
    let (bundle, criu) = with_fake("poor", &["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    for (flag, text) in [("--pre-dump", "tracks changes of memory"), ("--lazy-pages", "userfaultfd")] {
        let said = call(&bundle, &criu, &["checkpoint", flag, "--image-path", "BUNDLE/images", "ID"]);
        assert!(said.code == Some(1) && said.err.contains(text), "{flag}: {said:?}");
    }
    // Memory can be asked for.
    let (bundle, criu) = with_fake("fine", &["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    let ready = std::fs::File::create(bundle.path("ready")).unwrap();
    let words = [
        "checkpoint",
        "--lazy-pages",
        "--status-fd",
        "1",
        "--page-server",
        "127.0.0.1:27001",
        "--image-path",
        "BUNDLE/images",
        "ID",
    ];
    assert!(criu.see_to(&mut bundle.command(&words)).stdout(ready).status().unwrap().success());
    assert_eq!(std::fs::read(bundle.path("ready")).unwrap(), [0]);
}

/// Images that a real criu would not take, for one that only pretends to.
fn images(bundle: &Bundle) {
    std::fs::create_dir(bundle.path("images")).unwrap();
    std::fs::write(bundle.path("images/descriptors.json"), r#"["/dev/null","pipe:[71]","pipe:[72]"]"#).unwrap();
}

fn restore_says_what_it_is_about() {
    let (bundle, criu) = with_fake("fine", &["wait"]);
    std::fs::create_dir_all(bundle.path("rootfs/real")).unwrap();
    std::os::unix::fs::symlink("/real", bundle.path("rootfs/link")).unwrap();
    let bundle = bundle.with(|spec| {
        let bind = json!({"type": "bind", "source": "/etc", "destination": "/link/etc", "options": ["rbind"]});
        spec["mounts"].as_array_mut().unwrap().push(bind);
        // Of a process that is nobody's business.
        let network = spec["linux"]["namespaces"].as_array_mut().unwrap().iter_mut().find(|one| one["type"] == "network");
        network.unwrap()["path"] = json!("/proc/self/ns/net");
    });
    images(&bundle);
    let flags = [
        "-d",
        "--image-path",
        "BUNDLE/images",
        "--work-path",
        "BUNDLE/work",
        "--tcp-established",
        "--tcp-close",
        "--ext-unix-sk",
        "--shell-job",
        "--file-locks",
        "--auto-dedup",
        "--lsm-profile",
        "selinux:x",
        "--lsm-mount-context",
        "y",
        "--pid-file",
        "BUNDLE/pid",
    ];
    let said = call(&bundle, &criu, &[&["restore"], &flags[..], &["ID"]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    let request = criu.request();
    assert_eq!(fake::number(&request, 1), Some(2), "RESTORE");
    let options = fake::message(&request, 2);
    let number = |field| fake::number(&options, field);
    for on in [4, 5, 6, 7, 8, 12, 16, 24, 26, 50, 52] {
        assert_eq!(number(on), Some(1), "field {on}");
    }
    assert_eq!((number(34), number(38), number(2)), (Some(6), Some(0x4000_0000), None));
    let text = |field| fake::text(&options, field);
    assert_eq!(
        [text(10), text(51), text(53), text(63)].map(Option::unwrap),
        ["restore.log", "/etc/criu/runc.conf", "selinux:x", "y"]
    );
    let mounts = fake::pairs(&options, 23);
    assert!(mounts.contains(&("/real/etc".into(), "/etc".into())), "{mounts:?}");
    let inherited: Vec<(String, u64)> =
        fake::messages(&options, 27).iter().map(|one| (fake::text(one, 1).unwrap(), fake::number(one, 2).unwrap())).collect();
    assert_eq!(inherited[1..], [("pipe:[71]".into(), 1), ("pipe:[72]".into(), 2)]);
    let facts = criu.facts();
    assert_eq!((inherited[0].0.as_str(), &facts["descriptors"][3]), ("extRootNetNS", &json!(inherited[0].1)), "{facts}");
    // It is where the container will be, and nowhere else.
    let roots = fake::pairs(&options, 25);
    assert!(roots.iter().any(|(_, path)| path.ends_with(&bundle.id)), "{roots:?}");
    assert!(facts["cgroup"].as_str().unwrap().contains(&bundle.id), "{facts}");
    assert_eq!(facts["root"], json!(["dev", "link", "probe", "proc", "real", "tmp"]), "{facts}");
    assert_eq!(facts["null"], json!([1, 3]));
    let ours = std::fs::read_link("/proc/self/ns/mnt").unwrap();
    assert_ne!(facts["mnt"], json!(ours));
    let info = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!info.contains(bundle.dir.path().to_str().unwrap()), "nothing is mounted outside");
    assert_eq!(std::fs::read_to_string(bundle.path("pid")).unwrap(), bundle.pid().to_string());
    assert_eq!(bundle.status(), "running");
    bundle.ok(&["delete", "--force", "ID"]);
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

fn restore_that_fails_leaves_nothing() {
    let restore = ["restore", "-d", "--image-path", "BUNDLE/images", "ID"];
    for (mode, text) in [
        ("refuse", "criu failed: type RESTORE errno 5"),
        ("die", "criu has ended without an answer"),
        ("late", "criu failed: exit status 3"),
        ("old", "version 3.14 is older than 3.15"),
    ] {
        let (bundle, criu) = with_fake(mode, &["wait"]);
        images(&bundle);
        let said = call(&bundle, &criu, &restore);
        assert!(said.code == Some(1) && said.err.contains(text), "{mode}: {said:?}");
        assert_eq!(bundle.left(), Vec::<PathBuf>::new(), "{mode}");
        eventually("no process", || criu.restored().is_none_or(|pid| sys::process::look(pid).is_none_or(|one| one.ended)));
    }
    let (bundle, criu) = with_fake("fine", &["wait"]);
    let said = call(&bundle, &criu, &restore);
    assert!(said.code == Some(1) && said.err.contains("--image-path"), "no images: {said:?}");
    images(&bundle);
    std::fs::write(bundle.path("images/descriptors.json"), "{").unwrap();
    let said = call(&bundle, &criu, &restore);
    assert!(said.code == Some(1) && said.err.contains("descriptors.json"), "{said:?}");
    std::fs::write(bundle.path("images/descriptors.json"), "[]").unwrap();
    let words = ["restore", "-d", "--pid-file", "/nonsuch/pid", "--image-path", "BUNDLE/images", "ID"];
    let said = call(&bundle, &criu, &words);
    assert!(said.code == Some(1) && said.err.contains("/nonsuch/pid"), "{said:?}");
    eventually("no process", || sys::process::look(criu.restored().unwrap()).is_none_or(|one| one.ended));
    // A folder that cannot be mounted on: what goes wrong before criu runs.
    let bundle = bundle.with(|spec| {
        spec["mounts"]
            .as_array_mut()
            .unwrap()
            .push(json!({"destination": "/file/x", "type": "bind", "source": "/etc", "options": ["bind"]}));
    });
    std::fs::write(bundle.path("rootfs/file"), "").unwrap();
    let said = call(&bundle, &criu, &restore);
    assert!(said.code == Some(1) && said.err.contains("mount point \"/file/x\""), "{said:?}");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

fn restore_runs_hooks() {
    let (bundle, criu) = with_fake("fine", &["wait"]);
    images(&bundle);
    let log = bundle.path("hooks");
    let hook = |name: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("cat >> {}; echo \" {name}\" >> {0}", log.display())]}]);
    let bundle = bundle.with(|spec| {
        spec["hooks"] = json!({"prestart": hook("prestart"), "createRuntime": hook("createRuntime"), "poststart": hook("poststart"), "poststop": hook("poststop")});
    });
    let said = call(&bundle, &criu, &["restore", "-d", "--image-path", "BUNDLE/images", "ID"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let pid = bundle.pid();
    bundle.ok(&["delete", "--force", "ID"]);
    let ran = std::fs::read_to_string(&log).unwrap();
    let names: Vec<&str> = ran.lines().filter_map(|line| line.rsplit(' ').next()).collect();
    // Its program started long ago.
    assert_eq!(names, ["prestart", "createRuntime", "poststop"]);
    assert!(ran.lines().next().unwrap().contains(&format!("\"pid\":{pid}")), "{ran}");
    let bundle = bundle.with(|spec| spec["hooks"]["createRuntime"][0]["args"] = json!(["sh", "-c", "echo no >&2; exit 3"]));
    let said = call(&bundle, &criu, &["restore", "-d", "--image-path", "BUNDLE/images", "ID"]);
    assert!(said.code == Some(1) && said.err.contains("setup-namespaces: error running createRuntime hook"), "{said:?}");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}
