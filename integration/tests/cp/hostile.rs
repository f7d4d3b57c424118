//! Containers and archives that try to have it copy somewhere else, and mistakes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use integration::env::Env;
use integration::fake::Fake;
use integration::layer::{Compression, Entry, pack};
use integration::oci::{Format, Image};
use serde_json::json;

use super::{STATES, Two};

integration::tests![
    a_link_to_the_host_stays_inside,
    a_folder_exchanged_meanwhile,
    the_kernels_own_files,
    programs_with_rights,
    hostile_archives,
    mistakes,
];

/// CVE-2018-15664 and its kin, with links that were there before: as target, on the way, and as what is read.
fn a_link_to_the_host_stays_inside() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let victim = t.path("victim");
    fs::create_dir(&victim).expect("a folder");
    fs::write(victim.join("secret"), "of the host").expect("a file");
    let path = victim.display().to_string();
    let entries = [
        Entry::symlink("absolute", &path),
        Entry::symlink("relative", &format!("../../../../../../../..{path}")),
        Entry::symlink("magic", "/proc/self/root"),
        Entry::symlink("first", &format!("/proc/1/root{path}")),
        Entry::symlink("dangling", &format!("{path}/new")),
        Entry::dir("folder"),
        Entry::symlink("folder/into", &path),
    ];
    let layers = vec![
        integration::catalog::busybox(Compression::Gzip).expect("busybox"),
        pack(&entries, Compression::Gzip).expect("a layer"),
    ];
    let name = fake.add("cp/evil:v1", &Image::new(Format::Oci, layers, json!({"Cmd": ["sleep", "1000"]})).bundle());
    t.rctr(["run", "-d", "--network", "none", "--name", "runs", &name]).ok();
    t.rctr(["create", "--name", "stopped", &name]).ok();
    fs::create_dir_all(t.path("src/into")).expect("a folder");
    fs::write(t.path("src/into/x"), "x").expect("a file");
    fs::write(t.path("file"), "x").expect("a file");
    let untouched = || {
        assert_eq!(fs::read_dir(&victim).expect("a folder").count(), 1, "something was written to the host");
        assert_eq!(fs::read_to_string(victim.join("secret")).expect("a file"), "of the host");
    };
    for of in STATES {
        for target in ["absolute", "relative", "magic", "first", "dangling", "absolute/deep", "relative/x", &format!("magic{path}")]
        {
            let _ = t.rctr(["cp", &t.path("file").display().to_string(), &format!("{of}:/{target}")]);
            let _ = t.rctr(["cp", &format!("{}/.", t.path("src").display()), &format!("{of}:/{target}")]);
            untouched();
            let out = t.path("out");
            let _ = t.rctr(["cp", "-L", &format!("{of}:/{target}"), &out.display().to_string()]);
            let _ = t.rctr(["cp", "-L", &format!("{of}:/{target}/secret"), &out.display().to_string()]);
            let leaked = fs::read_to_string(&out).or_else(|_| fs::read_to_string(out.join("secret"))).unwrap_or_default();
            assert_eq!(leaked, "", "{target}");
            let _ = fs::remove_dir_all(&out).or_else(|_| fs::remove_file(&out));
        }
        // a folder does not go through a link that has its name
        t.rctr(["cp", &format!("{}/.", t.path("src").display()), &format!("{of}:/folder")]).fails(125, &["into"]);
        untouched();
    }
    t.rctr(["rm", "-f", "runs", "stopped"]).ok();
    t.nothing_left();
}

/// The container exchanges a folder for a link to the host, again and again, while files are copied into it and out of it.
fn a_folder_exchanged_meanwhile() {
    let t = Env::new();
    let victim = t.path("victim");
    fs::create_dir(&victim).expect("a folder");
    fs::write(victim.join("secret"), "of the host").expect("a file");
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o711)).expect("a mode");
    let script = format!(
        "mkdir /real; echo inside > /real/secret; ln -s {path} /link; mkdir -p /work/dir /exchange; echo ready
         while true; do mv /work/dir /exchange/d; ln -s {path} /work/dir; rm /work/dir; mv /exchange/d /work/dir; done",
        path = victim.display()
    );
    t.rctr(["run", "-d", "--network", "none", "--name", "app", "busybox", "sh", "-c", &script]).ok();
    t.wait_for_log("app", "ready");
    fs::create_dir_all(t.path("src/dir/deep")).expect("a folder");
    for number in 0..20 {
        fs::write(t.path(&format!("src/dir/{number}")), "x").expect("a file");
    }
    for _ in 0..30 {
        let _ = t.rctr(["cp", &format!("{}/.", t.path("src").display()), "app:/work"]);
        let _ = t.rctr(["cp", &t.path("src/dir/1").display().to_string(), "app:/work/dir/file"]);
        let names: Vec<_> = fs::read_dir(&victim).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        assert_eq!(names, ["secret"], "written to the host");
        let meta = fs::metadata(&victim).expect("a folder");
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o711, 0), "changed on the host");
        let out = t.path("out");
        let _ = t.rctr(["cp", "app:/work/dir/secret", &out.display().to_string()]);
        let _ = t.rctr(["cp", "-L", "app:/work/dir", &t.path("tree").display().to_string()]);
        for leaked in [fs::read_to_string(&out), fs::read_to_string(t.path("tree/secret"))] {
            assert_ne!(leaked.unwrap_or_default(), "of the host");
        }
        let _ = fs::remove_dir_all(t.path("tree"));
    }
    t.rctr(["rm", "-f", "app"]).ok();
    t.nothing_left();
}

