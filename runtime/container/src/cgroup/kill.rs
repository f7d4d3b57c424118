//! Killing, freezing and thawing all processes of a cgroup.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use sys::Call;

use super::create::Folder;
use super::files::{put as write, read_at};
use super::hierarchies::clean;
use super::remove::{changed, children, event, gone};
use super::{Error, Hierarchies};

/// How long killed processes may take to go: one in the middle of a slow write to a disk takes a while.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kills every process of the cgroup `path` and of the ones below it, in all hierarchies, and waits until they are gone. A cgroup
/// that does not exist has none.
///
/// v2 kills with one write that no fork escapes (`cgroup.kill`, Linux 5.14). v1 cannot: there the processes are frozen, so that
/// they make no new ones, killed one by one, thawed to die, and looked for again.
///
/// # Errors
/// [`Error::Populated`] when some do not die.
pub fn kill(hierarchies: &Hierarchies, path: &str) -> Result<(), Error> {
    let path = clean(path)?;
    let deadline = Instant::now() + PATIENCE;
    let folder = |at: usize| hierarchies.all()[at].folder(&path);
    if let Some(unified) = hierarchies.unified().map(folder)
        && put("kill", &unified, "cgroup.kill", "1")?
    {
        until(&unified, "populated", false, deadline);
    }
    let freezer = hierarchies.v1("freezer").map(folder);
    let folders: Vec<PathBuf> = (0..hierarchies.all().len()).map(folder).collect();
    loop {
        // A process that was moved out of one hierarchy's folder may still be in another's.
        let found = everywhere(&folders)?;
        if found.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let folder = folders.into_iter().find(|folder| folder.exists()).unwrap_or_default();
            return Err(Error::Populated { folder, pids: found, seconds: PATIENCE.as_secs() });
        }
        kill_each(&folders, freezer.as_deref(), deadline)?;
    }
}

/// One round: freeze, kill all that are there, thaw, wait for one to go.
fn kill_each(folders: &[PathBuf], freezer: Option<&Path>, deadline: Instant) -> Result<(), Error> {
    if let Some(freezer) = freezer {
        put("freeze", freezer, "freezer.state", "FROZEN")?;
    }
    let pids = everywhere(folders)?;
    let open = |pid: &u32| Some((*pid, pidfd_open(Pid::from_raw(*pid as i32)?, PidfdFlags::empty()).ok()?));
    let processes: Vec<_> = pids.iter().filter_map(open).collect();
    // A number may have passed to a stranger between the two calls. One that is still listed is the process that was opened, or
    // that one is dead and the signal reaches nobody.
    let confirmed = everywhere(folders)?;
    for (pid, process) in &processes {
        if confirmed.contains(pid) {
            let _ = pidfd_send_signal(process, Signal::KILL);
        }
    }
    if let Some(freezer) = freezer {
        put("thaw", freezer, "freezer.state", "THAWED")?;
    }
    gone(&confirmed, deadline.saturating_duration_since(Instant::now()));
    Ok(())
}

