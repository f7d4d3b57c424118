//! The loop: what it waits for, and who deals with it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use launch::{Exit, Report, Status, Target};
use monitor::log::Writer;
use monitor::{Actor, Cleanup, Happened, Hooks, LogLimits, Restart, Used, append_and_rotate};
use net::dns::{Resolver, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::client::Client;
use crate::health::Checking;
use crate::memory::Memory;
use crate::relay::Relays;
use crate::task::Task;

/// After this time without a thing to do, memory is given back.
const QUIET: Duration = Duration::from_secs(1);

/// More connections have to wait in the kernel: the table of descriptors has an end, too.
pub(crate) const MAX_CLIENTS: usize = 256;

/// The monitor of a container whose program runs, or has run.
pub(crate) struct Session {
    pub(crate) signals: OwnedFd,
    pub(crate) listener: Rc<OwnedFd>,
    pub(crate) clients: Vec<Client>,
    /// Init first, while it runs.
    pub(crate) tasks: Vec<Task>,
    /// The next task's number.
    pub(crate) next: u32,
    pub(crate) container: Container,
    /// How the container has ended.
    pub(crate) exit: Option<Exit>,
    /// When it is started again, once it has ended.
    pub(crate) again: Option<Instant>,
    /// Something was done since memory was given back.
    pub(crate) used: bool,
    /// Answers the container's processes who ask for names.
    pub(crate) resolver: Option<Resolver>,
    /// Published ports that it sees to.
    pub(crate) relays: Relays,
}

/// What is known of the container, and what is kept for its end.
pub(crate) struct Container {
    pub(crate) folder: Rc<OwnedFd>,
    /// `None` while its folder cannot be made.
    pub(crate) log: Option<Writer>,
    /// `None` when nothing is kept.
    pub(crate) limits: Option<LogLimits>,
    /// See [`monitor::Launch::log_notes`].
    pub(crate) log_notes: Vec<(String, String)>,
    /// Where its log is, if not in its folder. See [`monitor::LogFile`].
    pub(crate) log_path: Option<(PathBuf, Option<LogLimits>)>,
    pub(crate) target: Option<Target>,
    /// Start of its first process in clock ticks since boot.
    pub(crate) start_time: u64,
    /// What runs at its end, for the container of this id.
    pub(crate) hooks: Option<(String, Hooks)>,
    /// See [`monitor::Launch::memory`].
    pub(crate) memory: Option<Memory>,
    /// See [`monitor::Launch::kill`].
    pub(crate) kill: Option<Rc<OwnedFd>>,
    /// Held until the end is told, never used.
    pub(crate) hold: Vec<Rc<OwnedFd>>,
    /// See [`monitor::Launch::charge`].
    pub(crate) charge: Option<Rc<OwnedFd>>,
    /// Its mount namespace, see [`monitor::Launch::own_mounts`].
    pub(crate) mounts: Option<OwnedFd>,
    /// See [`monitor::Launch::netfilter`].
    pub(crate) netfilter: Option<Rc<OwnedFd>>,
    pub(crate) cleanup: Cleanup,
    /// The kernel ends all of its processes with its first one.
    pub(crate) own_pids: bool,
    /// Who it is in events, and the file for them.
    pub(crate) events: Option<(Actor, PathBuf)>,
    /// What it uses while it runs, for events about that.
    pub(crate) using: Vec<Used>,
    /// What happens when it has ended.
    pub(crate) restart: Restart,
    /// Whether it is well.
    pub(crate) health: Option<Checking>,
    /// Somebody wants its end, and it is not started again by its policy.
    pub(crate) ending: bool,
    /// That is to be remembered when the host has been restarted.
    pub(crate) stopped: bool,
    /// It is started again whatever its policy says.
    pub(crate) anew: bool,
    /// When it is killed, if it has not ended before.
    pub(crate) kill_at: Option<Instant>,
    /// Its processes are frozen.
    pub(crate) frozen: bool,
    /// What the monitor's `oom_score_adj` was before it was lowered: that of the container's processes.
    pub(crate) oom_score: Option<i32>,
}

/// Something to wait for. Numbers are places in the session's lists, which only grow while one round is dealt with.
#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    Listener,
    Client(usize),
    /// By task number and place of the descriptor, since tasks and outputs end within a round.
    Output(u32, i32),
    Input(u32),
    Names(Token),
    Relay,
}

