//! `--mount`, `--tmpfs`, `--shm-size`, `--read-only`, and the options of `-v`.

use std::process::Command;

use integration::env::Env;
use integration::fake::Fake;
use integration::layer::{Compression, Entry, pack};
use integration::oci::{Format, Image};
use serde_json::json;

integration::tests![
    a_missing_source_is_an_error,
    read_only_and_what_is_below,
    not_what_is_below,
    shared_with_the_host,
    tmpfs_in_both_forms,
    shared_memory,
    a_read_only_root,
    images_are_mounted,
    an_image_that_is_mounted_stays,
    a_part_of_a_volume,
    a_part_that_leads_out,
    for_the_containers_user,
    ids_are_mapped,
    shown_by_inspect,
    an_error_names_the_form,
];

fn sh<'a>(flags: &[&'a str], script: &'a str) -> Vec<&'a str> {
    let words = ["run", "--rm", "--network", "none"].into_iter().chain(flags.iter().copied());
    words.chain(["busybox", "sh", "-c", script]).collect()
}

fn folder(t: &Env, name: &str) -> String {
    let path = t.path(name);
    std::fs::create_dir_all(&path).expect("a folder");
    path.display().to_string()
}

/// A tmpfs of the host, gone at the end.
struct Mounted(String);

impl Mounted {
    fn at(path: &str, make: &[&str]) -> Self {
        std::fs::create_dir_all(path).expect("a folder");
        let mount = |words: &[&str]| assert!(Command::new("mount").args(words).status().is_ok_and(|status| status.success()));
        mount(&["-t", "tmpfs", "none", path]);
        make.iter().for_each(|flag| mount(&[flag, path]));
        Self(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-R", &self.0]).status();
    }
}

fn a_missing_source_is_an_error() {
    let t = Env::new();
    let missing = t.path("missing").display().to_string();
    let mount = format!("type=bind,source={missing},target=/data");
    t.rctr(["pull", "-q", "busybox"]).ok();
    t.rctr(sh(&["--mount", &mount], "true")).fails(125, &["/data", &missing]);
    assert!(!t.path("missing").exists());
    // Docker makes it for -v, and for this one when it is told to
    t.rctr(sh(&["--mount", &format!("{mount},bind-create-src")], "true")).ok();
    assert!(t.path("missing").is_dir());
    t.rctr(["create", "--name", "app", "--mount", &mount, "busybox", "true"]).ok();
    std::fs::remove_dir(t.path("missing")).expect("removed");
    t.rctr(["start", "app"]).code(125).complains(&["/data", &missing]);
    assert!(!t.path("missing").exists());
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}

fn read_only_and_what_is_below() {
    let t = Env::new();
    let path = folder(&t, "data");
    let below = Mounted::at(&format!("{path}/below"), &[]);
    let probe = "touch /data/x 2>/dev/null && echo top; touch /data/below/x 2>/dev/null && echo below; true";
    let seen =
        |mount: &str| t.rctr(sh(&["--mount", &format!("type=bind,src={path},dst=/data,{mount}")], probe)).ok().stdout.clone();
    assert_eq!(seen("ro=false"), "top\nbelow\n");
    assert_eq!(seen("readonly"), "");
    assert_eq!(seen("ro,bind-recursive=writable"), "below\n");
    assert_eq!(seen("ro,bind-recursive=readonly,bind-propagation=rprivate"), "");
    assert_eq!(seen("ro,bind-recursive=disabled"), "", "the folder under the mount is read-only");
    t.rctr(sh(&["-v", &format!("{path}:/data:rro,Z")], probe)).ok().says("");
    drop(below);
    t.nothing_left();
}

fn not_what_is_below() {
    let t = Env::new();
    let path = folder(&t, "data");
    let below = Mounted::at(&format!("{path}/below"), &[]);
    std::fs::write(format!("{path}/below/mounted"), "").expect("a file");
    let seen = |mount: &str| {
        t.rctr(sh(&["--mount", &format!("type=bind,src={path},dst=/data{mount}")], "ls /data/below")).ok().stdout.clone()
    };
    assert_eq!(
        (seen(""), seen(",bind-nonrecursive"), seen(",bind-recursive=disabled")),
        ("mounted\n".into(), String::new(), String::new())
    );
    drop(below);
    t.nothing_left();
}

/// A mount that the host makes later shows in a slave, one that the container makes shows on the host only where it is shared.
fn shared_with_the_host() {
    let t = Env::new();
    let path = folder(&t, "data");
    let private = format!("type=bind,src={path},dst=/data,bind-propagation=rslave");
    t.rctr(["pull", "-q", "busybox"]).ok();
    let refused = t.rctr(sh(&["--mount", &private], "true"));
    let shared = Mounted::at(&path, &["--make-shared"]);
    std::fs::create_dir(format!("{path}/late")).expect("a folder");
    std::fs::create_dir(format!("{path}/inner")).expect("a folder");
    for (option, name) in [("rslave", "slave"), ("rprivate", "private")] {
        let mount = format!("type=bind,src={path},dst=/data,bind-propagation={option}");
        t.rctr(["run", "-d", "--name", name, "--mount", &mount, "busybox", "sleep", "1000"]).ok();
    }
    let late = Mounted::at(&format!("{path}/late"), &[]);
    std::fs::write(format!("{path}/late/x"), "").expect("a file");
    t.rctr(["exec", "slave", "ls", "/data/late"]).ok().says("x\n");
    t.rctr(["exec", "private", "ls", "/data/late"]).ok().says("");
    drop(late);
    let bind = format!("{path}:/data:rshared");
    let mounts = "mount -t tmpfs none /data/inner && touch /data/inner/of-container && sleep 1000";
    t.rctr(["run", "-d", "--name", "shared", "--privileged", "-v", &bind, "busybox", "sh", "-c", mounts]).ok();
    t.soon("the host sees what the container has mounted", || std::path::Path::new(&format!("{path}/inner/of-container")).exists());
    t.rctr(["rm", "-f", "slave", "private", "shared"]).ok();
    let _ = Command::new("umount").arg(format!("{path}/inner")).status();
    drop(shared);
    // the folder of the test itself is on a shared mount on some hosts
    if refused.code != 0 {
        refused.fails(125, &["/data", "not shared", "--make-shared"]);
    }
    t.nothing_left();
}

fn tmpfs_in_both_forms() {
    let t = Env::new();
    let options = |flags: &[&str], at: &str| {
        let script = format!("grep ' {at} ' /proc/self/mounts; stat -c %a {at}");
        t.rctr(sh(flags, &script)).ok().stdout.clone()
    };
    let usual = options(&["--tmpfs", "/run/x"], "/run/x");
    assert!(usual.contains("tmpfs /run/x tmpfs rw,nosuid,nodev,noexec,relatime") && usual.ends_with("\n1777\n"), "{usual}");
    let own = options(&["--tmpfs", "/run/x:exec,size=64k,mode=750,uid=7"], "/run/x");
    assert!(own.contains("rw,nosuid,nodev,relatime,size=64k,mode=750,uid=7") && own.ends_with("\n750\n"), "{own}");
    let long = options(&["--mount", "type=tmpfs,dst=/run/x,tmpfs-size=1m,tmpfs-mode=700,readonly"], "/run/x");
    assert!(long.contains("ro,nosuid,nodev,noexec,relatime,size=1024k,mode=700"), "{long}");
    t.rctr(sh(&["--tmpfs", "/run/x:size=64k"], "dd if=/dev/zero of=/run/x/big bs=1k count=100 2>&1")).code(1).has("No space left");
    t.nothing_left();
}

fn shared_memory() {
    let t = Env::new();
    t.rctr(sh(&[], "df -k /dev/shm | tail -1 | awk '{print $2}'")).ok().says("65536\n");
    t.rctr(sh(&["--shm-size", "1m"], "df -k /dev/shm | tail -1 | awk '{print $2}'")).ok().says("1024\n");
    t.rctr(["run", "--shm-size", "x", "busybox"]).code(125).complains(&["--shm-size", "no size"]);
    t.nothing_left();
}

/// As with Docker: the root and what belongs to it cannot be written, volumes and memory can.
fn a_read_only_root() {
    let t = Env::new();
    let script = "for f in /x /etc/hosts /etc/resolv.conf /etc/hostname /tmp/x /dev/x /dev/shm/x /data/x; do \
                  (echo > $f) 2>/dev/null && echo $f; done; true";
    t.rctr(sh(&["--read-only", "--tmpfs", "/tmp", "-v", "/data"], script)).ok().says("/tmp/x\n/dev/x\n/dev/shm/x\n/data/x\n");
    // a place to mount on is made all the same
    t.rctr(sh(&["--read-only", "-v", "/not/there"], "touch /not/there/x && ls /not/there")).ok().says("x\n");
    t.nothing_left();
}

fn image_with(fake: &Fake, name: &str, layers: &[&[Entry]]) -> String {
    let layers = layers.iter().map(|entries| pack(entries, Compression::Gzip).expect("a layer")).collect();
    fake.add(name, &Image::new(Format::Oci, layers, json!({"Cmd": ["/none"]})).bundle())
}

fn images_are_mounted() {
    let fake = Fake::start().expect("a registry");
    let lower: &[Entry] = &[Entry::dir("files").mode(0o711), Entry::file("files/a", "lower"), Entry::file("gone", "x")];
    let upper: &[Entry] = &[Entry::whiteout("gone"), Entry::file("files/b", "upper"), Entry::symlink("files/link", "/files/a")];
    let (one, two) = (image_with(&fake, "mnt/one:v1", &[lower]), image_with(&fake, "mnt/two:v1", &[lower, upper]));
    for driver in ["tree", "erofs"] {
        let mut t = Env::new();
        t.use_driver(driver);
        // pulled when it is missing
        t.rctr(sh(&["--mount", &format!("type=image,src={two},dst=/img")], "find /img | sort; cat /img/files/a; touch /img/x"))
            .code(1)
            .says("/img\n/img/files\n/img/files/a\n/img/files/b\n/img/files/link\nlower");
        t.rctr(sh(&["--mount", &format!("type=image,src={one},dst=/img")], "ls /img; stat -c %a /img/files"))
            .ok()
            .says("files\ngone\n711\n");
        let part = |path: &str| format!("type=image,src={two},dst=/img,image-subpath={path}");
        t.rctr(sh(&["--mount", &part("files")], "ls /img")).ok().says("a\nb\nlink\n");
        t.rctr(sh(&["--mount", &part("files/link")], "cat /img")).ok().says("lower");
        t.rctr(sh(&["--mount", &part("gone")], "true")).code(125).complains(&["gone", &two]);
        t.nothing_left();
    }
    let t = Env::new();
    t.rctr(sh(&["--mount", "type=image,src=no/such,dst=/img"], "true")).code(125).complains(&["no/such"]);
    t.nothing_left();
}

fn an_image_that_is_mounted_stays() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let name = image_with(&fake, "mnt/used:v1", &[&[Entry::file("x", "x")]]);
    t.rctr(["create", "--name", "app", "--mount", &format!("type=image,src={name},dst=/img"), "busybox", "cat", "/img/x"]).ok();
    t.rctr(["rmi", &name]).code(125).complains(&["in use"]);
    t.rctr(["start", "-a", "app"]).ok().says("x");
    t.rctr(["rm", "app"]).ok();
    t.rctr(["rmi", &name]).ok();
    t.nothing_left();
}

