//! What hostile images, volumes and configs try. Each check fails when its defence is taken away.

use std::os::fd::OwnedFd;
use std::path::Path;

use launch::{Kind, Step};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, renameat_with};
use sys::process::{Clone, clone3, wait};

use crate::Check;
use crate::fixture::{Fixture, Scratch, device, mount, read, stdio};

pub const CHECKS: &[Check] = &[
    ("proc_sys_or_dev_as_a_link_is_refused", proc_sys_or_dev_as_a_link_is_refused),
    ("dev_as_a_link_does_not_reach_the_host", dev_as_a_link_does_not_reach_the_host),
    ("targets_stay_inside", targets_stay_inside),
    ("no_mount_inside_procfs", no_mount_inside_procfs),
    ("nothing_but_procfs_on_proc", nothing_but_procfs_on_proc),
    ("a_replaced_null_device_is_no_mask", a_replaced_null_device_is_no_mask),
    ("a_file_in_place_of_a_node_is_refused", a_file_in_place_of_a_node_is_refused),
    ("no_descriptor_leaks", no_descriptor_leaks),
    ("the_hosts_null_device_is_out_of_reach", the_hosts_null_device_is_out_of_reach),
    ("no_working_folder_through_a_descriptor", no_working_folder_through_a_descriptor),
    ("a_working_folder_through_init_is_refused", a_working_folder_through_init_is_refused),
    ("racing_links_do_not_lead_out", racing_links_do_not_lead_out),
    ("a_racing_console_covers_nothing_else", a_racing_console_covers_nothing_else),
    ("who_starts_containers_cannot_be_traced", who_starts_containers_cannot_be_traced),
    ("a_fake_terminal_device_is_refused", a_fake_terminal_device_is_refused),
    ("labels_are_not_written_to_a_fake_procfs", labels_are_not_written_to_a_fake_procfs),
];

fn proc_sys_or_dev_as_a_link_is_refused() {
    for name in ["proc", "sys", "dev"] {
        let fixture = Fixture::new(&["exit", "0"]).folder("elsewhere").link("elsewhere", name);
        let failure = fixture.failure();
        assert!(failure.message.contains("symbolic link in the image"), "{name}: {failure}");
    }
}

fn dev_as_a_link_does_not_reach_the_host() {
    let canary = Scratch::new("canary");
    let host = canary.0.to_str().unwrap();
    // No /dev mount: nodes and links are made in the image's own tree.
    let fixture = Fixture::new(&["look", &format!("{host}/evil")]).link(host, "dev").without(|step| {
        let below = |path: &Path| path.starts_with("/dev");
        match step {
            Step::Mount { target, .. } => below(target),
            Step::Device { path, .. } | Step::Symlink { path, .. } => below(path),
            Step::Mask(_) => true,
            _ => false,
        }
    });
    let link = Step::Symlink { content: "x".into(), path: "/dev/link".into() };
    let facts = fixture.step(device("evil", 1, 3)).step(link).facts();
    assert_eq!(facts.get(&format!("{host}/evil")), "char 1:3 666 0:0");
    assert!(canary.names().is_empty(), "{:?}", canary.names());
}

fn targets_stay_inside() {
    let (canary, volume) = (Scratch::new("canary"), Scratch::new("volume"));
    let host = canary.0.to_str().unwrap();
    std::fs::write(volume.0.join("secret"), "x").unwrap();
    let up = format!("/a/../../../../../../../../..{host}/up");
    let fixture = Fixture::new(&["read", "/abs/volume/secret", &format!("{host}/up/secret")]).link(host, "abs");
    let facts = fixture.bind(&volume.0, "/abs/volume").bind(&volume.0, &up).facts();
    assert_eq!(facts.get("/abs/volume/secret"), "x");
    assert_eq!(facts.get(&format!("{host}/up/secret")), "x");
    assert!(canary.names().is_empty(), "{:?}", canary.names());
}

fn no_mount_inside_procfs() {
    let volume = Scratch::new("volume");
    std::fs::write(volume.0.join("file"), "fake").unwrap();
    let file = volume.0.join("file");
    for target in ["/proc/self/attr/exec", "/proc/sys/kernel/core_pattern", "/link/self/environ"] {
        let failure = Fixture::new(&["exit", "0"]).link("/proc", "link").bind(&file, target).failure();
        assert!(failure.message.contains("inside procfs"), "{target}: {failure}");
    }
    let failure = Fixture::new(&["exit", "0"]).step(mount("tmpfs", "/proc/1", 0, &[])).failure();
    assert!(failure.message.contains("inside procfs"), "{failure}");
    assert_eq!(Fixture::new(&["read", "/proc/uptime"]).bind(&file, "/proc/uptime").facts().get("/proc/uptime"), "fake");
}

