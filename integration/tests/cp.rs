//! `cp`: Docker's rules, both directions, running or not; and containers that try to have it copy somewhere else.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use integration::env::Env;
use integration::fake::Fake;
use integration::layer::{Compression, Entry, pack};
use integration::oci::{Format, Image};
use serde_json::json;

integration::tests![
    dockers_rules_into_a_container,
    dockers_rules_out_of_a_container,
    links,
    owners_and_modes,
    archives,
    volumes_too,
    volumes_of_one_that_does_not_run,
    files_that_are_mounted,
    between_containers,
    read_only_ones,
    a_link_to_the_host_stays_inside,
    a_folder_exchanged_meanwhile,
    the_kernels_own_files,
    programs_with_rights,
    hostile_archives,
    mistakes,
];

struct Two {
    t: Env,
}

/// A container that runs and one that does not, with the same files.
const STATES: [&str; 2] = ["runs", "stopped"];

impl Two {
    fn new() -> Self {
        let t = Env::new();
        t.rctr(["run", "-d", "--network", "none", "--name", "runs", "busybox", "sleep", "1000"]).ok();
        t.rctr(["create", "--name", "stopped", "busybox", "sleep", "1000"]).ok();
        Self { t }
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.t.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    fn path(&self, name: &str) -> String {
        self.t.path(name).display().to_string()
    }

    /// What is in a folder of the container, as `find` shows it: read without the container's help.
    fn tree(&self, of: &str, path: &str) -> String {
        let out = self.t.path("look");
        let _ = fs::remove_dir_all(&out);
        fs::create_dir(&out).expect("a folder");
        self.t.rctr(["cp", &format!("{of}:{path}/."), &out.display().to_string()]).ok();
        listing(&out)
    }

    fn end(self) {
        self.t.rctr(["rm", "-f", "runs", "stopped"]).ok();
        self.t.nothing_left();
    }
}

fn listing(folder: &std::path::Path) -> String {
    let mut all = integration::leaks::files(folder, &|_| false);
    all.sort();
    all.join(" ")
}

fn dockers_rules_into_a_container() {
    let two = Two::new();
    let t = &two.t;
    let (file, folder) = (two.file("src/file", "content"), two.path("src"));
    for of in STATES {
        let at = |path: &str| format!("{of}:{path}");
        let cp = |from: &str, to: &str| t.rctr(["cp", from, &at(to)]);
        let read = |path: &str| t.rctr(["cp", &at(path), "-"]).ok().stdout.clone();
        // a file: to a name, over a file, into a folder
        cp(&file, "/tmp/name").ok().says("");
        assert!(read("/tmp/name").contains("content"));
        cp(&two.file("other", "changed"), "/tmp/name").ok();
        assert!(read("/tmp/name").contains("changed"));
        cp(&file, "/tmp").ok();
        cp(&file, "/tmp/").ok();
        assert_eq!(two.tree(of, "/tmp"), "file name");
        cp(&file, "/none/name").fails(125, &["/none"]);
        cp(&file, "/tmp/none/").fails(125, &["/tmp/none/", "no such folder"]);
        cp(&file, "/tmp/name/").fails(125, &["/tmp/name"]);
        // a folder: to a name, into a folder, its content
        cp(&folder, "/home/new").ok();
        assert_eq!(two.tree(of, "/home/new"), "file");
        cp(&folder, "/home/new").ok();
        assert_eq!(two.tree(of, "/home/new"), "file src src/file");
        cp(&format!("{folder}/."), "/home/new/src").ok();
        assert_eq!(two.tree(of, "/home/new"), "file src src/file");
        cp(&format!("{folder}/."), "/home/other").ok();
        cp(&format!("{folder}/"), "/home/third/").ok();
        assert_eq!((two.tree(of, "/home/other"), two.tree(of, "/home/third")), ("file".into(), "file".into()));
        cp(&folder, "/tmp/name").fails(125, &["/tmp/name", "cannot be copied to a file"]);
        // a path without a slash begins at the root
        cp(&file, "tmp/relative").ok();
        assert_eq!(two.tree(of, "/tmp"), "file name relative");
        // what is there gives way, but no folder
        cp(&format!("{folder}/."), "/tmp").ok();
        fs::create_dir_all(t.path("clash/name")).expect("a folder");
        cp(&format!("{}/.", two.path("clash")), "/tmp").fails(125, &["name", "replaced by a folder"]);
        fs::create_dir_all(t.path("clash2")).expect("a folder");
        fs::write(t.path("clash2/new"), "").expect("a file");
        cp(&format!("{}/.", two.path("clash2")), "/home").fails(125, &["new", "folder cannot be replaced"]);
    }
    t.rctr(["exec", "runs", "cat", "/home/new/src/file"]).ok().says("content");
    two.end();
}

fn dockers_rules_out_of_a_container() {
    let two = Two::new();
    let t = &two.t;
    for of in STATES {
        two.file("src/deep/file", "content");
        t.rctr(["cp", &two.path("src"), &format!("{of}:/src")]).ok();
        let out = two.path(&format!("out-{of}"));
        let cp = |from: &str, to: &str| t.rctr(["cp", &format!("{of}:{from}"), to]);
        cp("/src", &out).ok();
        assert_eq!(listing(out.as_ref()), "deep deep/file");
        cp("/src", &out).ok();
        assert_eq!(listing(out.as_ref()), "deep deep/file src src/deep src/deep/file");
        cp("/src/deep/.", &out).ok();
        cp("src/deep/file", &format!("{out}/named")).ok();
        assert_eq!(listing(out.as_ref()), "deep deep/file file named src src/deep src/deep/file");
        assert_eq!(fs::read_to_string(format!("{out}/named")).expect("a file"), "content");
        cp("/src", &format!("{out}/file")).fails(125, &["cannot be copied to a file"]);
        cp("/src/deep/file", &format!("{out}/none/")).fails(125, &["no such folder"]);
        cp("/src/deep/file/.", &out).fails(125, &["/src/deep/file"]);
        cp("/none", &out).fails(125, &["/none", "ENOENT"]);
        // relative to where the command is called
        cp("/src/deep/file", "here").ok();
        assert!(t.path("here").is_file());
        fs::remove_file(t.path("here")).expect("a file");
    }
    two.end();
}

fn links() {
    let two = Two::new();
    let t = &two.t;
    let file = two.file("file", "content");
    symlink("file", t.path("link")).expect("a link");
    symlink("src", t.path("folder-link")).expect("a link");
    two.file("src/in", "");
    for of in STATES {
        let cp = |words: &[&str]| t.rctr(["cp"].iter().chain(words)).ok().stdout.clone();
        cp(&[&two.path("link"), &format!("{of}:/tmp")]);
        cp(&["-L", &two.path("link"), &format!("{of}:/home")]);
        cp(&[&format!("{}/.", two.path("folder-link")), &format!("{of}:/tmp/through")]);
        assert_eq!((two.tree(of, "/tmp"), two.tree(of, "/home")), ("link through through/in".into(), "app link".into()));
        let out = two.path("out");
        let _ = fs::remove_dir_all(&out);
        cp(&[&format!("{of}:/tmp/link"), &out]);
        assert_eq!(fs::read_link(&out).expect("a link"), std::path::Path::new("file"));
        fs::remove_file(&out).expect("a link");
        // over a link, to where it leads
        cp(&[&file, &format!("{of}:/tmp/link")]);
        assert_eq!(two.tree(of, "/tmp"), "file link through through/in");
        cp(&["-L", &format!("{of}:/tmp/link"), &out]);
        assert_eq!(fs::read_to_string(&out).expect("a file"), "content");
        fs::remove_file(&out).expect("a file");
    }
    two.end();
}

fn owners_and_modes() {
    let two = Two::new();
    let t = &two.t;
    let file = two.file("src/file", "x");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o641)).expect("a mode");
    std::os::unix::fs::chown(&file, Some(1000), Some(1001)).expect("an owner");
    fs::hard_link(&file, t.path("src/same")).expect("a link");
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&file).and_then(|file| file.set_modified(time)).expect("a time");
    rustix::fs::mknodat(rustix::fs::CWD, t.path("src/pipe"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .expect("a pipe");
    t.rctr(["run", "-d", "--name", "user", "-u", "7:8", "busybox", "sleep", "1000"]).ok();
    for of in ["runs", "stopped", "user"] {
        t.rctr(["cp", &two.path("src"), &format!("{of}:/mnt")]).ok();
        let out = t.path(&format!("out-{of}"));
        t.rctr(["cp", &format!("{of}:/mnt"), &out.display().to_string()]).ok();
        let meta = fs::metadata(out.join("file")).expect("a file");
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.mtime(), meta.nlink()), (0o641, 0, 1_000_000_000, 2));
        assert!(
            fs::symlink_metadata(out.join("pipe")).is_ok_and(|meta| std::os::unix::fs::FileTypeExt::is_fifo(&meta.file_type()))
        );
        let kept = t.path(&format!("kept-{of}"));
        t.rctr(["cp", "-a", &format!("{of}:/mnt"), &kept.display().to_string()]).ok();
        let meta = fs::metadata(kept.join("file")).expect("a file");
        assert_eq!((meta.uid(), meta.gid()), (1000, 1001));
    }
    // as Docker does it: with -a everything belongs to the container's user
    t.rctr(["cp", "-a", &file, "user:/mine"]).ok();
    t.rctr(["exec", "user", "stat", "-c", "%u:%g %a", "/mine"]).ok().says("7:8 641\n");
    t.rctr(["rm", "-f", "user"]).ok();
    two.end();
}

