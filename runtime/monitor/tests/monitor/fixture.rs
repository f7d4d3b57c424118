//! A container to watch: busybox in an empty root, and the real monitor beside it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use launch::{Exit, Plan, Process, Slot, Status, Step};
use monitor::log::{Lines, Reader};
use monitor::{Cleanup, Event, Launch, LogLimits, MAX_CHUNK, Request, Restart, Stream};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::process::{Pid, WaitOptions, waitpid};
use sys::mount::Filesystem;
use sys::ns::kind;

/// Long enough for a machine that is busy, short enough to end a test that hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// False, with a visible line, where the test cannot be done.
pub(crate) fn able() -> bool {
    let missing = if !rustix::process::geteuid().is_root() { "root" } else { "a static busybox in /bin" };
    let able = missing != "root" && Path::new("/bin/busybox").exists();
    if !able {
        println!("skipped: needs {missing}");
    }
    able
}

/// The program under test. Its path is read when the test runs: the wrapper of rustc is a shell script, and a shell does not pass on a variable
/// with a hyphen in its name.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("CARGO_BIN_EXE_rctr-monitor").expect("run by cargo").into()
}

/// Held while a process is made, which has all of this program's descriptors for a moment; and by who looks whether one is closed.
pub(crate) fn spawning() -> MutexGuard<'static, ()> {
    static SPAWNING: Mutex<()> = Mutex::new(());
    SPAWNING.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) launch: Launch,
    pub(crate) fds: Vec<OwnedFd>,
}

impl Fixture {
    /// A container that runs `script`; the host's folder `shared` is its `/shared`.
    pub(crate) fn new(script: &str) -> Self {
        Fixture::program(&["/bin/busybox", "sh", "-c", script])
    }

    pub(crate) fn program(args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["container", "run", "shared"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        let root = Filesystem::open("tmpfs").unwrap().mount(MountAttrFlags::empty()).unwrap();
        let listener = sys::socket::listen_at(sys::fs::open_dir(dir.path().join("run")).unwrap(), "monitor.sock").unwrap();
        let container = sys::fs::open_dir(dir.path().join("container")).unwrap();
        let fds = vec![root, tree(Path::new("/bin/busybox")), tree(&dir.path().join("shared")), container, listener];
        let launch = Launch {
            id: "test".into(),
            plan: plan(args),
            folder: Slot(3),
            listener: Slot(4),
            hold: Vec::new(),
            relays: Vec::new(),
            relay_from: None,
            charge: None,
            own_mounts: false,
            netfilter: None,
            log: Some(LogLimits::default()),
            log_file: None,
            log_notes: Vec::new(),
            stdin: false,
            memory: None,
            kill: None,
            restart: Restart::default(),
            health: None,
            events: None,
            using: Vec::new(),
            cleanup: Cleanup { trees: vec![dir.path().join("run")], ..Cleanup::default() },
            names: None,
            hooks: None,
        };
        Fixture { dir, launch, fds }
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut Launch)) -> Self {
        change(&mut self.launch);
        self
    }

    pub(crate) fn fd(&mut self, fd: OwnedFd) -> Slot {
        self.fds.push(fd);
        Slot(self.fds.len() as u32 - 1)
    }

    /// A folder of the host that the test can look into.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Starts the monitor and sends all that an engine sends.
    pub(crate) fn start(&self, attach: Option<bool>) -> Client {
        let mut client = self.spawn();
        if let Some(stdin) = attach {
            client.send(&Request::Attach { stdin });
        }
        client.send(&Request::Start);
        client
    }

    /// Starts the monitor, which makes the container.
    pub(crate) fn spawn(&self) -> Client {
        let program = std::fs::File::open(program()).unwrap();
        let program = rustix::io::fcntl_dupfd_cloexec(program, 10).unwrap();
        let (ours, theirs) = sys::socket::pair().unwrap();
        let args = [c"rctr-monitor".to_owned(), CString::new(self.launch.id.as_str()).unwrap()];
        let spawning = spawning();
        let pid = sys::spawn::spawn(program, &args, theirs, sys::spawn::Home::default()).unwrap();
        drop(spawning);
        let mut client = Client::new(ours);
        client.monitor = Some(pid);
        let fds: Vec<_> = self.fds.iter().map(AsFd::as_fd).collect();
        let bytes = postcard::to_stdvec(&Request::Launch(Box::new(self.launch.clone()))).unwrap();
        sys::socket::send(&client.socket, &bytes, &fds).unwrap();
        client
    }

    /// Another client.
    pub(crate) fn connect(&self) -> Client {
        Client::new(sys::socket::connect_at(sys::fs::open_dir(self.path("run")).unwrap(), "monitor.sock").unwrap())
    }

    pub(crate) fn status(&self) -> Option<Status> {
        let bytes = std::fs::read(self.path("container/status.json")).ok()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    /// What the log has of a stream.
    pub(crate) fn log(&self, stream: Stream) -> String {
        let container = sys::fs::open_dir(self.path("container")).unwrap();
        let Ok(folder) = monitor::log::folder(&container) else { return String::new() };
        let (mut reader, mut lines, mut all) = (Reader::open(folder).unwrap(), Lines::default(), Vec::new());
        while let Some(bytes) = reader.read().unwrap() {
            lines.push(bytes);
            while let Some(line) = lines.next() {
                if line.stream == stream {
                    all.extend_from_slice(line.bytes);
                    all.extend_from_slice(if line.partial { b"" } else { b"\n" });
                }
            }
        }
        String::from_utf8(all).unwrap()
    }
}

/// A connection to a monitor; the first one ends the monitor and its container in the end.
pub(crate) struct Client {
    pub(crate) socket: OwnedFd,
    pub(crate) monitor: Option<Pid>,
    pub(crate) container: Option<(u32, u64)>,
    /// Output since the beginning.
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Client {
    fn new(socket: OwnedFd) -> Self {
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).unwrap();
        Client { socket, monitor: None, container: None, stdout: Vec::new(), stderr: Vec::new() }
    }

