//! Where mounts are, and what is there then. runc does all of [`Of::Every`] from 1.2 on.

use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, mkfifoat, symlinkat};
use serde_json::{Value, json};

use crate::fixture::{Bundle, HOST_ID, foreign};
use crate::mounts::{bind, flags, line, looking, with_mounts};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("mapped_containers_mount_too", Of::Every, mapped_containers_mount_too),
    ("a_tmpfs_begins_with_what_is_there", Of::Every, a_tmpfs_begins_with_what_is_there),
    ("a_tmpfs_has_the_mode_of_what_it_covers", Of::Every, a_tmpfs_has_the_mode_of_what_it_covers),
    ("targets_are_made", Of::Every, targets_are_made),
    ("targets_may_be_relative_or_links", Of::Every, targets_may_be_relative_or_links),
    ("links_can_be_kept", Of::Ours, links_can_be_kept),
    ("nothing_is_mounted_twice", Of::Ours, nothing_is_mounted_twice),
    ("a_bound_proc_is_masked", Of::Every, a_bound_proc_is_masked),
    ("bad_mounts_are_refused", Of::Every, bad_mounts_are_refused),
    ("contradicting_mounts_are_refused", Of::Ours, contradicting_mounts_are_refused),
];

fn mapped_containers_mount_too() {
    let bundle = with_mounts(
        Bundle::new(&["tree", "/some"]).mapped(),
        json!([{"destination": "/some", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "mode=711", "ro"]}]),
    );
    furnish(&bundle);
    for (name, id) in [("", 0), ("/file", 0), ("/inner", 0), ("/inner/deep", 0), ("/inner/deep/suid", 5), ("/link", 0)] {
        let path = bundle.path(&format!("rootfs/some{name}"));
        std::os::unix::fs::lchown(&path, Some(HOST_ID + id), Some(HOST_ID + id + u32::from(id > 0))).unwrap();
    }
    let suid = bundle.path("rootfs/some/inner/deep/suid");
    rustix::fs::chmodat(CWD, &suid, Mode::from_raw_mode(0o4755), rustix::fs::AtFlags::empty()).unwrap();
    assert_eq!(bundle.ok(&["run", "ID"]), format!("/some 40711 0:0 \n{FURNISHED}"));
    let bundle = bundle.with(|spec| spec["process"]["args"] = json!(["/probe", "write", "/some/file"]));
    assert_eq!(bundle.ok(&["run", "ID"]), "/some/file: errno 30\n");
}

/// A folder of the image with one of everything.
fn furnish(bundle: &Bundle) {
    let folder = bundle.path("rootfs/some");
    std::fs::create_dir_all(folder.join("inner/deep")).unwrap();
    std::fs::write(folder.join("file"), "content").unwrap();
    std::fs::write(folder.join("inner/deep/suid"), "x").unwrap();
    std::os::unix::fs::chown(folder.join("inner/deep/suid"), Some(5), Some(6)).unwrap();
    let mode = |path: &str, mode| {
        rustix::fs::chmodat(CWD, folder.join(path), Mode::from_raw_mode(mode), rustix::fs::AtFlags::empty()).unwrap()
    };
    mode("inner/deep/suid", 0o4755);
    mode("inner", 0o1777);
    mode("file", 0o640);
    symlinkat("/nonsuch", CWD, folder.join("link")).unwrap();
}

const FURNISHED: &str = "/some/file 100640 0:0 \"content\"\n\
    /some/inner 41777 0:0 \n\
    /some/inner/deep 40755 0:0 \n\
    /some/inner/deep/suid 104755 5:6 \"x\"\n\
    /some/link 120777 0:0 -> /nonsuch\n";

fn a_tmpfs_begins_with_what_is_there() {
    let mounts = json!([{"destination": "/some", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "mode=711"]}]);
    let bundle = with_mounts(Bundle::new(&["tree", "/some"]), mounts);
    furnish(&bundle);
    let out = bundle.ok(&["run", "ID"]);
    assert_eq!(out, format!("/some 40711 0:0 \n{FURNISHED}"));
    // A pipe is made, and nobody waits for its other end.
    if !foreign() {
        mkfifoat(CWD, bundle.path("rootfs/some/pipe"), Mode::from_raw_mode(0o600)).unwrap();
        assert!(bundle.ok(&["run", "ID"]).contains("/some/pipe 10600 0:0 \n"));
        std::fs::remove_file(bundle.path("rootfs/some/pipe")).unwrap();
    }
    // It is another file system: what is written there is not in the image.
    let bundle = bundle.with(|spec| spec["process"]["args"] = json!(["/probe", "write", "/some/file", "/some/new"]));
    assert_eq!(bundle.ok(&["run", "ID"]), "/some/file: done\n/some/new: done\n");
    assert!(!bundle.path("rootfs/some/new").exists());
    // Too small for it: an error, not half of it.
    std::fs::write(bundle.path("rootfs/some/big"), vec![1; 1 << 20]).unwrap();
    let bundle = bundle.with(|spec| spec["mounts"][4]["options"] = json!(["tmpcopyup", "size=64k"]));
    bundle.fails(&["run", "ID"], "");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