fn archives() {
    let two = Two::new();
    let t = &two.t;
    two.file("src/deep/file", "content");
    let long = "long-name-".repeat(20);
    two.file(&format!("src/{long}"), "long");
    symlink("deep/../deep//file", t.path("src/link")).expect("a link");
    let tar = |words: &[&str]| std::process::Command::new("tar").args(words).output().expect("tar");
    let archive = two.path("in.tar");
    assert!(tar(&["-C", &two.path("src"), "-cf", &archive, "."]).status.success());
    for of in STATES {
        let run = |words: &[&str], input: Option<&str>| {
            let mut command = t.rctr_command(words);
            input.map(|path| command.stdin(fs::File::open(path).expect("a file")));
            command.output().expect("rctr")
        };
        let unpacked = run(&["cp", "-", &format!("{of}:/mnt")], Some(&archive));
        assert!(!unpacked.status.success(), "there is no /mnt");
        t.rctr(["cp", &two.path("src/deep"), &format!("{of}:/mnt")]).ok();
        let unpacked = run(&["cp", "-", &format!("{of}:/mnt")], Some(&archive));
        assert!(unpacked.status.success(), "{}", String::from_utf8_lossy(&unpacked.stderr));
        let packed = run(&["cp", &format!("{of}:/mnt"), "-"], None);
        assert!(packed.status.success());
        fs::write(t.path("out.tar"), packed.stdout).expect("a file");
        let listed = tar(&["-tvf", &two.path("out.tar")]);
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let (file, link) = (text.contains(" mnt/deep/file\n"), text.contains("mnt/link -> deep/../deep//file"));
        assert!(listed.status.success() && file && link && text.contains(&format!("mnt/{long}\n")), "{text}");
        let contents = run(&["cp", &format!("{of}:/mnt/."), "-"], None);
        fs::write(t.path("out.tar"), contents.stdout).expect("a file");
        let text = String::from_utf8_lossy(&tar(&["-tf", &two.path("out.tar")]).stdout).into_owned();
        assert!(text.lines().any(|line| line == "deep/file" || line == "./deep/file"), "{text}");
    }
    t.rctr_with("no archive at all, but long enough to be one".repeat(30).as_str(), ["cp", "-", "runs:/mnt"])
        .fails(125, &["archive"]);
    two.end();
}

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