fn a_part_of_a_volume() {
    let t = Env::new();
    t.rctr(sh(&["-v", "data:/data"], "mkdir -p /data/a/b; echo deep > /data/a/b/f")).ok();
    t.rctr(sh(&["--mount", "src=data,dst=/d,volume-subpath=a/b"], "cat /d/f; touch /d/g")).ok().says("deep\n");
    t.rctr(sh(&["--mount", "src=data,dst=/d/f,subpath=a/b/f,ro"], "cat /d/f; echo > /d/f")).code(1).says("deep\n");
    assert!(t.root().join("volumes/data/_data/a/b/g").exists());
    t.rctr(sh(&["--mount", "src=data,dst=/d,volume-subpath=none"], "true")).fails(125, &["none", "volume data"]);
    t.nothing_left();
}

/// A volume that a container has filled with links to the host.
fn a_part_that_leads_out() {
    let t = Env::new();
    let victim = folder(&t, "victim");
    std::fs::write(format!("{victim}/secret"), "secret").expect("a file");
    let script = format!(
        "ln -s {victim} /data/absolute; ln -s ../../../../../../../../..{victim} /data/relative; ln -s /proc/self/root /data/magic"
    );
    t.rctr(sh(&["-v", "data:/data"], &script)).ok();
    for path in ["absolute", "relative", "absolute/secret", "magic", &format!("magic{victim}")] {
        let mount = format!("src=data,dst=/d,volume-subpath={path}");
        t.rctr(sh(&["--mount", &mount], "cat /d /d/secret; touch /d/x")).code(125).lacks("secret");
        assert_eq!(std::fs::read_dir(&victim).expect("a folder").count(), 1, "{path}");
    }
    t.nothing_left();
}

