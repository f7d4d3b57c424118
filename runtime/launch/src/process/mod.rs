//! The tail that a container's first process and its later ones have in common: from the root in place to execve.

mod capabilities;
mod filter;
mod folder;
mod landlock;
mod limits;
mod lookup;
mod scheduling;
mod streams;
mod user;

use std::convert::Infallible;

use rustix::fs::Mode;
use rustix::io::Errno;
use sys::Call;

pub(crate) use scheduling::{restrict, starting_on};
pub(crate) use streams::Streams;

use crate::child::labels::Pending;
use crate::failure::During;
use crate::handshake::Parent;
use crate::{Failure, Inherited, Process};

/// What a shell starts with, and containers too.
const DEFAULT_UMASK: u32 = 0o022;

/// What is done right before execve, once the word to start has come.
pub(crate) type Starting<'a> = &'a dyn Fn() -> Result<(), String>;

/// What else a process is given.
pub(crate) struct Given<'a> {
    pub(crate) streams: Streams<'a>,
    pub(crate) inherited: &'a Inherited,
    pub(crate) parent: &'a Parent,
    pub(crate) labels: &'a Pending,
    /// Its user namespace forbids setgroups(2).
    pub(crate) groups_denied: bool,
}

/// Becomes the process's program. With `starting` it first reports that all is ready and waits for the word.
pub(crate) fn execute(process: &Process, given: Given<'_>, starting: Option<Starting<'_>>) -> Result<Infallible, Failure> {
    let Given { streams, inherited, parent, labels, groups_denied } = given;
    streams.install(process.uid)?;
    let kept: Vec<_> = parent.fds().into_iter().chain(labels.fds()).collect();
    // Nothing of the host may be open from here on: the working folder could lead there through /proc/self/fd (CVE-2024-21626), and
    // so could whoever is allowed to trace us in a pid namespace that is not new (CVE-2016-9962).
    sys::fds::close_all_but(3 + inherited.preserved, &kept).during(|| "close the host's descriptors")?;
    if !inherited.keyring {
        labels.with_keys(new_keyring)?;
    }
    // Before the word to start is waited for: a profile that is not there keeps the container from being made.
    labels.exec()?;
    limits::set(&process.rlimits)?;
    scheduling::set(process)?;
    // Without no_new_privs a filter needs CAP_SYS_ADMIN, so it must come before capabilities go; with it, it comes last, and need
    // not permit what is done until then. As runc does.
    if process.no_new_privs {
        rustix::thread::set_no_new_privs(true).call(|| "prctl(PR_SET_NO_NEW_PRIVS)").during(|| "no new privileges")?;
    } else {
        filter::load(process, parent)?;
    }
    // While CAP_SETPCAP is there.
    capabilities::limit(process.capabilities.as_ref())?;
    // As root first, who may enter folders that the user may not: images with a private WORKDIR of another user start with runc.
    let entered = folder::enter(&process.cwd);
    user::switch(process, groups_denied || process.groups_denied)?;
    // Last of the credentials: changing the user clears sets.
    capabilities::set(process.capabilities.as_ref())?;
    // As the user, where root was refused: on NFS root is nobody.
    entered.or_else(|_| folder::enter(&process.cwd)).map_err(|error| folder::failure(&process.cwd, &error))?;
    folder::verify(&process.cwd)?;
    // As the user too: what root could execute says nothing.
    let program = lookup::program(process)?;
    rustix::process::umask(Mode::from_raw_mode(process.umask.unwrap_or(DEFAULT_UMASK)));
    // Before the filter, which may not permit so many calls.
    sys::signal::reset();
    if let Some(starting) = starting {
        parent.ready()?;
        starting().map_err(Failure::runtime)?;
    }
    if process.no_new_privs {
        filter::load(process, parent)?;
    }
    program.execute()
}

/// Leaves the caller's session.
pub(crate) fn new_session() -> Result<(), Failure> {
    rustix::process::setsid().map(drop).call(|| "setsid()").during(|| "new session")
}

/// Leaves the caller's session keyring, with the keys in it.
pub(crate) fn new_keyring() -> Result<(), Failure> {
    match sys::process::new_session_keyring() {
        // No keyrings at all, or an outer container's filter that hides them: there is nothing to leave.
        Err(error) if !matches!(error.errno(), Errno::NOSYS | Errno::PERM) => Err(error).during(|| "new session keyring"),
        _ => Ok(()),
    }
}
