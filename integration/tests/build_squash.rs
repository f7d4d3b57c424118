//! `rctr build --squash`, `--squash-all` and `--layers=false`: fewer layers that show the same.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use integration::env::Env;
use integration::output::Output;
use rustix::fs::{XattrFlags, lgetxattr, llistxattr, setxattr};
use serde_json::Value;

integration::tests![
    the_layers_of_a_build_become_one,
    all_layers_become_one,
    what_there_is_nothing_to_do_for,
    only_the_result_is_squashed,
    the_same_wherever_it_is_done,
    nothing_is_kept_of_steps,
    a_disk_that_is_full_by_then,
    flags_that_do_not_go_together,
];

/// Folder trees, and images that are mounted.
const DRIVERS: [&str; 2] = ["tree", "erofs"];

const SECRET: &str = "very-hidden-90125";

/// Steps that put on top of the base, and of each other, what layers can have.
const STEPS: &str = "FROM busybox\n\
    ENV A=b\n\
    RUN mkdir -p /d/sub /gone /home/x && echo one > /d/a && ln /d/a /d/b && ln /d/a /d/sub/c && chown 7:8 /d/a && chmod 4711 /d/a\n\
    RUN echo very-hidden-90125 > /secret && echo more > /gone/x && ln -s nowhere /link && mkfifo -m 600 /pipe && mknod /null c 1 3\n\
    COPY noted /noted\n\
    RUN rm /secret /link && rm -r /gone /home && mkdir /home && echo new > /home/new && rm /etc/group && mkdir /etc/group\n\
    RUN rm /d/b && echo other > /d/b && mv /d/sub /d/moved && touch -d '2001-02-03 04:05:06' /d/moved/c && chmod 1777 /d\n\
    RUN dd if=/dev/zero of=/sparse bs=1 count=1 seek=5000000 2>/dev/null && rm -r /etc/group && echo x > /etc/group && rm /noted\n\
    COPY noted /noted\n\
    CMD true\n";

#[track_caller]
fn build(t: &Env, dockerfile: &str, name: &str, more: &[&str]) -> Output {
    fs::create_dir_all(t.path("ctx")).expect("a folder");
    fs::write(t.path("ctx/Dockerfile"), dockerfile).expect("a Dockerfile");
    fs::write(t.path("ctx/noted"), "noted").expect("a file");
    setxattr(t.path("ctx/noted"), "user.note", b"kept", XattrFlags::empty()).expect("an attribute");
    let context = t.path("ctx").display().to_string();
    let args = ["build", "--network", "none", "--progress", "plain", "-t", name];
    t.rctr(args.into_iter().chain(more.iter().copied()).chain([context.as_str()]))
}

fn described(t: &Env, name: &str) -> Value {
    let text = t.rctr(["image", "inspect", name]);
    let all: Value = serde_json::from_str(text.ok().text()).expect("JSON");
    all[0].clone()
}

/// The digests of an image's layers, as archives.
fn layers(t: &Env, name: &str) -> Vec<String> {
    serde_json::from_value(described(t, name)["RootFS"]["Layers"].clone()).expect("layers")
}

/// What each step did, and whether it is said to have made a layer, oldest first.
fn history(t: &Env, name: &str) -> Vec<(String, bool)> {
    let archive = t.path("history.tar");
    t.rctr(["save", "-o", &archive.display().to_string(), name]).ok();
    let config = described(t, name)["Id"].as_str().expect("an id").replace("sha256:", "blobs/sha256/");
    let config: Value = serde_json::from_slice(&member(&archive, &config)).expect("JSON");
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let entries = config["history"].as_array().expect("a history").iter();
    entries.map(|entry| (text(entry, "created_by") + &text(entry, "comment"), entry["empty_layer"] != Value::Bool(true))).collect()
}

fn member(archive: &Path, name: &str) -> Vec<u8> {
    let mut archive = tar::Archive::new(fs::File::open(archive).expect("an archive"));
    let mut entries = archive.entries().expect("members").map(|entry| entry.expect("a member"));
    let mut found = entries.find(|entry| entry.path().is_ok_and(|path| path == Path::new(name))).expect(name);
    let mut bytes = Vec::new();
    found.read_to_end(&mut bytes).expect("bytes");
    bytes
}

/// All bytes of all layers of an image, unpacked.
fn bytes(t: &Env, name: &str) -> Vec<u8> {
    let archive = t.path("bytes.tar");
    t.rctr(["save", "-o", &archive.display().to_string(), name]).ok();
    let mut archive = tar::Archive::new(fs::File::open(archive).expect("an archive"));
    let mut all = Vec::new();
    for entry in archive.entries().expect("members") {
        let mut blob = Vec::new();
        entry.expect("a member").read_to_end(&mut blob).expect("bytes");
        match blob.starts_with(&[0x1f, 0x8b]) {
            true => drop(flate2::read::GzDecoder::new(&blob[..]).read_to_end(&mut all).expect("gzip")),
            // The history tells what was done.
            false if blob.starts_with(b"{") => {}
            false => all.extend(blob),
        }
    }
    all
}

fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

/// All that a container of the image sees: everything about each file but how many names it had in its layer.
fn tree(t: &Env, name: &str) -> Vec<String> {
    let root = t.rctr(["image", "mount", name]).ok().text().to_owned();
    let mut lines = Vec::new();
    let mut folders = vec![root.clone().into()];
    while let Some(folder) = folders.pop() {
        let read: std::path::PathBuf = folder;
        for entry in fs::read_dir(&read).expect("a folder") {
            let path = entry.expect("an entry").path();
            let stat = fs::symlink_metadata(&path).expect("a file");
            let kind = stat.file_type();
            let content = match kind {
                _ if kind.is_symlink() => format!("-> {}", fs::read_link(&path).expect("a link").display()),
                _ if kind.is_file() => {
                    let bytes = fs::read(&path).expect("bytes");
                    format!("{} bytes {}", bytes.len(), flate2_sum(&bytes))
                }
                _ if kind.is_char_device() || kind.is_block_device() => format!("device {}", stat.rdev()),
                _ => String::new(),
            };
            let (owner, mode) = ((stat.uid(), stat.gid()), stat.mode());
            let shown = path.strip_prefix(&root).expect("below").display();
            lines.push(format!("{shown} {mode:o} {owner:?} {} {content} {}", stat.mtime(), attributes(&path)));
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
    t.rctr(["image", "unmount", name]).ok();
    lines.sort();
    lines
}

/// A checksum by which contents are told apart.
fn flate2_sum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}

fn attributes(path: &Path) -> String {
    let mut names = [0; 4096];
    let length = llistxattr(path, &mut names[..]).unwrap_or_default();
    let names =
        names[..length].split(|byte| *byte == 0).filter(|name| name.starts_with(b"user.") || name.starts_with(b"security.cap"));
    let mut all = Vec::new();
    for name in names {
        let mut value = [0; 4096];
        let length = lgetxattr(path, name, &mut value[..]).expect("a value");
        all.push(format!("{}={:?}", String::from_utf8_lossy(name), &value[..length]));
    }
    all.sort();
    all.join(" ")
}

fn the_layers_of_a_build_become_one() {
    for driver in DRIVERS {
        let t = Env::with_driver(driver);
        build(&t, STEPS, "plain", &[]).ok();
        let squashed = build(&t, STEPS, "made", &["--squash"]);
        squashed.ok();
        assert!(squashed.stderr.contains("merging 7 layers"), "{squashed}");
        let (plain, made) = (tree(&t, "plain"), tree(&t, "made"));
        assert_eq!(plain, made, "{driver}");
        for line in ["d/a 104711 (7, 8)", "home/new ", "null 20644", "pipe 10600", "noted "] {
            assert!(made.iter().any(|own| own.starts_with(line)), "{line}: {made:#?}");
        }
        assert!(made.iter().any(|line| line.starts_with("noted ") && line.contains("user.note")), "{made:#?}");
        let links = t.rctr(["run", "--rm", "--network", "none", "made", "stat", "-c", "%h", "/d/a"]);
        assert_eq!(links.ok().text(), "1", "{driver}: it was moved away from its other name");
        let base = layers(&t, "busybox");
        let (all, one) = (layers(&t, "plain"), layers(&t, "made"));
        assert_eq!((&all[..base.len()], all.len()), (&base[..], base.len() + 7));
        assert_eq!((&one[..base.len()], one.len()), (&base[..], base.len() + 1));
        assert!(contains(&bytes(&t, "plain"), SECRET), "the search finds what is there");
        assert!(!contains(&bytes(&t, "made"), SECRET));
        let (before, after) = (history(&t, "plain"), history(&t, "made"));
        let known = history(&t, "busybox").len();
        assert_eq!(after[..known], before[..known], "the base's own");
        let steps = after[known..after.len() - 1].iter();
        assert!(steps.clone().all(|(_, layer)| !layer), "{after:?}");
        assert!(steps.map(|(by, _)| by).eq(before[known..].iter().map(|(by, _)| by)), "{after:?}");
        assert_eq!(after.last().expect("an entry"), &("merge of 7 layers".to_owned(), true));
        t.rctr(["run", "--rm", "--network", "none", "made", "sh", "-c", "cat /home/new; echo $A"]).ok().says("new\nb\n");
        // Steps stay known, and so does what came of them.
        let again = build(&t, STEPS, "again", &["--squash"]);
        assert_eq!(again.ok().stderr.matches(" CACHED").count(), 8, "{again}");
        assert_eq!(t.inspect("again", "{{.Id}}"), t.inspect("made", "{{.Id}}"));
        // The hidden bytes go with what builds remember.
        t.rctr(["rmi", "plain"]).ok();
        t.rctr(["builder", "prune", "-af"]).ok();
        assert_eq!(
            fs::read_dir(t.root().join("images/layers/sha256"))
                .expect("layers")
                .flatten()
                .filter(|entry| entry.path().is_dir())
                .count(),
            one.len()
        );
        assert_eq!(tree(&t, "made"), made);
        t.nothing_left();
    }
}

fn all_layers_become_one() {
    for driver in DRIVERS {
        let t = Env::with_driver(driver);
        for (from, steps) in [
            ("busybox", STEPS.trim_start_matches("FROM busybox\n")),
            ("test/tree", "LABEL a=b\n"),
            ("test/tree", "COPY noted /t/kept/file\n"),
        ] {
            let text = format!("FROM {from}\n{steps}");
            build(&t, &text, "plain", &[]).ok();
            build(&t, &text, "made", &["--squash-all"]).ok();
            assert_eq!(tree(&t, "plain"), tree(&t, "made"), "{driver}: {from}");
            assert_eq!(layers(&t, "made").len(), 1);
            let history = history(&t, "made");
            assert_eq!(history.iter().filter(|(_, layer)| *layer).count(), 1, "{history:?}");
            assert!(history.last().is_some_and(|(by, layer)| by.starts_with("merge of ") && *layer), "{history:?}");
            assert!(!contains(&bytes(&t, "made"), SECRET));
        }
        let time = t.rctr(["run", "--rm", "--network", "none", "test/tree", "/probe", "tree", "/t/kept"]);
        build(&t, "FROM test/tree\nLABEL a=b\n", "made", &["--squash-all"]).ok();
        t.rctr(["run", "--rm", "--network", "none", "made", "/probe", "tree", "/t/kept"]).ok().says(&time.ok().stdout);
        t.nothing_left();
    }
}

fn what_there_is_nothing_to_do_for() {
    let t = Env::new();
    for (text, count) in [("FROM busybox\nENV A=b\n", 0), ("FROM busybox\nRUN echo > /x\n", 1), ("FROM scratch\nCOPY noted /\n", 1)]
    {
        build(&t, text, "plain", &[]).ok();
        build(&t, text, "made", &["--squash"]).ok();
        assert_eq!(t.inspect("plain", "{{.Id}}"), t.inspect("made", "{{.Id}}"), "{text}");
        let base = if text.contains("busybox") { layers(&t, "busybox").len() } else { 0 };
        assert_eq!(layers(&t, "made").len(), base + count);
    }
    // Nothing of what was made is there at the end, and nothing of it hides anything.
    build(&t, "FROM busybox\nRUN echo > /x\nRUN rm /x\n", "made", &["--squash"]).ok();
    assert_eq!(layers(&t, "made"), layers(&t, "busybox"));
    t.rctr(["run", "--rm", "--network", "none", "made", "ls", "/x"]).code(1);
    build(&t, "FROM scratch\nCOPY noted /a/\nCOPY noted /b/\n", "made", &["--squash"]).ok();
    assert_eq!((layers(&t, "made").len(), tree(&t, "made").len()), (1, 4));
    // Whoever wants files gets them without a layer more.
    let out = t.path("out").display().to_string();
    let files = build(&t, "FROM scratch\nCOPY noted /a/\nCOPY noted /b/\n", "other", &["--squash", "-o", &out]);
    assert!(!files.ok().stderr.contains("merging"), "{files}");
    assert_eq!(fs::read_to_string(t.path("out/b/noted")).expect("a file"), "noted");
    t.nothing_left();
}

fn only_the_result_is_squashed() {
    let t = Env::new();
    let text = "FROM busybox AS tools\nRUN echo a > /a\nRUN echo b > /b\n\
        FROM tools AS more\nRUN echo c > /c\nRUN rm /a\n\
        FROM more\nCOPY --from=tools /a /from\n";
    build(&t, text, "plain", &[]).ok();
    let squashed = build(&t, text, "made", &["--squash"]);
    assert_eq!(squashed.ok().stderr.matches("merging").count(), 1, "{squashed}");
    assert_eq!(layers(&t, "made").len(), layers(&t, "busybox").len() + 1);
    assert_eq!(tree(&t, "plain"), tree(&t, "made"));
    // To an archive, and back.
    let oci = t.path("made.oci").display().to_string();
    build(&t, text, "made", &["--squash-all", "-o", &format!("type=oci,dest={oci}")]).ok();
    let id = t.inspect("made", "{{.Id}}");
    t.rctr(["rmi", "-f", "made"]).ok();
    t.rctr(["load", "-i", &oci]).ok();
    assert_eq!((t.inspect("made", "{{.Id}}"), layers(&t, "made").len()), (id, 1));
    assert_eq!(tree(&t, "plain"), tree(&t, "made"));
    t.nothing_left();
}

/// The very same image, however layers are kept, and whenever it is built.
fn the_same_wherever_it_is_done() {
    let text = "FROM busybox\nCOPY noted /a/b/\nRUN rm -r /home && mkdir /home && ln /a/b/noted /home/n\nRUN echo more > /a/more\n";
    let mut ids = Vec::new();
    for (driver, flag) in DRIVERS.iter().flat_map(|driver| ["--squash", "--squash-all"].map(|flag| (driver, flag))) {
        let t = Env::with_driver(driver);
        let epoch = ["--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--no-cache", flag];
        build(&t, text, "made", &epoch).ok();
        let id = t.inspect("made", "{{.Id}}");
        build(&t, text, "again", &epoch).ok();
        assert_eq!(t.inspect("again", "{{.Id}}"), id, "{driver} {flag}");
        let newest = tree(&t, "made")
            .iter()
            .filter(|line| line.starts_with("a/"))
            .map(|line| line.contains(" 1700000000 "))
            .collect::<Vec<_>>();
        assert_eq!(newest, [true; 3], "{driver} {flag}");
        ids.push(id);
        t.nothing_left();
    }
    assert_eq!(ids[..2], ids[2..]);
    assert_ne!(ids[0], ids[1]);
}

/// Layers in the store.
fn stored(t: &Env) -> usize {
    let layers = fs::read_dir(t.root().join("images/layers/sha256")).expect("layers");
    layers.flatten().filter(|entry| entry.path().is_dir()).count()
}

fn nothing_is_kept_of_steps() {
    for driver in DRIVERS {
        let t = Env::with_driver(driver);
        t.rctr(["pull", "-q", "busybox"]).ok();
        let base = stored(&t);
        build(&t, STEPS, "plain", &[]).ok();
        let (steps, plain) = (stored(&t), tree(&t, "plain"));
        // What is known is not used, and nothing more is known.
        let made = build(&t, STEPS, "made", &["--layers=false"]);
        assert!(!made.ok().stderr.contains("CACHED"), "{made}");
        assert_eq!((layers(&t, "made").len(), stored(&t)), (base + 1, steps + 1), "{driver}");
        t.rctr(["rmi", "plain"]).ok();
        t.rctr(["builder", "prune", "-af"]).ok();
        assert_eq!(stored(&t), base + 1);
        let paths =
            |tree: &[String]| tree.iter().map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect::<Vec<_>>();
        assert_eq!(paths(&tree(&t, "made")), paths(&plain), "{driver}");
        // One that fails leaves nothing at all.
        build(&t, "FROM busybox\nRUN echo 1 > /1\nRUN echo 2 > /2\nRUN false\n", "failed", &["--layers=false"]).code(1);
        assert_eq!(stored(&t), base + 1, "{driver}");
        assert_eq!(fs::read_dir(t.root().join("images/cache")).map_or(0, Iterator::count), 0);
        assert_eq!(fs::read_dir(t.root().join("images/making")).expect("a folder").count(), 0);
        t.nothing_left();
    }
}

/// The steps have room, and what they become has not.
fn a_disk_that_is_full_by_then() {
    for driver in DRIVERS {
        let t = Env::with_driver(driver);
        fs::create_dir(t.root()).expect("a folder");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=12m", "none"]).arg(t.root()).status().expect("mount");
        assert!(mount.success());
        fs::create_dir_all(t.path("ctx")).expect("a folder");
        let mut random = vec![0; 2 << 20];
        fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut random)).expect("bytes");
        fs::write(t.path("ctx/random"), random).expect("a file");
        let text = "FROM scratch\nCOPY random /a\nCOPY random /b\n";
        build(&t, text, "plain", &[]).ok();
        let (failed, stored, images) = (build(&t, text, "made", &["--squash"]), stored(&t), t.rctr(["images", "-q"]));
        let making = fs::read_dir(t.root().join("images/making")).expect("a folder").count();
        let umount = Command::new("umount").arg("-l").arg(t.root()).status().expect("umount");
        failed.code(1).complains(&["no space"]);
        assert!(umount.success() && images.ok().lines().len() == 1, "{driver}: {images}");
        assert_eq!((stored, making), (2, 0), "{driver}");
        t.nothing_left();
    }
}

fn flags_that_do_not_go_together() {
    let t = Env::new();
    for (flags, why) in [
        (&["--squash", "--squash-all"][..], "--squash-all"),
        (&["--layers=false", "--cache-from", "busybox"], "--layers=false"),
        (&["--squash", "--cache-to", "type=inline"], "type=inline"),
    ] {
        build(&t, "FROM busybox\n", "made", flags).code(125).complains(&[why]);
    }
    t.nothing_left();
}
