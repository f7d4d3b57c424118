//! Volumes: made, filled, shared, kept, removed; and what they do when something is in the way.

use integration::env::Env;
use integration::fake::Fake;
use integration::layer::{Compression, Entry, pack};
use integration::oci::{Format, Image};
use serde_json::json;

integration::tests![
    made_listed_and_removed,
    inspected_in_dockers_shape,
    names_and_options_are_checked,
    shared_and_kept,
    one_in_use_stays,
    a_containers_own,
    the_images_volumes,
    filled_from_the_image,
    filled_where_others_look_on,
    a_copy_that_was_cut_off_is_gone_on_with,
    what_an_image_may_not_do,
    mounted_from_somewhere_else,
    one_tmpfs_for_all,
    from_another_container,
    pruned,
    of_vanished_folders,
    on_a_full_disk,
    killed_at_any_moment,
];

/// An image with these entries above busybox, and this VOLUME.
fn image(fake: &Fake, name: &str, entries: &[Entry], volumes: serde_json::Value) -> String {
    let layers = vec![
        integration::catalog::busybox(Compression::Gzip).expect("busybox"),
        pack(entries, Compression::Gzip).expect("a layer"),
    ];
    fake.add(name, &Image::new(Format::Oci, layers, json!({"Cmd": ["sh"], "Volumes": volumes})).bundle())
}

fn sh<'a>(flags: &[&'a str], image: &'a str, script: &'a str) -> Vec<&'a str> {
    let words = ["run", "--rm", "--network", "none"].into_iter().chain(flags.iter().copied());
    words.chain([image, "sh", "-c", script]).collect()
}

fn made_listed_and_removed() {
    let t = Env::new();
    t.rctr(["volume", "create", "one"]).ok().says("one\n");
    t.rctr(["volume", "create", "--label", "tier=db", "--label", "bare", "two"]).ok().says("two\n");
    // what is there is answered
    t.rctr(["volume", "create", "one"]).ok().says("one\n");
    let made_up = t.rctr(["volume", "create"]);
    assert!(made_up.ok().text().len() == 64, "{made_up}");
    t.rctr(["volume", "rm", made_up.text()]).ok().says(&made_up.stdout);
    t.rctr(["volume", "ls"]).ok().says("DRIVER    VOLUME NAME\nlocal     one\nlocal     two\n");
    t.rctr(["volume", "ls", "-q", "-f", "label=tier=db"]).ok().says("two\n");
    t.rctr(["volume", "ls", "-q", "-f", "name=on"]).ok().says("one\n");
    t.rctr(["volume", "ls", "-qf", "dangling=false"]).ok().says("");
    t.rctr(["volume", "ls", "--format", "{{.Name}}/{{.Driver}}/{{.Labels}}"]).ok().says("one/local/\ntwo/local/bare=,tier=db\n");
    t.rctr(["volume", "rm", "one", "two"]).ok().says("one\ntwo\n");
    t.rctr(["volume", "rm", "one"]).fails(125, &["no such volume: one"]);
    t.rctr(["volume", "rm", "-f", "one"]).ok();
    t.rctr(["volume", "inspect", "one"]).code(125).complains(&["no such volume: one"]);
    assert!(std::fs::read_dir(t.root().join("volumes")).expect("a folder").next().is_none());
}

