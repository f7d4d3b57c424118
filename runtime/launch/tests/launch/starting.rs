//! Inits that are started by somebody else than their maker, and what is done on the way.

use std::cell::RefCell;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use launch::{Created, Failure, Gate, Inherited, Kind, Parts, Stage, Stages, create_with, start};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FlockOperation, flock};
use rustix::io::FdFlags;
use rustix::pipe::{PipeFlags, pipe_with};
use sys::process::{Clone, clone3, wait};

use crate::Check;
use crate::fixture::{Fixture, Scratch};

pub const CHECKS: &[Check] = &[
    ("another_process_starts_it", another_process_starts_it),
    ("it_waits_when_its_maker_has_ended", it_waits_when_its_maker_has_ended),
    ("it_ends_when_its_folder_is_removed", it_ends_when_its_folder_is_removed),
    ("a_lock_on_its_folder_is_not_its_own", a_lock_on_its_folder_is_not_its_own),
    ("a_program_that_is_gone_is_told_to_the_starter", a_program_that_is_gone_is_told_to_the_starter),
    ("stages_come_in_order", stages_come_in_order),
    ("a_stage_that_fails_ends_it", a_stage_that_fails_ends_it),
    ("only_preserved_descriptors_are_there", only_preserved_descriptors_are_there),
];

const NAME: &str = "start";

fn folder(scratch: &Scratch) -> OwnedFd {
    sys::fs::open_dir(&scratch.0).unwrap()
}

fn make(fixture: &Fixture, scratch: &Scratch) -> Created {
    let gate = Gate::new(folder(scratch), NAME).unwrap();
    create_with(&fixture.plan, &fixture.fds, Inherited::default(), Some(gate), None).unwrap_or_else(|failure| panic!("{failure}"))
}

fn ended(pidfd: &OwnedFd, millis: i64) -> bool {
    let limit = Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
    poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&limit)).unwrap() == 1
}

fn another_process_starts_it() {
    let scratch = Scratch::new("gate");
    let created = make(&Fixture::new(&["wait"]), &scratch);
    let (pid, pidfd) = (created.pid, created.pidfd.try_clone().unwrap());
    created.leave().unwrap();
    assert!(!ended(&pidfd, 50) && sys::process::never_executed(pid));
    start(folder(&scratch), NAME, pid, None).unwrap();
    assert!(!sys::process::never_executed(pid));
    assert_eq!(start(folder(&scratch), NAME, pid, None), Err(Stage::Gone));
    sys::process::signal(&pidfd, 9).unwrap();
    assert_eq!(wait(&pidfd).unwrap().code(), 137);
}

fn it_waits_when_its_maker_has_ended() {
    let scratch = Scratch::new("gate-left");
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let (ours, theirs) = sys::socket::pair().unwrap();
    let maker = clone3(&Clone::default(), || {
        let created = make(&Fixture::new(&["exit", "7"]), &scratch);
        sys::socket::send(&theirs, &created.pid.to_ne_bytes(), &[created.pidfd.as_fd()]).unwrap();
        created.leave().unwrap();
        0
    });
    assert_eq!(wait(maker.unwrap().pidfd).unwrap().code(), 0);
    let mut pid = [0; 4];
    let (_, fds) = sys::socket::receive(&ours, &mut pid).unwrap();
    assert!(!ended(&fds[0], 50));
    start(folder(&scratch), NAME, u32::from_ne_bytes(pid), None).unwrap();
    assert_eq!(wait(&fds[0]).unwrap().code(), 7);
}

fn it_ends_when_its_folder_is_removed() {
    let scratch = Scratch::new("gate-removed");
    let created = make(&Fixture::new(&["wait"]), &scratch);
    let pidfd = created.pidfd.try_clone().unwrap();
    created.leave().unwrap();
    // Other files may come and go.
    std::fs::write(scratch.0.join("state"), "").unwrap();
    std::fs::remove_file(scratch.0.join("state")).unwrap();
    assert!(!ended(&pidfd, 50));
    std::fs::remove_dir_all(&scratch.0).unwrap();
    assert_eq!(wait(&pidfd).unwrap().code(), 1);
}

fn a_lock_on_its_folder_is_not_its_own() {
    let scratch = Scratch::new("gate-lock");
    let locked = folder(&scratch);
    flock(&locked, FlockOperation::LockExclusive).unwrap();
    let gate = Gate::new(&locked, NAME).unwrap();
    let fixture = Fixture::new(&["wait"]);
    let made = create_with(&fixture.plan, &fixture.fds, Inherited::default(), Some(gate), None).unwrap();
    let pidfd = made.pidfd.try_clone().unwrap();
    made.leave().unwrap();
    drop(locked);
    assert!(!ended(&pidfd, 20));
    flock(folder(&scratch), FlockOperation::NonBlockingLockExclusive).unwrap();
    sys::process::signal(&pidfd, 9).unwrap();
    wait(&pidfd).unwrap();
}