/// `U`: everything below is given to the container's user, and a link to the host's files is not followed.
fn for_the_containers_user() {
    use std::os::unix::fs::MetadataExt;
    let t = Env::new();
    let (path, victim) = (folder(&t, "data"), folder(&t, "victim"));
    std::fs::create_dir(format!("{path}/deep")).expect("a folder");
    std::fs::write(format!("{path}/deep/file"), "").expect("a file");
    std::os::unix::fs::symlink(&victim, format!("{path}/link")).expect("a link");
    t.rctr(sh(&["-u", "app", "-v", &format!("{path}:/data:U")], "touch /data/deep/own; stat -c %u:%g /data/deep/file"))
        .ok()
        .says("1000:1000\n");
    let owner = |path: &str| std::fs::symlink_metadata(path).map(|meta| (meta.uid(), meta.gid())).expect("a file");
    assert_eq!((owner(&victim), owner(&format!("{path}/link"))), ((0, 0), (1000, 1000)));
    t.rctr(sh(&["-u", "7:8", "-v", "data:/data:U"], "touch /data/x; stat -c %u:%g /data")).ok().says("7:8\n");
    t.rctr(sh(&["-u", "7:8", "--mount", "src=data,dst=/data,chown=false"], "stat -c %u:%g /data/x")).ok().says("7:8\n");
    t.rctr(sh(&["-v", "/usr:/data:U"], "true")).fails(125, &["/usr", "option U"]);
    t.nothing_left();
}

