//! `-v`: folders and files of the host.

use integration::env::Env;

integration::tests![
    written_and_read,
    read_only,
    read_only_with_what_is_mounted_below,
    a_missing_folder_is_made,
    a_file,
    targets_stay_inside,
    host_files_keep_their_owner,
    bad_ones_are_refused,
];

fn run<'a>(flags: &[&'a str], rest: &[&'a str]) -> Vec<&'a str> {
    ["run", "--rm", "--network", "none"].into_iter().chain(flags.iter().copied()).chain(rest.iter().copied()).collect()
}

fn written_and_read() {
    let t = Env::new();
    let folder = t.path("data");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("in"), "from the host").expect("a file");
    let bind = format!("{}:/data", folder.display());
    t.rctr(run(&["-v", &bind], &["test/probe", "read", "/data/in", "--", "write", "/data/out", "from inside"])).ok();
    assert_eq!(std::fs::read_to_string(folder.join("out")).expect("a file"), "from inside");
    t.rctr(run(&["-v", &format!("{bind}:rw")], &["test/probe", "create", "/data/more"])).ok().says("ok\n");
    t.nothing_left();
}

fn read_only() {
    let t = Env::new();
    let bind = format!("{}:/data:ro", t.path("home").display());
    t.rctr(run(&["-v", &bind], &["test/probe", "create", "/data/x", "--", "mkdir", "/data/y"])).ok().says("EROFS\nEROFS\n");
    // and it cannot be taken back
    let script = "mount -o remount,rw,bind /data && touch /data/x";
    t.rctr(run(&["-v", &bind], &["busybox", "sh", "-c", script])).code(1);
    assert!(!t.path("home/x").exists());
    t.nothing_left();
}

fn read_only_with_what_is_mounted_below() {
    let t = Env::new();
    let folder = t.path("data");
    std::fs::create_dir_all(folder.join("below")).expect("a folder");
    let below = folder.join("below");
    let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&below).status().expect("mount");
    assert!(mount.success());
    let bind = format!("{}:/data:ro", folder.display());
    let seen = t.rctr(run(&["-v", &bind], &["test/probe", "create", "/data/below/x"]));
    let unmounted = std::process::Command::new("umount").arg(&below).status().expect("umount");
    seen.ok().says("EROFS\n");
    assert!(unmounted.success(), "something holds the host's mount");
    t.nothing_left();
}

fn a_missing_folder_is_made() {
    let t = Env::new();
    let folder = t.path("made/for/it");
    let bind = format!("{}:/data", folder.display());
    t.rctr(run(&["-v", &bind], &["test/probe", "create", "/data/x"])).ok().says("ok\n");
    assert!(folder.join("x").is_file());
    t.nothing_left();
}

fn a_file() {
    let t = Env::new();
    let file = t.path("config");
    std::fs::write(&file, "from the host").expect("a file");
    let bind = format!("{}:/etc/deep/config:ro", file.display());
    t.rctr(run(&["-v", &bind], &["test/probe", "read", "/etc/deep/config"])).ok().says("from the host");
    t.nothing_left();
}

/// A target that is a link in the image leads to where the container sees it, not the host (CVE-2017-1002101 and its kin).
fn targets_stay_inside() {
    use integration::layer::{Compression, Entry, pack};
    let (t, fake) = (Env::new(), integration::fake::Fake::start().expect("a registry"));
    let victim = t.path("victim");
    std::fs::create_dir(&victim).expect("a folder");
    let path = victim.display().to_string();
    let links = [Entry::symlink("absolute", &path), Entry::symlink("relative", &format!("../../../../../..{path}"))];
    let layers =
        vec![integration::catalog::busybox(Compression::Gzip).expect("busybox"), pack(&links, Compression::Gzip).expect("a layer")];
    let image = integration::oci::Image::new(integration::oci::Format::Oci, layers, serde_json::json!({}));
    let name = fake.add("evil/links:v1", &image.bundle());
    t.rctr(["pull", "-q", &name]).ok();
    let source = t.path("home").display().to_string();
    std::fs::write(t.path("home/mark"), "mark").expect("a file");
    for target in ["/absolute/in", "/relative/in", "/absolute", "/../../..", "/proc/self/cwd/x", "/proc/1/root/x"] {
        let bind = format!("{source}:{target}");
        let run = t.rctr(run(
            &["-v", &bind],
            &[&name, "/bin/sh", "-c", "cat /absolute/in/mark /relative/in/mark /absolute/mark 2>/dev/null; true"],
        ));
        assert!(run.code == 0 || run.code == 125, "{target}\n{run}");
        let inside: Vec<_> = std::fs::read_dir(&victim).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        assert!(inside.is_empty(), "{target} reached the host: {inside:?}");
        t.nothing_left();
    }
}

fn host_files_keep_their_owner() {
    let t = Env::new();
    let folder = t.path("data");
    std::fs::create_dir(&folder).expect("a folder");
    std::os::unix::fs::chown(&folder, Some(1000), Some(1000)).expect("an owner");
    let bind = format!("{}:/data", folder.display());
    t.rctr(run(&["-u", "app", "-v", &bind], &["test/probe", "create", "/data/x", "--", "stat", "/data"]))
        .ok()
        .has("ok\n/data dir 755 1000:1000");
    t.nothing_left();
}

fn bad_ones_are_refused() {
    let t = Env::new();
    t.rctr(["pull", "-q", "test/probe"]).ok();
    for bad in ["/a:relative", "/a:/b:purple", ":/b", "/a:/", "/a:/b:ro:rw:x"] {
        t.rctr(run(&["-v", bad], &["test/probe", "out", "x"])).code(125).says("");
    }
    t.nothing_left();
}
