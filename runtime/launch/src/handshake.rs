//! Clone, and the messages between a child on its way to exec and its parent: one packet each, on a socket pair whose end is
//! the last message (it is close-on-exec, so it means that execve succeeded).

use std::cell::OnceCell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};
use sys::Call;
use sys::process::{Clone, Ended, clone3};

use crate::failure::During;
use crate::{Failure, Gate, Listener, Seccomp, Slot};

/// The longest report: a failure's text is cut to fit.
const MAX_REPORT: usize = 16 << 10;

/// What a child tells its parent.
#[derive(Debug, Serialize, Deserialize)]
enum Report {
    /// The master of the terminal it has opened travels along.
    Terminal,
    /// It is in a user namespace that has no users yet; it waits for the word to go on.
    Unmapped,
    /// Another process, of this number, goes on in its place and waits for the word. Its descriptor travels along.
    Heir(u32),
    /// Its namespaces are made and its root is not; it waits for the word to go on.
    Born,
    /// All is built; it waits for the word to go on.
    Ready,
    /// It has the listener of its filter at this descriptor, and waits until that is taken.
    Listener(i32),
    /// It could not go on and ends.
    Failed(Failure),
}

/// The word to go on.
const GO: &[u8] = b"s";
/// Trees that were opened for it, by their slots.
const TREES: &[u8] = b"t";
/// The word to wait at the gate, for another process to start it.
const LEAVE: &[u8] = b"l";

/// The child's end.
pub(crate) struct Parent {
    socket: OwnedFd,
    gate: Option<Gate>,
    /// Who has started it at the gate, in the place of the parent, which is gone.
    starter: OnceCell<OwnedFd>,
}

impl Parent {
    /// Hands the terminal's master to the parent.
    pub(crate) fn terminal(&self, master: BorrowedFd<'_>) -> Result<(), Failure> {
        self.send(&Report::Terminal, &[master]).during(|| "send the terminal")
    }

    /// Says that its user namespace has no users yet and waits for the word to go on.
    pub(crate) fn unmapped(&self) -> Result<(), Failure> {
        self.send(&Report::Unmapped, &[]).during(|| "report the user namespace")?;
        self.word().map(drop)
    }

    /// Names another process that goes on in the place of this one. It must wait for the word before it says anything: both use one
    /// socket.
    pub(crate) fn heir(&self, pid: u32, pidfd: BorrowedFd<'_>) -> Result<(), Failure> {
        self.send(&Report::Heir(pid), &[pidfd]).during(|| "name init")
    }

    /// Waits for the word to go on.
    pub(crate) fn inherit(&self) -> Result<(), Failure> {
        self.word().map(drop)
    }

    /// Runs a child's `body` and reports its failure; the exit status.
    pub(crate) fn run(&self, body: impl FnOnce(&Self) -> Result<(), Failure>) -> u8 {
        body(self).map_or_else(
            |failure| {
                self.failed(failure);
                1
            },
            |()| 0,
        )
    }

