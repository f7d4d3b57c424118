//! Containers with users of their own: `--userns`, `--uidmap`, `--gidmap`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use integration::env::Env;

integration::tests![
    root_is_nobody_on_the_host,
    files_go_in_and_out,
    what_is_mounted,
    with_networks_of_others,
    chosen_ones_are_nobody_elses,
    who_has_no_name_gets_one,
    what_cannot_be_mapped,
];

const MAPS: [&str; 4] = ["--uidmap", "0:300000:65536", "--gidmap", "0:400000:65536"];

fn start(t: &Env, name: &str, flags: &[&str]) {
    let begin = ["--name", name, "--stop-timeout", "0"];
    t.start(begin.iter().chain(flags).chain(&["busybox", "sleep", "1000"]));
}

fn sh(t: &Env, name: &str, line: &str) -> String {
    t.rctr(["exec", name, "sh", "-c", line]).ok().text().to_owned()
}

fn owner(path: &Path) -> (u32, u32) {
    let found = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    (found.uid(), found.gid())
}

fn upper(t: &Env, name: &str, path: &str) -> (u32, u32) {
    owner(&t.root().join("containers").join(t.inspect(name, "{{.Id}}")).join("upper").join(path))
}

fn root_is_nobody_on_the_host() {
    let t = Env::new();
    let secret = t.path("secret");
    fs::write(&secret, "of root").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    let bind = format!("{}:/host", t.path("").display());
    start(&t, "a", &[&MAPS[..], &["-v", &bind, "-p", "127.0.0.1::80"]].concat());
    let pid = t.inspect("a", "{{.State.Pid}}");
    assert_eq!(owner(&Path::new("/proc").join(pid)), (300_000, 400_000));
    assert_eq!(t.inspect("a", "{{.HostConfig.UsernsMode}} {{.HostConfig.IDMappings.UidMap}}"), "private [0:300000:65536]");
    assert_eq!(sh(&t, "a", "id -u; id -g; tr -s ' ' < /proc/self/uid_map"), "0\n0\n 0 300000 65536");
    // What it writes is the mapped user's on the disk, and what the image has appears as it is there.
    assert_eq!(sh(&t, "a", "echo x > /new; stat -c %u:%g /new /bin/busybox /home/app /dev/shm"), "0:0\n0:0\n1000:1000\n0:0");
    assert_eq!(upper(&t, "a", "new"), (300_000, 400_000));
    // It cannot get at what real root has, nor at the host's settings.
    assert_eq!(sh(&t, "a", "cat /host/secret 2>&1 | grep -c denied; stat -c %u /host/secret"), "1\n65534");
    assert_eq!(sh(&t, "a", "touch /host/made 2>&1 | grep -c denied"), "1");
    assert_eq!(sh(&t, "a", "(echo 1 > /proc/sys/kernel/panic) 2>&1 | grep -c 'Read-only'"), "1");
    assert_eq!(t.rctr(["exec", "--privileged", "a", "sh", "-c", "mknod /n c 1 3 2>&1 | grep -c permitted"]).ok().text(), "1");
    // Its network is its own to change, and its name files are its root's.
    assert_eq!(
        sh(&t, "a", "echo '10.0.0.1 added' >> /etc/hosts; stat -c %u /etc/hosts; cat /proc/sys/net/ipv4/ping_group_range"),
        "0\n0\t65535"
    );
    let gateway = t.inspect("a", "{{.NetworkSettings.Gateway}}");
    assert!(sh(&t, "a", &format!("ping -c 1 -W 5 {gateway}")).contains("1 packets received"));
    // Another start, another namespace, the same users.
    t.rctr(["restart", "a"]).ok();
    assert_eq!(sh(&t, "a", "stat -c %u /new; tr -s ' ' < /proc/self/gid_map"), "0\n 0 400000 65536");
    t.rctr(["rm", "-f", "a"]).ok();
    assert!(!t.root().join("users").read_dir().expect("the folder").any(|_| true));
    t.nothing_left();
}

