//! Processes and containers that join a running one, and cgroups.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use launch::{Capabilities, Kind, Process, Step, Target, exec};
use sys::ns::kind;
use sys::process::wait;

use crate::Check;
use crate::fixture::{CAPABILITIES, Facts, Fixture, process, read, stdio, tree};

pub const CHECKS: &[Check] = &[
    ("exec_joins_everything", exec_joins_everything),
    ("exec_returns_to_our_own_pid_namespace", exec_returns_to_our_own_pid_namespace),
    ("exec_says_what_is_wrong", exec_says_what_is_wrong),
    ("exec_after_the_end_fails", exec_after_the_end_fails),
    ("a_container_joins_namespaces_of_another", a_container_joins_namespaces_of_another),
    ("v1_cgroups_are_joined", v1_cgroups_are_joined),
    ("v2_cgroup_is_born_into", v2_cgroup_is_born_into),
    ("v2_cgroup_is_joined", v2_cgroup_is_joined),
    ("cgroups_are_mounted", cgroups_are_mounted),
];

fn default_capabilities() -> Capabilities {
    let bits = CAPABILITIES;
    Capabilities { bounding: bits, effective: bits, permitted: bits, inheritable: 0, ambient: 0 }
}

fn run(process: &Process, target: &Target) -> Result<Facts, launch::Failure> {
    let (stdio, output) = stdio();
    let executed = exec(process, target, Some(stdio))?;
    let text = read(output);
    assert_eq!(wait(&executed.pidfd).unwrap().code(), 0, "{text}");
    Ok(Facts::parse(&text))
}

fn exec_joins_everything() {
    let _leaked = rustix::fs::open("/", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    let guard = Fixture::new(&["wait"]).started();
    let facts = run(&process(&["facts"], default_capabilities()), &guard.running.target).unwrap();
    for name in ["mnt", "pid", "uts", "ipc", "net", "cgroup"] {
        let init = std::fs::read_link(format!("/proc/{}/ns/{name}", guard.running.pid)).unwrap();
        assert_eq!(facts.get(name), init.to_str().unwrap(), "{name}");
    }
    assert_eq!((facts.get("hostname"), facts.get("number"), facts.get("cwd")), ("box", "2", "/"));
    assert_eq!((facts.get("fds"), facts.get("CapInh")), ("3", "0000000000000000"));
    assert_eq!(facts.get("Bounding"), format!("{CAPABILITIES:#x}"));
    let other = Process { uid: 5, oom_score_adj: Some(99), cwd: "/dev".into(), ..process(&["facts"], default_capabilities()) };
    let facts = run(&other, &guard.running.target).unwrap();
    assert_eq!((facts.get("Uid"), facts.get("oom"), facts.get("cwd")), ("5 5 5 5", "99", "/dev"));
}

fn exec_returns_to_our_own_pid_namespace() {
    let guard = Fixture::new(&["wait"]).started();
    run(&process(&["facts"], default_capabilities()), &guard.running.target).unwrap();
    let nonsuch = process(&["facts"], default_capabilities());
    exec(&Process { args: vec!["nonsuch".into()], ..nonsuch }, &guard.running.target, None).expect_err("it ran");
    let link = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
    assert_eq!(link("pid"), link("pid_for_children"));
}

fn exec_says_what_is_wrong() {
    let guard = Fixture::new(&["wait"]).started();
    let base = || process(&["exit", "0"], default_capabilities());
    let failure = |process: &Process| exec(process, &guard.running.target, None).expect_err("it ran");
    let missing = failure(&Process { args: vec!["nonsuch".into()], ..base() });
    assert_eq!((missing.kind, &*missing.message), (Kind::NotFound, "exec: \"nonsuch\": executable file not found in $PATH"));
    let folder = failure(&Process { cwd: "/nonsuch".into(), ..base() });
    let text = "chdir to cwd (\"/nonsuch\") set in config.json failed: no such file or directory";
    assert_eq!((folder.kind, &*folder.message), (Kind::NotFound, text));
}

fn exec_after_the_end_fails() {
    let guard = Fixture::new(&["wait"]).started();
    sys::process::signal(&guard.running.pidfd, 9).unwrap();
    wait(&guard.running.pidfd).unwrap();
    let failure = exec(&process(&["exit", "0"], default_capabilities()), &guard.running.target, None).expect_err("it ran");
    assert!(failure.message.contains("ESRCH"), "{failure}");
}

fn a_container_joins_namespaces_of_another() {
    let pod = Fixture::new(&["wait"]).started();
    let shared = [(kind::NET, "net"), (kind::IPC, "ipc"), (kind::UTS, "uts"), (kind::PID, "pid")];
    let mut fixture = Fixture::new(&["facts"]).plan(|plan| (plan.hostname, plan.loopback) = (None, false));
    for (which, name) in shared {
        let file = std::fs::File::open(format!("/proc/{}/ns/{name}", pod.running.pid)).unwrap();
        let slot = fixture.fd(OwnedFd::from(file));
        fixture.plan.join.push((which, slot));
        fixture.plan.unshare &= !which;
    }
    let facts = fixture.facts();
    for (_, name) in shared {
        let theirs = std::fs::read_link(format!("/proc/{}/ns/{name}", pod.running.pid)).unwrap();
        assert_eq!(facts.get(name), theirs.to_str().unwrap());
    }
    assert_eq!((facts.get("hostname"), facts.get("number")), ("box", "2"));
    let link = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap();
    assert_eq!(link("pid"), link("pid_for_children"));
}

/// A cgroup of ours, removed in the end.
struct Group(PathBuf);

impl Group {
    /// `None`, said aloud, where the hierarchy is not there.
    fn new(hierarchy: &str) -> Option<Self> {
        let path = Path::new("/sys/fs/cgroup").join(hierarchy).join(format!("launch-test-{}", std::process::id()));
        match std::fs::create_dir(&path) {
            Ok(()) => Some(Group(path)),
            Err(error) => {
                println!("skipped: needs the cgroup hierarchy {hierarchy:?}: {error}");
                None
            }
        }
    }

    fn open(&self) -> OwnedFd {
        sys::fs::open_dir(&self.0).unwrap()
    }

    fn members(&self) -> String {
        std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            // The kernel lets go of the last member a moment after it was reaped.
            let _ = rustix::event::poll(&mut [], Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 10_000_000 }));
        }
    }
}