fn nothing_but_procfs_on_proc() {
    let volume = Scratch::new("volume");
    for target in ["/proc", "/./proc/"] {
        let failure = Fixture::new(&["exit", "0"]).first(mount("tmpfs", target, 0, &[])).failure();
        assert!(failure.message.contains("only procfs"), "{failure}");
        assert!(Fixture::new(&["exit", "0"]).bind(&volume.0, target).failure().message.contains("only procfs"));
    }
}

fn a_replaced_null_device_is_no_mask() {
    // A /dev of the image's own, with a null that leads elsewhere.
    let image = |fixture: Fixture| {
        fixture.folder("dev").without(|step| match step {
            Step::Mount { target, .. } => target.starts_with("/dev"),
            Step::Device { path, .. } => path.ends_with("null"),
            _ => false,
        })
    };
    let failure = image(Fixture::new(&["exit", "0"])).link("/proc/sys/kernel/core_pattern", "dev/null").failure();
    assert!(failure.message.contains("not the null device"), "{failure}");
    let failure = image(Fixture::new(&["exit", "0"])).file("dev/null", "", 0o666).failure();
    assert!(failure.message.contains("not the null device"), "{failure}");
}

fn a_file_in_place_of_a_node_is_refused() {
    let own = |fixture: Fixture| fixture.without(|step| matches!(step, Step::Mount { target, .. } if target.starts_with("/dev")));
    let failure = own(Fixture::new(&["exit", "0"]).folder("dev").link("/proc/kcore", "dev/null")).failure();
    assert!(failure.message.contains("device \"/dev/null\": use what is there"), "{failure}");
}

/// Descriptors of host folders that nobody has marked close-on-exec.
fn leaked() -> Vec<OwnedFd> {
    (0..8).map(|_| rustix::fs::open("/", OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap()).collect()
}

fn no_descriptor_leaks() {
    let _leaked = leaked();
    assert_eq!(Fixture::new(&["facts"]).facts().get("fds"), "3");
}

/// Its mode could be changed through a descriptor, for the whole host.
fn the_hosts_null_device_is_out_of_reach() {
    let run = |fixture: Fixture| {
        let (mut stdio, output) = stdio();
        stdio.stdin = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty()).unwrap();
        stdio.stderr = stdio.stdin.try_clone().unwrap();
        let running = launch::create(&fixture.plan, &fixture.fds, Some(stdio))?.start()?;
        wait(&running.pidfd).unwrap();
        Ok::<_, launch::Failure>(read(output))
    };
    let words = ["same", "/dev/null", "/proc/self/fd/0", "/proc/self/fd/2"];
    assert_eq!(run(Fixture::new(&words)).unwrap(), "same=true\n");
    // Nor is anything else taken for it.
    let fixture = Fixture::bare(&words).folder("dev").file("dev/null", "", 0o666);
    let failure = run(fixture).expect_err("a file was taken for the null device");
    assert!(failure.message.contains("not the null device"), "{failure}");
}

fn no_working_folder_through_a_descriptor() {
    let _leaked = leaked();
    for number in 3..40 {
        let cwd = format!("/proc/self/fd/{number}");
        let failure = Fixture::new(&["exit", "0"]).process(|process| process.cwd = (&cwd).into()).failure();
        assert!(failure.message.contains("orking folder") || failure.message.contains("chdir to cwd"), "{cwd}: {failure}");
    }
}

fn a_working_folder_through_init_is_refused() {
    // A process of the host's pid namespace, whose root is the host's: chdir succeeds, and the check after it must not.
    let host = format!("/proc/{}/cwd", std::process::id());
    std::env::set_current_dir("/").unwrap();
    let running = Fixture::new(&["wait"]).plan(|plan| plan.unshare &= !sys::ns::kind::PID).started();
    let process = crate::fixture::process(&["exit", "0"], all_capabilities());
    let process = launch::Process { cwd: host.into(), ..process };
    let failure = launch::exec(&process, &running.running.target, None).expect_err("it escaped");
    assert!(failure.message.contains("outside of the container"), "{failure}");
}

fn all_capabilities() -> launch::Capabilities {
    launch::Capabilities { bounding: !0, effective: !0, permitted: !0, inheritable: 0, ambient: 0 }
}

/// A folder and a link to the host exchange names as fast as they can (CVE-2021-30465).
fn racing_links_do_not_lead_out() {
    let (canary, volume) = (Scratch::new("canary"), Scratch::new("volume"));
    std::fs::create_dir(volume.0.join("a")).unwrap();
    std::os::unix::fs::symlink(&canary.0, volume.0.join("b")).unwrap();
    let _racer = Racer::new(&volume.0.join("a"), &volume.0.join("b"));
    for _ in 0..150 {
        let fixture = Fixture::bare(&["exit", "0"]).bind(&volume.0, "/vol");
        let fixture = fixture.step(mount("tmpfs", "/vol/a/deep/er", 0, &[])).step(mount("tmpfs", "/vol/a", 0, &[]));
        match fixture.run() {
            Ok((0, _)) => {}
            Ok(other) => panic!("{other:?}"),
            // It may be noticed that something is not what it was.
            Err(failure) => assert_eq!(failure.kind, Kind::Runtime, "{failure}"),
        }
        assert!(canary.names().is_empty(), "{:?}", canary.names());
    }
}

