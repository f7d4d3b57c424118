//! The end of a home: of all that runs in it, of whoever keeps it, and of what is written down of it.

use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, unlinkat};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use sys::Call;

use super::home::{NETWORK, RECORD, Record, lock};
use super::pasta;
use super::places::Run;

/// What a process is called that ends a home, or waits for another one that does.
const ENDING: &CStr = c"rctr-home-ends";
/// How long processes may take to end by themselves, then by SIGTERM, then by SIGKILL.
const PATIENCE: [(Option<i32>, Duration); 3] =
    [(None, Duration::from_secs(3)), (Some(15), Duration::from_secs(3)), (Some(9), Duration::from_secs(10))];

/// A home that nobody enters until this process has ended, or has ended it.
#[derive(Debug)]
pub(crate) struct Ending {
    run: Run,
    record: Record,
    _lock: OwnedFd,
}

impl Ending {
    /// Begins the end of the home below `run` that this process is in. None if somebody else has ended it meanwhile. A process that is killed
    /// on the way leaves the home as it is by then; the next command goes on in it.
    ///
    /// # Errors
    /// What is written down of it cannot be read.
    pub(crate) fn begin(run: &Path) -> Result<Option<Ending>> {
        let run = Run::open(run)?;
        // One that waits for the lock is not ended by whoever has it.
        let _ = rustix::thread::set_name(ENDING);
        let lock = lock(&run)?;
        let Some(mut record) = Record::read(&run)?.filter(|record| record.is_own()) else { return Ok(None) };
        record.ending = true;
        record.write(&run)?;
        Ok(Some(Ending { run, record, _lock: lock }))
    }

    /// Ends it. Containers should have been stopped. What was mounted there goes with this process, the last one in it.
    ///
    /// # Errors
    /// A process does not end.
    pub(crate) fn finish(self) -> Result<()> {
        let keeper = self.record.holder();
        for (signal, patience) in PATIENCE {
            let others = inhabitants(self.record.holder.0)?;
            signal.into_iter().for_each(|signal| others.iter().for_each(|one| drop(sys::process::signal(one, signal))));
            wait(others, patience)?;
        }
        let others = inhabitants(self.record.holder.0)?;
        if !others.is_empty() {
            bail!("end this user's home: {} processes in it do not end", others.len());
        }
        self.record.accounts.close()?;
        // With it ends what leads to the host's network.
        if let Some(keeper) = &keeper {
            sys::process::signal(keeper, 9).context("end the process that keeps this user's home")?;
        }
        wait(keeper.into_iter().chain(self.record.pasta.process()), PATIENCE[2].1)?;
        let network = self.run.path.join(NETWORK);
        while unmount(&network, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
        for file in [pasta::PID, pasta::LOG, NETWORK, RECORD] {
            match unlinkat(&self.run.folder, file, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => {}
                failed => failed.call(|| format!("unlinkat({file:?})"))?,
            }
        }
        Ok(())
    }
}

/// The processes in the user namespace of this one, but for it, `keeper`, and those that are about to end it.
fn inhabitants(keeper: u32) -> Result<Vec<OwnedFd>> {
    let of = |pid: &str| std::fs::metadata(format!("/proc/{pid}/ns/user")).ok().map(|namespace| namespace.ino());
    let own = of("self").context("find this user's home")?;
    let ending =
        |pid: &str| std::fs::read(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim_ascii_end() == ENDING.to_bytes());
    let all =
        std::fs::read_dir("/proc").context("list processes")?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let numbers = all.filter_map(|name| Some((name.parse::<u32>().ok()?, name)));
    let others =
        numbers.filter(|(pid, name)| *pid != keeper && *pid != std::process::id() && of(name) == Some(own) && !ending(name));
    // A number that has passed to another process since is nobody's here.
    let open = |(pid, name): (u32, String)| {
        let start = sys::process::start_time(pid)?;
        sys::process::open(pid, start).ok().filter(|_| of(&name) == Some(own))
    };
    Ok(others.filter_map(open).collect())
}

/// Waits until all have ended, at most so long altogether.
fn wait(all: impl IntoIterator<Item = OwnedFd>, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    for one in all {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).ok();
        let ended = rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&one.as_fd(), PollFlags::IN)], left.as_ref()));
        ended.call(|| "poll(pidfd)")?;
    }
    Ok(())
}