fn inspected_in_dockers_shape() {
    let t = Env::new();
    t.rctr(["volume", "create", "--label", "a=b", "--opt", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m", "one"]).ok();
    let shape = t.rctr(["volume", "inspect", "one"]).ok().json();
    let mut shape = shape[0].clone();
    assert!(shape["CreatedAt"].as_str().is_some_and(|time| time.starts_with("20") && time.ends_with('Z')), "{shape}");
    shape["CreatedAt"] = json!("");
    let expected = json!({
        "CreatedAt": "", "Driver": "local", "Labels": {"a": "b"}, "Mountpoint": t.root().join("volumes/one/_data"), "Name": "one",
        "Options": {"device": "tmpfs", "o": "size=1m", "type": "tmpfs"}, "Scope": "local",
    });
    assert_eq!(shape, expected);
    t.rctr(["volume", "create", "plain"]).ok();
    t.rctr(["inspect", "-f", "{{.Scope}}", "plain"]).ok().says("local\n");
    t.rctr(["inspect", "--type", "volume", "none"]).code(125).complains(&["no such volume: none"]);
    t.rctr(["volume", "inspect", "-f", "{{.Labels}} {{.Options}}", "plain"]).ok().says("<no value> <no value>\n");
    t.rctr(["volume", "inspect", "-f", "{{.Mountpoint}}", "plain"])
        .ok()
        .says(&format!("{}\n", t.root().join("volumes/plain/_data").display()));
}

fn names_and_options_are_checked() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let long = "x".repeat(5000);
    for bad in ["a", ".a", "-x", "a/b", "..", "a b", "\u{fc}x", &"x".repeat(256), &long] {
        t.rctr(["volume", "create", "--", bad]).fails(125, &["invalid volume name"]);
        t.rctr(["volume", "rm", "--", bad]).fails(125, &["no such volume"]);
        // two dots and a path are a folder of the host
        if !bad.starts_with('-') && bad != ".." {
            let bind = format!("{bad}:/data");
            t.rctr(["create", "-v", &bind, "busybox"]).code(125).complains(&["--volume", "invalid volume name"]);
        }
    }
    t.rctr(["volume", "create", &"x".repeat(255)]).ok();
    for (options, why) in [
        (&["type=nfs"][..], "device"),
        (&["device=/x"], "type"),
        (&["colour=red"], "type, device, o"),
        (&["size=1g"], "no limit"),
        (&["o"], "KEY=VALUE"),
    ] {
        let options = options.iter().flat_map(|option| ["--opt", option]);
        t.rctr(["volume", "create"].into_iter().chain(options).chain(["bad"])).fails(125, &[why]);
    }
    t.rctr(["volume", "create", "-d", "nfs", "bad"]).code(125).complains(&["nfs", "local"]);
    t.rctr(["volume", "create", "one"]).ok();
    t.rctr(["volume", "create", "-o", "type=tmpfs", "-o", "device=x", "one"]).fails(125, &["one", "other options"]);
    t.rctr(["volume", "ls", "-qf", "dangling=maybe"]).code(125).complains(&["maybe"]);
    t.nothing_left();
}

fn shared_and_kept() {
    let t = Env::new();
    t.rctr(sh(&["-v", "data:/data"], "busybox", "echo kept > /data/x; stat -c %a:%u /data")).ok().says("755:0\n");
    t.rctr(sh(&["-v", "data:/other:ro"], "busybox", "cat /other/x; echo > /other/y")).code(1).says("kept\n");
    t.rctr(["run", "-d", "--name", "app", "-v", "data:/data", "busybox", "sleep", "1000"]).ok();
    t.rctr(sh(&["-v", "data:/data"], "busybox", "echo two > /data/x")).ok();
    t.rctr(["exec", "app", "cat", "/data/x"]).ok().says("two\n");
    t.rctr(["rm", "-f", "-v", "app"]).ok();
    assert_eq!(std::fs::read_to_string(t.root().join("volumes/data/_data/x")).expect("kept"), "two\n");
    t.nothing_left();
    t.rctr(["volume", "rm", "data"]).ok();
}

fn one_in_use_stays() {
    let t = Env::new();
    t.rctr(["create", "--name", "first", "-v", "data:/data", "busybox"]).ok();
    t.rctr(["create", "--name", "second", "--mount", "src=data,dst=/d", "busybox"]).ok();
    let refused = t.rctr(["volume", "rm", "data"]);
    refused.fails(125, &["data is in use", "first", "second"]);
    t.rctr(["volume", "ls", "-qf", "dangling=true"]).ok().says("");
    t.rctr(["volume", "ls", "-qf", "dangling=0"]).ok().says("data\n");
    t.rctr(["rm", "first"]).ok();
    t.rctr(["volume", "rm", "data"]).fails(125, &["second"]).lacks("first");
    t.rctr(["rm", "second"]).ok();
    t.rctr(["volume", "rm", "data"]).ok();
    t.nothing_left();
}

fn volumes(t: &Env) -> Vec<String> {
    t.rctr(["volume", "ls", "-q"]).ok().lines().into_iter().map(str::to_owned).collect()
}

fn a_containers_own() {
    let t = Env::new();
    t.rctr(sh(&["-v", "/data"], "busybox", "touch /data/x")).ok();
    t.soon("the volume goes with its container", || volumes(&t).is_empty());
    // without --rm it stays, unless it is asked for
    t.rctr(["create", "--name", "app", "-v", "/data", "-v", "named:/named", "busybox"]).ok();
    let own: Vec<_> = volumes(&t).into_iter().filter(|name| name != "named").collect();
    assert!(own.len() == 1 && own[0].len() == 64, "{own:?}");
    t.rctr(["inspect", "-f", "{{(index .Mounts 0).Name}} {{(index .Mounts 0).Destination}}", "app"])
        .ok()
        .says(&format!("{} /data\n", own[0]));
    t.rctr(["volume", "inspect", "-f", "{{.Labels}}", &own[0]]).ok().says("map[com.docker.volume.anonymous:]\n");
    t.rctr(["rm", "app"]).ok();
    t.rctr(["volume", "ls", "-qf", "dangling=true"]).ok().has(&own[0]);
    t.rctr(["create", "--name", "app", "-v", "/data", "busybox"]).ok();
    t.rctr(["rm", "-v", "app"]).ok();
    assert_eq!(volumes(&t).len(), 2);
    // a start that fails leaves none
    t.rctr(["run", "--rm", "-v", "/data", "busybox", "/none"]).code(127);
    t.rctr(["create", "--name", "app", "busybox"]).ok();
    t.rctr(["create", "--name", "app", "-v", "/data", "busybox"]).fails(125, &["in use"]);
    assert_eq!(volumes(&t).len(), 2);
    t.rctr(["rm", "app"]).ok();
    t.nothing_left();
}

fn the_images_volumes() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let entries = [Entry::dir("data").mode(0o750).owner(1000, 1000), Entry::file("data/of-image", "x").owner(1000, 1000)];
    let name = image(&fake, "vol/image:v1", &entries, json!({"/data": {}, "/made/": {}}));
    t.rctr(sh(
        &[],
        &name,
        "stat -c '%n %a %u:%g' /data /data/of-image; ls /made; grep -c ' /data \\| /made ' /proc/self/mountinfo",
    ))
    .ok()
    .says("/data 750 1000:1000\n/data/of-image 644 1000:1000\n2\n");
    t.soon("volumes go with --rm", || volumes(&t).is_empty());
    // what is mounted there takes their place
    let bind = format!("{}:/data", t.path("home").display());
    t.rctr(sh(&["-v", &bind, "--tmpfs", "/made"], &name, "ls -A /data")).ok().says("");
    t.rctr(["create", "--name", "app", "-v", &bind, "-v", "named:/made", &name]).ok();
    assert_eq!(volumes(&t), ["named"]);
    t.rctr(["rm", "app"]).ok();
    t.rctr(["volume", "rm", "named"]).ok();
    t.nothing_left();
}

