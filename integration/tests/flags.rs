//! Flags that Docker has not, or only newer versions of it, and small verbs that Podman has.

use std::path::Path;

use integration::env::Env;
use integration::fake::Fake;
use integration::layer::{Compression, Entry, pack};
use integration::oci::{Document, Format, Image};
use serde_json::json;

integration::tests![
    a_mask_and_a_time_zone,
    a_folder_instead_of_an_image,
    swappiness_where_there_is_such_a_thing,
    logs_of_several,
    variables_that_change,
    mounts_that_change,
    what_an_image_undoes,
    volumes_as_archives,
    lists_that_are_changed,
    searched,
    all_tags,
    files_and_options_that_make_no_sense,
];

fn a_mask_and_a_time_zone() {
    let t = Env::new();
    let id = t.start(["--network", "none", "--umask", "0027", "busybox", "sleep", "1000"]);
    t.rctr(["exec", &id, "sh", "-c", "umask; touch /tmp/f; stat -c %a /tmp/f"]).ok().says("0027\n640\n");
    assert_eq!(t.inspect(&id, "{{.Config.Umask}}"), "0027");
    t.rctr(["rm", "-f", &id]).ok();
    t.rctr(["create", "--umask", "8", "busybox"]).code(125).complains(&["--umask", "octal"]);
    t.rctr(["create", "--tz", "../passwd", "busybox"]).code(125).complains(&["--tz", "../passwd"]);
    t.rctr(["create", "--tz", "Nowhere/Atall", "busybox"]).code(125).complains(&["--tz", "Nowhere/Atall"]);
    t.nothing_left();
    if !Path::new("/usr/share/zoneinfo/Asia/Tokyo").exists() {
        integration::skip!("no time zones here (package tzdata)");
    }
    // The end of such a file is what a C library reads for times after those it lists (tzfile(5)).
    let zone = ["run", "--rm", "--network", "none", "--tz", "Asia/Tokyo", "busybox", "tail", "-n", "1", "/etc/localtime"];
    t.rctr(zone).ok().says("JST-9\n");
    t.rctr(["run", "--rm", "--network", "none", "--tz", "Asia/Tokyo", "busybox", "sh", "-c", "echo x > /etc/localtime"]).code(1);
    t.nothing_left();
}

fn a_folder_instead_of_an_image() {
    let t = Env::new();
    let of = t.rctr(["create", "--network", "none", "busybox"]);
    t.rctr(["cp", "-q", "-a", &format!("{}:/.", of.ok().text()), &t.path("files").display().to_string()]).ok();
    t.rctr(["rm", of.text()]).ok();
    let folder = t.path("files").display().to_string();
    let apart = format!("{folder}:O");
    t.rctr(["run", "--rm", "--network", "none", "--rootfs", &apart, "sh", "-c", "echo > /new; id -u"]).ok().says("0\n");
    assert!(!t.path("files/new").exists(), "it was written to");
    let user = ["run", "--rm", "--network", "none", "-u", "1000", "--rootfs", &apart, "/bin/busybox", "ls", "/bin/busybox"];
    t.rctr(user).ok().says("/bin/busybox\n");
    t.rctr(["run", "--name", "own", "--network", "none", "--rootfs", &folder, "sh", "-c", "echo kept > /new"]).ok();
    assert_eq!(std::fs::read_to_string(t.path("files/new")).expect("what it wrote"), "kept\n");
    assert_eq!(t.inspect("own", "{{.Rootfs}} {{.Image}}"), folder);
    t.rctr(["cp", "-q", "own:/new", &t.path("copy").display().to_string()]).ok();
    t.rctr(["diff", "own"]).fails(125, &["own", &folder]);
    t.rctr(["commit", "own"]).fails(125, &["own", &folder, "export"]);
    t.rctr(["start", "-a", "own"]).ok();
    t.rctr(["rm", "-f", "own"]).ok();
    assert!(t.path("files/bin").is_dir(), "the folder went with its container");
    t.rctr(["create", "--name", "over", "--network", "none", "--rootfs", &apart, "sh", "-c", "echo > /more"]).ok();
    t.rctr(["start", "-a", "over"]).ok();
    t.rctr(["diff", "over"]).ok().says("A /more\n");
    t.rctr(["rm", "over"]).ok();
    t.rctr(["create", "--rootfs", "/nonsuch", "sh"]).fails(125, &["--rootfs", "/nonsuch"]);
    t.rctr(["create", "--rootfs", "/etc/passwd", "sh"]).fails(125, &["/etc/passwd", "no folder"]);
    t.nothing_left();
}

