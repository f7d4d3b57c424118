//! One run of `criu swrk`: started, asked, heard to its end.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use launch::{Failure, Ground};
use rustix::fs::{Mode, OFlags};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{Shutdown, shutdown};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use sys::Call;
use sys::process::{Child, Clone, Ended, Exec, clone3};

use super::message::{self, Features, Notification, Request, Response, Version};
use super::options::Options;

/// Responses are short: the longest text in one is a line of a log.
const LIMIT: usize = 64 << 10;

/// Why criu did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be started.
    #[error("start criu")]
    Start(#[source] sys::Error),
    /// It cannot be spoken to.
    #[error("speak with criu")]
    Talk(#[source] sys::Error),
    /// It ended without an answer.
    #[error("criu has ended without an answer")]
    Lost,
    /// It answered what cannot be understood.
    #[error("criu has answered what it was not asked")]
    Strange,
    /// What has to be there before it is started is not to be had.
    #[error("{0}")]
    Ground(String),
    /// It failed. Its log says why.
    #[error("criu failed: type {what} errno {errno}")]
    Failed {
        /// Of what kind the answer is.
        what: &'static str,
        /// Its error number, or 0.
        errno: i32,
    },
    /// It was told to stop: what it had to wait for went wrong.
    #[error("{script}: {why}")]
    Stopped {
        /// The notification.
        script: String,
        /// What went wrong.
        why: String,
    },
    /// It said that all was done, and ended with an error.
    #[error("criu failed: {0}")]
    Ended(String),
}

/// What criu is started with.
#[derive(Debug)]
pub struct Start<'a> {
    /// The program.
    pub program: &'a Path,
    /// `KEY=VALUE`.
    pub environment: Vec<CString>,
    /// Where it makes processes; without it, where the caller is.
    pub ground: Option<&'a Ground<'a>>,
    /// It has the caller's standard streams, to give them to whom it restores.
    pub streams: bool,
    /// Descriptors for [`Options::inherited`], by the numbers that they have here.
    pub inherited: &'a [OwnedFd],
}

/// What is done about a notification, with the descriptor that comes along; the error is one line.
pub type Note<'a> = dyn FnMut(&Notification, Option<OwnedFd>) -> Result<(), String> + 'a;

/// A running criu. When it is dropped its socket ends; it cleans up by itself, and is waited for.
#[derive(Debug)]
pub struct Criu {
    socket: OwnedFd,
    child: Child,
    waited: bool,
}

impl Criu {
    /// Starts it. The caller has one thread.
    ///
    /// # Errors
    /// [`Error::Start`]. What goes wrong on the way to the program is the answer to the first request.
    pub fn spawn(start: Start<'_>) -> Result<Criu, Error> {
        let Start { program, environment, ground, streams, inherited } = start;
        let (socket, theirs) = sys::socket::pair().map_err(Error::Start)?;
        let program = CString::new(program.as_os_str().as_bytes()).unwrap_or_default();
        let args = [c"criu", c"swrk"].map(CString::from).into_iter();
        let number = CString::new(theirs.as_raw_fd().to_string()).unwrap_or_default();
        let exec = Exec::new(args.chain([number]).collect(), environment);
        let become_criu = |ready: Result<(), Failure>| {
            let failed = ready.map_err(|failure| failure.message).and_then(|()| {
                pass_on(&theirs, streams, inherited).map_err(|error| error.to_string())?;
                sys::signal::reset();
                exec.exec(&program).map(|never| match never {}).map_err(|error| error.to_string())
            });
            let why = failed.err().unwrap_or_default();
            let _ = sys::socket::send(&theirs, &message::failed(&why), &[]);
            1
        };
        let child = match ground {
            Some(ground) => ground.spawn(become_criu).map_err(|failure| Error::Ground(failure.message))?,
            None => clone3(&Clone::default(), || become_criu(Ok(()))).map_err(Error::Start)?,
        };
        Ok(Criu { socket, child, waited: false })
    }

    /// Starts one that dumps processes, beside a caller that may have several threads. Of the environment it has the
    /// usual folders of programs: it calls `iptables-restore` to hold the network still, and `ip` and `tar`.
    ///
    /// # Errors
    /// [`Error::Start`].
    pub fn beside(program: &Path) -> Result<Criu, Error> {
        let start = || {
            let (socket, theirs) = sys::socket::pair()?;
            let file =
                rustix::fs::open(program, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({program:?})"))?;
            let environment = [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()];
            let home = sys::spawn::Home { environment: &environment, ..Default::default() };
            // Which descriptor the socket is there, that function says.
            let args = [c"criu", c"swrk", c"3"].map(CString::from);
            let pid = sys::spawn::spawn(file, &args, theirs, home)?;
            let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).call(|| "pidfd_open(criu)")?;
            Ok(Criu { socket, child: Child { pid, pidfd }, waited: false })
        };
        start().map_err(Error::Start)
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.pid.as_raw_pid() as u32
    }