    /// Says that its namespaces are made and waits for the word to go on. Before it may come trees that were opened for it.
    pub(crate) fn born(&self) -> Result<Vec<(Slot, OwnedFd)>, Failure> {
        self.send(&Report::Born, &[]).during(|| "report the namespaces")?;
        let mut trees = Vec::new();
        let mut word = [0; 1 + 4 * sys::socket::MAX_FDS];
        loop {
            match sys::socket::receive(&self.socket, &mut word).during(|| "wait for the start")? {
                (0, _) => return Err(Failure::runtime("the parent is gone")),
                (length, fds) if word[0] == TREES[0] => {
                    let slots = word[1..length]
                        .chunks_exact(4)
                        .map(|bytes| Slot(u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])));
                    trees.extend(slots.zip(fds));
                }
                _ => return Ok(trees),
            }
        }
    }

    /// Says that all is built and waits to be started.
    pub(crate) fn ready(&self) -> Result<(), Failure> {
        self.send(&Report::Ready, &[]).during(|| "report ready")?;
        if self.word()? == LEAVE[0]
            && let Some(gate) = &self.gate
        {
            let _ = self.starter.set(gate.wait()?);
        }
        Ok(())
    }

    /// Lets the parent take the filter's listener. From here on that one may decide over every call of ours, so this is done with the
    /// two calls that runc does it with: write, which no filter may hand over, and read, which the listener has to let pass.
    pub(crate) fn hand_over(&self, listener: &OwnedFd) -> Result<(), Failure> {
        let socket = self.starter.get().unwrap_or(&self.socket);
        let report = postcard::to_stdvec(&Report::Listener(listener.as_raw_fd())).unwrap_or_default();
        rustix::io::write(socket, &report).call(|| "write(the listener's number)").during(|| "hand its listener over")?;
        match rustix::io::read(socket, &mut [0; 8]).call(|| "read()").during(|| "hand its listener over")? {
            0 => Err(Failure::runtime("hand its listener over: the parent is gone")),
            _ => Ok(()),
        }
    }

    fn word(&self) -> Result<u8, Failure> {
        let mut word = [0; 8];
        match sys::socket::receive(&self.socket, &mut word).during(|| "wait for the start")? {
            (0, _) => Err(Failure::runtime("the parent is gone")),
            _ => Ok(word[0]),
        }
    }

    /// The descriptors that stay open until execve closes them.
    pub(crate) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let gate = self.gate.iter().flat_map(Gate::fds);
        [self.socket.as_fd()].into_iter().chain(gate).collect()
    }

    /// Says why it could not go on. There is nobody to tell if even this fails.
    fn failed(&self, mut failure: Failure) {
        let cut = (0..=failure.message.len().min(MAX_REPORT / 2)).rev().find(|&at| failure.message.is_char_boundary(at));
        failure.message.truncate(cut.unwrap_or(0));
        if postcard::experimental::serialized_size(&failure).unwrap_or(usize::MAX) > MAX_REPORT - 8 {
            failure.parts = Box::default();
        }
        let _ = self.send(&Report::Failed(failure), &[]);
    }

    fn send(&self, report: &Report, fds: &[BorrowedFd<'_>]) -> sys::Result<()> {
        let bytes = postcard::to_stdvec(report).unwrap_or_default();
        sys::socket::send(self.starter.get().unwrap_or(&self.socket), &bytes, fds)
    }
}

/// The parent's end: a child that has not yet executed its program. Dropping it kills and reaps the child.
#[derive(Debug)]
pub(crate) struct Child {
    pid: u32,
    start_time: u64,
    // None once handed over.
    pidfd: Option<OwnedFd>,
    socket: OwnedFd,
    terminal: Option<OwnedFd>,
    listener: Option<Listener>,
}

impl Child {
    /// Makes a child that runs `body`, which ends in exec, in a failure, or when another process has taken its place.
    pub(crate) fn spawn(
        clone: &Clone<'_>,
        gate: Option<Gate>,
        filter: Option<&Seccomp>,
        body: impl FnOnce(&Parent) -> Result<(), Failure>,
    ) -> Result<Self, Failure> {
        let (ours, theirs) = sys::socket::pair().during(|| "make a process")?;
        let parent = Parent { socket: theirs, gate, starter: OnceCell::new() };
        let mut ours = Some(ours);
        let made = clone3(clone, || {
            // The child's copy of it: or the parent's end would not be the end of the socket.
            drop(ours.take());
            parent.run(body)
        });
        let ours = ours.ok_or_else(|| Failure::runtime("make a process: this is the child"))?;
        // The child's end must live in the child alone, or its end would never be seen.
        drop(parent);
        let child = made.during(|| "make a process")?;
        let pid = child.pid.as_raw_nonzero().get() as u32;
        // Read while the child works. A child that has ended already has no start time, and is about to report why.
        let start_time = sys::process::start_time(pid).unwrap_or(0);
        let listener = filter.and_then(|filter| filter.listener.clone());
        Ok(Child { pid, start_time, pidfd: Some(child.pidfd), socket: ours, terminal: None, listener })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    pub(crate) fn start_time(&self) -> u64 {
        self.start_time
    }

    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_ref().map_or(self.socket.as_fd(), |fd| fd.as_fd())
    }