/// A process that exchanges two names as fast as it can, until it is dropped.
struct Racer(OwnedFd);

impl Racer {
    fn new(a: &Path, b: &Path) -> Racer {
        let child = clone3(&Clone::default(), || {
            loop {
                let _ = renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE);
            }
        });
        Racer(child.unwrap().pidfd)
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        let _ = sys::process::signal(&self.0, 9);
        let _ = wait(&self.0);
    }
}

/// A `/dev` of somebody else's, in which the console, or the folder of terminals, is a link into procfs now and then (CVE-2025-52565).
fn a_racing_console_covers_nothing_else() {
    for name in ["console", "pts"] {
        let dev = Scratch::new("dev");
        std::fs::create_dir(dev.0.join("pts")).unwrap();
        std::fs::write(dev.0.join("console"), "").unwrap();
        std::os::unix::fs::symlink("/proc/sys/kernel/core_pattern", dev.0.join("link")).unwrap();
        let _racer = Racer::new(&dev.0.join(name), &dev.0.join("link"));
        let mut done = 0;
        for _ in 0..100 {
            let fixture = Fixture::bare(&["mounts"]).step(mount("proc", "/proc", 0, &[])).bind(&dev.0, "/dev");
            let fixture = fixture.step(mount("devpts", "/dev/pts", 0, &[("ptmxmode", "0666")])).step(Step::Console);
            let fixture = fixture.process(|process| process.terminal = Some((24, 80)));
            let Ok(running) = launch::create(&fixture.plan, &fixture.fds, None).and_then(launch::Created::start) else { continue };
            let text = crate::terminal::read(running.terminal.as_ref().unwrap());
            wait(&running.pidfd).unwrap();
            assert!(text.contains(" - devpts ") && !text.lines().any(|line| line.contains(" /proc/")), "{text}");
            done += 1;
        }
        assert!(done > 0, "none has run with a racing {name}");
    }
}

fn a_fake_terminal_device_is_refused() {
    let fakes = [
        // A link; a node of the right number where no devpts is; one that the kernel would serve from a devpts beside it.
        vec![Step::Symlink { content: "/dev/null".into(), path: "/dev/pts/ptmx".into() }],
        vec![device("pts/ptmx", 5, 2)],
        vec![mount("devpts", "/dev/pts/pts", 0, &[]), device("pts/ptmx", 5, 2)],
    ];
    for fake in fakes {
        let mut fixture = Fixture::new(&["exit", "0"]).step(mount("tmpfs", "/dev/pts", 0, &[]));
        fixture.plan.steps.extend(fake);
        let fixture = fixture.process(|process| process.terminal = Some((24, 80)));
        let failure = launch::create(&fixture.plan, &fixture.fds, None).expect_err("it took the fake");
        assert!(failure.message.contains("open a terminal"), "{failure}");
    }
}

/// A process that joins a container must not be looked into from there (CVE-2016-9962).
fn who_starts_containers_cannot_be_traced() {
    use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
    let guard = Fixture::new(&["wait"]).started();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
    let process = crate::fixture::process(&["exit", "0"], all_capabilities());
    let executed = launch::exec(&process, &guard.running.target, None).unwrap();
    wait(executed.pidfd).unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
}

/// A mount namespace of its own, whose mounts nobody else sees.
fn apart() {
    sys::ns::unshare(sys::ns::kind::MOUNT as i32).unwrap();
    let private = rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", private).unwrap();
}

fn labelled() -> Fixture {
    Fixture::new(&["exit", "0"]).process(|process| process.labels.apparmor = Some("no-such-profile".into()))
}

/// What a volume over the /proc of an outer container would be: the label goes nowhere, and the program runs unconfined
/// (CVE-2019-16884, CVE-2025-52881). It must reach the kernel, which refuses a profile that is not there.
fn labels_are_not_written_to_a_fake_procfs() {
    let fixture = labelled();
    apart();
    rustix::mount::mount("fake", "/proc", "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
    std::fs::create_dir_all("/proc/thread-self/attr/apparmor").unwrap();
    let files = ["/proc/thread-self/attr/apparmor/exec", "/proc/thread-self/attr/exec"];
    files.iter().for_each(|file| std::fs::write(file, "").unwrap());
    let failure = launch::create(&fixture.plan, &fixture.fds, None).expect_err("it was created");
    assert!(failure.message.contains("no-such-profile"), "{failure}");
    assert_eq!(files.map(|file| std::fs::read_to_string(file).unwrap()), ["", ""]);
}
