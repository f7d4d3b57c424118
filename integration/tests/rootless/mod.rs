//! Containers of an ordinary user, without root.

pub(crate) mod end;
pub(crate) mod ids;
mod user;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use integration::debian::is_installed;
use integration::env::{Running, within};
use integration::layer::{Compression, Entry, Kind, pack};

use crate::ports::{expect, expect_refused, free_port};
use user::User;

integration::tests![
    a_users_story,
    names_and_networks,
    ports_are_the_hosts,
    root_is_the_user,
    the_hosts_network_and_cgroups,
    nobody_else_comes_in,
    a_home_is_made_once_and_again,
    one_id_alone,
    what_only_root_can_do,
    a_monitor_that_was_killed,
    no_program_of_the_path,
    no_way_to_the_hosts_network,
];

/// All that a user does in the first hour; in the end there is nothing left but the home.
fn a_users_story() {
    let t = User::with_network();
    let port = free_port();
    t.rctr(["pull", "test/probe"]).ok();
    t.rctr(["images", "--format", "{{.Repository}}"]).ok().has("test/probe");
    let publish = format!("{port}:80");
    t.rctr(["run", "-d", "--name", "a", "-p", &publish, "test/probe", "listen", "80", "hello"]).ok();
    assert!(within(Duration::from_secs(60), || t.rctr(["logs", "a"]).text().contains("listening")));
    expect(("127.0.0.1", port), "hello");
    expect(("::1", port), "hello");
    t.rctr(["port", "a"]).ok().has(&format!("80/tcp -> 0.0.0.0:{port}"));
    t.rctr(["run", "-d", "--name", "b", "busybox", "sleep", "1000"]).ok();
    t.rctr(["exec", "b", "sh", "-c", "echo $$; id -u"]).ok().has("0");
    t.rctr(["top", "b"]).ok().has("sleep 1000");
    t.rctr(["cp", "b:/etc/hostname", "copied"]).ok();
    assert_eq!(fs::metadata(t.path("copied")).expect("a file").uid(), t.uid);
    // Files that are taken away, folders that are made anew, and owners of all kinds.
    t.write("b/Dockerfile", BUILD);
    t.rctr(["build", "-q", "-t", "built", "b"]).ok();
    t.rctr(["run", "--rm", "built", "sh", "-c", "ls /d; ls /e; stat -c %u:%g /e/new"]).ok().says("kept\nnew\n33:34\n");
    // The same as one layer on top of the base, and as one alone.
    for (flag, count) in [("--squash", "2\n"), ("--squash-all", "1\n")] {
        t.rctr(["build", "-q", flag, "-t", "squashed", "b"]).ok();
        t.rctr(["run", "--rm", "squashed", "sh", "-c", "ls /d; ls /e; stat -c %u:%g /e/new"]).ok().says("kept\nnew\n33:34\n");
        t.rctr(["inspect", "-f", "{{len .RootFS.Layers}}", "squashed"]).ok().says(count);
    }
    t.rctr(["rmi", "-f", "squashed"]).ok();
    t.rctr(["run", "--rm", "--user", "5:6", "built", "id", "-u"]).ok().says("5\n");
    t.rctr(["volume", "create", "vol"]).ok();
    t.rctr(["run", "--rm", "-v", "vol:/v", "busybox", "touch", "/v/x"]).ok();
    t.rctr(["run", "--rm", "-v", "vol:/v", "busybox", "ls", "/v"]).ok().says("x\n");
    t.rctr(["stop", "-t", "0", "a", "b"]).ok();
    expect_refused(("127.0.0.1", port));
    t.rctr(["start", "a"]).ok();
    assert!(within(Duration::from_secs(60), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()));
    t.rctr(["rm", "-f", "a", "b"]).ok();
    t.rctr(["volume", "rm", "vol"]).ok();
    t.rctr(["rmi", "-f", "built", "test/probe", "busybox"]).ok();
    t.rctr(["ps", "-aq"]).ok().says("");
    let only_home =
        || t.processes().iter().all(|name| name.starts_with("rctr-home") || name.starts_with("pasta") || name.starts_with("passt"));
    assert!(within(Duration::from_secs(20), only_home), "{:?}", t.processes());
    // And with the home goes all the rest.
    t.end_home();
    assert!(within(Duration::from_secs(20), || t.processes().is_empty()), "{:?}", t.processes());
}

const BUILD: &str = "FROM busybox
RUN mkdir /d /e && touch /d/gone /d/kept /e/old
RUN rm /d/gone && rm -r /e && mkdir /e && touch /e/new && chown 33:34 /e/new
";