fn files_go_in_and_out() {
    let t = Env::new();
    let (file, folder) = (t.path("in"), t.path("out"));
    fs::write(&file, "x").unwrap();
    fs::create_dir(&folder).unwrap();
    start(&t, "a", &[&MAPS[..], &["--network", "none"]].concat());
    sh(&t, "a", "mkdir /d; echo y > /d/root; echo z > /d/app; chown 1000:1000 /d/app; touch /etc/passwd");
    for state in ["runs", "has ended"] {
        t.rctr(["cp", file.to_str().unwrap(), "a:/d/copied"]).ok();
        assert_eq!(upper(&t, "a", "d/copied"), (300_000, 400_000), "{state}");
        let to = folder.join(state);
        t.rctr(["cp", "-a", "a:/d", to.to_str().unwrap()]).ok();
        assert_eq!((owner(&to.join("root")), owner(&to.join("app"))), ((0, 0), (1000, 1000)), "{state}");
        let archive = t.path("archive.tar");
        t.rctr(["export", "-o", archive.to_str().unwrap(), "a"]).ok();
        let listed = std::process::Command::new("tar").args(["--numeric-owner", "-tvf"]).arg(&archive).output().expect("tar");
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        for (path, owner) in [("d/app", "1000/1000"), ("d/root", "0/0"), ("bin/busybox", "0/0")] {
            assert!(listed.lines().any(|line| line.ends_with(path) && line.contains(owner)), "{state}: {path}: {listed}");
        }
        t.rctr(["commit", "a", "made"]).ok();
        let owners = ["run", "--rm", "--network", "none", "made", "stat", "-c", "%u:%g", "/d/root", "/d/app", "/d/copied", "/"];
        t.rctr(owners).ok().says("0:0\n1000:1000\n0:0\n0:0\n");
        let diff = t.rctr(["diff", "a"]).ok().text().to_owned();
        assert!(diff.contains("A /d/app") && diff.contains("C /etc/passwd") && !diff.contains(" /home"), "{diff}");
        if state == "runs" {
            t.rctr(["stop", "a"]).ok();
        }
    }
    t.rctr(["rm", "-f", "a"]).ok();
    t.rctr(["rmi", "made"]).ok();
    t.nothing_left();
}

fn what_is_mounted() {
    let t = Env::new();
    let (given, mapped) = (t.path("given"), t.path("mapped"));
    for folder in [&given, &mapped] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("old"), "").unwrap();
    }
    fs::write(t.path("new"), "").unwrap();
    t.rctr_with("hidden", ["secret", "create", "s", "-"]).ok();
    let flags = [
        "--network=none",
        "--mount=type=volume,src=shared,dst=/etc",
        "--mount=type=image,src=busybox,dst=/image",
        "--secret=s,uid=7,mode=400",
        &format!("-v={}:/given:U", given.display()),
        &format!("-v={}:/mapped:idmap", mapped.display()),
    ];
    start(&t, "a", &[&MAPS[..], &flags].concat());
    assert_eq!(
        sh(
            &t,
            "a",
            "stat -c %u /etc/passwd /image/bin/busybox /given/old /mapped/old /run/secrets/s; touch /etc/a /given/a /mapped/a"
        ),
        "0\n0\n0\n0\n7"
    );
    let volume = t.root().join("volumes/shared/_data");
    for (path, owned) in [(volume.join("a"), 0), (given.join("a"), 300_000), (given.join("old"), 300_000), (mapped.join("a"), 0)] {
        assert_eq!(owner(&path).0, owned, "{}", path.display());
    }
    // Others share the volume, whoever their users are.
    let others: [&[&str]; 2] = [&["--uidmap=0:500000:2000"], &[]];
    for other in others {
        let run = ["run", "--rm", "--network", "none", "-v", "shared:/v"];
        let line = ["busybox", "sh", "-c", "stat -c %u /v/a && touch /v/a"];
        t.rctr(run.iter().chain(other).chain(&line)).ok().says("0\n");
    }
    for name in ["runs", "has-ended"] {
        t.rctr(["cp", given.parent().unwrap().join("new").to_str().unwrap(), &format!("a:/etc/{name}")]).ok();
        assert_eq!(owner(&volume.join(name)).0, 0, "{name}");
        t.rctr(["stop", "a"]).ok();
    }
    t.rctr(["rm", "a"]).ok();
    t.rctr(["volume", "rm", "shared"]).ok();
    t.rctr(["secret", "rm", "-a"]).ok();
    t.nothing_left();
}