fn a_tmpfs_has_the_mode_of_what_it_covers() {
    for (options, wanted) in [(json!([]), "41751"), (json!(["mode=700"]), "40700")] {
        let mounts = json!([{"destination": "/some", "type": "tmpfs", "source": "tmpfs", "options": options}]);
        let bundle = with_mounts(Bundle::new(&["tree", "/some"]), mounts);
        std::fs::create_dir(bundle.path("rootfs/some")).unwrap();
        rustix::fs::chmodat(CWD, bundle.path("rootfs/some"), Mode::from_raw_mode(0o1751), rustix::fs::AtFlags::empty()).unwrap();
        assert_eq!(bundle.ok(&["run", "ID"]), format!("/some {wanted} 0:0 \n"));
    }
}

fn targets_are_made() {
    let bundle = Bundle::new(&["tree", "/made"]).with(|spec| spec["root"]["readonly"] = json!(true));
    let (file, pipe) = (bundle.path("file"), bundle.path("pipe"));
    std::fs::write(&file, "content").unwrap();
    mkfifoat(CWD, &pipe, Mode::from_raw_mode(0o600)).unwrap();
    let folder = bundle.path("folder");
    std::fs::create_dir(&folder).unwrap();
    let mounts = json!([
        bind(&file, "/made/a/file", &["bind"]),
        bind(&pipe, "/made/a/pipe", &["bind"]),
        bind(&folder, "/made/b", &["bind"])
    ]);
    let out = with_mounts(bundle, mounts).ok(&["run", "ID"]);
    for line in ["/made 40755 0:0 ", "/made/a/file 100644 0:0 \"content\"", "/made/a/pipe 10600 0:0 ", "/made/b 40755 0:0 "] {
        assert!(out.lines().any(|one| one == line), "{line} is not in {out}");
    }
}

fn targets_may_be_relative_or_links() {
    let bundle = Bundle::new(&["mounts", "/some", "/real", "/there/made"]);
    std::fs::create_dir(bundle.path("rootfs/real")).unwrap();
    symlinkat("/real", CWD, bundle.path("rootfs/link")).unwrap();
    symlinkat("../../../../there/made", CWD, bundle.path("rootfs/dangling")).unwrap();
    let tmpfs = |target: &str| json!({"destination": target, "type": "tmpfs", "source": "tmpfs"});
    let mut mounts = json!([tmpfs("some"), tmpfs("/link")]);
    if !foreign() {
        mounts.as_array_mut().unwrap().push(tmpfs("/dangling"));
    }
    let out = with_mounts(bundle, mounts).ok(&["run", "ID"]);
    for target in if foreign() { &["/some", "/real"][..] } else { &["/some", "/real", "/there/made"] } {
        assert!(line(&out, target).contains("tmpfs"), "{out}");
    }
}

/// As with crun.
fn links_can_be_kept() {
    let bundle = Bundle::new(&["tree", "/some"]);
    std::fs::create_dir(bundle.path("rootfs/some")).unwrap();
    std::fs::write(bundle.path("file"), "content").unwrap();
    symlinkat("/nonsuch", CWD, bundle.path("link")).unwrap();
    symlinkat("target", CWD, bundle.path("rootfs/some/kept")).unwrap();
    std::fs::write(bundle.path("rootfs/some/target"), "target").unwrap();
    let mounts = json!([
        bind(&bundle.path("link"), "/some/copied", &["bind", "copy-symlink"]),
        bind(&bundle.path("file"), "/some/plain", &["bind", "copy-symlink"]),
        bind(&bundle.path("link"), "/some/bound", &["bind", "src-nofollow"]),
        bind(&bundle.path("file"), "/some/kept", &["bind", "dest-nofollow"]),
    ]);
    let bundle = with_mounts(bundle, mounts);
    let out = bundle.ok(&["run", "ID"]);
    for line in [
        "/some/copied 120777 0:0 -> /nonsuch",
        "/some/plain 100644 0:0 \"content\"",
        "/some/bound 120777 0:0 -> /nonsuch",
        "/some/kept 100644 0:0 \"content\"",
        "/some/target 100644 0:0 \"target\"",
    ] {
        assert!(out.lines().any(|one| one == line), "{line} is not in {out}");
    }
    // It is there by now, and says the same; something else in its place is not taken for it.
    bundle.ok(&["run", "ID"]);
    std::fs::remove_file(bundle.path("rootfs/some/copied")).unwrap();
    symlinkat("/other", CWD, bundle.path("rootfs/some/copied")).unwrap();
    bundle.fails(&["run", "ID"], "another link is there");
    std::fs::remove_file(bundle.path("rootfs/some/copied")).unwrap();
    std::fs::write(bundle.path("rootfs/some/copied"), "").unwrap();
    bundle.fails(&["run", "ID"], "look at what is there");
}

