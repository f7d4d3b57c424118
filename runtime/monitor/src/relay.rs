//! Published ports that no rule for packets leads to the container, as those on `[::1]`.
//!
//! The monitor only waits for the first client. What is to be passed on is passed on by a process of its own, since it may be much, and the
//! monitor has other things to do: it is this same program (`--relay`) as a user without privileges, begins with the first client, and ends when
//! nobody has needed it for a while, or with the monitor. A container that is not reached in this way has no such process.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use net::Protocol;
use net::relay::Relay;
use rustix::fs::{Mode, OFlags, open};
use rustix::net::{Shutdown, shutdown};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getrlimit, kill_process, setrlimit, waitpid};
use serde::{Deserialize, Serialize};
use sys::Call;
use sys::spawn::{Home, spawn};

use crate::end::set_oom_score;
use crate::nobody::become_nobody;

/// How long clients wait after the process could not be started, or has failed.
const PAUSE: Duration = Duration::from_secs(1);
const NEWNET: i32 = sys::ns::kind::NET as i32;
/// The longest message to the process.
const LONGEST: usize = 64 << 10;

/// What the process is told, with a socket for each relay beside it.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    oom_score: Option<i32>,
    relays: Vec<Relay>,
    /// The last descriptor is the network namespace to work from.
    elsewhere: bool,
}

/// Those of one container.
#[derive(Debug)]
pub(crate) struct Relays {
    doors: Vec<(Rc<OwnedFd>, Relay)>,
    /// The network namespace that leads to the container, if that is not this process's.
    from: Option<Rc<OwnedFd>>,
    process: Option<Process>,
    /// Nobody is served before.
    pause: Option<Instant>,
}

/// The process that serves them, and the socket by whose end it ends.
#[derive(Debug)]
struct Process {
    pid: Pid,
    _control: OwnedFd,
}

impl Relays {
    pub(crate) fn new(doors: Vec<(Rc<OwnedFd>, Relay)>, from: Option<Rc<OwnedFd>>) -> Self {
        Relays { doors, from, process: None, pause: None }
    }

    /// The sockets at which a client is waited for: none while the process does that.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let waits = self.process.is_none() && self.pause.is_none_or(|pause| pause <= Instant::now());
        self.doors.iter().filter(move |_| waits).map(|(socket, _)| socket.as_fd())
    }

    /// When the pause is over.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.pause.filter(|pause| self.process.is_none() && *pause > Instant::now())
    }

    /// There is a client. The process serves all of them from now on. `oom_score` is what it has instead of the monitor's.
    pub(crate) fn begin(&mut self, oom_score: Option<i32>) {
        if self.process.is_some() || self.doors.is_empty() {
            return;
        }
        self.pause = None;
        match self.start(oom_score) {
            Ok(process) => self.process = Some(process),
            Err(_) => self.give_up(),
        }
    }

    /// There is nobody to serve those who wait. They are told, and the next ones wait a moment.
    fn give_up(&mut self) {
        for (socket, relay) in &self.doors {
            net::relay::turn_away(socket.as_fd(), relay.port.protocol);
        }
        self.pause = Some(Instant::now() + PAUSE);
    }

    fn start(&self, oom_score: Option<i32>) -> sys::Result<Process> {
        let (control, theirs) = sys::socket::pair()?;
        let program = "/proc/self/exe";
        let program = open(program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({program:?})"))?;
        let args = [c"rctr-monitor", c"--relay"].map(Into::into);
        let work = Work { oom_score, relays: self.doors.iter().map(|(_, relay)| *relay).collect(), elsewhere: self.from.is_some() };
        let text = postcard::to_stdvec(&work).map_err(|_| sys::Error::new("sendmsg()", rustix::io::Errno::INVAL))?;
        let sockets: Vec<_> = self.doors.iter().map(|(socket, _)| socket).chain(&self.from).map(|fd| fd.as_fd()).collect();
        sys::socket::send(&control, &text, &sockets)?;
        let pid = spawn(&program, &args, &theirs, Home::default())?;
        Ok(Process { pid, _control: control })
    }

    /// A child has ended. If it was the process, the monitor waits for clients again: it has none.
    pub(crate) fn ended(&mut self, pid: u32, status: WaitStatus) {
        if self.process.as_ref().is_some_and(|process| process.pid.as_raw_nonzero().get() as u32 == pid) {
            self.process = None;
            match status.exit_status() {
                Some(0) => self.pause = None,
                // It could not begin, or go on.
                Some(_) => self.give_up(),
                // Killed: those who wait have the next one.
                None => self.pause = Some(Instant::now() + PAUSE),
            }
        }
    }

    /// They lead there from now on; connections to where they led are of no use.
    pub(crate) fn change(&mut self, relays: &[Relay]) {
        let before: Vec<Relay> = self.doors.iter().map(|(_, relay)| *relay).collect();
        self.doors.retain_mut(|(_, relay)| match relays.iter().find(|new| new.port == relay.port) {
            Some(new) => {
                *relay = *new;
                true
            }
            None => false,
        });
        if !self.doors.iter().map(|(_, relay)| relay).eq(&before) {
            self.kill();
        }
    }

    /// The container has ended. Nobody is served any more, nor left waiting; the sockets still hold the ports.
    pub(crate) fn end(&mut self) -> impl Iterator<Item = Rc<OwnedFd>> {
        self.kill();
        std::mem::take(&mut self.doors).into_iter().map(|(socket, relay)| {
            if relay.port.protocol == Protocol::Tcp {
                // Ends the listening, not the binding (inet_shutdown() in the kernel).
                let _ = shutdown(&socket, Shutdown::Read);
            }
            socket
        })
    }

    fn kill(&mut self) {
        if let Some(Process { pid, .. }) = self.process.take() {
            // It is a child that was not waited for, so the number is its own.
            let _ = kill_process(pid, Signal::KILL);
            let _ = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
        }
    }
}

/// `--relay`: the process.
pub(crate) fn run() -> ExitCode {
    let Ok(control) = sys::socket::inherited() else { return ExitCode::from(2) };
    let Ok((text, mut sockets)) = sys::socket::receive_whole(&control, LONGEST) else { return ExitCode::FAILURE };
    let Ok(Work { oom_score, relays, elsewhere }) = postcard::from_bytes(&text) else { return ExitCode::FAILURE };
    if elsewhere && sockets.pop().is_none_or(|netns| sys::ns::setns(&netns, NEWNET).is_err()) {
        return ExitCode::FAILURE;
    }
    if sockets.len() != relays.len() || settle(oom_score).is_err() {
        return ExitCode::FAILURE;
    }
    let doors = sockets.into_iter().zip(relays).collect();
    ExitCode::from(u8::from(net::relay::serve(control, doors).is_err()))
}

/// Gives up all that relaying does not need.
fn settle(oom_score: Option<i32>) -> sys::Result<()> {
    let _ = rustix::thread::set_name(c"rctr-relay");
    rustix::process::chdir("/").call(|| "chdir(\"/\")")?;
    if let Some(score) = oom_score {
        set_oom_score(score);
    }
    let most = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: most, maximum: most });
    become_nobody()
}
