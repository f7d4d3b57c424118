//! What a container looks like from inside.

use std::path::Path;

use launch::{Attributes, Links, Step};
use rustix::mount::{UnmountFlags, unmount};
use sys::mount::{Attr, mount_setattr, propagation};
use sys::ns::{kind, unshare};
use sys::process::{Clone, clone3, wait};

use crate::Check;
use crate::fixture::{Fixture, READONLY, Scratch, mount, tree};

pub const CHECKS: &[Check] = &[
    ("the_exit_code_comes_through", the_exit_code_comes_through),
    ("namespaces_differ", namespaces_differ),
    ("masked_paths_are_empty", masked_paths_are_empty),
    ("masks_share_one_file_system", masks_share_one_file_system),
    ("readonly_paths_refuse_writes", readonly_paths_refuse_writes),
    ("a_readonly_root_refuses_writes", a_readonly_root_refuses_writes),
    ("devices_work", devices_work),
    ("sysctls_are_set_in_the_container_only", sysctls_are_set_in_the_container_only),
    ("names_and_loopback", names_and_loopback),
    ("the_host_root_is_gone", the_host_root_is_gone),
    ("binds_have_their_attributes", binds_have_their_attributes),
    ("what_the_host_has_locked_stays", what_the_host_has_locked_stays),
    ("what_the_kernel_has_locked_stays", what_the_kernel_has_locked_stays),
    ("propagation_is_as_planned", propagation_is_as_planned),
    ("the_host_keeps_its_mounts", the_host_keeps_its_mounts),
    ("a_dangling_link_becomes_a_file_inside", a_dangling_link_becomes_a_file_inside),
    ("kernel_messages_are_told", kernel_messages_are_told),
];

fn the_exit_code_comes_through() {
    assert_eq!(Fixture::new(&["exit", "7"]).run().unwrap().0, 7);
}

fn namespaces_differ() {
    let facts = Fixture::new(&["facts"]).facts();
    for name in ["mnt", "pid", "uts", "ipc", "net", "cgroup"] {
        let ours = std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
        assert_ne!(facts.get(name), ours.to_str().unwrap(), "{name}");
    }
    assert_eq!((facts.get("number"), facts.get("sid")), ("1", "1"));
}

fn masked_paths_are_empty() {
    let facts = Fixture::new(&["look", "/proc/keys", "/proc/timer_list", "/sys/power", "/proc/acpi"]).facts();
    for file in ["/proc/keys", "/proc/timer_list"] {
        assert!(facts.get(file).starts_with("char 1:3"), "{facts:?}");
    }
    assert!(facts.get("/sys/power").starts_with("folder 0 "), "{facts:?}");
    let facts = Fixture::new(&["write", "/sys/power/x", "/sys/power/state"]).facts();
    assert_eq!((facts.get("/sys/power/x"), facts.get("/sys/power/state")), ("errno 30", "errno 30"));
}

fn masks_share_one_file_system() {
    let fixture = Fixture::new(&["look", "/sys/power", "/sys/fs", "/sys/class"]);
    let facts = fixture.step(Step::Mask("/sys/fs".into())).step(Step::Mask("/sys/class".into())).facts();
    assert_eq!(facts.get("/sys/power"), facts.get("/sys/fs"));
    assert_eq!(facts.get("/sys/power"), facts.get("/sys/class"));
}

fn readonly_paths_refuse_writes() {
    let (host, volume) = ("/proc/sys/kernel/hostname", Scratch::new("volume"));
    assert_eq!(Fixture::new(&["write", host]).facts().get(host), "errno 30");
    let writable = Fixture::new(&["write", host]).without(|step| matches!(step, Step::Readonly(_)));
    assert_eq!(writable.facts().get(host), "done");
    // What is mounted below keeps its own state.
    let fixture = Fixture::new(&["write", "/a/x", "/a/vol/x"]).bind(&volume.0, "/a/vol").step(Step::Readonly("/a".into()));
    let facts = fixture.facts();
    assert_eq!((facts.get("/a/x"), facts.get("/a/vol/x")), ("errno 30", "done"));
}