fn with_networks_of_others() {
    let t = Env::new();
    start(&t, "host", &["--network", "none", "--hostname", "other"]);
    let run = |flags: &[&str], line: &str| {
        let end = ["busybox", "sh", "-c", line];
        t.rctr(["run", "--rm"].iter().chain(&MAPS).chain(flags).chain(&end)).ok().text().to_owned()
    };
    let netns = |path: &str| fs::read_link(path).unwrap().display().to_string();
    let pid = t.inspect("host", "{{.State.Pid}}");
    assert_eq!(
        run(&["--network", "container:host"], "readlink /proc/self/ns/net; ls /sys | grep -c kernel"),
        format!("{}\n1", netns(&format!("/proc/{pid}/ns/net")))
    );
    assert_eq!(run(&["--network", "host"], "readlink /proc/self/ns/net"), netns("/proc/self/ns/net"));
    assert!(
        run(&["--network", "host"], "(echo 1 > /sys/kernel/mm/ksm/run) 2>&1; ip link set lo down 2>&1; true")
            .contains("not permitted")
    );
    assert_eq!(run(&["--network", "none"], "ping -c 1 -W 5 127.0.0.1 | grep -c '1 packets received'"), "1");
    let keep = [
        "run",
        "--rm",
        "--network",
        "none",
        "--userns",
        "keep-id:uid=5,gid=6",
        "busybox",
        "sh",
        "-c",
        "id -u; tr -s ' ' < /proc/self/uid_map",
    ];
    t.rctr(keep).ok().says("5\n 0 0 4294967295\n");
    t.rctr(["rm", "-f", "host"]).ok();
    t.nothing_left();
}

/// The line in both files that sets ids aside, unless there is one; it goes with this.
struct Aside(Vec<(&'static str, Option<Vec<u8>>)>);

impl Aside {
    fn new() -> Self {
        let set = |file: &'static str| {
            let old = fs::read(file).ok();
            let text = String::from_utf8_lossy(old.as_deref().unwrap_or_default()).into_owned();
            if text.lines().any(|line| line.starts_with("containers:")) {
                return None;
            }
            fs::write(file, format!("{text}containers:700000:30000\n")).expect("write it");
            Some((file, old))
        };
        Aside(["/etc/subuid", "/etc/subgid"].into_iter().filter_map(set).collect())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        for (file, old) in &self.0 {
            let _ = old.as_ref().map_or_else(|| fs::remove_file(file), |old| fs::write(file, old));
        }
    }
}

fn chosen_ones_are_nobody_elses() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let aside = Aside::new();
    let first = |name: &str| {
        let map = t.inspect(name, "{{index .HostConfig.IDMappings.UidMap 0}}");
        let numbers: Vec<u32> = map.split(':').map(|number| number.parse().unwrap()).collect();
        (numbers[1], numbers[2])
    };
    // All at once.
    let make = |n: usize| {
        t.spawn([
            "create",
            "--name",
            &format!("c{n}"),
            "--userns",
            "auto",
            "--network",
            "none",
            "busybox",
            "sh",
            "-c",
            "id -u; cat /x || echo x > /x",
        ])
    };
    let all: Vec<_> = (0..6).map(make).collect();
    all.into_iter().for_each(|running| drop(running.finish().ok().text().to_owned()));
    let mut ranges: Vec<_> = (0..6).map(|n| first(&format!("c{n}"))).collect();
    ranges.sort_unstable();
    assert!(ranges.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0), "{ranges:?}");
    // The image names ids up to 2001.
    assert!(ranges.iter().all(|(_, size)| *size == ranges[0].1 && (1024..65536).contains(size)), "{ranges:?}");
    t.rctr(["start", "-a", "c0"]).has("0");
    let mine = first("c0");
    t.rctr(["start", "-a", "c0"]).ok().has("x");
    assert_eq!((first("c0"), upper(&t, "c0", "x").0), (mine, mine.0));
    // What one gives back the next one gets, also from one that goes with its end; what a process that was killed has left is nobody's.
    t.rctr(["rm", "c0"]).ok();
    fs::write(t.root().join("users").join("0".repeat(64)), "left").unwrap();
    let run = ["run", "--rm", "--userns", "auto", "--network", "none", "busybox", "cat", "/proc/self/uid_map"];
    for _ in 0..2 {
        assert!(t.rctr(run).ok().text().contains(&format!(" {} ", mine.0)));
        t.soon("it is given back", || fs::read_dir(t.root().join("users")).unwrap().count() == 5);
    }
    let fixed = "auto:size=1500,uidmapping=5:77:1";
    let run =
        ["run", "--rm", "--userns", fixed, "--network", "none", "busybox", "sh", "-c", "tr -s ' ' < /proc/self/uid_map | grep 77"];
    t.rctr(run).ok().says(" 5 77 1\n");
    if !aside.0.is_empty() {
        t.rctr(["create", "--userns", "auto:size=40000", "busybox"]).fails(125, &["--userns auto", "no 40000 users"]);
    }
    t.rctr(["rm", "c1", "c2", "c3", "c4", "c5"]).ok();
    let others = aside.0.len() == 2;
    drop(aside);
    if others {
        t.rctr(["create", "--userns", "auto", "busybox"]).fails(125, &["--userns auto", "/etc/subuid"]);
    }
    t.nothing_left();
}

