//! A container to play with: an empty tmpfs as root, what Docker mounts by default, and this program in it as `/probe`.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use launch::{Attributes, Capabilities, Created, Failure, Links, Plan, Process, Running, Slot, Stdio, Step, create};
use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat, symlinkat};
use rustix::mount::{MountAttrFlags as Flags, OpenTreeFlags, open_tree};
use rustix::pipe::{PipeFlags, pipe_with};
use sys::mount::{Filesystem, propagation};
use sys::ns::kind;
use sys::process::{Clone, Ended, Exec, clone3, wait};

use crate::probe;

/// Docker's default capabilities.
pub const CAPABILITIES: u64 = 0xa804_25fb;

const SAFE: u64 = (Flags::MOUNT_ATTR_NOSUID.bits() | Flags::MOUNT_ATTR_NODEV.bits() | Flags::MOUNT_ATTR_NOEXEC.bits()) as u64;
pub const READONLY: u64 = Flags::MOUNT_ATTR_RDONLY.bits() as u64;

/// A plan with its descriptors.
pub struct Fixture {
    pub plan: Plan,
    pub fds: Vec<OwnedFd>,
}

impl Fixture {
    /// A container that runs `/probe` with `words`.
    pub fn new(words: &[&str]) -> Self {
        let root = Filesystem::open("tmpfs").unwrap().mount(Flags::empty()).unwrap();
        let program = tree(&std::env::current_exe().unwrap());
        let mut fixture = Fixture { plan: plan(words), fds: vec![root, program] };
        fixture.plan.steps = steps();
        fixture
    }

    /// As small as a container can be: for measurements.
    pub fn bare(words: &[&str]) -> Self {
        let mut fixture = Fixture::new(words);
        fixture.plan.steps.truncate(1);
        fixture
    }

    pub fn step(mut self, step: Step) -> Self {
        self.plan.steps.push(step);
        self
    }

    /// Puts a step before all others.
    pub fn first(mut self, step: Step) -> Self {
        self.plan.steps.insert(0, step);
        self
    }

    pub fn without(mut self, unwanted: impl Fn(&Step) -> bool) -> Self {
        self.plan.steps.retain(|step| !unwanted(step));
        self
    }

    pub fn process(mut self, change: impl FnOnce(&mut Process)) -> Self {
        change(&mut self.plan.process);
        self
    }

    pub fn plan(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.plan);
        self
    }

    pub fn fd(&mut self, fd: OwnedFd) -> Slot {
        self.fds.push(fd);
        Slot(self.fds.len() as u32 - 1)
    }

    /// Binds `source` of the host on `target`.
    pub fn bind(mut self, source: &Path, target: &str) -> Self {
        let tree = self.fd(tree(source));
        self.step(Step::Bind { tree, target: target.into(), attributes: Attributes::default(), links: Links::default() })
    }

    /// Something in the root file system.
    pub fn link(self, content: &str, name: &str) -> Self {
        symlinkat(content, &self.fds[0], name).unwrap();
        self
    }

    pub fn folder(self, name: &str) -> Self {
        mkdirat(&self.fds[0], name, Mode::from_raw_mode(0o755)).unwrap();
        self
    }

    pub fn file(self, name: &str, content: &str, mode: u32) -> Self {
        let file = openat(&self.fds[0], name, OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(mode)).unwrap();
        sys::fs::write_all(&file, content.as_bytes()).unwrap();
        self
    }

    pub fn create(&self) -> Result<(Created, OwnedFd), Failure> {
        let (stdio, output) = stdio();
        Ok((create(&self.plan, &self.fds, Some(stdio))?, output))
    }

    /// Runs it to its end.
    pub fn run(&self) -> Result<(i32, String), Failure> {
        let (created, output) = self.create()?;
        let running = created.start()?;
        let text = read(output);
        Ok((wait(&running.pidfd).unwrap().code(), text))
    }

    /// Runs it, expects success, and takes its output as facts.
    pub fn facts(&self) -> Facts {
        let (code, text) = self.run().unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(code, 0, "{text}");
        Facts::parse(&text)
    }

    /// The failure of a run that must not succeed.
    pub fn failure(&self) -> Failure {
        match self.run() {
            Ok((code, text)) => panic!("it ran: {code} {text}"),
            Err(failure) => failure,
        }
    }

    /// Starts a container that waits to be killed.
    pub fn started(&self) -> Guard {
        let (created, output) = self.create().unwrap_or_else(|failure| panic!("{failure}"));
        Guard { running: created.start().unwrap_or_else(|failure| panic!("{failure}")), _output: output }
    }
}

/// A running container that is killed in the end.
pub struct Guard {
    pub running: Running,
    _output: OwnedFd,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = sys::process::signal(&self.running.pidfd, 9);
        let _ = wait(&self.running.pidfd);
    }
}

/// Lines `key=value` that the probe has printed.
#[derive(Debug)]
pub struct Facts(BTreeMap<String, String>);

impl Facts {
    pub fn parse(text: &str) -> Self {
        Facts(text.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into())).collect())
    }

    #[track_caller]
    pub fn get(&self, key: &str) -> &str {
        self.0.get(key).unwrap_or_else(|| panic!("no {key} in {self:?}"))
    }
}

/// Pipes for a container, and the end to read from. Standard input is empty.
pub fn stdio() -> (Stdio, OwnedFd) {
    let (output, write) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let (stdin, _) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    let stderr = write.try_clone().unwrap();
    (Stdio { stdin, stdout: write, stderr }, output)
}

