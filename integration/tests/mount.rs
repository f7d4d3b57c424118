//! `image mount` and `image unmount`.

use std::fs;

use integration::env::Env;

integration::tests![
    an_image_is_mounted_and_unmounted,
    at_a_folder_of_the_callers,
    a_mounted_image_is_not_removed,
    what_cannot_be_mounted,
    only_this_stores_images_are_listed,
];

const DRIVERS: [&str; 2] = ["tree", "erofs"];

fn an_image_is_mounted_and_unmounted() {
    for driver in DRIVERS {
        let t = Env::with_driver(driver);
        t.rctr(["pull", "-q", "test/tree"]).ok();
        let path = t.rctr(["image", "mount", "test/tree"]).ok().text().to_owned();
        assert!(path.starts_with(t.run().to_str().expect("a path")), "{path}");
        assert_eq!(fs::read_to_string(format!("{path}/t/changed")).expect("a file"), "upper");
        assert!(
            !fs::exists(format!("{path}/t/gone")).expect("a folder") && !fs::exists(format!("{path}/t/hidden")).expect("a folder")
        );
        assert_eq!(fs::write(format!("{path}/new"), "").unwrap_err().kind(), std::io::ErrorKind::ReadOnlyFilesystem);
        // Again: it is there.
        t.rctr(["image", "mount", "test/tree"]).ok().says(&format!("{path}\n"));
        let list = t.rctr(["image", "mount"]);
        let row: Vec<_> = list.ok().lines()[1].split_whitespace().map(str::to_owned).collect();
        let id = t.inspect("test/tree", "{{.Id}}");
        assert_eq!(row, ["test/tree:latest", &id[7..19], &path], "{list}");
        t.rctr(["image", "mount", "--format", "{{.Mountpoint}}"]).ok().says(&format!("{path}\n"));
        // A process has something open there.
        let open = fs::File::open(format!("{path}/t/changed")).expect("a file");
        t.rctr(["image", "unmount", "test/tree"]).fails(125, &["unmount image", "EBUSY"]);
        drop(open);
        t.rctr(["image", "unmount", "test/tree"]).ok().says(&format!("{id}\n"));
        t.rctr(["image", "mount", "--format", "json"]).ok().says("");
        t.rctr(["image", "unmount", "test/tree"]).fails(125, &["test/tree", "not mounted"]);
        assert!(!fs::exists(path).expect("a folder"));
        t.nothing_left();
    }
}

fn at_a_folder_of_the_callers() {
    let t = Env::new();
    for image in ["busybox", "test/probe"] {
        t.rctr(["pull", "-q", image]).ok();
    }
    let folder = t.path("a folder with \\ blanks");
    fs::create_dir(&folder).expect("a folder");
    let text = folder.display().to_string();
    t.rctr(["image", "mount", "busybox", &text]).ok().says(&format!("{text}\n"));
    assert!(folder.join("bin/busybox").is_file());
    t.rctr(["image", "mount", "test/probe", &text]).fails(125, &[&text, "mounted here already"]);
    // One layer alone, and another image: both are found by their ids.
    t.rctr(["image", "mount", "test/probe"]).ok();
    let ids = ["busybox", "test/probe"].map(|image| t.inspect(image, "{{.Id}}"));
    t.rctr(["image", "mount", "--no-trunc", "--format", "{{.ID}}"]).ok().says(&format!("{}\n{}\n", ids[0], ids[1]));
    t.rctr(["image", "umount", &text]).ok().says(&format!("{}\n", ids[0]));
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 0);
    t.rctr(["image", "mount", "busybox", &text]).ok();
    t.rctr(["image", "unmount", "--all"]).ok().has(&ids[0]).has(&ids[1]);
    assert!(folder.is_dir(), "it is the caller's");
    t.nothing_left();
}

fn a_mounted_image_is_not_removed() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let path = t.rctr(["image", "mount", "busybox"]).ok().text().to_owned();
    t.rctr(["rmi", "busybox"]).fails(125, &["busybox", "in use by a mount at", &path]);
    t.rctr(["image", "prune", "-af"]).ok();
    // By force the name goes, and the image stays.
    t.rctr(["rmi", "-f", "busybox"]).ok();
    assert!(fs::read_to_string(format!("{path}/etc/passwd")).expect("a file").contains("root"));
    t.rctr(["image", "prune", "-f"]).ok();
    assert!(fs::read_to_string(format!("{path}/etc/group")).expect("a file").contains("root"));
    t.rctr(["image", "unmount", &path]).ok();
    t.rctr(["image", "prune", "-f"]).ok();
    t.rctr(["images", "-q"]).ok().says("");
    t.nothing_left();
}

fn what_cannot_be_mounted() {
    let t = Env::new();
    t.rctr(["image", "mount", "test/nothing"]).fails(125, &["no such image: test/nothing"]);
    t.rctr(["pull", "-q", "busybox"]).ok();
    t.rctr(["image", "mount", "busybox", "/does/not/exist"]).fails(125, &["mount image", "/does/not/exist", "ENOENT"]);
    let file = t.path("file");
    fs::write(&file, "").expect("a file");
    t.rctr(["image", "mount", "busybox", &file.display().to_string()]).fails(125, &["mount image", "file", "not a folder"]);
    t.rctr(["image", "unmount"]).code(125).complains(&["IMAGE|DIR"]);
    t.rctr(["image", "unmount", "--all"]).ok().says("");
    t.nothing_left();
}

fn only_this_stores_images_are_listed() {
    let (one, other) = (Env::new(), Env::new());
    for t in [&one, &other] {
        t.rctr(["pull", "-q", "busybox"]).ok();
    }
    one.rctr(["image", "mount", "busybox"]).ok();
    other.rctr(["image", "mount", "--format", "json"]).ok().says("");
    other.rctr(["rmi", "busybox"]).ok();
    one.rctr(["image", "unmount", "-a"]).ok();
    one.nothing_left();
    other.nothing_left();
}