const LOOK: &str = "cd /data; find . | sort | while read f; do stat -c '%n %a %u:%g %F' \"$f\"; done; cat deep/file; readlink link";

fn filled_from_the_image() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let entries = [
        Entry::dir("data").mode(0o1770).owner(7, 8),
        Entry::dir("data/deep").mode(0o700).owner(1, 2),
        Entry::file("data/deep/file", "content\n").mode(0o4755).owner(3, 4),
        Entry::symlink("data/link", "/etc/passwd"),
        Entry::file("plain", "x"),
    ];
    let name = image(&fake, "vol/filled:v1", &entries, json!({}));
    let expected = "\
        . 1770 7:8 directory\n./deep 700 1:2 directory\n./deep/file 4755 3:4 regular file\n./link 777 0:0 symbolic link\n\
        content\n/etc/passwd\n";
    for driver in ["tree", "erofs"] {
        let mut t = Env::new();
        t.use_driver(driver);
        t.rctr(sh(&["-v", "data:/data"], &name, LOOK)).ok().says(expected);
        // when it is made, as with Docker, and not when it starts
        t.rctr(["create", "-v", "created:/data", &name]).ok();
        assert!(t.root().join("volumes/created/_data/deep/file").exists());
        // one that is there and empty
        t.rctr(["volume", "create", "empty"]).ok();
        t.rctr(sh(&["-v", "empty:/data"], &name, LOOK)).ok().says(expected);
        // one that is not
        t.rctr(sh(&["-v", "used:/other"], "busybox", "touch /other/x")).ok();
        t.rctr(sh(&["-v", "used:/data"], &name, "ls -A /data; stat -c %a /data")).ok().says("x\n755\n");
        t.rctr(sh(&["-v", "not:/data:nocopy"], &name, "ls -A /data; stat -c %a /data")).ok().says("755\n");
        t.rctr(sh(&["--mount", "src=not2,dst=/data,volume-nocopy"], &name, "ls -A /data")).ok().says("");
        t.remove_all();
    }
    t.rctr(["pull", "-q", &name]).ok();
    t.rctr(["create", "-v", "data:/plain", &name]).fails(125, &["/plain", "a volume is a folder"]);
    assert!(volumes(&t).is_empty());
    t.nothing_left();
}

