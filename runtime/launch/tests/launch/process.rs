//! The process: who it is, what it may do, and what happens when it cannot be.

use launch::{Capabilities, Kind, Seccomp};
use sys::process::{Clone, clone3, wait};

use crate::Check;
use crate::fixture::{CAPABILITIES, Fixture};

pub const CHECKS: &[Check] = &[
    ("capability_sets_are_as_planned", capability_sets_are_as_planned),
    ("a_user_keeps_only_ambient_capabilities", a_user_keeps_only_ambient_capabilities),
    ("capabilities_that_nobody_has_are_left_out", capabilities_that_nobody_has_are_left_out),
    ("the_filter_is_loaded", the_filter_is_loaded),
    ("programs_that_are_not_there", programs_that_are_not_there),
    ("programs_that_cannot_run", programs_that_cannot_run),
    ("a_program_is_found_as_its_user", a_program_is_found_as_its_user),
    ("the_working_folder_is_made", the_working_folder_is_made),
    ("limits_score_and_mask", limits_score_and_mask),
    ("raising_a_limit_without_the_right_is_an_error", raising_a_limit_without_the_right_is_an_error),
    ("signals_start_clean", signals_start_clean),
    ("a_user_can_open_its_output_again", a_user_can_open_its_output_again),
    ("dropping_it_kills_it", dropping_it_kills_it),
    ("it_ends_with_its_parent", it_ends_with_its_parent),
    ("killed_before_exec_is_a_failure", killed_before_exec_is_a_failure),
    ("the_callers_keys_stay_behind", the_callers_keys_stay_behind),
    ("a_plan_that_names_too_much_is_refused", a_plan_that_names_too_much_is_refused),
];

fn sets(bits: u64) -> Capabilities {
    Capabilities { bounding: bits, effective: bits, permitted: bits, inheritable: 0, ambient: 0 }
}

fn capability_sets_are_as_planned() {
    let facts = Fixture::new(&["facts"]).facts();
    for set in ["Bounding", "Effective", "Permitted"] {
        assert_eq!(facts.get(set), format!("{CAPABILITIES:#x}"), "{set}");
    }
    assert_eq!((facts.get("Inheritable"), facts.get("Ambient")), ("0x0", "0x0"));
    assert_eq!((facts.get("CapInh"), facts.get("NoNewPrivs")), ("0000000000000000", "0"));
    let none = Fixture::new(&["facts"]).process(|process| process.capabilities = Some(sets(0))).facts();
    for set in ["Bounding", "Effective", "Permitted", "Inheritable", "Ambient"] {
        assert_eq!(none.get(set), "0x0", "{set}");
    }
}

fn a_user_keeps_only_ambient_capabilities() {
    let user = |capabilities: Capabilities| {
        let fixture = Fixture::new(&["facts"]).process(|process| {
            (process.uid, process.gid, process.groups) = (1000, 1001, vec![7, 8]);
            process.capabilities = Some(capabilities);
        });
        fixture.facts()
    };
    let facts = user(sets(CAPABILITIES));
    assert_eq!((facts.get("Uid"), facts.get("Gid")), ("1000 1000 1000 1000", "1001 1001 1001 1001"));
    assert_eq!(facts.get("Groups"), "7 8");
    assert_eq!((facts.get("Effective"), facts.get("Permitted")), ("0x0", "0x0"));
    assert_eq!(facts.get("Bounding"), format!("{CAPABILITIES:#x}"));
    let facts = user(Capabilities { inheritable: 0x400, ambient: 0x400, ..sets(0x400) });
    for set in ["Effective", "Permitted", "Ambient", "Inheritable", "Bounding"] {
        assert_eq!(facts.get(set), "0x400", "{set}");
    }
}

fn capabilities_that_nobody_has_are_left_out() {
    let facts = Fixture::new(&["facts"]).process(|process| process.capabilities = Some(sets(!0))).facts();
    let own = caps::read(None, caps::CapSet::Permitted).unwrap().iter().fold(0, |all, cap| all | cap.bitmask());
    assert_eq!(facts.get("Permitted"), format!("{own:#x}"));
}