fn swappiness_where_there_is_such_a_thing() {
    let t = Env::new();
    let file = "/sys/fs/cgroup/memory/memory.swappiness";
    let run = t.rctr(["run", "--rm", "--network", "none", "--memory-swappiness", "7", "busybox", "cat", file]);
    match Path::new(file).exists() {
        true => drop(run.ok().says("7\n")),
        false => drop(run.complains(&["--memory-swappiness", "cgroup v2"])),
    }
    t.rctr(["create", "--memory-swappiness", "101", "busybox"]).code(125).complains(&["--memory-swappiness", "101"]);
    t.rctr(["create", "--storage-opt", "colour=red", "busybox"]).code(125).complains(&["--storage-opt", "size=BYTES"]);
    t.nothing_left();
}

fn logs_of_several() {
    let t = Env::new();
    let script = |words: [&str; 2]| format!("echo {}; while ! test -e /go/{}; do sleep 0.05; done", words[0], words[1]);
    std::fs::create_dir(t.path("go")).expect("a folder");
    let mount = format!("{}:/go", t.path("go").display());
    for (name, words) in [("ann", ["first", "a"]), ("bob", ["second", "b"])] {
        t.start([
            "--network",
            "none",
            "-v",
            &mount,
            "--name",
            name,
            "busybox",
            "sh",
            "-c",
            &format!("{}; echo last of {name}", script(words)),
        ]);
        t.wait_for_log(name, words[0]);
    }
    let mut follow = t.spawn(["logs", "-f", "--names", "bob", "ann"]);
    follow.wait_for("bob second");
    for file in ["a", "b"] {
        std::fs::write(t.path("go").join(file), "").expect("a file");
        t.rctr(["wait", if file == "a" { "ann" } else { "bob" }]).ok();
    }
    let followed = follow.finish();
    let mut lines = followed.ok().lines();
    lines.sort_unstable();
    assert_eq!(lines, ["ann first", "ann last of ann", "bob last of bob", "bob second"], "{followed}");
    // whatever order they are named in
    t.rctr(["logs", "--names", "bob", "ann"]).ok().says("ann first\nbob second\nann last of ann\nbob last of bob\n");
    let ids = ["ann", "bob"].map(|name| t.inspect(name, "{{.Id}}")[..12].to_owned());
    t.rctr(["logs", "--tail", "1", "ann", "bob"]).ok().says(&format!("{} last of ann\n{} last of bob\n", ids[0], ids[1]));
    t.rctr(["logs", "--color", "--names", "--tail", "1", "ann", "bob"]).ok().has("\x1b[31mann last of ann\x1b[0m\n");
    t.rctr(["logs", "--names", "ann"]).ok().says("first\nlast of ann\n");
    t.rctr(["logs", "ann", "nobody"]).fails(125, &["nobody"]);
    t.rctr(["rm", "ann", "bob"]).ok();
    t.nothing_left();
}

fn variables_that_change() {
    let t = Env::new();
    let id = t.start(["--network", "none", "-e", "A=1", "-e", "GOES=x", "busybox", "sh", "-c", "env; sleep 1000"]);
    t.rctr(["update", "--env", "A=2", "--env", "NEW=3", "--unsetenv", "GOES", &id])
        .ok()
        .says(&format!("{id}\n"))
        .complains(&["next start"]);
    let env = t.inspect(&id, "{{json .Config.Env}}");
    assert!(env.contains("\"A=2\"") && env.contains("\"NEW=3\"") && !env.contains("GOES"), "{env}");
    t.rctr(["restart", "-t", "0", &id]).ok();
    t.rctr(["exec", &id, "sh", "-c", "echo $A$NEW$GOES"]).ok().says("23\n");
    t.rctr(["update", "--unsetenv", "A=2", &id]).code(125).complains(&["--unsetenv", "A=2"]);
    t.rctr(["update", &id]).fails(125, &["--env"]);
    t.rctr(["rm", "-f", &id]).ok();
    t.nothing_left();
}