/// The host's 1000 is the container's root, without a change on the disk.
fn ids_are_mapped() {
    use std::os::unix::fs::MetadataExt;
    let t = Env::new();
    let path = folder(&t, "data");
    std::os::unix::fs::chown(&path, Some(1000), Some(1000)).expect("an owner");
    let bind = format!("{path}:/data:idmap=uids=1000-0-1;gids=1000-0-1");
    let mapped = t.rctr(sh(&["-v", &bind], "stat -c %u:%g /data; touch /data/x"));
    if mapped.stderr.contains("EINVAL") {
        integration::skip!("the file system of {path} has no id-mapped mounts");
    }
    mapped.ok().says("0:0\n");
    let made = std::fs::metadata(format!("{path}/x")).expect("a file");
    assert_eq!((made.uid(), made.gid()), (1000, 1000));
    t.rctr(sh(&["--mount", "src=data,dst=/data,idmap=uids=1000-0-1;gids=1000-0-1"], "touch /data/x 2>&1 || stat -c %u /data")).ok();
    t.rctr(sh(&["-v", &format!("{path}:/data:idmap=nonsense")], "true")).code(125).complains(&["idmap", "nonsense"]);
    t.nothing_left();
}

fn shown_by_inspect() {
    let t = Env::new();
    let path = folder(&t, "data");
    t.rctr([
        "create",
        "--name",
        "app",
        "-v",
        &format!("{path}:/bind:ro"),
        "-v",
        "named:/named",
        "--tmpfs",
        "/run:size=1m",
        "--mount",
        "type=tmpfs,dst=/memory",
        "--shm-size",
        "1m",
        "busybox",
    ])
    .ok();
    let shape = t.rctr(["inspect", "app"]).ok().json();
    let one = |at: usize| shape[0]["Mounts"][at].clone();
    assert_eq!(
        one(0),
        json!({"Type": "bind", "Source": path, "Destination": "/bind", "Mode": "ro", "RW": false, "Propagation": "rprivate"})
    );
    let data = t.root().join("volumes/named/_data");
    assert_eq!(
        one(1),
        json!({
            "Type": "volume", "Source": data, "Destination": "/named", "Mode": "z", "RW": true, "Propagation": "", "Name": "named",
            "Driver": "local",
        })
    );
    assert_eq!((one(2)["Type"].as_str(), one(2)["Destination"].as_str(), one(3).is_null()), (Some("tmpfs"), Some("/memory"), true));
    let host = &shape[0]["HostConfig"];
    assert_eq!(host["Binds"], json!([format!("{path}:/bind:ro"), "named:/named"]));
    assert_eq!((&host["Tmpfs"], &host["ShmSize"]), (&json!({"/run": "size=1m"}), &json!(1 << 20)));
    t.rctr(["ps", "-a", "--format", "{{.Mounts}}"]).ok().says(&format!("{path},named\n"));
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}

fn an_error_names_the_form() {
    let t = Env::new();
    for (flag, value, parts) in [
        ("--mount", "type=bind,src=/a", &["--mount", "target is missing", "type=bind|volume|tmpfs|image"][..]),
        ("--mount", "type=socket,dst=/b", &["socket", "type=bind|volume|tmpfs|image"]),
        ("--mount", "type=bind,src=/a,dst=/b,color=red", &["color"]),
        ("--tmpfs", "/run:color=red", &["--tmpfs", "color", "/CONTAINER/PATH[:OPTION,...]"]),
        ("-v", "/a:/b:color", &["--volume", "color", "/CONTAINER/PATH[:OPTION,...]"]),
        ("-v", "/a", &["busybox"]),
    ] {
        let refused = t.rctr(["create", "--pull", "never", flag, value, "busybox"]);
        refused.code(125).complains(parts).says("");
    }
    t.nothing_left();
}