fn the_filter_is_loaded() {
    // mkdir(2) and mkdirat(2) fail with EXDEV, which nothing else would.
    let program = vec![
        (0x20, 0, 0, 0),
        (0x15, 2, 0, libc_number("mkdir")),
        (0x15, 1, 0, libc_number("mkdirat")),
        (0x06, 0, 0, 0x7fff_0000),
        (0x06, 0, 0, 0x0005_0000 | 18),
    ];
    for no_new_privs in [false, true] {
        let filter = |process: &mut launch::Process| {
            process.no_new_privs = no_new_privs;
            process.seccomp = Some(Seccomp { program: program.clone(), flags: 0, listener: None });
        };
        assert_eq!(Fixture::new(&["mkdir", "/new"]).process(filter).facts().get("/new"), "errno 18");
        let facts = Fixture::new(&["facts"]).process(filter).facts();
        assert_eq!((facts.get("Seccomp"), facts.get("NoNewPrivs")), ("2", if no_new_privs { "1" } else { "0" }));
    }
    let broken = Fixture::new(&["exit", "0"])
        .process(|p| p.seccomp = Some(Seccomp { program: vec![(0xff, 0, 0, 0)], flags: 0, listener: None }));
    assert!(broken.failure().message.contains("system call filter: seccomp("));
}

fn libc_number(name: &str) -> u32 {
    match (name, cfg!(target_arch = "x86_64")) {
        ("mkdir", true) => 83,
        ("mkdirat", true) => 258,
        ("execve", true) => 59,
        ("execve", false) => 221,
        _ => 34,
    }
}

fn programs_that_are_not_there() {
    let with = |program: &str| Fixture::new(&[]).process(|process| process.args = vec![program.into()]).failure();
    for (program, text) in [
        ("foo", "exec: \"foo\": executable file not found in $PATH"),
        ("/foo", "exec: \"/foo\": stat /foo: no such file or directory"),
        ("", "exec: \"\": executable file not found in $PATH"),
    ] {
        let failure = with(program);
        assert_eq!((failure.kind, &*failure.message), (Kind::NotFound, text));
    }
    let fixture = Fixture::new(&[]).file("script", "#!/no/such/shell\n", 0o755).process(|p| p.args = vec!["/script".into()]);
    let failure = fixture.failure();
    assert_eq!((failure.kind, &*failure.message), (Kind::NotFound, "exec /script: no such file or directory"));
}

fn programs_that_cannot_run() {
    let with = |fixture: Fixture, program: &str| fixture.process(|process| process.args = vec![program.into()]).failure();
    let failure = with(Fixture::new(&[]).file("text", "no program", 0o644), "/text");
    assert_eq!((failure.kind, &*failure.message), (Kind::NotExecutable, "exec: \"/text\": permission denied"));
    let failure = with(Fixture::new(&[]).file("text", "no program", 0o755), "/text");
    assert_eq!((failure.kind, &*failure.message), (Kind::NotExecutable, "exec /text: exec format error"));
    let failure = with(Fixture::new(&[]), "/proc");
    assert_eq!((failure.kind, &*failure.message), (Kind::NotExecutable, "exec: \"/proc\": is a directory"));
}

fn a_program_is_found_as_its_user() {
    let fixture = Fixture::new(&[]).folder("bin").file("bin/own", "", 0o700);
    let fixture = fixture.process(|process| {
        (process.uid, process.args, process.capabilities) = (1000, vec!["/bin/own".into()], Some(sets(0)));
    });
    let failure = fixture.failure();
    assert_eq!((failure.kind, &*failure.message), (Kind::NotExecutable, "exec: \"/bin/own\": permission denied"));
}

fn the_working_folder_is_made() {
    let fixture =
        Fixture::new(&["facts"]).process(|process| process.cwd = "/srv/app".into()).plan(|plan| plan.rootfs_readonly = true);
    assert_eq!(fixture.facts().get("cwd"), "/srv/app");
    // Root may enter what the user may not, as with runc.
    let fixture = Fixture::new(&["exit", "0"]).folder("private");
    rustix::fs::chmodat(&fixture.fds[0], "private", rustix::fs::Mode::from_raw_mode(0o700), rustix::fs::AtFlags::empty()).unwrap();
    let fixture = fixture.process(|process| {
        (process.uid, process.cwd, process.capabilities) = (1000, "/private".into(), Some(sets(0)));
    });
    assert_eq!(fixture.run().unwrap().0, 0);
    let fixture = Fixture::new(&["exit", "0"]).file("plain", "", 0o644).process(|process| process.cwd = "/plain".into());
    assert!(fixture.failure().message.contains("working folder \"/plain\""));
}

fn limits_score_and_mask() {
    let facts = Fixture::new(&["facts"]).process(|process| {
        process.rlimits = vec![(7, 100, 200)];
        process.oom_score_adj = Some(321);
        process.umask = Some(0o027);
    });
    let facts = facts.facts();
    assert_eq!(facts.get("nofile"), "Some(100):Some(200)");
    assert_eq!((facts.get("oom"), facts.get("Umask")), ("321", "0027"));
    assert_eq!(Fixture::new(&["facts"]).facts().get("Umask"), "0022");
    assert_eq!(Fixture::new(&["facts"]).facts().get("env"), "PATH:/usr/bin:/bin,HELLO:world");
}