/// A read-only path that is a mount is changed itself: a bind over it would show all that is below it twice.
fn nothing_is_mounted_twice() {
    let mounts = json!([
        {"destination": "/new", "type": "tmpfs", "source": "tmpfs", "options": ["ro"]},
        {"destination": "/new/below", "type": "tmpfs", "source": "tmpfs"},
    ]);
    let bundle = looking(&["/dev", "/dev/pts", "/new", "/new/below", "/sys"], mounts).with(|spec| {
        spec["mounts"][1]["options"].as_array_mut().unwrap().push(json!("ro"));
        spec["linux"]["readonlyPaths"] = json!(["/new/below", "/dev/pts"]);
    });
    let out = bundle.ok(&["run", "ID"]);
    for target in ["/dev", "/dev/pts", "/new", "/new/below"] {
        assert!(!line(&out, target).contains('|') && flags(line(&out, target)).contains(&"ro"), "{target}: {out}");
    }
}

/// Also where something is mounted on what was there before.
fn a_bound_proc_is_masked() {
    let bundle = Bundle::new(&["write", "/proc/sys/kernel/core_pattern"]).with(|spec| {
        spec["mounts"][0] = bind(Path::new("/proc"), "/proc", &["rbind", "rslave"]);
        spec["linux"]["maskedPaths"] = json!(["/proc/keys"]);
        spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "pid");
    });
    assert_eq!(bundle.ok(&["run", "ID"]), "/proc/sys/kernel/core_pattern: errno 30\n");
    let bundle = bundle.with(|spec| spec["process"]["args"] = json!(["/probe", "tree", "/proc/keys"]));
    assert!(bundle.ok(&["run", "ID"]).starts_with("/proc/keys 20"));
    let sys = |kind: &str| json!({"destination": "/sys", "type": kind, "source": kind});
    let bundle = with_mounts(Bundle::new(&["write", "/sys/new"]), json!([sys("sysfs"), sys("tmpfs")]));
    let bundle = bundle.with(|spec| spec["linux"]["readonlyPaths"] = json!(["/sys"]));
    assert_eq!(bundle.ok(&["run", "ID"]), "/sys/new: errno 30\n");
}

fn refused(mounts: Value, text: &str) {
    let bundle = with_mounts(Bundle::new(&["exit", "0"]), mounts);
    std::fs::write(bundle.path("rootfs/file"), "").unwrap();
    std::fs::create_dir(bundle.path("rootfs/folder")).unwrap();
    let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    bundle.fails(&["run", "ID"], text);
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
}

fn bad_mounts_are_refused() {
    refused(json!([bind(Path::new("/nonsuch"), "/x", &["bind"])]), "no such file or directory");
    refused(json!([{"destination": "/x", "type": "nonsuchfs", "source": "x"}]), "");
    refused(json!([{"destination": "/x", "type": "tmpfs", "source": "x", "options": ["nonsuch=1"]}]), "");
    refused(json!([{"destination": "/file/x", "type": "tmpfs", "source": "x"}]), "");
    refused(json!([bind(Path::new("/etc/hostname"), "/folder", &["bind"])]), "");
    refused(json!([bind(Path::new("/etc"), "/file", &["bind"])]), "");
    refused(json!([{"destination": "/proc/self", "type": "tmpfs", "source": "x"}]), "");
    refused(json!([{"destination": "/proc", "type": "tmpfs", "source": "x"}]), "");
}

fn contradicting_mounts_are_refused() {
    for (mount, text) in [
        (json!({"destination": "/..", "type": "tmpfs"}), "mounts[4].destination"),
        (json!({"destination": "/", "type": "tmpfs"}), "the root itself"),
        (json!({"destination": "/x", "type": "tmpfs", "options": ["idmap"]}), "mounts[4].options"),
        (json!({"destination": "/x", "type": "sysfs", "options": ["tmpcopyup"]}), "only a tmpfs"),
        (json!({"destination": "/x", "type": "bind", "source": "/etc", "options": ["sync"]}), "cannot have the file system option"),
        (json!({"destination": "/x", "type": "bind", "source": "/proc/self/fd/3"}), "of the runtime itself"),
        (json!({"destination": "/x\u{0}", "type": "tmpfs"}), "NUL"),
    ] {
        refused(json!([mount]), text);
    }
}