    /// Waits until it is in a user namespace without users.
    pub(crate) fn wait_unmapped(&mut self) -> Result<(), Failure> {
        match self.next()? {
            Some(Report::Unmapped) => Ok(()),
            Some(_) => Err(stray()),
            None => Err(self.ended()),
        }
    }

    /// Waits until another process has taken its place, and lets that one go on.
    pub(crate) fn wait_heir(&mut self) -> Result<(), Failure> {
        match receive(&self.socket)? {
            Some((Report::Heir(pid), mut fds)) => {
                let heir = fds.pop().ok_or_else(stray)?;
                if let Some(before) = self.pidfd.replace(heir) {
                    sys::process::wait(before).during(|| "reap")?;
                }
                self.pid = pid;
                self.start_time = sys::process::start_time(pid).unwrap_or(0);
                self.go()
            }
            Some(_) => Err(stray()),
            None => Err(self.ended()),
        }
    }

    /// Waits until its namespaces are made.
    pub(crate) fn wait_born(&mut self) -> Result<(), Failure> {
        match self.next()? {
            Some(Report::Born) => Ok(()),
            Some(_) => Err(stray()),
            None => Err(self.ended()),
        }
    }

    /// Waits until all is built, and returns the terminal's master.
    pub(crate) fn wait_ready(&mut self) -> Result<Option<OwnedFd>, Failure> {
        match self.next()? {
            Some(Report::Ready) => Ok(self.terminal.take()),
            Some(_) => Err(stray()),
            None => Err(self.ended()),
        }
    }

    /// Gives the word to go on.
    pub(crate) fn go(&self) -> Result<(), Failure> {
        sys::socket::send(&self.socket, GO, &[]).during(|| "start")
    }

    /// Hands it trees, while it waits for the word.
    pub(crate) fn hand(&self, trees: &[(Slot, OwnedFd)]) -> Result<(), Failure> {
        for some in trees.chunks(sys::socket::MAX_FDS) {
            let slots = some.iter().flat_map(|(slot, _)| slot.0.to_ne_bytes());
            let message: Vec<u8> = TREES.iter().copied().chain(slots).collect();
            let fds: Vec<_> = some.iter().map(|(_, fd)| fd.as_fd()).collect();
            sys::socket::send(&self.socket, &message, &fds).during(|| "hand the trees over")?;
        }
        Ok(())
    }

    /// Lets it wait at its gate, and lets go of it.
    pub(crate) fn leave(mut self) -> Result<(), Failure> {
        sys::socket::send(&self.socket, LEAVE, &[]).during(|| "leave init")?;
        self.pidfd = None;
        Ok(())
    }

    /// Waits until the program is executed, and returns the process.
    pub(crate) fn wait_executed(mut self) -> Result<OwnedFd, Failure> {
        self.executed()
    }

    /// As [`Child::wait_executed`], for a child that did not stop to be started: with the terminal's master.
    pub(crate) fn wait_joined(mut self) -> Result<(OwnedFd, Option<OwnedFd>), Failure> {
        let pidfd = self.executed()?;
        Ok((pidfd, self.terminal.take()))
    }

    fn executed(&mut self) -> Result<OwnedFd, Failure> {
        if self.next()?.is_some() {
            return Err(stray());
        }
        // The socket has also ended when the child was killed on the way, as by a memory limit that is too small. execve clears the flag
        // before it closes descriptors, and a dead process keeps it.
        if sys::process::never_executed(self.pid) {
            return Err(self.ended());
        }
        self.pidfd.take().ok_or_else(|| Failure::runtime("the child is gone"))
    }

