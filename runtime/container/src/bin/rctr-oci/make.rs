//! Making a container up to the point where its init waits: what `create` and `run` have in common.
//!
//! A process that is killed on the way leaves a folder whose lock nobody holds, with a record of what may exist, and an init that ends
//! by itself because nobody tells it to wait. `delete` removes both.

use std::os::fd::OwnedFd;
use std::path::Path;

use container::{prepare, prepare_late};
use launch::{Created, Gate, Inherited, create_with};
use oci_spec::runtime::Hooks;
use sys::ns::kind::USER;

use crate::args::{Args, Flag, switch, value};
use crate::begin::{Begun, Undo, begin};
use crate::error::{Doing, Failed, Result};
use crate::record::Record;
use crate::rootless::{Rootless, Trees};
use crate::store::{self, Entry, GATE};
use crate::{Context, hooks, program, spec};

/// The flags of `create`, which `run` has too.
pub(crate) const BUNDLE: Flag = value(&["bundle", "b"], "DIR", "the bundle; the working folder if it is not given");
pub(crate) const CONSOLE_SOCKET: Flag = value(&["console-socket"], "SOCKET", "send the terminal's master there");
pub(crate) const PIDFD_SOCKET: Flag = value(&["pidfd-socket"], "SOCKET", "send a descriptor of the process there");
pub(crate) const PID_FILE: Flag = value(&["pid-file"], "FILE", "write the process number there");
pub(crate) const NO_PIVOT: Flag = switch(&["no-pivot"], "change the root by chroot(2), which is less safe; for an initramfs");
pub(crate) const NO_KEYRING: Flag = switch(&["no-new-keyring"], "stay in the caller's session keyring");
pub(crate) const PRESERVE_FDS: Flag = value(&["preserve-fds"], "N", "hand N descriptors from 3 on to the process");

/// A container whose init waits. Dropping it undoes everything.
pub(crate) struct Made {
    pub(crate) created: Created,
    pub(crate) record: Record,
    pub(crate) hooks: Hooks,
    undo: Undo,
}

impl Made {
    /// Lets everything stay. Still locked.
    pub(crate) fn keep(self) -> (Created, Record, Hooks, Entry) {
        let Made { created, record, hooks, undo } = self;
        (created, record, hooks, undo.keep())
    }
}

/// Makes the container `id` from a bundle. Its record is complete; init waits for a word.
pub(crate) fn make(context: &Context, args: &Args, id: &str, detached: bool) -> Result<Made> {
    match make_as(context, context.rootless, args, id, detached) {
        Err(failed) if context.rootless.after(&failed) => make_as(context, Rootless::Yes, args, id, detached),
        made => made,
    }
}

fn make_as(context: &Context, rootless: Rootless, args: &Args, id: &str, detached: bool) -> Result<Made> {
    store::check_id(id)?;
    program::seal_self()?;
    let inherited = inherited(args)?;
    let Begun { bundle, spec, host, compiled, mut record, mut undo } = begin(context, rootless, args, &inherited, id, detached)?;
    let (entry, cgroup) = undo.made()?;
    let mut trees = None;
    let mapped = compiled.plan.unshare & USER != 0 || compiled.plan.join.iter().any(|(kind, _)| *kind == USER);
    let (plan, fds) = if host.mounts() && !mapped {
        prepare(compiled, spec::tree(&bundle.rootfs, &spec)?, cgroup)?
    } else {
        let (plan, fds, late) = prepare_late(compiled, &bundle.rootfs, cgroup)?;
        trees = Some(Trees { late, beside: host.mounts(), rootfs: bundle.rootfs.clone(), spec: &spec });
        (plan, fds)
    };
    let gate = detached.then(|| Gate::new(&entry.folder, GATE)).transpose()?;
    let staged = hooks::Staged { hooks: &bundle.hooks, record: &record, trees: trees.as_ref() };
    let stages = (trees.is_some() || hooks::before_start(&bundle.hooks)).then_some(&staged as &dyn launch::Stages);
    let created = match create_with(&plan, &fds, inherited, gate, stages) {
        Ok(created) => created,
        Err(failure) => {
            undo.stopped(context, &record);
            return Err(failure.into());
        }
    };
    record.born(created.pid, created.start_time);
    entry.write(&record)?;
    context.log.debug(|| format!("init of {id} is process {}", created.pid));
    Ok(Made { created, record, hooks: bundle.hooks, undo })
}

/// What the process takes over, as the flags say.
pub(crate) fn inherited(args: &Args) -> Result<Inherited> {
    let asked: u32 = args.number("preserve-fds")?.unwrap_or(0);
    // As sd_listen_fds(3): descriptors of sockets that the caller listens at come first.
    let listening: u32 = std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    let preserved = asked.saturating_add(listening);
    if preserved > 1024 {
        return Err(Failed::new(format!("--preserve-fds: {preserved} are too many")));
    }
    for fd in 3..3 + preserved {
        if !Path::new(&format!("/proc/self/fd/{fd}")).exists() {
            return Err(Failed::new(format!("--preserve-fds: descriptor {fd} is not open")));
        }
    }
    // What else the caller has left open is for nobody, hooks neither.
    sys::fds::close_on_exec_from(3 + preserved)?;
    Ok(Inherited { stdio: None, preserved, keyring: args.on("no-new-keyring") })
}

/// What a caller is given of a process.
pub(crate) struct Given<'a> {
    pub(crate) pid: u32,
    pub(crate) process: &'a OwnedFd,
    pub(crate) terminal: Option<&'a OwnedFd>,
    /// runc's word for a container's first process, or a later one.
    pub(crate) word: &'static str,
}

impl<'a> Given<'a> {
    pub(crate) fn init(created: &'a Created) -> Self {
        Given { pid: created.pid, process: &created.pidfd, terminal: created.terminal.as_ref(), word: "standard" }
    }
}

/// Hands out what `create`, `run` and `exec` give to their callers.
pub(crate) fn hand_out(args: &Args, given: &Given<'_>) -> Result<()> {
    if let (Some(socket), Some(terminal)) = (args.get("console-socket"), given.terminal) {
        crate::console::send_terminal(socket, terminal)?;
    }
    if let Some(socket) = args.get("pidfd-socket") {
        crate::console::send_process(socket, given.word, given.process)?;
    }
    match args.get("pid-file") {
        Some(path) => pid_file(Path::new(path), given.pid).doing_to(Path::new(path), || format!("write the pid file {path:?}")),
        None => Ok(()),
    }
}

/// Whoever waits for the file finds the number in it.
fn pid_file(path: &Path, pid: u32) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| Failed::new("not a file name"))?.to_string_lossy();
    let folder = sys::fs::open_dir(folder)?;
    Ok(sys::fs::replace(folder, &name, pid.to_string().as_bytes())?)
}