/// A running container has the volume, still empty: it sees what the next one brings.
fn filled_where_others_look_on() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let name =
        image(&fake, "vol/late:v1", &[Entry::dir("data"), Entry::file("data/a", "a"), Entry::file("data/b", "b")], json!({}));
    t.rctr(["run", "-d", "--name", "first", "-v", "data:/data", "busybox", "sleep", "1000"]).ok();
    t.rctr(sh(&["-v", "data:/data"], &name, "ls /data")).ok().says("a\nb\n");
    t.rctr(["exec", "first", "ls", "/data"]).ok().says("a\nb\n");
    t.rctr(["rm", "-f", "first"]).ok();
    t.rctr(["volume", "rm", "data"]).ok();
    t.nothing_left();
}

/// What a killed copy has left: a half copy is made anew, a move that was begun is finished, and what is in the volume stays.
fn a_copy_that_was_cut_off_is_gone_on_with() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let name = image(&fake, "vol/cut:v1", &[Entry::dir("data"), Entry::file("data/a", "a"), Entry::file("data/b", "b")], json!({}));
    let folder = t.root().join("volumes/data");
    t.rctr(["volume", "create", "data"]).ok();
    std::fs::create_dir(folder.join(".copy")).expect("a folder");
    std::fs::write(folder.join(".copy/half"), "").expect("a file");
    t.rctr(sh(&["-v", "data:/data"], &name, "ls /data")).ok().says("a\nb\n");
    std::fs::rename(folder.join("_data"), folder.join("copied")).expect("renamed");
    std::fs::create_dir(folder.join("_data")).expect("a folder");
    std::fs::write(folder.join("_data/a"), "own").expect("a file");
    t.rctr(sh(&["-v", "data:/data"], &name, "cat /data/a; ls /data")).ok().says("owna\nb\n");
    assert!(!folder.join("copied").exists() && !folder.join(".copy").exists());
    t.nothing_left();
}

