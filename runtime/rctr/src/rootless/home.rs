//! What is written down of a home, and how it is entered.

use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use engine::Accounts;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use serde::{Deserialize, Serialize};
use sys::Call;
use sys::ns::kind;

use super::make;
use super::pasta::Pasta;
use super::places::Run;

/// Files in the folder of run.
pub(super) const RECORD: &str = "home";
const LOCK: &str = "home.lock";
/// A file on which the home has its network namespace mounted.
pub(super) const NETWORK: &str = "netns";
/// The record is short.
const LONGEST: usize = 64 << 10;

/// A home, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The boot that it belongs to: process numbers and start times begin anew with each.
    pub(super) boot: String,
    /// The process that keeps it, and when that started.
    pub(super) holder: (u32, u64),
    /// What leads its network to the host's.
    pub(super) pasta: Pasta,
    /// Where its containers are accounted.
    #[serde(flatten)]
    pub(super) accounts: Accounts,
    /// Why it has no more than its user's own id, if it has not.
    pub(super) only_own: Option<String>,
    /// Somebody who has the lock is about to end it.
    #[serde(default)]
    pub(super) ending: bool,
}

impl Record {
    pub(super) fn read(run: &Run) -> Result<Option<Record>> {
        let file = match openat(&run.folder, RECORD, OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            file => file.call(|| format!("openat({RECORD:?})"))?,
        };
        let text = sys::fs::read_all(&file, LONGEST)?;
        // One that makes no sense is that of a home that cannot be found again.
        Ok(serde_json::from_slice(&text).ok())
    }

    pub(super) fn write(&self, run: &Run) -> Result<()> {
        Ok(sys::fs::replace(&run.folder, RECORD, &serde_json::to_vec(self)?)?)
    }

    /// The process that keeps it, if that lives.
    pub(super) fn holder(&self) -> Option<OwnedFd> {
        let (pid, start) = self.holder;
        if self.boot == boot() { sys::process::open(pid, start).ok() } else { None }
    }

    /// Whether this process is in it.
    pub(super) fn is_own(&self) -> bool {
        let of = |pid: &str| std::fs::metadata(format!("/proc/{pid}/ns/user")).ok().map(|namespace| namespace.ino());
        self.holder().is_some() && of(&self.holder.0.to_string()) == of("self")
    }

    /// Nothing is to be done but to enter it.
    fn is_fine(&self) -> bool {
        self.pasta.is_fine() && !self.ending
    }
}

/// The id of this boot (random(4)).
pub(super) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Enters the home below `run`, made if nobody keeps one.
pub(super) fn enter(run: &Run) -> Result<()> {
    let found = Record::read(run)?.and_then(|record| Some((record.holder()?, record)));
    match found {
        Some((holder, record)) if record.is_fine() => join(&holder),
        _ => {
            let (holder, made) = under_lock(run)?;
            join(&holder)?;
            if made {
                engine::Home::begin(&run.path.join(NETWORK)).context("set up the network of this user's home")?;
            }
            Ok(())
        }
    }
}

/// What whoever makes, mends or ends a home has alone.
pub(super) fn lock(run: &Run) -> Result<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let lock = openat(&run.folder, LOCK, flags, Mode::RUSR | Mode::WUSR).call(|| format!("openat({LOCK:?})"))?;
    rustix::io::retry_on_intr(|| flock(&lock, FlockOperation::LockExclusive)).call(|| format!("flock({LOCK:?})"))?;
    Ok(lock)
}

/// Looks again while nobody else makes one, and makes what is missing. True when all is new.
fn under_lock(run: &Run) -> Result<(OwnedFd, bool)> {
    let _lock = lock(run)?;
    match Record::read(run)?.and_then(|record| Some((record.holder()?, record))) {
        Some((holder, record)) if record.is_fine() => Ok((holder, false)),
        Some((holder, record)) => {
            // Whoever was about to end it was killed.
            let pasta = if record.pasta.is_fine() { record.pasta.clone() } else { Pasta::start(run, record.holder)? };
            Record { pasta, ending: false, ..record }.write(run)?;
            Ok((holder, false))
        }
        None => make::make(run).map(|holder| (holder, true)),
    }
}

/// Enters the home that the process behind `holder` keeps: its users and its mounts. The working directory stays the same.
fn join(holder: &OwnedFd) -> Result<()> {
    // What may not be seen any more is not gone: nothing that a command does depends on it alone.
    let here = std::env::current_dir().ok();
    sys::ns::setns(holder, (kind::USER | kind::MOUNT) as i32).context("enter this user's home")?;
    // With its rights a process loses the files that procfs has of it, to which it is root now.
    set_dumpable_behavior(DumpableBehavior::Dumpable).call(|| "prctl(PR_SET_DUMPABLE, 1)")?;
    let place = here.as_deref().unwrap_or(Path::new("/"));
    std::env::set_current_dir(place).or_else(|_| std::env::set_current_dir("/")).context("chdir(\"/\")")
}

/// The home that this process is in, if it is one below `run`.
pub(super) fn described(run: &Path) -> Result<Option<engine::Home>> {
    let path = run.join(RECORD);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("read {}", path.display()))?,
    };
    let Ok(record) = serde_json::from_slice::<Record>(&text) else { bail!("{} is damaged", path.display()) };
    Ok(Some(engine::Home {
        netns: run.join(NETWORK),
        cut_off: record.pasta.cut_off,
        accounts: record.accounts,
        only_own: record.only_own,
    }))
}
