//! `stop` and `kill`.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use sys::Call;

use crate::error::During;
use crate::wait::open_process;
use crate::{Engine, Error, Record, names};

const SIGKILL: i32 = 9;

/// Seconds from the stop signal to SIGKILL for a container without a wish.
const GRACE: i64 = 10;

/// How long a container has to end by itself; `None` is for ever.
pub(crate) fn grace(record: &Record) -> Option<Duration> {
    u64::try_from(record.stop_timeout.unwrap_or(GRACE)).ok().map(Duration::from_secs)
}

/// How long to wait for a container that was asked to end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Grace {
    /// As the container was made.
    #[default]
    Own,
    /// So long.
    For(Duration),
    /// As long as it takes.
    Forever,
}

impl Engine {
    /// Sends the container's stop signal (or `signal`), waits `grace`, then kills it. Returns when the record of its end is written. A
    /// container that does not run is fine; one that is to be started again is not.
    pub fn stop(&self, given: &str, signal: Option<i32>, grace: Grace) -> Result<(), Error> {
        let container = self.container(given)?;
        self.stay(&container)?;
        let Some(process) = open_process(&container) else { return Ok(()) };
        let signal = signal.unwrap_or(container.record.stop_signal);
        let grace = match grace {
            Grace::Own => self::grace(&container.record),
            Grace::For(time) => Some(time),
            Grace::Forever => None,
        };
        // Before its end can be told.
        self.told(&container.record, "kill", &[("signal", &signal.to_string())]);
        send(&process, signal).during(|| format!("stop container {}", names::short(&container.record)))?;
        self.resume(&container)?;
        let ended = wait_until(&process, grace.map(|grace| Instant::now() + grace))
            .during(|| format!("wait for container {}", names::short(&container.record)))?;
        if !ended {
            send(&process, SIGKILL).during(|| format!("kill container {}", names::short(&container.record)))?;
        }
        self.settled(&container.record.id)?;
        self.told(&container.record, "stop", &[]);
        Ok(())
    }

    /// Sends a signal to the container's first process. One that is to end it ends a pause, too, and is not followed by a restart.
    ///
    /// # Errors
    /// [`Error::NotRunning`].
    pub fn kill(&self, given: &str, signal: i32) -> Result<(), Error> {
        let container = self.container(given)?;
        let process = open_process(&container).ok_or_else(|| Error::NotRunning(names::short(&container.record)))?;
        let ends = signal == SIGKILL || signal == container.record.stop_signal;
        if ends {
            self.stay(&container)?;
        }
        self.told(&container.record, "kill", &[("signal", &signal.to_string())]);
        send(&process, signal).during(|| format!("kill container {}", names::short(&container.record)))?;
        if ends { self.resume(&container) } else { Ok(()) }
    }

    /// Waits until the monitor has written the end down and undone the network; with `remove`, until the folder is gone.
    pub(crate) fn settled(&self, id: &str) -> Result<(), Error> {
        match self.wait(id) {
            Ok(_) | Err(Error::NoSuchContainer(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// A process that ends meanwhile needs no signal.
fn send(process: &std::os::fd::OwnedFd, signal: i32) -> sys::Result<()> {
    match sys::process::signal(process, signal) {
        Err(error) if error.errno() == Errno::SRCH => Ok(()),
        other => other,
    }
}

/// Waits until the process has ended, at most until `deadline`. False when it still runs.
fn wait_until(process: &std::os::fd::OwnedFd, deadline: Option<Instant>) -> sys::Result<bool> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = [PollFd::new(process, PollFlags::IN)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).call(|| "poll(pidfd)"),
        }
    }
}