fn v1_cgroups_are_joined() {
    let (Some(pids), Some(memory)) = (Group::new("pids"), Group::new("memory")) else { return };
    let mut fixture = Fixture::new(&["wait"]);
    fixture.plan.cgroup.join = vec![fixture.fd(pids.open()), fixture.fd(memory.open())];
    let guard = fixture.started();
    for group in [&pids, &memory] {
        assert_eq!(group.members().trim(), guard.running.pid.to_string());
    }
    // The cgroup namespace was made after joining: its root is the group.
    let facts = run(&process(&["facts"], default_capabilities()), &guard.running.target).unwrap();
    let path = facts.get("cgroup_path");
    assert!(path.split('|').any(|line| line.contains(":pids:/") && line.ends_with(":/")), "{path}");
    drop(guard);
}

fn v2() -> Option<Group> {
    Group::new("unified").or_else(|| Group::new(""))
}

fn check_v2(group: Group, fixture: Fixture) {
    let guard = fixture.started();
    assert_eq!(group.members().trim(), guard.running.pid.to_string());
    let facts = run(&process(&["facts"], default_capabilities()), &guard.running.target).unwrap();
    assert!(facts.get("cgroup_path").split('|').any(|line| line == "0::/"), "{facts:?}");
    drop(guard);
}

fn v2_cgroup_is_born_into() {
    let Some(group) = v2() else { return };
    let mut fixture = Fixture::new(&["wait"]);
    fixture.plan.cgroup.into = Some(fixture.fd(group.open()));
    check_v2(group, fixture);
}

fn v2_cgroup_is_joined() {
    let Some(group) = v2() else { return };
    let mut fixture = Fixture::new(&["wait"]);
    fixture.plan.cgroup.join = vec![fixture.fd(group.open())];
    check_v2(group, fixture);
}

fn cgroups_are_mounted() {
    let (Some(group), Some(pids)) = (v2(), Group::new("pids")) else { return };
    let mut fixture = Fixture::new(&["write", "/cg2/cgroup.procs", "/sys/fs/cgroup/pids/tasks", "/sys/fs/cgroup/x"]);
    fixture.plan.cgroup.into = Some(fixture.fd(group.open()));
    fixture.plan.cgroup.join = vec![fixture.fd(pids.open())];
    let slot = fixture.fd(tree(&pids.0));
    let v1 = vec![("pids".to_owned(), slot)];
    let fixture = fixture.step(Step::Cgroup { target: "/cg2".into(), v1: vec![], readonly: false });
    let facts = fixture.step(Step::Cgroup { target: "/sys/fs/cgroup".into(), v1, readonly: true }).facts();
    assert_eq!(facts.get("/cg2/cgroup.procs"), "done");
    assert_eq!((facts.get("/sys/fs/cgroup/pids/tasks"), facts.get("/sys/fs/cgroup/x")), ("errno 30", "errno 30"));
}