pub fn read(output: OwnedFd) -> String {
    String::from_utf8(sys::fs::read_all(output, 1 << 20).unwrap()).unwrap()
}

/// A detached copy of a part of the host's tree.
pub fn tree(path: &Path) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
    open_tree(CWD, path, flags).unwrap()
}

/// A folder of the host that is removed in the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("launch-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    /// The names in it.
    pub fn names(&self) -> Vec<std::ffi::OsString> {
        sys::fs::list(sys::fs::open_dir(&self.0).unwrap().as_fd()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn plan(words: &[&str]) -> Plan {
    let all = Capabilities { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES, inheritable: 0, ambient: 0 };
    Plan {
        unshare: kind::MOUNT | kind::PID | kind::UTS | kind::IPC | kind::NET | kind::CGROUP,
        propagation: propagation::PRIVATE,
        hostname: Some("box".into()),
        loopback: true,
        process: process(words, all),
        ..Plan::default()
    }
}

/// A process that runs the probe.
pub fn process(words: &[&str], capabilities: Capabilities) -> Process {
    Process {
        args: [probe::PATH].iter().chain(words).map(|word| word.to_string()).collect(),
        env: vec!["PATH=/usr/bin:/bin".into(), "HELLO=world".into()],
        cwd: "/".into(),
        capabilities: Some(capabilities),
        ..Process::default()
    }
}

pub fn mount(kind: &str, target: &str, attributes: u64, options: &[(&str, &str)]) -> Step {
    let options = options.iter().map(|(key, value)| (key.to_string(), Some(value.to_string()))).collect();
    Step::Mount {
        kind: kind.into(),
        source: kind.into(),
        target: target.into(),
        options,
        attributes,
        propagation: 0,
        copy_up: false,
    }
}

pub fn device(name: &str, major: u32, minor: u32) -> Step {
    Step::Device { path: Path::new("/dev").join(name), mode: 0o020666, major, minor, uid: 0, gid: 0 }
}

fn steps() -> Vec<Step> {
    let link = |content: &str, path: &str| Step::Symlink { content: content.into(), path: path.into() };
    let attributes = Attributes { set: READONLY, ..Attributes::default() };
    let program = Step::Bind { tree: Slot(1), target: "/probe".into(), attributes, links: Links::default() };
    let mut steps = vec![
        program,
        mount("proc", "/proc", SAFE, &[]),
        mount("tmpfs", "/dev", SAFE & !4, &[("mode", "0755"), ("size", "65536k")]),
        mount("devpts", "/dev/pts", SAFE & !4, &[("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")]),
        mount("sysfs", "/sys", SAFE | READONLY, &[]),
        mount("mqueue", "/dev/mqueue", SAFE, &[]),
        mount("tmpfs", "/dev/shm", SAFE, &[("mode", "1777"), ("size", "65536k")]),
    ];
    for (name, major, minor) in [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        steps.push(device(name, major, minor));
    }
    for (content, path) in [("/proc/self/fd", "fd"), ("/proc/self/fd/1", "stdout"), ("pts/ptmx", "ptmx")] {
        steps.push(link(content, &format!("/dev/{path}")));
    }
    for path in ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/acpi", "/proc/scsi", "/sys/firmware", "/sys/power"] {
        steps.push(Step::Mask(path.into()));
    }
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
        steps.push(Step::Readonly(path.into()));
    }
    steps
}

/// Prints what starts cost, one kind after the other in each round: the kernel's share (one clone3 into the same namespaces, execve,
/// wait), a container with nothing but its program, and one with all of the above.
pub fn bench(runs: u32) {
    let median = |mut times: Vec<Duration>| {
        times.sort();
        times[times.len() / 2]
    };
    let (mut floor, mut bare, mut full) = (Vec::new(), [vec![], vec![], vec![]], [vec![], vec![], vec![]]);
    for _ in 0..runs {
        floor.push(least());
        for (fixture, times) in [(Fixture::bare(&["exit", "0"]), &mut bare), (Fixture::new(&["exit", "0"]), &mut full)] {
            let begin = Instant::now();
            let created = create(&fixture.plan, &fixture.fds, Some(stdio().0)).unwrap_or_else(|failure| panic!("{failure}"));
            times[0].push(begin.elapsed());
            let running = created.start().unwrap_or_else(|failure| panic!("{failure}"));
            times[1].push(begin.elapsed());
            assert_eq!(wait(&running.pidfd).unwrap(), Ended::Exited(0));
            times[2].push(begin.elapsed());
        }
    }
    println!("medians of {runs}\nfloor: ended {:.2?}", median(floor));
    for (name, times) in [("bare", bare), ("full", full)] {
        let [created, started, ended] = times.map(median);
        println!("{name}: created {created:.2?}, started {started:.2?}, ended {ended:.2?}");
    }
}

fn least() -> Duration {
    let args = [probe::PATH, "exit", "0"].map(|word| std::ffi::CString::new(word).unwrap()).to_vec();
    let program = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
    let exec = Exec::new(args, Vec::new());
    let begin = Instant::now();
    let clone = Clone { namespaces: plan(&[]).unshare, ..Clone::default() };
    let child = clone3(&clone, || {
        let _ = exec.exec_fd(&program);
        1
    });
    assert_eq!(wait(child.unwrap().pidfd).unwrap(), Ended::Exited(0));
    begin.elapsed()
}