/// An image whose folder is a link to the host: the container's files are taken, never the host's.
fn what_an_image_may_not_do() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let victim = t.path("victim");
    std::fs::create_dir(&victim).expect("a folder");
    std::fs::write(victim.join("secret"), "secret").expect("a file");
    let path = victim.display().to_string();
    let entries = [Entry::symlink("data", &path), Entry::symlink("up", &format!("../../../../../../..{path}"))];
    let name = image(&fake, "vol/evil:v1", &entries, json!({"/data": {}}));
    for target in ["/data", "/up", "/data/deeper"] {
        let bind = format!("data:{target}");
        t.rctr(sh(&["-v", &bind], &name, "find / -name secret -not -path '/proc/*'; touch /data/x /up/x; true"))
            .code(0)
            .lacks("secret");
        assert_eq!(std::fs::read_dir(&victim).expect("a folder").count(), 1, "{target}");
        t.soon("removed", || t.rctr(["volume", "rm", "data"]).code == 0);
    }
    for bad in ["/", "/..", "/a/../../b"] {
        let name = image(&fake, "vol/root:v1", &[], json!({bad: {}}));
        t.rctr(["pull", "-q", &name]).ok();
        t.rctr(["create", &name]).fails(125, &["vol/root", "VOLUME", bad]);
    }
    t.nothing_left();
}

fn mounted_from_somewhere_else() {
    let t = Env::new();
    let folder = t.path("elsewhere");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("x"), "there").expect("a file");
    let device = format!("device={}", folder.display());
    t.rctr(["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", &device, "there"]).ok();
    t.rctr(sh(&["-v", "there:/data"], "busybox", "cat /data/x; touch /data/y")).ok().says("there");
    assert!(folder.join("y").exists());
    t.rctr(["volume", "create", "-o", "type=none", "-o", "o=bind,ro", "-o", &device, "fixed"]).ok();
    t.rctr(sh(&["-v", "fixed:/data"], "busybox", "touch /data/z")).code(1);
    let mount = format!("type=volume,dst=/data,volume-opt=type=none,volume-opt=o=bind,\"volume-opt={device}\"");
    t.rctr(sh(&["--mount", &mount], "busybox", "cat /data/x")).ok().says("there");
    // a removal takes the volume, and not what it was mounted from
    t.rctr(["volume", "rm", "there", "fixed"]).ok();
    assert!(folder.join("x").exists());
    // a folder of its own, for whom the options say, whatever the image has there
    t.rctr(["volume", "create", "-o", "o=uid=1234,gid=77", "owned"]).ok();
    t.rctr(["run", "--rm", "--network", "none", "-v", "owned:/bin", "busybox", "stat", "-c", "%u %g", "/bin"])
        .ok()
        .says("1234 77\n");
    let of = |name: &str| {
        let path = t.rctr(["volume", "inspect", "-f", "{{.Mountpoint}}", name]).ok().text().to_owned();
        let stat = std::fs::metadata(path).expect("a folder");
        (std::os::unix::fs::MetadataExt::uid(&stat), std::os::unix::fs::MetadataExt::gid(&stat))
    };
    t.rctr(["volume", "create", "--uid", "1234", "--gid", "78", "own"]).ok();
    assert_eq!(of("own"), (1234, 78));
    t.rctr(["volume", "create", "--uid", "5", "own"]).fails(125, &["own", "other options"]);
    t.rctr(["volume", "create", "--uid", "5", "--ignore", "own"]).ok().says("own\n");
    assert_eq!(of("own"), (1234, 78));
    t.rctr(["volume", "rm", "own"]).ok();
    t.rctr(["volume", "create", "-o", "o=uid=me", "wrong"]).fails(125, &["uid=me", "no number"]);
    t.rctr(["volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=/nowhere/at/all", "gone"]).ok();
    t.rctr(sh(&["-v", "gone:/data"], "busybox", "true")).fails(125, &["volume gone", "/nowhere/at/all"]);
    t.rctr(["volume", "create", "-o", "type=nosuchfs", "-o", "device=x", "odd"]).ok();
    t.rctr(sh(&["-v", "odd:/data"], "busybox", "true")).fails(125, &["volume odd", "nosuchfs"]);
    t.rctr(["volume", "rm", "odd", "gone", "owned"]).ok();
    t.nothing_left();
}