/// Freezes every process of the cgroup and returns when none runs any more.
///
/// # Errors
/// [`Error::Signal`]; after a v1 freezer that does not get there the cgroup is thawed again.
pub fn freeze(hierarchies: &Hierarchies, path: &str) -> Result<(), Error> {
    let path = clean(path)?;
    let deadline = Instant::now() + PATIENCE;
    let (folder, v2) = freezer(hierarchies, &path, "freeze")?;
    if v2 {
        must("freeze", &folder, "cgroup.freeze", "1")?;
        return if until(&folder, "frozen", true, deadline) { Ok(()) } else { Err(slow(&folder, "freeze")) };
    }
    let mut pause = Duration::from_micros(10);
    while Instant::now() < deadline {
        // The v1 freezer gives no event, and gets on only when its state is written and read (freezer-subsystem.rst).
        must("freeze", &folder, "freezer.state", "FROZEN")?;
        if read(&folder, "freezer.state")?.trim() == "FROZEN" {
            return Ok(());
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
    must("thaw", &folder, "freezer.state", "THAWED")?;
    Err(slow(&folder, "freeze"))
}

/// Lets the processes of a frozen cgroup go on.
///
/// # Errors
/// [`Error::Signal`].
pub fn thaw(hierarchies: &Hierarchies, path: &str) -> Result<(), Error> {
    let path = clean(path)?;
    let (folder, v2) = freezer(hierarchies, &path, "thaw")?;
    if v2 { must("thaw", &folder, "cgroup.freeze", "0") } else { must("thaw", &folder, "freezer.state", "THAWED") }
}

/// Whether the processes of a cgroup are frozen, by its folder in the freezer's hierarchy or in that of v2. One that does not exist has none.
pub fn frozen(folder: &Path, v2: bool) -> bool {
    let (file, wanted) = if v2 { ("cgroup.freeze", "1") } else { ("freezer.state", "THAWED") };
    read(folder, file).is_ok_and(|state| (state.trim() == wanted) == v2)
}

/// All processes of the cgroup `path` and of the ones below it, in all hierarchies, each once.
///
/// # Errors
/// [`Error::Read`].
pub fn processes(hierarchies: &Hierarchies, path: &str) -> Result<Vec<u32>, Error> {
    everywhere(&super::paths(hierarchies, &clean(path)?))
}

/// The folder to freeze in, and whether it is one of v2, which has an event for it and lets frozen processes be killed.
fn freezer(hierarchies: &Hierarchies, path: &str, what: &'static str) -> Result<(PathBuf, bool), Error> {
    let folder = |at: usize| hierarchies.all()[at].folder(path);
    let v1 = hierarchies.v1("freezer").map(|at| (folder(at), false));
    hierarchies.unified().map(|at| (folder(at), true)).or(v1).ok_or_else(|| {
        let (asked, controller) = (path.to_owned(), "freezer".to_owned());
        Error::NoController { field: what, asked, controller }
    })
}

fn slow(folder: &Path, what: &'static str) -> Error {
    let source = sys::Error::new(format!("poll({:?})", folder.join("cgroup.events")), Errno::TIMEDOUT);
    Error::Signal { what, folder: folder.to_owned(), source }
}

/// Waits until an event of v2 says so.
fn until(folder: &Path, key: &str, wanted: bool, deadline: Instant) -> bool {
    let Ok(events) = openat(CWD, folder.join("cgroup.events"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) else {
        return true;
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match event(&events, key) {
            Some(now) if now != wanted && !left.is_zero() => changed(&events, left),
            Some(now) => return now == wanted,
            // Removed meanwhile.
            None => return true,
        }
    }
}

/// What `cgroup.events` says of a folder now. A kernel that does not know the key says no.
pub(super) fn event_of(folder: &Folder, key: &str) -> bool {
    let events = openat(&folder.fd, "cgroup.events", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    events.ok().and_then(|events| event(&events, key)) == Some(true)
}

/// Writes to a file of the cgroup; false when there is no such file.
fn put(what: &'static str, folder: &Path, file: &str, value: &str) -> Result<bool, Error> {
    match write(&folder.join(file), value) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::NODEV) => Ok(false),
        Err(errno) => Err(errno).call(|| format!("write({:?}, {value:?})", folder.join(file))).map_err(|source| Error::Signal {
            what,
            folder: folder.to_owned(),
            source,
        }),
    }
}

/// The same for a file that must be there.
fn must(what: &'static str, folder: &Path, file: &str, value: &str) -> Result<(), Error> {
    if put(what, folder, file, value)? {
        return Ok(());
    }
    let source = sys::Error::new(format!("open({:?})", folder.join(file)), Errno::NOENT);
    Err(Error::Signal { what, folder: folder.to_owned(), source })
}

fn read(folder: &Path, file: &str) -> Result<String, Error> {
    let fd = sys::fs::open_dir(folder).map_err(|source| Error::Read { path: folder.to_owned(), source })?;
    read_at(fd, folder, file)
}

/// All processes of these cgroups and of the ones below them, each once.
fn everywhere(folders: &[PathBuf]) -> Result<Vec<u32>, Error> {
    let mut all = Vec::new();
    for folder in folders {
        tree(folder, &mut all)?;
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}

fn tree(folder: &Path, all: &mut Vec<u32>) -> Result<(), Error> {
    all.extend(members(folder)?);
    for child in children(folder)? {
        tree(&child, all)?;
    }
    Ok(())
}

/// The processes of one cgroup. One that is gone has none.
pub(super) fn members(folder: &Path) -> Result<Vec<u32>, Error> {
    match read(folder, "cgroup.procs") {
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid != 0).collect()),
        Err(Error::Read { source, .. }) if matches!(source.errno(), Errno::NOENT | Errno::NODEV) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}