impl Session {
    /// Serves to the end, and returns the container's exit code.
    pub(crate) fn run(mut self) -> u8 {
        loop {
            for (source, flags) in self.wait() {
                match source {
                    Source::Signals => self.on_signals(),
                    Source::Listener => self.accept(),
                    Source::Client(index) => self.on_client(index, flags),
                    Source::Output(task, fd) => self.on_output(task, fd),
                    Source::Input(task) => self.on_input(task),
                    Source::Names(token) => self.on_names(token),
                    Source::Relay => self.relays.begin(self.container.oom_score),
                }
            }
            self.on_time();
            self.sweep_names();
            self.sweep();
            if let Some(exit) = self.exit.as_ref().filter(|_| self.clients.is_empty() && self.again.is_none()) {
                return u8::try_from(exit.code).unwrap_or(u8::MAX);
            }
        }
    }

    /// Waits until something can be done, and says what.
    fn wait(&mut self) -> Vec<(Source, PollFlags)> {
        let (sources, mut fds) = self.sources();
        let due = self.due().map(|due| due.saturating_duration_since(Instant::now()));
        let quiet = self.used.then_some(QUIET);
        let timeout = [due, quiet].into_iter().flatten().min();
        let is_quiet = timeout == quiet;
        // A moment too early would be a round for nothing.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout + Duration::from_micros(50)).ok());
        let ready = match poll(&mut fds, timeout.as_ref()) {
            Ok(1..) => sources.into_iter().zip(&fds).map(|(source, fd)| (source, fd.revents())).collect::<Vec<_>>(),
            Ok(0) => {
                drop((sources, fds));
                if is_quiet {
                    self.used = false;
                    sys::memory::trim();
                }
                return Vec::new();
            }
            Err(_) => return Vec::new(),
        };
        ready.into_iter().filter(|(_, flags)| !flags.is_empty()).collect()
    }

    /// When there is something to do although nothing comes.
    fn due(&self) -> Option<Instant> {
        let container = &self.container;
        let health = container.health.as_ref().filter(|_| self.exit.is_none() && !container.frozen).and_then(Checking::due);
        let names = self.resolver.as_ref().and_then(Resolver::due);
        [self.again, health, container.kill_at, names, self.relays.due()].into_iter().flatten().min()
    }

    /// Does what it is time for.
    fn on_time(&mut self) {
        if self.exit.is_some() {
            return self.start_again();
        }
        self.check_health();
        self.insist();
    }