fn a_readonly_root_refuses_writes() {
    let fixture = Fixture::new(&["write", "/file", "/tmp/file"]).step(mount("tmpfs", "/tmp", 0, &[]));
    let facts = fixture.plan(|plan| plan.rootfs_readonly = true).facts();
    assert_eq!((facts.get("/file"), facts.get("/tmp/file")), ("errno 30", "done"));
    assert_eq!(Fixture::new(&["write", "/file"]).facts().get("/file"), "done");
}

fn devices_work() {
    let owned = Step::Device { path: "/dev/fuse".into(), mode: 0o020640, major: 10, minor: 229, uid: 7, gid: 8 };
    let pipe = Step::Device { path: "/run/pipe".into(), mode: 0o010600, major: 0, minor: 0, uid: 0, gid: 0 };
    let fixture = Fixture::new(&["look", "/dev/null", "/dev/tty", "/dev/fuse", "/run/pipe", "/dev/stdout"]);
    let facts = fixture.step(owned).step(pipe).facts();
    assert_eq!(facts.get("/dev/null"), "char 1:3 666 0:0");
    assert_eq!(facts.get("/dev/tty"), "char 5:0 666 0:0");
    assert_eq!(facts.get("/dev/fuse"), "char 10:229 640 7:8");
    assert_eq!(facts.get("/run/pipe"), "fifo 600 0:0");
    assert_eq!(facts.get("/dev/stdout"), "link /proc/self/fd/1");
    assert_eq!(Fixture::new(&["write", "/dev/null"]).facts().get("/dev/null"), "done");
}

fn sysctls_are_set_in_the_container_only() {
    let port = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let before = std::fs::read_to_string(port).unwrap();
    let set = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned()), ("kernel/shm_rmid_forced".into(), "1".into())];
    let fixture = Fixture::new(&["read", port, "/proc/sys/kernel/shm_rmid_forced"]);
    let facts = fixture.plan(|plan| plan.sysctls = set("net.ipv4.ip_unprivileged_port_start", "77")).facts();
    assert_eq!((facts.get(port), facts.get("/proc/sys/kernel/shm_rmid_forced")), ("77", "1"));
    assert_eq!(std::fs::read_to_string(port).unwrap(), before);
    let failure = Fixture::new(&["exit", "0"]).plan(|plan| plan.sysctls = set("net.nonsuch", "1")).failure();
    assert!(failure.message.contains("sysctl net.nonsuch=1: openat2") && failure.message.contains("ENOENT"), "{failure}");
}

fn names_and_loopback() {
    let facts = Fixture::new(&["facts"]).plan(|plan| plan.domainname = Some("example".into())).facts();
    assert_eq!((facts.get("hostname"), facts.get("domainname")), ("box", "example"));
    assert_eq!(Fixture::new(&["read", "/sys/class/net/lo/flags"]).facts().get("/sys/class/net/lo/flags"), "0x9");
    let down = Fixture::new(&["read", "/sys/class/net/lo/flags"]).plan(|plan| plan.loopback = false).facts();
    assert_eq!(down.get("/sys/class/net/lo/flags"), "0x8");
}

fn the_host_root_is_gone() {
    let (_, text) = Fixture::new(&["mounts"]).run().unwrap();
    let host = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let root = host.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap();
    let device = root.split(' ').nth(2).unwrap();
    // The only thing of the host's disk is the program that was bound.
    for line in text.lines().filter(|line| line.split(' ').nth(2) == Some(device)) {
        assert_eq!(line.split(' ').nth(4), Some("/probe"), "{text}");
    }
    assert!(text.lines().next().unwrap().contains(" / / "), "{text}");
}

