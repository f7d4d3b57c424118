//! Containers of an ordinary user with users of their own.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::BUILD;
use super::user::User;

integration::tests![
    who_asks_stays_who_it_is,
    who_asks_has_a_name,
    layers_for_others,
    files_of_such_containers,
    others_of_the_users,
    what_cannot_be_had
];

/// `rctr run` of a line, in a container that goes.
fn run(t: &User, flags: &[&str], image: &str, line: &str) -> integration::output::Output {
    let all = ["run", "--rm", "--network", "none"].into_iter().chain(flags.iter().copied());
    t.rctr(all.chain([image, "sh", "-c", line]))
}

/// The copies of layers for others.
fn copies(t: &User) -> Vec<String> {
    let find =
        std::process::Command::new("find").arg(t.path(".local/share/rctr/images/layers")).args(["-name", "*users*"]).output();
    String::from_utf8_lossy(&find.expect("find (findutils)").stdout).lines().map(str::to_owned).collect()
}

fn owner(t: &User, name: &str) -> (u32, u32) {
    fs::metadata(t.path(name)).map(|data| (data.uid(), data.gid())).expect("a file")
}

fn who_asks_stays_who_it_is() {
    let t = User::new().and_busybox();
    t.write("d/mine", "x");
    let (id, bind) = (t.uid, ["--userns", "keep-id", "-v", "./d:/d"]);
    let seen = run(&t, &bind, "busybox", "id -u; id -g; stat -c %u:%g /d/mine /bin/busybox /home/app; touch /d/new");
    seen.ok().says(&format!("{id}\n{id}\n{id}:{id}\n0:0\n1000:1000\n"));
    assert_eq!(owner(&t, "d/new"), (id, id));
    run(&t, &bind, "busybox", "touch /bin/x").code(1).complains(&["Permission denied"]);
    // Its root is one of the others, who has no more of the host's than the user.
    let root = [&bind[..], &["--user", "0"]].concat();
    run(&t, &root, "busybox", "id -u; touch /bin/x /d/root").ok().says("0\n");
    assert_eq!(owner(&t, "d/root"), (1_500_000_000, 1_500_000_000));
    let chosen = ["--userns", "keep-id:uid=33,gid=44", "-v", "./d:/d"];
    run(&t, &chosen, "busybox", "id -u; id -g; stat -c %u:%g /d/mine; touch /d/chosen").ok().says("33\n44\n33:44\n");
    assert_eq!(owner(&t, "d/chosen"), (id, id));
    run(&t, &["--userns", "keep-id", "--user", "5:6"], "busybox", "id -u; id -g").ok().says("5\n6\n");
}

/// As on the host, in an image that knows neither the name nor the number.
fn who_asks_has_a_name() {
    let t = User::new();
    t.write("b/Dockerfile", &format!("{BUILD}RUN echo root:x:0:0::/root:/bin/sh > /etc/passwd && echo root:x:0: > /etc/group\n"));
    t.rctr(["build", "-q", "--network", "none", "-t", "built", "b"]).ok();
    let (id, name, home) = (t.uid, &t.name, t.path(""));
    let home = home.to_str().expect("text").trim_end_matches('/');
    let line = "whoami; id -gn; echo $HOME; tail -n +2 /etc/passwd; tail -n +2 /etc/group";
    let whole = |home: &str| format!("{name}\n{name}\n{home}\n{name}:*:{id}:{id}::{home}:/bin/sh\n{name}:x:{id}:{name}\n");
    run(&t, &["--userns", "keep-id", "-w", "/tmp"], "built", line).ok().says(&whole("/tmp"));
    // Its home is what it is on the host where that can be seen.
    run(&t, &["--userns", "keep-id", "-v", &format!("{home}:{home}")], "built", line).ok().says(&whole(home));
    let chosen = ["--userns", "keep-id:uid=33,gid=44"];
    run(&t, &chosen, "built", "whoami; tail -n +2 /etc/group").ok().says("33\n44:x:44:33\n");
    // The image knows root, and its own files have stayed as they were.
    run(&t, &["--userns", "keep-id", "-u", "0"], "built", "whoami").ok().says("root\n");
    let mute = ["--userns", "keep-id", "--passwd=false"];
    run(&t, &mute, "built", "wc -l < /etc/passwd; whoami 2>&1 | grep -c known").ok().says("1\n1\n");
    // Again and again, and what is done to it in between stays.
    let start = ["run", "-d", "--name", "a", "--userns", "keep-id", "--network", "none", "--stop-timeout", "0"];
    t.rctr(start.iter().chain(&["built", "sleep", "1000"])).ok();
    t.rctr(["exec", "-u", "0", "a", "sed", "-i", "s/:\\*:/:x:/", "/etc/passwd"]).ok();
    t.rctr(["restart", "a"]).ok();
    t.rctr(["exec", "a", "sh", "-c", "whoami; tail -n +2 /etc/passwd"])
        .ok()
        .says(&format!("{name}\n{name}:x:{id}:{id}::/:/bin/sh\n"));
    t.rctr(["rm", "-f", "a"]).ok();
}

