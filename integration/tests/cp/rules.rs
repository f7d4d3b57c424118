//! Docker's rules, both directions, running or not.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::{STATES, Two, listing};

integration::tests![dockers_rules_into_a_container, dockers_rules_out_of_a_container, links, owners_and_modes, archives,];

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