    /// The next report; `None` when the socket has ended.
    fn next(&mut self) -> Result<Option<Report>, Failure> {
        loop {
            match receive(&self.socket)? {
                Some((Report::Terminal, mut fds)) => self.terminal = fds.pop(),
                Some((Report::Listener(number), _)) => {
                    deliver(self.listener.as_ref(), self.pidfd(), self.pid, number)?;
                    self.go()?;
                }
                other => return Ok(other.map(|(report, _)| report)),
            }
        }
    }

    /// Why the child said nothing.
    fn ended(&mut self) -> Failure {
        let ended = self.pidfd.take().map(|pidfd| {
            // It has closed its socket without a word: it has ended, or never will say anything.
            let _ = sys::process::signal(&pidfd, 9);
            sys::process::wait(pidfd)
        });
        Failure::runtime(match ended {
            Some(Ok(Ended::Killed(signal))) => format!("the process was killed by signal {signal} before it executed its program"),
            Some(Ok(Ended::Exited(status))) => format!("the process ended with status {status} before it executed its program"),
            _ => "the process ended before it executed its program".to_owned(),
        })
    }
}

/// A report that has no place where it comes.
fn stray() -> Failure {
    Failure::runtime("the child has sent what does not belong here")
}

/// A report and its descriptors; `None` when the socket has ended.
fn receive(socket: &OwnedFd) -> Result<Option<(Report, Vec<OwnedFd>)>, Failure> {
    let mut buffer = [0; MAX_REPORT];
    let (length, fds) = sys::socket::receive(socket, &mut buffer).during(|| "wait for the child")?;
    if length == 0 {
        return Ok(None);
    }
    match postcard::from_bytes(&buffer[..length]) {
        Ok(Report::Failed(failure)) => Err(failure),
        Ok(report) => Ok(Some((report, fds))),
        Err(_) => Err(stray()),
    }
}

/// Takes the listener of a filter out of the process that has loaded it, and sends it to who answers. That it is the process that it
/// should be, its descriptor says.
fn deliver(listener: Option<&Listener>, process: BorrowedFd<'_>, pid: u32, number: i32) -> Result<(), Failure> {
    let step = || "deliver the listener of the system call filter";
    let Listener { path, message } = listener.ok_or_else(|| Failure::runtime(format!("{}: to whom?", step())))?;
    let fd = rustix::process::pidfd_getfd(process, number, rustix::process::PidfdGetfdFlags::empty());
    let fd = fd.call(|| format!("pidfd_getfd({number})")).during(step)?;
    let socket = sys::socket::connect_stream(path).during(step)?;
    sys::socket::send(&socket, message.join(&pid.to_string()).as_bytes(), &[fd.as_fd()]).during(step)
}

/// The end of a process that has started an init at its gate.
pub(crate) struct Starter {
    socket: OwnedFd,
}

impl Starter {
    pub(crate) fn new(socket: OwnedFd) -> Self {
        Starter { socket }
    }

    /// Waits until init, whose number is `pid`, has executed its program.
    pub(crate) fn wait_executed(&self, pid: u32, listener: Option<&Listener>) -> Result<(), Failure> {
        match receive(&self.socket)? {
            None => {}
            Some((Report::Listener(number), _)) => {
                let flags = rustix::process::PidfdFlags::empty();
                let init = rustix::process::Pid::from_raw(pid as i32).ok_or_else(|| Failure::runtime("no init"))?;
                let init =
                    rustix::process::pidfd_open(init, flags).call(|| format!("pidfd_open({pid})")).during(|| "reach init")?;
                deliver(listener, init.as_fd(), pid, number)?;
                sys::socket::send(&self.socket, GO, &[]).during(|| "start")?;
                return self.wait_executed(pid, None);
            }
            Some(_) => return Err(Failure::runtime("init has sent what does not belong here")),
        }
        match sys::process::never_executed(pid) {
            true => Err(Failure::runtime("the process ended before it executed its program")),
            false => Ok(()),
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(pidfd) = self.pidfd.take() {
            let _ = sys::process::signal(&pidfd, 9);
            let _ = sys::process::wait(pidfd);
        }
    }
}