/// Each layer is copied once, whole, and goes with its image.
fn layers_for_others() {
    let t = User::new();
    t.write(
        "b/Dockerfile",
        &format!("{BUILD}RUN cp /bin/busybox /set && chown 5:6 /set && chmod 4755 /set && ln -s nowhere /link\n"),
    );
    t.rctr(["build", "-q", "--network", "none", "-t", "built", "b"]).ok();
    let line = "ls /d; ls /e; stat -c %u:%g /e/new; stat -c '%a %u:%g' /set; readlink /link";
    let same = "kept\nnew\n33:34\n4755 5:6\nnowhere\n";
    run(&t, &[], "built", line).ok().says(same);
    assert_eq!(copies(&t), [""; 0]);
    run(&t, &["--userns", "keep-id"], "built", line).ok().says(same);
    let made = copies(&t);
    assert!(!made.is_empty());
    let ages = || made.iter().map(|copy| fs::metadata(copy).and_then(|data| data.modified()).expect("a copy")).collect::<Vec<_>>();
    let before = ages();
    run(&t, &["--userns", "keep-id"], "built", line).ok().says(same);
    assert_eq!((copies(&t), ages()), (made.clone(), before));
    // What a killed one left is made anew.
    let layer = std::path::Path::new(&made[0]).parent().expect("a layer");
    t.rctr(["unshare", "sh", "-c", &format!("mkdir -p {0}/.users/x && rm -r {1}", layer.display(), made[0])]).ok();
    run(&t, &["--userns", "keep-id"], "built", line).ok().says(same);
    let mut again = copies(&t);
    again.sort();
    let mut all = made;
    all.sort();
    assert_eq!(again, all);
    t.rctr(["image", "check"]).ok();
    // Pruned, but for those of containers that are there.
    t.rctr(["create", "--name", "a", "--userns", "keep-id", "built"]).ok();
    run(&t, &["--userns", "nomap"], "built", line).ok().says(same);
    assert!(copies(&t).len() > again.len());
    t.rctr(["image", "prune", "-f"]).ok();
    let mut left = copies(&t);
    left.sort();
    assert_eq!(left, again);
    t.rctr(["rm", "a"]).ok();
    t.rctr(["rmi", "-f", "built", "busybox"]).ok();
    t.rctr(["builder", "prune", "-af"]).ok();
    assert_eq!(copies(&t), [""; 0]);
}

