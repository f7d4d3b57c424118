//! What is mounted, and what is read-only.

use std::fs;

use integration::env::Env;

use super::{STATES, Two};

integration::tests![volumes_too, volumes_of_one_that_does_not_run, files_that_are_mounted, between_containers, read_only_ones,];

fn volumes_too() {
    let t = Env::new();
    let bind = t.path("bind");
    fs::create_dir(&bind).expect("a folder");
    fs::write(t.path("file"), "content").expect("a file");
    let mount = format!("{}:/bind", bind.display());
    t.rctr(["run", "-d", "--name", "app", "-v", "data:/data", "-v", &mount, "--tmpfs", "/memory", "busybox", "sleep", "1000"]).ok();
    let file = t.path("file").display().to_string();
    for target in ["/data", "/bind", "/memory"] {
        t.rctr(["cp", &file, &format!("app:{target}")]).ok();
        t.rctr(["exec", "app", "cat", &format!("{target}/file")]).ok().says("content");
    }
    assert!(bind.join("file").exists() && t.root().join("volumes/data/_data/file").exists());
    t.rctr(["exec", "app", "sh", "-c", "echo from inside > /memory/new"]).ok();
    t.rctr(["cp", "app:/memory/new", "new"]).ok();
    assert_eq!(fs::read_to_string(t.path("new")).expect("a file"), "from inside\n");
    t.rctr(["rm", "-f", "app"]).ok();
    t.nothing_left();
}

fn volumes_of_one_that_does_not_run() {
    let t = Env::new();
    let (bind, other) = (t.path("bind"), t.path("other"));
    fs::create_dir(&bind).expect("a folder");
    fs::write(&other, "one").expect("a file");
    fs::write(t.path("file"), "content").expect("a file");
    let (mount, single) = (format!("{}:/deep/er/bind", bind.display()), format!("{}:/etc/single", other.display()));
    t.rctr([
        "create",
        "--name",
        "app",
        "-v",
        "data:/data",
        "-v",
        &mount,
        "-v",
        &single,
        "-v",
        "ro:/ro:ro",
        "busybox",
        "cat",
        "/data/file",
    ])
    .ok();
    let file = t.path("file").display().to_string();
    t.rctr(["cp", &file, "app:/data"]).ok();
    t.rctr(["cp", &file, "app:/deep/er/bind/file"]).ok();
    t.rctr(["cp", &file, "app:/etc/single"]).ok();
    t.rctr(["cp", &file, "app:/ro"]).fails(125, &["EROFS"]);
    assert!(bind.join("file").exists() && t.root().join("volumes/data/_data/file").exists());
    assert_eq!(fs::read_to_string(&other).expect("a file"), "content");
    t.rctr(["start", "-a", "app"]).ok().says("content");
    // a folder of the host that is gone is no reason not to copy
    fs::remove_dir_all(&bind).expect("removed");
    t.rctr(["cp", "app:/data/file", "copy"]).ok();
    assert!(!bind.exists());
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}

fn files_that_are_mounted() {
    let two = Two::new();
    let file = two.file("hosts", "127.0.0.1 new\n");
    two.t.rctr(["cp", &file, "runs:/etc/hosts"]).ok();
    two.t.rctr(["exec", "runs", "cat", "/etc/hosts"]).ok().says("127.0.0.1 new\n");
    two.t.rctr(["cp", "runs:/etc/hosts", "copied"]).ok();
    assert_eq!(fs::read_to_string(two.t.path("copied")).expect("a file"), "127.0.0.1 new\n");
    two.end();
}

fn between_containers() {
    let two = Two::new();
    let file = two.file("file", "content");
    two.t.rctr(["cp", &file, "stopped:/tmp"]).ok();
    two.t.rctr(["cp", "stopped:/tmp/file", "runs:/tmp/other"]).ok();
    two.t.rctr(["exec", "runs", "cat", "/tmp/other"]).ok().says("content");
    two.end();
}

fn read_only_ones() {
    let t = Env::new();
    fs::write(t.path("file"), "x").expect("a file");
    let file = t.path("file").display().to_string();
    t.rctr(["run", "-d", "--name", "runs", "--read-only", "-v", "data:/data", "busybox", "sleep", "1000"]).ok();
    t.rctr(["create", "--name", "stopped", "--read-only", "-v", "data:/data", "busybox"]).ok();
    for of in STATES {
        t.rctr(["cp", &file, &format!("{of}:/tmp")]).fails(125, &["EROFS"]);
        t.rctr(["cp", &file, &format!("{of}:/data")]).ok();
        t.rctr(["cp", &format!("{of}:/etc/passwd"), "passwd"]).ok();
    }
    t.rctr(["rm", "-f", "runs", "stopped"]).ok();
    t.nothing_left();
}