fn one_tmpfs_for_all() {
    let t = Env::new();
    t.rctr(["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,mode=700", "memory"]).ok();
    t.rctr(["run", "-d", "--name", "app", "-v", "memory:/data", "busybox", "sleep", "1000"]).ok();
    t.rctr(sh(&["-v", "memory:/data"], "busybox", "stat -f -c %T /data; stat -c %a /data; echo both > /data/x"))
        .ok()
        .says("tmpfs\n700\n");
    t.rctr(["exec", "app", "cat", "/data/x"]).ok().says("both\n");
    t.rctr(sh(&["-v", "memory:/data"], "busybox", "dd if=/dev/zero of=/data/big bs=1M count=2 2>&1")).code(1).has("No space left");
    t.rctr(["rm", "-f", "app"]).ok();
    t.rctr(["volume", "rm", "memory"]).ok();
    t.nothing_left();
}

fn from_another_container() {
    let t = Env::new();
    let bind = format!("{}:/host", t.path("home").display());
    t.rctr(["create", "--name", "from", "-v", "data:/data", "-v", "/own", "-v", &bind, "--tmpfs", "/memory", "busybox"]).ok();
    t.rctr(["run", "--rm", "--volumes-from", "from", "busybox", "sh", "-c", "touch /data/x /own/x /host/x; ls -d /memory"])
        .code(1)
        .complains(&["/memory"]);
    // --rm does not take what is another's
    t.rctr(sh(&["--volumes-from", "from:ro", "-v", "mine:/data"], "busybox", "ls /own /data; touch /own/y"))
        .code(1)
        .says("/data:\n\n/own:\nx\n");
    assert!(t.path("home/x").exists());
    t.rctr(["create", "--name", "to", "--volumes-from", "from", "busybox"]).ok();
    t.rctr(["inspect", "-f", "{{.HostConfig.VolumesFrom}}", "to"]).ok().says("[from]\n");
    t.rctr(["rm", "-v", "from"]).ok();
    assert_eq!(volumes(&t).len(), 3, "one still has it");
    t.rctr(["run", "--rm", "--volumes-from", "none", "busybox"]).fails(125, &["no such container: none"]);
    t.rctr(["run", "--volumes-from", "to:purple", "busybox"]).code(125).complains(&["purple", "CONTAINER[:ro|:rw]"]);
    t.rctr(["rm", "to"]).ok();
    t.nothing_left();
}

fn pruned() {
    let t = Env::new();
    t.rctr(["volume", "create", "--label", "keep", "kept"]).ok();
    t.rctr(["volume", "create", "named"]).ok();
    let own = t.rctr(["volume", "create"]).ok().text().to_owned();
    t.rctr(["create", "--name", "app", "-v", "/used", "busybox"]).ok();
    let used: Vec<_> = t.rctr(["volume", "ls", "-qf", "dangling=false"]).ok().lines().into_iter().map(str::to_owned).collect();
    std::fs::write(t.root().join("volumes/named/_data/x"), vec![b'x'; 5000]).expect("a file");
    t.rctr(["volume", "prune"]).fails(125, &["--force"]);
    t.rctr(["volume", "prune", "-f"]).ok().says(&format!("Deleted Volumes:\n{own}\n\nTotal reclaimed space: 0B\n"));
    t.rctr(["volume", "prune", "-fa", "--filter", "label!=keep"])
        .ok()
        .says("Deleted Volumes:\nnamed\n\nTotal reclaimed space: 5kB\n");
    assert_eq!(volumes(&t).len(), 2);
    t.rctr(["volume", "prune", "-f", "--filter", "all=1"]).ok().has("kept");
    assert_eq!(volumes(&t), used);
    t.rctr(["rm", "-v", "app"]).ok();
    t.nothing_left();
}