fn names_and_networks() {
    let t = User::with_network();
    t.rctr(["network", "create", "n"]).ok();
    t.rctr(["run", "-d", "--name", "db", "--network", "n", "test/probe", "listen", "80", "named"]).ok();
    t.rctr(["run", "--rm", "--network", "n", "busybox", "wget", "-q", "-O", "-", "http://db/"]).ok().has("named");
    t.rctr(["run", "--rm", "busybox", "cat", "/etc/resolv.conf"]).ok().has("nameserver 169.254.1.1");
    // A container that runs changes its networks, and its port stays.
    let port = free_port();
    let publish = format!("127.0.0.1:{port}:80");
    t.rctr(["run", "-d", "--name", "w", "-p", &publish, "test/probe", "listen", "80", "hello"]).ok();
    t.rctr(["network", "connect", "n", "w"]).ok();
    t.rctr(["exec", "w", "/probe", "hostname"]).ok();
    t.rctr(["run", "--rm", "--network", "n", "busybox", "wget", "-q", "-O", "-", "http://w/"]).ok().has("hello");
    t.rctr(["network", "disconnect", "bridge", "w"]).ok();
    expect(("127.0.0.1", port), "hello");
    t.rctr(["rm", "-f", "w", "db"]).ok();
    t.rctr(["network", "rm", "n"]).ok();
    // Nothing of it is the host's.
    let links = Command::new("ip").args(["-o", "link"]).output().expect("ip (iproute2)");
    let holder = fs::read_link(format!("/proc/{}/ns/net", t.holder())).expect("a namespace");
    assert_ne!(fs::read_link("/proc/self/ns/net").expect("a namespace"), holder);
    assert!(!String::from_utf8_lossy(&links.stdout).contains(&format!("altname {}", t.holder())));
}

fn ports_are_the_hosts() {
    let t = User::with_network().and_busybox();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let run = |publish: &str| t.rctr(["run", "--rm", "-p", publish, "busybox", "true"]);
    run(&format!("{port}:80")).fails(125, &[&format!("port {port}/tcp"), "in use"]);
    drop(taken);
    run(&format!("{port}:80")).ok();
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").expect("a number");
    if first.trim() != "0" {
        run("1:80").fails(125, &["port 1/tcp", "net.ipv4.ip_unprivileged_port_start"]);
    }
    run(&format!("{port}:80/sctp")).fails(125, &["80/sctp", "only TCP and UDP"]);
    // Started again by its policy it has its port again.
    let publish = format!("127.0.0.1:{port}:80");
    t.rctr(["run", "-d", "--name", "r", "--restart", "always", "-p", &publish, "busybox", "sh", "-c", SHORT]).ok();
    let restarts = || t.rctr(["inspect", "-f", "{{.RestartCount}}", "r"]).ok().text().parse::<u32>().expect("a number");
    assert!(within(Duration::from_secs(60), || restarts() > 1));
    assert!(within(Duration::from_secs(60), || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()));
}

const SHORT: &str = "sleep 0.2";

fn root_is_the_user() {
    let t = User::new();
    let run = |args: &[&str]| t.rctr(["run", "--rm", "--network", "none"].iter().chain(args));
    fs::create_dir(t.path("d")).expect("a folder");
    t.owns(&t.path("d"));
    run(&["-v", "./d:/d", "busybox", "sh", "-c", "touch /d/root; touch /d/app; chown 33:34 /d/app"]).ok();
    let owner = |name: &str| fs::metadata(t.path("d").join(name)).map(|data| (data.uid(), data.gid())).expect("a file");
    assert_eq!((owner("root"), owner("app")), ((t.uid, t.uid), (1_500_000_032, 1_500_000_033)));
    // Not even with all privileges there are.
    for privileged in [&["--user", "0"][..], &["--privileged"]] {
        let all = [privileged, &["-v", "/etc/shadow:/s", "-v", "/etc:/host", "busybox", "sh", "-c"]].concat();
        run(&[&all[..], &["cat /s"]].concat()).code(1).complains(&["Permission denied"]);
        run(&[&all[..], &["touch /host/passwd-x"]].concat()).code(1).complains(&["Permission denied"]);
    }
    assert!(!std::path::Path::new("/etc/passwd-x").exists());
    // A host's setting, a device of the host's memory, the kernel's log.
    run(&["--privileged", "busybox", "sh", "-c", "echo 1 > /proc/sys/kernel/panic"]).code(1);
    run(&["--privileged", "busybox", "mknod", "/n", "b", "7", "0"]).code(1).complains(&["Operation not permitted"]);
    run(&["busybox", "sh", "-c", "tr -s ' ' < /proc/self/uid_map"]).ok().says(&format!(" 0 {} 1\n 1 1500000000 65536\n", t.uid));
    // What the host sees of it is the user's.
    t.rctr(["run", "-d", "--name", "a", "--network", "none", "busybox", "sleep", "1000"]).ok();
    let pid = t.rctr(["inspect", "-f", "{{.State.Pid}}", "a"]).ok().text().to_owned();
    assert_eq!(fs::metadata(format!("/proc/{pid}")).expect("it runs").uid(), t.uid);
    t.rctr(["info", "--format", "{{json .SecurityOptions}} {{json .IDMappings}}"]).ok().has("name=rootless").has("1500000000");
}