fn volumes_as_archives() {
    let t = Env::new();
    t.rctr(["volume", "create", "from"]).ok();
    let run = |volume: &str, script: &str| {
        t.rctr(["run", "--rm", "--network", "none", "-v", &format!("{volume}:/v"), "busybox", "sh", "-c", script])
    };
    run("from", "mkdir /v/d; echo text > /v/d/f; chown 5:6 /v/d/f; chmod 4750 /v/d/f; ln -s d/f /v/l").ok();
    let archive = t.path("archive.tar").display().to_string();
    t.rctr(["volume", "export", "-o", &archive, "from"]).ok().says("");
    t.rctr(["volume", "create", "to"]).ok();
    run("to", "echo before > /v/there").ok();
    t.rctr(["volume", "import", "to", &archive]).ok().says("");
    run("to", "cat /v/l /v/there; stat -c '%u:%g %a' /v/d/f").ok().says("text\nbefore\n5:6 4750\n");
    // What leads out of the volume leads nowhere: the link is the host's /etc only on the host.
    let out = pack(&[Entry::symlink("x", "/etc"), Entry::file("x/planted", "")], Compression::Gzip).expect("a layer");
    std::fs::write(t.path("out.tar.gz"), out.data.read().expect("its bytes")).expect("a file");
    t.rctr(["volume", "import", "to", &t.path("out.tar.gz").display().to_string()]).fails(125, &["x/planted"]);
    assert!(!Path::new("/etc/planted").exists(), "it got out of the volume");
    t.rctr(["volume", "import", "to", &t.path("nonsuch").display().to_string()]).fails(125, &["nonsuch"]);
    t.rctr(["volume", "import", "nobody", &archive]).fails(125, &["nobody"]);
    t.rctr(["volume", "export", "-o", &t.path("half").display().to_string(), "nobody"]).fails(125, &["nobody"]);
    assert!(!t.path("half").exists(), "half a file is left");
    t.rctr_with("no archive at all", ["volume", "import", "to", "-"]).fails(125, &["archive"]);
    // of a file system in memory
    t.rctr(["volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "fast"]).ok();
    t.rctr(["volume", "import", "fast", &archive]).ok();
    run("fast", "cat /v/l").ok().says("text\n");
    t.rctr(["volume", "rm", "from", "to", "fast"]).ok();
    t.nothing_left();
}

/// An image with one small file.
fn image(text: &str) -> Image {
    Image::new(Format::Oci, vec![pack(&[Entry::file("f", text)], Compression::Gzip).expect("a layer")], json!({}))
}

fn lists_that_are_changed() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let (one, two) = (fake.add("list/one:v1", &image("1").bundle()), fake.add("list/two:v1", &image("2").bundle()));
    t.rctr(["manifest", "add", "both:v1", &one]).fails(125, &["both:v1"]);
    t.rctr(["manifest", "create", "both:v1", &one]).ok();
    t.rctr(["manifest", "add", "--arch", "arm64", "--variant", "v9", "both:v1", &two]).ok();
    let shown = t.rctr(["manifest", "inspect", "both:v1"]);
    let list = shown.ok().json();
    let platform = |at: usize| list["manifests"][at]["platform"]["architecture"].as_str().map(str::to_owned);
    assert_eq!(
        (platform(0).as_deref(), platform(1).as_deref()),
        (Some(integration::oci::architecture()), Some("arm64")),
        "{shown}"
    );
    let digest = list["manifests"][0]["digest"].as_str().expect("a digest");
    t.rctr(["manifest", "remove", "both:v1", digest]).ok();
    t.rctr(["manifest", "remove", "both:v1", &one]).fails(125, &["both:v1", &one]);
    assert_eq!(t.rctr(["manifest", "inspect", "both:v1"]).json()["manifests"].as_array().map(Vec::len), Some(1));
    t.rctr(["manifest", "rm", "both:v1"]).ok();
    t.nothing_left();
}

fn searched() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    let results = json!({"results": [
        {"name": "some/thing", "description": "A thing\nthat does a great many things for a great many people", "star_count": 3},
        {"name": "thing", "description": "The thing", "star_count": 70, "is_official": true},
    ]});
    fake.serve("/v1/search", &Document::new("application/json", results.to_string().into_bytes()));
    let term = format!("{}/thing", fake.address);
    let table = "NAME         DESCRIPTION                                     STARS     OFFICIAL\n\
                 thing        The thing                                       70        [OK]\n\
                 some/thing   A thing that does a great many things for a g…   3         \n";
    let found = t.rctr(["search", &term]);
    let lines = |text: &str| text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>();
    let (got, wanted) = (lines(&found.ok().stdout), lines(table));
    assert_eq!((&got[..2], got[2].starts_with("some/thing A thing that does")), (&wanted[..2], true), "{found}");
    t.rctr(["search", "-f", "stars=4", "--format", "{{.Name}} {{.StarCount}}", &term]).ok().says("thing 70\n");
    t.rctr(["search", "-f", "is-official=false", "--no-trunc", "--format", "{{.Description}}", &term])
        .ok()
        .has("great many people\n");
    t.rctr(["search", "-f", "colour=red", &term]).code(125).complains(&["--filter", "stars=NUMBER"]);
    t.rctr(["search", "--limit", "101", &term]).code(125).complains(&["--limit", "101"]);
    // one that is a registry and no more
    let plain = Fake::start().expect("a registry");
    t.rctr(["search", &format!("{}/thing", plain.address)]).fails(125, &[&plain.address, "cannot be searched"]);
}