fn of_vanished_folders() {
    let t = Env::new();
    let folder = t.root().join("volumes/data");
    t.rctr(["create", "--name", "app", "-v", "data:/data", "busybox", "true"]).ok();
    std::fs::remove_dir_all(folder.join("_data")).expect("removed");
    t.rctr(["start", "app"]).code(125).complains(&["volume data", "_data"]);
    std::fs::write(folder.join("volume.json"), "{").expect("a file");
    t.rctr(["start", "app"]).code(125).complains(&["volume.json", "damaged"]);
    t.rctr(["volume", "ls", "-q"]).ok().says("data\n");
    std::fs::remove_dir_all(&folder).expect("removed");
    t.rctr(["start", "app"]).code(125).complains(&["no such volume: data"]);
    t.rctr(["inspect", "app"]).ok();
    t.rctr(["volume", "ls", "-q"]).ok().says("");
    t.rctr(["rm", "app"]).ok();
    // a record that nobody can read does not keep a volume
    t.rctr(["volume", "create", "data"]).ok();
    std::fs::write(folder.join("volume.json"), "").expect("a file");
    t.rctr(["volume", "rm", "data"]).ok();
    t.nothing_left();
}

/// A copy into a disk that is too small: an error, and no half volume.
fn on_a_full_disk() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let big = Entry::file("data/big", vec![b'x'; 3 << 20]);
    let name = image(&fake, "vol/big:v1", &[Entry::dir("data"), big], json!({}));
    t.rctr(["pull", "-q", &name]).ok();
    let folder = t.root().join("volumes");
    std::fs::create_dir_all(&folder).expect("a folder");
    let mount =
        std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&folder).status().expect("mount");
    assert!(mount.success());
    let made = t.rctr(["create", "-v", "data:/data", &name]);
    let own = t.rctr(["create", "-v", "/data", &name]);
    t.rctr(["volume", "create", "there"]).ok();
    let there = t.rctr(["create", "-v", "there:/data", &name]);
    let mut left = integration::leaks::files(&folder, &|path| {
        path == "there" || path == "there/users" || path == "there/_data" || path == "there/volume.json"
    });
    left.retain(|path| !path.starts_with(".gone-"));
    let gone = std::process::Command::new("umount").arg(&folder).status().expect("umount");
    for failed in [made, own, there] {
        failed.fails(125, &["volume", "ENOSPC"]);
    }
    assert!(gone.success() && left.is_empty(), "{left:?}");
    t.nothing_left();
}

/// SIGKILL at any moment of a run that makes and fills volumes: what is left can be removed, and no volume is half full.
fn killed_at_any_moment() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let files: Vec<Entry> = (0..200).map(|number| Entry::file(&format!("data/{number}"), "x")).collect();
    let entries: Vec<Entry> = [Entry::dir("data")].into_iter().chain(files).collect();
    let name = image(&fake, "vol/kill:v1", &entries, json!({"/own": {}}));
    t.rctr(["pull", "-q", &name]).ok();
    let words = ["run", "--rm", "--name", "app", "--network", "none", "-v", "data:/data", &name, "true"];
    let start = std::time::Instant::now();
    t.rctr(words).ok();
    let undisturbed = start.elapsed();
    t.rctr(["volume", "rm", "data"]).ok();
    for number in 0..20u32 {
        if number % 2 == 1 {
            t.rctr(["volume", "create", "data"]).ok();
        }
        let run = t.spawn(words);
        std::thread::sleep(undisturbed * number / 16);
        run.kill();
        t.soon("the container is gone", || {
            let _ = t.rctr(["rm", "-f", "app"]);
            t.remove_all();
            // what was being made is nobody's
            t.rctr(["volume", "prune", "-f"]).ok();
            t.left().is_empty()
        });
        t.rctr(sh(&["-v", "data:/data"], &name, "ls /data | wc -l")).ok().says("200\n");
        t.rctr(["volume", "prune", "-fa"]).ok();
        t.soon("no volume is left", || {
            t.rctr(["volume", "prune", "-fa"]).code == 0
                && std::fs::read_dir(t.root().join("volumes")).expect("a folder").next().is_none()
        });
    }
    t.nothing_left();
}