/// The host's network is the user's, and no cgroup is written to by way of it (CVE-2023-25809).
fn the_hosts_network_and_cgroups() {
    let t = User::new();
    let run = |network: &str, line: &str| t.rctr(["run", "--rm", "--network", network, "busybox", "sh", "-c", line]);
    let own = fs::read_link("/proc/self/ns/net").expect("a namespace");
    run("host", "readlink /proc/self/ns/net").ok().says(&format!("{}\n", own.display()));
    for network in ["host", "none"] {
        let tried = run(network, "for f in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $f/x 2>/dev/null && echo $f; done; true");
        tried.ok().says("");
        run(network, "touch /sys/kernel/x").code(1);
    }
}

fn nobody_else_comes_in() {
    let t = User::new();
    t.rctr(["ps"]).ok();
    assert_eq!(fs::metadata(t.run()).expect("a folder").mode() & 0o7777, 0o700);
    let (run, other) = (t.run(), t.uid + 1);
    let run = run.to_str().expect("UTF-8");
    let as_other = |mut command: Command| {
        Running::start({
            command.uid(other).gid(other);
            command
        })
        .finish()
    };
    // The folder above is open, as /tmp is; what another user finds there is not its own.
    fs::set_permissions(t.run().parent().expect("a folder"), Permissions::from_mode(0o1777)).expect("chmod");
    as_other(t.rctr_command(["--run", run, "ps"])).fails(125, &["belongs to user", run]);
    let mut join = t.command("nsenter");
    join.args(["--user", "--target", &t.holder().to_string(), "true"]);
    let joined = as_other(join);
    assert_ne!(joined.code, 0, "another user has joined the home\n{joined}");
    as_other({
        let mut read = t.command("cat");
        read.arg(t.run().join("home"));
        read
    })
    .code(1)
    .complains(&["denied"]);
    // Somebody has been there before the user: whose folder is it, and is it one?
    let trap = t.path("trap");
    fs::create_dir(&trap).expect("a folder");
    fs::set_permissions(&trap, Permissions::from_mode(0o777)).expect("chmod");
    t.rctr(["--run", trap.to_str().expect("UTF-8"), "ps"]).fails(125, &["belongs to user 0"]);
    t.owns(&trap);
    t.rctr(["--run", trap.to_str().expect("UTF-8"), "ps"]).fails(125, &["open to others"]);
    std::os::unix::fs::symlink(t.run(), t.path("link")).expect("a link");
    t.rctr(["--run", t.path("link").to_str().expect("UTF-8"), "ps"]).fails(125, &["O_NOFOLLOW"]);
    assert!(trap.read_dir().expect("a folder").next().is_none(), "something was made there");
}