fn all_tags() {
    let (t, fake) = (Env::new(), Fake::start().expect("a registry"));
    for tag in ["one", "two"] {
        fake.add(&format!("all/tags:{tag}"), &image(tag).bundle());
    }
    let tags = json!({"name": "all/tags", "tags": ["one", "two"]});
    fake.serve("/v2/all/tags/tags/list", &Document::new("application/json", tags.to_string().into_bytes()));
    let name = format!("{}/all/tags", fake.address);
    t.rctr(["search", "--list-tags", "--format", "{{.Tag}}", &name]).ok().says("one\ntwo\n");
    t.rctr(["pull", "-a", &format!("{name}:one")]).fails(125, &["--all-tags", "tag"]);
    t.rctr(["pull", "-q", "-a", &name]).ok().says(&format!("{name}:one\n{name}:two\n"));
    let mut here: Vec<_> = t.rctr(["images", "--format", "{{.Tag}}", &name]).ok().lines().into_iter().map(str::to_owned).collect();
    here.sort();
    assert_eq!(here, ["one", "two"]);
    // One that is gone is told, and the others come.
    let tags = json!({"name": "all/tags", "tags": ["gone", "two"]});
    fake.serve("/v2/all/tags/tags/list", &Document::new("application/json", tags.to_string().into_bytes()));
    t.rctr(["pull", "-q", "-a", &name]).code(125).complains(&["gone"]).has("two");
    t.rctr(["push", "-a", &format!("{name}:one")]).fails(125, &["--all-tags", "tag"]);
    t.nothing_left();
}

/// What can be told only once the command is under way. All others are in runtime/rctr/src/cli/nonsense.rs.
fn files_and_options_that_make_no_sense() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let id = t.rctr(["create", "--network", "none", "busybox"]);
    std::fs::create_dir(t.path("context")).expect("a folder");
    std::fs::write(t.path("context/Dockerfile"), "FROM busybox\n").expect("a file");
    let (id, context) = (id.ok().text().to_owned(), t.path("context").display().to_string());
    let nonsense = "\u{1}?nonsense=,:/\\";
    for (verb, flag, rest) in [
        ("create", "--env-file", "busybox"),
        ("create", "--label-file", "busybox"),
        ("create", "--cidfile", "busybox"),
        ("create", "--log-opt", "busybox"),
        ("create", "--security-opt", "busybox"),
        ("update", "--env-file", &id),
        ("export", "--output", &id),
        ("save", "--output", "busybox"),
        ("load", "--input", ""),
        ("build", "--file", &context),
        ("build", "--iidfile", &context),
        ("build", "--metadata-file", &context),
        ("build", "--ssh", &context),
        ("build", "--target", &context),
        ("network create", "--opt", "senseless"),
        ("network create", "--interface-name", "senseless"),
        ("volume create", "--opt", "senseless"),
        ("registry serve", "--htpasswd", ""),
    ] {
        let given = format!("{flag}={nonsense}");
        let words = verb.split(' ').chain([given.as_str(), rest]).filter(|word| !word.is_empty());
        let said = t.rctr(words);
        said.code(if flag == "--target" { 1 } else { 125 }).complains(&[flag]);
    }
    let run = ["run", "--rm", "--network", "none", "--pidfile", nonsense, "busybox", "true"];
    t.rctr(run).code(125).complains(&["--pidfile"]);
    t.rctr(["rm", &id]).ok();
    t.nothing_left();
}