    /// Its version. Once it is known, it is where it makes processes.
    ///
    /// # Errors
    /// [`Error::Ground`] when it could not get there.
    pub fn version(&self) -> Result<Version, Error> {
        self.send(&message::version())?;
        let response = self.next()?.0;
        match (response.success, response.what) {
            (false, 0) if !response.message.is_empty() => Err(Error::Ground(response.message)),
            (false, _) => Err(failed(&response)),
            (true, _) => Ok(response.version),
        }
    }

    /// Which of these features it has with this kernel.
    ///
    /// # Errors
    /// [`Error::Failed`].
    pub fn features(&self, asked: Features) -> Result<Features, Error> {
        self.send(&message::features(asked))?;
        let response = self.next()?.0;
        if response.success { Ok(response.features) } else { Err(failed(&response)) }
    }

    /// Lets it do something. `note` is told what it tells meanwhile, with a descriptor where one comes along; until that returns, criu waits, and
    /// an error stops it.
    ///
    /// # Errors
    /// [`Error::Failed`], [`Error::Stopped`] and others. Processes that were to be dumped run on then, those that were to be restored are gone.
    pub fn run(mut self, what: Request, options: &Options, note: &mut Note<'_>) -> Result<(), Error> {
        self.send(&message::request(what, options))?;
        let mut stopped = None;
        loop {
            let (response, fd) = match self.next() {
                Ok(next) => next,
                Err(error) => return Err(stopped.unwrap_or(error)),
            };
            let Some(notification) = &response.notification else {
                if !response.success {
                    return Err(stopped.unwrap_or_else(|| failed(&response)));
                }
                if response.what != what.number() {
                    return Err(Error::Strange);
                }
                break;
            };
            let noted = note(notification, fd);
            self.send(&message::noted(noted.is_ok()))?;
            if let Err(why) = noted {
                stopped.get_or_insert(Error::Stopped { script: notification.script.clone(), why });
            }
        }
        match self.end().map_err(Error::Talk)? {
            Ended::Exited(0) => Ok(()),
            // One that has written what memory had changed waits for the dump that comes next, and takes the end of its socket badly.
            _ if what == Request::PreDump => Ok(()),
            Ended::Exited(status) => Err(Error::Ended(format!("exit status {status}"))),
            Ended::Killed(signal) => Err(Error::Ended(format!("signal {signal}"))),
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Error> {
        match sys::socket::send(&self.socket, bytes, &[]) {
            // It is gone; what it has said before is still to be read.
            Err(error) if error.errno() == rustix::io::Errno::PIPE => Ok(()),
            other => other.map_err(Error::Talk),
        }
    }

    fn next(&self) -> Result<(Response, Option<OwnedFd>), Error> {
        let receive = || sys::socket::receive_whole(&self.socket, LIMIT);
        let received = match receive() {
            // It has ended with something unread; what it has said before comes after this error.
            Err(error) if error.errno() == rustix::io::Errno::CONNRESET => receive(),
            other => other,
        };
        let (bytes, mut fds) = received.map_err(Error::Talk)?;
        if bytes.is_empty() {
            return Err(Error::Lost);
        }
        Ok((Response::read(&bytes).ok_or(Error::Strange)?, fds.pop()))
    }

    fn end(&mut self) -> sys::Result<Ended> {
        let _ = shutdown(&self.socket, Shutdown::Both);
        self.waited = true;
        sys::process::wait(&self.child.pidfd)
    }
}

impl Drop for Criu {
    fn drop(&mut self) {
        if !self.waited {
            let _ = self.end();
        }
    }
}

fn failed(response: &Response) -> Error {
    Error::Failed { what: response.name(), errno: response.errno }
}

/// In the child: leaves open what criu needs, and nothing else.
fn pass_on(socket: &OwnedFd, streams: bool, inherited: &[OwnedFd]) -> sys::Result<()> {
    if !streams {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).call(|| "open(\"/dev/null\")")?;
        dup2_stdin(&null).and_then(|()| dup2_stdout(&null)).and_then(|()| dup2_stderr(&null)).call(|| "dup2(/dev/null)")?;
    }
    sys::fds::close_on_exec_from(3)?;
    for fd in inherited.iter().chain([socket]) {
        fcntl_setfd(fd.as_fd(), FdFlags::empty()).call(|| format!("fcntl({}, F_SETFD)", fd.as_raw_fd()))?;
    }
    Ok(())
}