fn a_home_is_made_once_and_again() {
    let t = User::new();
    // Many first commands, one home.
    let first: Vec<_> = (0..8).map(|_| Running::start(t.rctr_command(["ps"]))).collect();
    first.into_iter().for_each(|command| {
        let _ = command.finish().ok();
    });
    let homes = || t.processes().iter().filter(|name| *name == "rctr-home").count();
    assert_eq!(homes(), 1);
    let before = t.holder();
    t.rctr(["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    assert_eq!(t.holder(), before);
    // Whoever kills it has a new one with the next command.
    t.end_home();
    assert!(within(Duration::from_secs(20), || homes() == 0));
    t.rctr(["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    assert_ne!(t.holder(), before);
    // What is written down is not believed blindly: another process has the number by now.
    let record = t.run().join("home");
    let mut home: serde_json::Value = serde_json::from_str(&fs::read_to_string(&record).expect("a file")).expect("JSON");
    t.end_home();
    assert!(within(Duration::from_secs(20), || homes() == 0));
    home["holder"][0] = std::process::id().into();
    for text in [home.to_string(), "nonsense".to_owned(), String::new()] {
        fs::write(&record, text).expect("written");
        t.rctr(["ps", "-a"]).ok();
        assert_eq!(homes(), 1);
        t.end_home();
        assert!(within(Duration::from_secs(20), || homes() == 0));
    }
}

fn one_id_alone() {
    let t = User::alone();
    t.rctr(["ps"]).ok().complains(&["/etc/subuid"]);
    t.rctr(["info"]).ok().has("WARNING: no ids for").has(":100000:65536");
    t.rctr(["pull", "-q", "test/probe"]).ok();
    t.rctr(["run", "--rm", "--network", "none", "--hostname", "x", "test/probe", "hostname"]).ok().has("x");
    t.rctr(["pull", "-q", "busybox"]).fails(125, &["layer sha256:", "home/app", "1000, 1000", "users 0-0"]);
    let strange = pack(&[Entry { owner: (70_000, 70_001), ..Entry::new("file", Kind::File(b"x".to_vec())) }], Compression::None);
    fs::write(t.path("strange.tar"), strange.and_then(|layer| layer.data.read()).expect("a layer")).expect("a file");
    t.rctr(["import", "strange.tar", "strange"]).fails(125, &["70000", "70001", "users 0-0"]);
}

fn what_only_root_can_do() {
    let t = User::new().and_busybox();
    let run = |args: &[&str]| t.rctr(["run", "--rm", "--network", "none"].iter().chain(args).chain(&["busybox", "true"]));
    t.rctr(["network", "create", "-d", "macvlan", "-o", "parent=eth0", "m"]).fails(125, &["macvlan", "only root"]);
    if t.rctr(["info", "--format", "{{.CgroupDriver}}"]).ok().text() == "none" {
        for limit in [&["-m", "64m"][..], &["--cpus", "1"], &["--pids-limit", "10"]] {
            run(limit).fails(125, &["limits", "no cgroups"]);
        }
        t.rctr(["run", "-d", "--name", "a", "--network", "none", "busybox", "sleep", "1000"]).ok();
        t.rctr(["pause", "a"]).fails(125, &["pause", "no cgroups"]);
        t.rctr(["stats", "--no-stream", "a"]).fails(125, &["stats", "no cgroups"]);
    }
}

/// Without cgroups a container whose monitor was killed ends by its first process.
fn a_monitor_that_was_killed() {
    let t = User::new();
    t.rctr(["run", "-d", "--name", "a", "--network", "none", "busybox", "sh", "-c", "sleep 1000 & sleep 1000"]).ok();
    let pid: u32 = t.rctr(["inspect", "-f", "{{.State.Pid}}", "a"]).ok().text().parse().expect("a number");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let monitor = status.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent").trim();
    assert!(Command::new("kill").args(["-9", monitor]).status().expect("kill").success());
    t.rctr(["rm", "-f", "a"]).ok();
    assert!(!t.processes().iter().any(|name| name == "sleep" || name == "sh"), "{:?}", t.processes());
    t.rctr(["ps", "-aq"]).ok().says("");
}

/// What gives the user's rights away is root's own program, whatever the path says.
fn no_program_of_the_path() {
    let t = User::new();
    for name in ["newuidmap", "newgidmap", "pasta"] {
        t.write(&format!("evil/{name}"), "#!/bin/sh\ntouch called\nexit 1\n");
        fs::set_permissions(t.path("evil").join(name), Permissions::from_mode(0o755)).expect("chmod");
    }
    let mut command = t.rctr_command(["run", "--rm", "--network", "none", "busybox", "true"]);
    command.env("PATH", t.path("evil"));
    Running::start(command).finish().ok();
    assert!(!t.path("called").exists());
}

fn no_way_to_the_hosts_network() {
    if !Path::new("/dev/net/tun").exists() || !is_installed("pasta") {
        integration::skip!("needs /dev/net/tun and pasta");
    }
    let mut user = User::new();
    user.sees_tun("600");
    let user = user.and_busybox();
    user.rctr(["run", "--rm", "busybox", "true"]).fails(125, &["this user cannot open /dev/net/tun", "chmod 666"]);
    user.rctr(["run", "--rm", "--network", "none", "busybox", "true"]).ok();
    assert_eq!(user.rctr(["ps", "-aq"]).ok().text(), "");
}