fn binds_have_their_attributes() {
    let scratch = Scratch::new("bind");
    let mut fixture = Fixture::new(&["write", "/rw/x", "/ro/x"]);
    let ro = fixture.fd(tree(&scratch.0));
    let attributes = Attributes { tree_set: READONLY, ..Attributes::default() };
    let step = Step::Bind { tree: ro, target: "/ro".into(), attributes, links: Links::default() };
    let facts = fixture.bind(&scratch.0, "/rw").step(step).facts();
    assert_eq!((facts.get("/rw/x"), facts.get("/ro/x")), ("done", "errno 30"));
}

/// What a bind over a read-only mount without programs becomes: its flags, or why it is none.
fn over_locked(source: &Path, attributes: Attributes) -> Result<String, String> {
    let mut fixture = Fixture::bare(&["mounts"]).step(mount("proc", "/proc", 0, &[]));
    let tree = fixture.fd(tree(source));
    let step = Step::Bind { tree, target: "/vol".into(), attributes, links: Links::default() };
    let (_, text) = fixture.step(step).run().map_err(|failure| failure.message)?;
    let line = text.lines().find(|line| line.contains(" /vol ")).unwrap_or_default();
    Ok(line.split(' ').nth(5).unwrap_or_default().to_owned())
}

/// A read-only mount without programs.
fn strict(scratch: &Scratch) {
    tmpfs(&scratch.0);
    let set = READONLY | NOEXEC | NOATIME;
    mount_setattr(sys::fs::open_dir(&scratch.0).unwrap(), Attr { set, clear: ATIME, propagation: 0 }, false).unwrap();
}

const NOSUID: u64 = 2;
const NOEXEC: u64 = 8;
const NOATIME: u64 = 0x10;
const ATIME: u64 = 0x70;

fn locked_stays(path: &Path, locked: bool) {
    let asked = Attributes { locked, ..Attributes::default() };
    let bound = |attributes| over_locked(path, attributes);
    // What nobody asked to lose stays, what is asked for in vain is an error.
    let more = Attributes { set: NOSUID, rest: READONLY | NOEXEC, ..asked };
    assert_eq!(bound(more).as_deref(), Ok("ro,nosuid,noexec,noatime"));
    let error = bound(Attributes { clear: READONLY, rest: NOSUID | NOEXEC, ..asked }).unwrap_err();
    assert!(error.contains("the host's ro is locked") && error.contains("EPERM"), "{error}");
    let error = bound(Attributes { clear: ATIME, rest: NOSUID, ..asked }).unwrap_err();
    assert!(error.contains("access time setting is locked"), "{error}");
    assert_eq!(bound(Attributes { set: NOATIME, clear: ATIME, rest: NOEXEC, ..asked }).as_deref(), Ok("ro,noexec,noatime"));
    let error = bound(Attributes { tree_clear: NOEXEC, ..asked }).unwrap_err();
    assert!(error.contains("EPERM"), "{error}");
}

/// A container with a user namespace keeps what the host's mounts have, although its caller may do anything.
fn what_the_host_has_locked_stays() {
    unshare(kind::MOUNT as i32).unwrap();
    let scratch = Scratch::new("locked");
    strict(&scratch);
    locked_stays(&scratch.0, true);
    let free = Attributes { set: NOSUID, rest: READONLY | NOEXEC, ..Attributes::default() };
    assert_eq!(over_locked(&scratch.0, free).as_deref(), Ok("rw,nosuid,noatime"));
    unmount(&scratch.0, UnmountFlags::DETACH).unwrap();
}

/// A caller in a user namespace of its own may not, and finds out by trying.
fn what_the_kernel_has_locked_stays() {
    unshare(kind::MOUNT as i32).unwrap();
    let scratch = Scratch::new("locked-user");
    strict(&scratch);
    let (wait_for, go) = rustix::pipe::pipe().unwrap();
    let mut go = Some(go);
    let inside = Clone { namespaces: kind::USER | kind::MOUNT, ..Clone::default() };
    let child = clone3(&inside, || {
        drop(go.take());
        let _ = rustix::io::read(&wait_for, &mut [0; 1]);
        locked_stays(&scratch.0, false);
        0
    });
    let child = child.unwrap();
    for map in ["gid_map", "uid_map"] {
        std::fs::write(format!("/proc/{}/{map}", child.pid.as_raw_nonzero()), "0 0 65536").unwrap();
    }
    drop(go);
    assert_eq!(wait(child.pidfd).unwrap().code(), 0);
    unmount(&scratch.0, UnmountFlags::DETACH).unwrap();
}