fn mounts_that_change() {
    let t = Env::new();
    std::fs::create_dir(t.path("host")).expect("a folder");
    std::fs::write(t.path("host/f"), "of the host").expect("a file");
    let host = format!("{}:/data:ro", t.path("host").display());
    t.rctr([
        "run",
        "--name",
        "moved",
        "--network",
        "none",
        "-v",
        "first:/data",
        "-v",
        "/own",
        "busybox",
        "sh",
        "-c",
        "cat /data/f; ls /etc/own",
    ])
    .code(1);
    t.rctr(["update", "-v", &host, "-v", "second:/etc/own", "--volume-rm", "/own", "moved"]).ok().says("moved\n");
    t.rctr(["start", "-a", "moved"]).ok().says("of the host");
    assert_eq!(t.inspect("moved", "{{range .Mounts}}{{.Destination}} {{end}}"), "/data /etc/own");
    // What it had is free, also what was its own, and nothing is lost; what it has now is not free.
    assert_eq!(t.rctr(["volume", "ls", "-q", "--filter", "dangling=true"]).ok().lines().len(), 2);
    t.rctr(["volume", "prune", "-f"]).ok();
    t.rctr(["volume", "rm", "first"]).ok();
    t.rctr(["volume", "rm", "second"]).fails(125, &["second", "moved"]);
    t.rctr(["update", "--volume-rm", "/nowhere", "moved"]).fails(125, &["/nowhere"]);
    t.rctr(["update", "--volume-rm", "nowhere", "moved"]).code(125).complains(&["--volume-rm", "absolute"]);
    t.rctr(["update", "-v", "a1:/x", "-v", "b1:/x", "moved"]).fails(125, &["/x", "two"]);
    t.rctr(["volume", "ls", "-q"]).ok().says("second\n");
    t.rctr(["rm", "moved"]).ok();
    t.rctr(["volume", "rm", "second"]).ok();
    t.nothing_left();
}

fn what_an_image_undoes() {
    let t = Env::new();
    let build = |text: &str, name: &str, flags: &[&str]| {
        std::fs::create_dir_all(t.path("context")).expect("a folder");
        std::fs::write(t.path("context/Dockerfile"), text).expect("a file");
        let context = t.path("context").display().to_string();
        t.rctr(["build", "-q", "-t", name].into_iter().chain(flags.iter().copied()).chain([context.as_str()]))
    };
    build("FROM busybox\nVOLUME /v\nEXPOSE 80 81/udp\nENV A=b C=d\nLABEL l=m\n", "below", &[]).ok();
    let flags = ["--unsetvolume", "/v", "--unsetexpose", "80", "--unsetenv", "A", "--unsetlabel", "l"];
    build("FROM below\nLABEL n=o\n", "above", &flags).ok();
    let shown = t.inspect("above", "{{json .Config}}");
    assert!(!shown.contains("/v") && !shown.contains("80/tcp") && !shown.contains("A=b") && !shown.contains("\"l\""), "{shown}");
    assert!(shown.contains("81/udp") && shown.contains("C=d") && shown.contains("\"n\""), "{shown}");
    t.rctr(["run", "--rm", "--network", "none", "above", "sh", "-c", "grep -c ' /v ' /proc/mounts"]).code(1).says("0\n");
    build("FROM below\n", "wrong", &["--unsetvolume", "/nosuch"]).code(1).complains(&["/nosuch"]);
    t.nothing_left();
}