    fn sources(&self) -> (Vec<Source>, Vec<PollFd<'_>>) {
        use std::os::fd::AsRawFd;
        let mut sources = vec![Source::Signals];
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN)];
        if self.clients.len() < MAX_CLIENTS {
            sources.push(Source::Listener);
            fds.push(PollFd::new(&*self.listener, PollFlags::IN));
        }
        for (index, client) in self.clients.iter().enumerate() {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::IN, !self.must_wait(client));
            flags.set(PollFlags::OUT, !client.queue.is_empty());
            sources.push(Source::Client(index));
            fds.push(PollFd::new(&client.socket, flags));
        }
        for task in &self.tasks {
            if !self.clients.iter().any(|client| client.task == task.number && client.holds_back()) {
                for output in &task.streams.outputs {
                    sources.push(Source::Output(task.number, output.from.as_raw_fd()));
                    fds.push(PollFd::new(&*output.from, PollFlags::IN));
                }
            }
            if let Some(input) = task.streams.input.wants() {
                sources.push(Source::Input(task.number));
                fds.push(PollFd::new(input, PollFlags::OUT));
            }
        }
        if let Some(resolver) = &self.resolver {
            resolver.watch(|token, fd, writes| {
                sources.push(Source::Names(token));
                fds.push(PollFd::from_borrowed_fd(fd, if writes { PollFlags::OUT } else { PollFlags::IN }));
            });
        }
        for socket in self.relays.waiting() {
            sources.push(Source::Relay);
            fds.push(PollFd::from_borrowed_fd(socket, PollFlags::IN));
        }
        (sources, fds)
    }

    fn on_names(&mut self, token: Token) {
        self.used = true;
        if let Some(resolver) = &mut self.resolver {
            resolver.ready(token, Instant::now());
        }
    }

    fn sweep_names(&mut self) {
        if let Some(resolver) = self.resolver.as_mut().filter(|resolver| resolver.due().is_some()) {
            resolver.sweep(Instant::now());
        }
    }

    /// The place of a task in the list.
    pub(crate) fn find(&self, number: u32) -> Option<usize> {
        self.tasks.iter().position(|task| task.number == number)
    }

    fn on_output(&mut self, task: u32, fd: i32) {
        use std::os::fd::AsRawFd;
        if let Some(index) = self.find(task)
            && let Some(at) = self.tasks[index].streams.outputs.iter().position(|output| output.from.as_raw_fd() == fd)
        {
            self.pump(index, at);
        }
    }

    fn on_input(&mut self, task: u32) {
        if let Some(index) = self.find(task) {
            self.tasks[index].streams.input.flush();
        }
    }
}

impl Container {
    /// What is to be known of it while it is in this state.
    pub(crate) fn report(&self, status: Status) -> Report {
        let health = self.health.as_ref().map(|checking| checking.found.clone());
        Report { status, restarts: self.restart.count, stopped: self.stopped, health }
    }

    /// Writes that down.
    ///
    /// # Errors
    /// There is no room for it.
    pub(crate) fn record(&self, status: Status) -> sys::Result<()> {
        crate::end::try_record(self.folder.as_fd(), &self.report(status))
    }
    /// Tells who wants to know. Nobody is kept waiting if that cannot be written.
    pub(crate) fn tell(&self, action: &str, more: &[(&str, String)]) {
        self.tell_all(self.happens(action, more).into_iter().collect());
    }

    /// It runs, and uses what it uses.
    pub(crate) fn tell_start(&self) {
        self.tell_all(self.using.iter().map(Used::begins).chain(self.happens("start", &[])).collect());
    }

    /// It has ended, and uses nothing more.
    pub(crate) fn tell_end(&self, more: &[(&str, String)]) {
        self.tell_all(self.happens("die", more).into_iter().chain(self.using.iter().map(Used::ends)).collect());
    }

    /// Volumes of its own have gone with it.
    pub(crate) fn tell_gone_volumes(&self) {
        let names = self.cleanup.unused.iter().filter(|path| !path.exists()).filter_map(|path| path.file_name());
        let gone = |name: &std::ffi::OsStr| {
            let attributes = [("driver".to_owned(), "local".to_owned())].into();
            Happened::now("volume", "destroy", Actor { id: name.to_string_lossy().into_owned(), attributes })
        };
        let all: Vec<Happened> = names.map(gone).collect();
        if !all.is_empty() {
            self.tell_all(all);
        }
    }

    fn happens(&self, action: &str, more: &[(&str, String)]) -> Option<Happened> {
        let mut actor = self.events.as_ref()?.0.clone();
        actor.attributes.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        Some(Happened::now("container", action, actor))
    }

    fn tell_all(&self, events: Vec<Happened>) {
        if let Some((_, path)) = &self.events {
            let _ = append_and_rotate(path, &events);
        }
    }
}