/// Nothing is written where a file is a setting of the host, whatever leads there; what can be read is read.
fn the_kernels_own_files() {
    let t = Env::new();
    fs::write(t.path("file"), "x").expect("a file");
    let file = t.path("file").display().to_string();
    let links = "ln -s /proc/sys/kernel /kernel; ln -s /sys/kernel /sysfs; echo ready; sleep 1000; true";
    t.rctr(["run", "-d", "--privileged", "--name", "app", "busybox", "sh", "-c", links]).ok();
    t.wait_for_log("app", "ready");
    let before = fs::read_to_string("/proc/sys/kernel/core_pattern").expect("a setting");
    for target in ["/proc/sys/kernel/core_pattern", "/kernel/core_pattern", "/kernel", "/sysfs/uevent_helper", "/proc/1/comm"] {
        t.rctr(["cp", &file, &format!("app:{target}")]).code(125);
    }
    assert_eq!(fs::read_to_string("/proc/sys/kernel/core_pattern").expect("a setting"), before);
    t.rctr(["cp", "app:/proc/1/comm", "comm"]).ok();
    assert_eq!(fs::read_to_string(t.path("comm")).expect("a file"), "sh\n");
    t.rctr(["rm", "-f", "app"]).ok();
    t.nothing_left();
}

/// A program of a container that runs as its owner must not run as root on the host, and a device is no copy.
fn programs_with_rights() {
    let t = Env::new();
    let script = "cp /bin/busybox /suid; chown 7 /suid; chmod 6755 /suid; mknod /device b 8 0; echo ready; sleep 1000";
    t.rctr(["run", "-d", "--name", "app", "busybox", "sh", "-c", script]).ok();
    t.wait_for_log("app", "ready");
    t.rctr(["cp", "app:/suid", "suid"]).ok();
    let meta = fs::metadata(t.path("suid")).expect("a file");
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o755, 0));
    t.rctr(["cp", "-a", "app:/suid", "kept"]).ok();
    let meta = fs::metadata(t.path("kept")).expect("a file");
    assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o6755, 7));
    t.rctr(["cp", "app:/device", "device"]).fails(125, &["device", "-a"]);
    assert!(!t.path("device").exists());
    t.rctr(["rm", "-f", "app"]).ok();
    t.nothing_left();
}

fn hostile_archives() {
    let two = Two::new();
    let t = &two.t;
    let victim = t.path("victim");
    fs::create_dir(&victim).expect("a folder");
    let path = victim.display().to_string();
    let cases: [&[Entry]; 4] = [
        &[Entry::file("../../../../escaped", "x")],
        &[Entry::symlink("out", &path), Entry::file("out/x", "x")],
        &[Entry::symlink("up", &format!("../../../../../..{path}")), Entry::file("up/x", "x")],
        &[Entry::hardlink("hard", "../../../etc/passwd")],
    ];
    for of in STATES {
        for entries in cases {
            let layer = pack(entries, Compression::None).expect("an archive");
            fs::write(t.path("evil.tar"), layer.data.read().expect("bytes")).expect("a file");
            let mut command = t.rctr_command(["cp", "-", &format!("{of}:/tmp")]);
            command.stdin(fs::File::open(t.path("evil.tar")).expect("a file"));
            let _ = command.output().expect("rctr");
            assert_eq!(fs::read_dir(&victim).expect("a folder").count(), 0, "{entries:?}");
            assert!(!t.path("escaped").exists() && !std::path::Path::new("/escaped").exists());
        }
    }
    two.end();
}

fn mistakes() {
    let two = Two::new();
    let t = &two.t;
    let file = two.file("file", "x");
    t.rctr(["cp", &file, "none:/x"]).fails(125, &["no such container: none"]);
    t.rctr(["cp", "a", "b"]).fails(125, &["CONTAINER:PATH"]);
    t.rctr(["cp", "-", "-"]).fails(125, &["CONTAINER:PATH"]);
    t.rctr(["cp", "runs:", "x"]).fails(125, &["CONTAINER:PATH"]);
    t.rctr(["cp", "", "runs:/x"]).fails(125, &["empty"]);
    t.rctr(["cp", &two.path("missing"), "runs:/x"]).fails(125, &["missing", "ENOENT"]);
    t.rctr(["cp", "runs:/etc/passwd", "/proc/x"]).fails(125, &["procfs"]);
    t.rctr(["container", "cp", &file, "runs:/x"]).ok();
    // paused, too
    t.rctr(["pause", "runs"]).ok();
    t.rctr(["cp", "runs:/x", "paused"]).ok();
    t.rctr(["unpause", "runs"]).ok();
    two.end();
}