fn raising_a_limit_without_the_right_is_an_error() {
    // In a process without the capability, with a hard limit below what is asked for.
    caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_SYS_RESOURCE).unwrap();
    caps::drop(None, caps::CapSet::Permitted, caps::Capability::CAP_SYS_RESOURCE).unwrap();
    sys::process::set_rlimit(7, 500, 500).unwrap();
    let failure = Fixture::new(&["exit", "0"]).process(|process| process.rlimits = vec![(7, 100, 1000)]).failure();
    assert!(failure.message.contains("CAP_SYS_RESOURCE") && failure.message.contains("EPERM"), "{failure}");
    assert_eq!(Fixture::new(&["facts"]).facts().get("nofile"), "Some(500):Some(500)");
}

fn signals_start_clean() {
    sys::signal::block(&[2, 15, 17, 40]).unwrap();
    let facts = Fixture::new(&["facts"]).facts();
    // The probe is a Rust program: its own start ignores SIGPIPE (bit 12).
    assert_eq!((facts.get("SigBlk"), facts.get("SigIgn")), ("0000000000000000", "0000000000001000"));
}

fn a_user_can_open_its_output_again() {
    let fixture = Fixture::new(&["write", "/proc/self/fd/1"]).process(|process| process.uid = 1000);
    assert_eq!(fixture.facts().get("/proc/self/fd/1"), "done");
}

fn dropping_it_kills_it() {
    let fixture = Fixture::new(&["wait"]);
    let (created, _output) = fixture.create().unwrap();
    let (pid, start) = (created.pid, created.start_time);
    assert_eq!(sys::process::start_time(pid), Some(start));
    drop(created);
    assert_eq!(sys::process::start_time(pid), None);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "not reaped");
}

fn it_ends_with_its_parent() {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let (go, gone) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    let parent = clone3(&Clone::default(), || {
        let (created, _output) = Fixture::new(&["wait"]).create().unwrap();
        sys::fs::write_all(&write, &created.pid.to_ne_bytes()).unwrap();
        sys::fs::write_all(&write, &created.start_time.to_ne_bytes()).unwrap();
        rustix::io::read(&go, &mut [0]).unwrap();
        // Ends without a destructor, as if it were killed.
        std::mem::forget(created);
        0
    });
    let (mut pid, mut start) = ([0; 4], [0; 8]);
    rustix::io::read(&read, &mut pid).unwrap();
    rustix::io::read(&read, &mut start).unwrap();
    let orphan = sys::process::open(u32::from_ne_bytes(pid), u64::from_ne_bytes(start)).unwrap();
    sys::fs::write_all(&gone, b"x").unwrap();
    wait(parent.unwrap().pidfd).unwrap();
    let minute = rustix::event::Timespec { tv_sec: 60, tv_nsec: 0 };
    let ended = rustix::event::poll(&mut [rustix::event::PollFd::new(&orphan, rustix::event::PollFlags::IN)], Some(&minute));
    assert_eq!(ended, Ok(1), "it lives on");
}

fn killed_before_exec_is_a_failure() {
    let (created, _output) = Fixture::new(&["exit", "0"]).create().unwrap();
    sys::process::signal(&created.pidfd, 9).unwrap();
    rustix::event::poll(&mut [rustix::event::PollFd::new(&created.pidfd, rustix::event::PollFlags::IN)], None).unwrap();
    let failure = created.start().expect_err("a dead process was started");
    assert_eq!(failure.kind, Kind::Runtime);
    // Between the word and execve: a filter that kills at execve. The socket ends as it does after success.
    let program = vec![(0x20, 0, 0, 0), (0x15, 0, 1, libc_number("execve")), (0x06, 0, 0, 0x8000_0000), (0x06, 0, 0, 0x7fff_0000)];
    let fixture =
        Fixture::new(&["exit", "0"]).process(|process| process.seccomp = Some(Seccomp { program, flags: 0, listener: None }));
    let failure = fixture.failure();
    assert!(failure.message.contains("killed by signal 31 before"), "{failure}");
}

fn the_callers_keys_stay_behind() {
    let Ok(()) = sys::process::new_session_keyring() else { return println!("skipped: needs keyrings") };
    let own = sys::process::session_keyring().unwrap();
    let facts = Fixture::new(&["facts"]).facts();
    assert!(!["0", &own.to_string()].contains(&facts.get("keyring")), "{facts:?}");
}

fn a_plan_that_names_too_much_is_refused() {
    let fixture = Fixture::new(&["exit", "0"]).plan(|plan| plan.rootfs = launch::Slot(9));
    assert!(fixture.failure().message.contains("descriptor 9 of 2"));
    assert!(Fixture::new(&[]).plan(|plan| plan.unshare = 0).failure().message.contains("mount namespace"));
}