fn a_program_that_is_gone_is_told_to_the_starter() {
    let scratch = Scratch::new("gate-fails");
    let fixture = Fixture::new(&[]).file("broken", "#!/nonsuch\n", 0o755).process(|process| process.args = vec!["/broken".into()]);
    let created = make(&fixture, &scratch);
    let pid = created.pid;
    created.leave().unwrap();
    let Err(Stage::Failed(Failure { kind, message, parts })) = start(folder(&scratch), NAME, pid, None) else {
        panic!("it starts")
    };
    assert_eq!((kind, &*message), (Kind::NotFound, "exec /broken: no such file or directory"));
    let call = "execve(\"/broken\")".to_owned();
    assert_eq!(*parts, Parts { step: None, call: Some(call), path: Some("/broken".into()), errno: Some("ENOENT".into()) });
}

/// Writes down what happens, by a pipe from both processes.
struct Notes {
    pipe: OwnedFd,
    fail: &'static str,
    pid: RefCell<u32>,
}

impl Notes {
    fn new(fail: &'static str) -> (Notes, OwnedFd) {
        let (ours, pipe) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        (Notes { pipe, fail, pid: RefCell::new(0) }, ours)
    }

    fn note(&self, what: &str) -> Result<(), String> {
        // Of the container's root there is nothing before it is changed, and nothing else after.
        let root = if std::path::Path::new("/probe").exists() { "container" } else { "host" };
        // Closed in a child that is about to execute its program.
        let _ = sys::fs::write_all(&self.pipe, format!("{what}@{root} ").as_bytes());
        if self.fail == what { Err(format!("{what} fails")) } else { Ok(()) }
    }
}

impl Stages for Notes {
    fn made(&self, pid: u32) -> Result<(), String> {
        *self.pid.borrow_mut() = pid;
        let net = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
        assert_ne!(net(&pid.to_string()), net("self"));
        self.note("made")
    }

    fn inside(&self) -> Result<(), String> {
        self.note("inside")
    }

    fn starting(&self) -> Result<(), String> {
        match (self.fail, std::path::Path::new("/probe").exists()) {
            ("starting", _) => Err("starting fails".into()),
            (_, true) => Ok(()),
            (_, false) => Err("not in the container".into()),
        }
    }
}

fn stages_come_in_order() {
    let (notes, read) = Notes::new("");
    let fixture = Fixture::new(&["exit", "0"]);
    let created = create_with(&fixture.plan, &fixture.fds, Inherited::default(), None, Some(&notes)).unwrap();
    assert_eq!(*notes.pid.borrow(), created.pid);
    drop(notes);
    let running = created.start().unwrap();
    assert_eq!(wait(&running.pidfd).unwrap().code(), 0);
    assert_eq!(crate::fixture::read(read), "made@host inside@host ");
}

fn a_stage_that_fails_ends_it() {
    let create = |notes: &Notes| {
        let fixture = Fixture::new(&["exit", "0"]);
        create_with(&fixture.plan, &fixture.fds, Inherited::default(), None, Some(notes))
    };
    for stage in ["made", "inside"] {
        let (notes, _read) = Notes::new(stage);
        let failure = create(&notes).unwrap_err();
        assert!(failure.message.ends_with(&format!("{stage} fails")), "{failure}");
    }
    let (notes, _read) = Notes::new("starting");
    assert_eq!(create(&notes).unwrap().start().unwrap_err().message, "starting fails");
}

fn only_preserved_descriptors_are_there() {
    let null = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(null.as_raw_fd(), 3, "this process begins with three descriptors");
    rustix::io::fcntl_setfd(&null, FdFlags::empty()).unwrap();
    let other = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&other, FdFlags::empty()).unwrap();
    for (preserved, names) in [(1, 5), (0, 4)] {
        let (stdio, output) = crate::fixture::stdio();
        // The last name is that of the folder itself.
        let fixture = Fixture::new(&["look", "/proc/self/fd"]);
        let inherited = Inherited { stdio: Some(stdio), preserved, keyring: false };
        let running = create_with(&fixture.plan, &fixture.fds, inherited, None, None).unwrap().start().unwrap();
        let text = crate::fixture::read(output);
        assert_eq!(wait(&running.pidfd).unwrap().code(), 0);
        assert!(text.starts_with(&format!("/proc/self/fd=folder {names} ")), "{text}");
    }
}
