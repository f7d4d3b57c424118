//! A further process in a running container.

use std::os::fd::{AsFd, OwnedFd};

use rustix::thread::{CapabilitySet, capabilities};
use sys::ns::kind;
use sys::process::Clone;

use crate::child::{join, stem};
use crate::create::{hide, in_pid_namespace, may_return};
use crate::handshake::Child;
use crate::home::home;
use crate::process::starting_on;
use crate::{Failure, Inherited, Process, Stdio, Target};

/// A process that runs in a container. It is the caller's child: the caller reaps it, and should do so before it waits for init, which
/// the kernel lets go only when its pid namespace is empty (pid_namespaces(7)).
#[derive(Debug)]
pub struct Executed {
    /// Process number in the caller's pid namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
    /// The process; readable once it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal.
    pub terminal: Option<OwnedFd>,
}

/// Runs `process` in the container: in its cgroups, its namespaces, its root. Returns once the program is executed.
///
/// The caller must be single-threaded, and becomes non-dumpable (CVE-2016-9962). Only the capabilities that the process asks for are
/// set, none is inheritable unless asked for (CVE-2022-24769).
///
/// # Errors
/// As [`crate::create`]; `ESRCH` in the text when the container has ended.
pub fn exec(process: &Process, target: &Target, stdio: Option<Stdio>) -> Result<Executed, Failure> {
    exec_with(process, target, Inherited { stdio, ..Inherited::default() })
}

/// [`exec`], with all that a process can take over from its caller.
///
/// # Errors
/// As [`exec`].
pub fn exec_with(process: &Process, target: &Target, inherited: Inherited) -> Result<Executed, Failure> {
    hide()?;
    let own = target.places.into.as_ref();
    let home = own.filter(|_| !target.exact).map(|own| home(own.as_fd(), target.init.as_fd())).transpose()?.flatten();
    let clone = Clone { namespaces: 0, cgroup: home.as_ref().or(own).map(|fd| fd.as_fd()), sibling: false };
    let (users, pids) = (target.places.namespaces & kind::USER != 0, target.places.namespaces & kind::PID != 0);
    let stem = users && !may_join() || pids && !may_return();
    let spawn = || {
        Child::spawn(&clone, None, process.seccomp.as_ref(), |parent| match stem {
            true => stem::join(process, target, &inherited, parent),
            false => join::run(process, target, &inherited, parent, false).map(|never| match never {}),
        })
    };
    let mut child = starting_on(process.affinity.as_ref(), || match target.places.namespaces & kind::PID {
        _ if stem => spawn(),
        0 => spawn(),
        _ => in_pid_namespace(target.init.as_fd(), spawn),
    })?;
    if stem {
        child.wait_heir()?;
    }
    drop(inherited);
    let (pid, start_time) = (child.pid(), child.start_time());
    let (pidfd, terminal) = child.wait_joined()?;
    Ok(Executed { pid, start_time, pidfd, terminal })
}

/// Whether the caller has the right to join namespaces of its own user namespace and those below.
fn may_join() -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}