/// A mount namespace of our own, with a shared tmpfs.
fn shared(name: &str) -> Scratch {
    unshare(kind::MOUNT as i32).unwrap();
    let set = |path: &Path, propagation| {
        mount_setattr(sys::fs::open_dir(path).unwrap(), Attr { propagation, ..Attr::default() }, true).unwrap();
    };
    set(Path::new("/"), propagation::PRIVATE);
    let scratch = Scratch::new(name);
    tmpfs(&scratch.0);
    set(&scratch.0, propagation::SHARED);
    scratch
}

fn tmpfs(path: &Path) {
    rustix::mount::mount("tmpfs", path, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
}

fn the_host_keeps_its_mounts() {
    // Leaving the host's root unmounts it in the container: below a shared mount that would reach the host.
    let scratch = shared("keeps");
    let below = scratch.0.join("below");
    std::fs::create_dir(&below).unwrap();
    tmpfs(&below);
    let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = mounts();
    assert_eq!(Fixture::new(&["exit", "0"]).run().unwrap().0, 0);
    assert_eq!(mounts(), before);
    unmount(&scratch.0, UnmountFlags::DETACH).unwrap();
}

fn propagation_is_as_planned() {
    let scratch = shared("propagation");
    for (own, general, wanted) in [
        (0, propagation::PRIVATE, ""),
        (0, propagation::SLAVE, "master:"),
        (propagation::SLAVE, propagation::PRIVATE, "master:"),
        (propagation::SHARED, propagation::PRIVATE, "shared:"),
    ] {
        let mut fixture = Fixture::new(&["mounts"]).plan(|plan| plan.propagation = general);
        let tree = fixture.fd(tree(&scratch.0));
        let attributes = Attributes { propagation: own, ..Attributes::default() };
        let step = Step::Bind { tree, target: "/vol".into(), attributes, links: Links::default() };
        let (_, text) = fixture.step(step).run().unwrap();
        let line = text.lines().find(|line| line.contains(" /vol ")).unwrap();
        let tags = line.split(" - ").next().unwrap();
        let found = ["master:", "shared:"].into_iter().filter(|tag| tags.contains(tag)).collect::<String>();
        assert_eq!(found, wanted, "{line}");
    }
    unmount(&scratch.0, UnmountFlags::DETACH).unwrap();
    let (_, text) = Fixture::new(&["mounts"]).plan(|plan| plan.propagation = propagation::SHARED).run().unwrap();
    assert!(text.lines().next().unwrap().contains("shared:"), "{text}");
}

fn a_dangling_link_becomes_a_file_inside() {
    let scratch = Scratch::new("dangling");
    std::fs::write(scratch.0.join("conf"), "nameserver").unwrap();
    let fixture = Fixture::new(&["read", "/etc/resolv.conf", "/run/systemd/resolve/stub"]).folder("etc");
    let facts =
        fixture.link("../run/systemd/resolve/stub", "etc/resolv.conf").bind(&scratch.0.join("conf"), "/etc/resolv.conf").facts();
    assert_eq!((facts.get("/etc/resolv.conf"), facts.get("/run/systemd/resolve/stub")), ("nameserver", "nameserver"));
}

fn kernel_messages_are_told() {
    let failure = Fixture::new(&["exit", "0"]).step(mount("tmpfs", "/x", 0, &[("nonsuch", "1")])).failure();
    assert!(failure.message.contains("mount tmpfs on \"/x\"") && failure.message.contains("Unknown parameter"), "{failure}");
    assert_eq!(failure.kind, launch::Kind::Runtime);
    let failure = Fixture::new(&["exit", "0"]).step(mount("nonsuchfs", "/x", 0, &[])).failure();
    assert!(failure.message.contains("ENODEV"), "{failure}");
}