/// In files that belong to the container's root, also where they have to be made.
fn who_has_no_name_gets_one() {
    let t = Env::new();
    start(&t, "a", &[&MAPS[..], &["--network", "none", "-u", "4242:4343", "--passwd"]].concat());
    let named = |t: &Env| sh(t, "a", "whoami; stat -c %u:%g /etc/passwd /etc/group; tail -n 1 /etc/group");
    assert_eq!(named(&t), "4242\n0:0\n0:0\n4343:x:4343:4242");
    assert_eq!(upper(&t, "a", "etc/passwd"), (300_000, 400_000));
    t.rctr(["exec", "-u", "0", "a", "rm", "/etc/passwd", "/etc/group"]).ok();
    t.rctr(["restart", "a"]).ok();
    assert_eq!(named(&t), "4242\n0:0\n0:0\n4343:x:4343:4242");
    assert_eq!(upper(&t, "a", "etc/passwd"), (300_000, 400_000));
    t.rctr(["rm", "-f", "a"]).ok();
    t.nothing_left();
}

fn what_cannot_be_mapped() {
    let t = Env::new();
    t.rctr(["pull", "-q", "busybox"]).ok();
    let create = |flags: &[&str]| t.rctr(["create", "--network", "none"].iter().chain(flags).chain(&["busybox", "true"]));
    for (flags, named) in [
        (&["--userns", "private"][..], &["--userns", "private", "auto"][..]),
        (&["--uidmap", "0:1"], &[]),
        (&["--uidmap", "0"], &["--uidmap", "CONTAINER:HOST"]),
        (&["--uidmap", "0:1:10", "--uidmap", "5:100:1"], &["users of its own", "overlap"]),
        (&["--userns", "host", "--uidmap", "0:1:10"], &["--uidmap", "--userns"]),
        (&["--uidmap", "0:1:10", "--pid", "host"], &["--pid"]),
    ] {
        match named {
            [] => {
                create(flags).ok();
            }
            named => {
                create(flags).code(125).complains(named);
            }
        }
    }
    // Who is not there cannot be anybody.
    let run = ["run", "--rm", "--network", "none", "--uidmap", "0:300000:500", "-u", "1000", "busybox", "true"];
    t.rctr(run).fails(125, &["1000", "not mapped"]);
    t.remove_all();
    t.nothing_left();
}