fn files_of_such_containers() {
    let t = User::new().and_busybox();
    let id = t.uid;
    let start = ["run", "-d", "--name", "a", "--userns", "keep-id", "--network", "none", "--stop-timeout", "0"];
    let rest =
        ["-v", "vol:/home", "-v", "fresh:/fresh", "--mount", "type=image,src=busybox,dst=/image", "busybox", "sleep", "1000"];
    t.rctr(start.iter().chain(&rest)).ok();
    t.rctr(["exec", "a", "sh", "-c", "touch /tmp/x /fresh/x; stat -c %u /tmp/x /fresh /image/bin /home /home/app /etc/hosts"])
        .ok()
        .says(&format!("{id}\n{id}\n0\n0\n1000\n0\n"));
    t.write("in", "x");
    t.rctr(["cp", "in", "a:/tmp/in"]).ok();
    for state in ["runs", "has ended"] {
        t.rctr(["diff", "a"]).ok().has("A /tmp/x").lacks("/bin");
        t.rctr(["cp", "a:/tmp/x", "out"]).ok();
        assert_eq!(owner(&t, "out"), (id, id), "{state}");
        t.rctr(["commit", "a", "made"]).ok();
        run(&t, &[], "made", "stat -c %u /tmp/x /bin/busybox").ok().says(&format!("{id}\n0\n"));
        t.rctr(["stop", "a"]).ok();
    }
    t.rctr(["start", "a"]).ok();
    t.rctr(["exec", "a", "stat", "-c", "%u", "/tmp/x"]).ok().says(&format!("{id}\n"));
    t.rctr(["rm", "-f", "a"]).ok();
    t.rctr(["volume", "rm", "vol", "fresh"]).ok();
}

fn others_of_the_users() {
    let t = User::new().and_busybox();
    t.write("mine", "x");
    let id = t.uid;
    let outside = |name: &str, users: &str| {
        t.rctr(["run", "-d", "--name", name, "--userns", users, "--network", "none", "busybox", "sleep", "1000"]).ok();
        let pid = t.rctr(["inspect", "-f", "{{.State.Pid}}", name]).ok().text().to_owned();
        owner(&t, &format!("/proc/{pid}")).0
    };
    let (a, b) = (outside("a", "auto:size=2000"), outside("b", "auto"));
    assert_eq!((a, b), (1_500_000_000, 1_500_002_000));
    t.rctr(["exec", "b", "stat", "-c", "%u", "/bin/busybox", "/home/app"]).ok().says("0\n1000\n");
    t.rctr(["rm", "-f", "a", "b"]).ok();
    let seen = run(&t, &["--userns", "nomap", "-v", "./mine:/mine"], "busybox", "id -u; stat -c %u /mine /bin/busybox; cat /mine");
    seen.ok().says("0\n65534\n0\nx");
    let mapped = ["--uidmap", "0:1:2000", "-v", "./mine:/mine"];
    run(&t, &mapped, "busybox", "stat -c %u:%g /mine /home/app").ok().says("65534:65534\n1000:1000\n");
    let own = ["--uidmap", "0:0:1", "--uidmap", "1:1:2000", "-v", "./mine:/mine"];
    run(&t, &own, "busybox", "stat -c %u /mine; touch /mine").ok().says("0\n");
    assert_eq!(owner(&t, "mine"), (id, id));
}

fn what_cannot_be_had() {
    let t = User::new().and_busybox();
    let refused = |flags: &[&str], parts: &[&str]| {
        run(&t, flags, "busybox", "true").fails(125, parts);
    };
    refused(&["--uidmap", "0:1:70000"], &["users of its own", "0:1:70000", "65537"]);
    refused(&["--uidmap", "0:0:2000", "--gidmap", "0:65537:1"], &["groups of its own", "0:65537:1"]);
    refused(&["--uidmap", "0:1:10"], &["users of its own", "1000:1000", "nobody in the container's user namespace"]);
    refused(&["--userns", "auto:size=70000"], &["--userns auto", "70000 users"]);
    refused(&["--userns", "keep-id", "-v", "./:/d:idmap"], &["mount on /d", "only root"]);
    assert_eq!(copies(&t), [""; 0]);
    t.rctr(["ps", "-aq"]).ok().says("");
    let alone = User::alone();
    alone.rctr(["pull", "-q", "test/probe"]).ok();
    alone.rctr(["run", "--rm", "--network", "none", "--userns", "nomap", "test/probe", "true"]).fails(125, &["nobody but you"]);
    let keep = alone.rctr(["run", "--rm", "--network", "none", "--userns", "keep-id", "test/probe", "hostname"]);
    keep.fails(125, &["nobody in the container's user namespace"]);
}