    #[track_caller]
    pub(crate) fn send(&mut self, request: &Request) {
        sys::socket::send(&self.socket, &postcard::to_stdvec(request).unwrap(), &[]).unwrap();
    }

    /// The next event; `None` when the monitor has closed the connection.
    #[track_caller]
    pub(crate) fn next(&mut self) -> Option<Event> {
        let (bytes, _) = match sys::socket::receive_whole(&self.socket, 2 * MAX_CHUNK) {
            Err(error) if error.errno() == rustix::io::Errno::CONNRESET => return None,
            other => other.unwrap(),
        };
        let event = (!bytes.is_empty()).then(|| postcard::from_bytes(&bytes).unwrap())?;
        match &event {
            Event::Created { pid, start_time } | Event::Started { pid, start_time } => self.container = Some((*pid, *start_time)),
            Event::Output { stream: Stream::Stdout, bytes } => self.stdout.extend_from_slice(bytes),
            Event::Output { stream: Stream::Stderr, bytes } => self.stderr.extend_from_slice(bytes),
            _ => {}
        }
        Some(event)
    }

    #[track_caller]
    pub(crate) fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            match self.next() {
                Some(event) if wanted(&event) => return event,
                Some(Event::Failed { message, .. }) => panic!("{message}"),
                Some(_) => {}
                None => panic!("the monitor is gone; output: {:?}", self.text()),
            }
        }
    }

    #[track_caller]
    pub(crate) fn started(&mut self) -> &mut Self {
        self.until(|event| matches!(event, Event::Started { .. }));
        self
    }

    #[track_caller]
    pub(crate) fn exit(&mut self) -> Exit {
        match self.until(|event| matches!(event, Event::Exited(_))) {
            Event::Exited(exit) => exit,
            _ => unreachable!(),
        }
    }

    /// Waits until standard output has `text`.
    #[track_caller]
    pub(crate) fn says(&mut self, text: &str) -> &mut Self {
        while !self.text().contains(text) {
            if self.next().is_none() {
                panic!("{text:?} is not in {:?}", self.text());
            }
        }
        self
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Waits for the end of the monitor itself, and returns its exit status.
    pub(crate) fn monitor_ended(&mut self) -> Option<i32> {
        let pid = self.monitor.take()?;
        let until = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < until {
            if let Some((_, status)) = waitpid(Some(pid), WaitOptions::NOHANG).unwrap() {
                return status.exit_status();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the monitor has not ended");
    }

    /// Sends a signal to the monitor.
    pub(crate) fn signal_monitor(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.monitor.unwrap(), signal).unwrap();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if let Some(pid) = self.monitor {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            let _ = waitpid(Some(pid), WaitOptions::empty());
            if let Some(Ok(pidfd)) = self.container.map(|(pid, start)| sys::process::open(pid, start)) {
                let _ = sys::process::signal(pidfd, 9);
            }
        }
    }
}

fn tree(path: &Path) -> OwnedFd {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    open_tree(rustix::fs::CWD, path, flags).unwrap()
}

fn plan(args: &[&str]) -> Plan {
    let mount = |kind: &str, target: &str| Step::Mount {
        kind: kind.into(),
        source: kind.into(),
        target: target.into(),
        options: Vec::new(),
        attributes: 0,
        propagation: 0,
        copy_up: false,
    };
    let bind = |slot, target: &str| Step::Bind {
        tree: Slot(slot),
        target: target.into(),
        attributes: Default::default(),
        links: Default::default(),
    };
    let device = |name: &str, major, minor| Step::Device {
        path: Path::new("/dev").join(name),
        mode: 0o020666,
        major,
        minor,
        uid: 0,
        gid: 0,
    };
    let mut steps = vec![bind(1, "/bin/busybox"), bind(2, "/shared"), mount("proc", "/proc"), mount("tmpfs", "/dev")];
    steps.extend([mount("devpts", "/dev/pts"), device("null", 1, 3), device("zero", 1, 5), device("tty", 5, 0)]);
    steps.push(Step::Symlink { content: "pts/ptmx".into(), path: "/dev/ptmx".into() });
    for applet in ["cat", "sleep", "stty", "wc", "head", "tail", "seq", "yes", "mkdir", "tty"] {
        steps.push(Step::Symlink { content: "busybox".into(), path: Path::new("/bin").join(applet) });
    }
    Plan {
        unshare: kind::MOUNT | kind::PID | kind::UTS | kind::IPC,
        propagation: sys::mount::propagation::PRIVATE,
        steps,
        process: process(args),
        ..Plan::default()
    }
}

pub(crate) fn process(args: &[&str]) -> Process {
    Process {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec!["PATH=/bin".into()],
        cwd: "/".into(),
        ..Process::default()
    }
}
