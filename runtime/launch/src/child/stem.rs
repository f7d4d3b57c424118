//! The process before init, where init can only be born into what it needs: a user namespace that is joined, with a pid namespace of its
//! or made in it; or a new one beside namespaces of somebody else, which must be joined while that is still permitted; or a pid namespace
//! from which its maker could not return to its own.
//!
//! It joins in three passes, as runc and nsenter(1) do: what the host's rights allow, then the user namespace, then what its rights allow.
//! All that makes it still the host's user: it changes no id, so that its cgroup takes init in.

use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use sys::Call;
use sys::ns::{kind, setns, unshare};
use sys::process::{Clone, clone3};

use super::init::{self, Task};
use super::{join, procfs, users};
use crate::create::hide;
use crate::failure::During;
use crate::handshake::Parent;
use crate::{Failure, Inherited, Process, Slot, Target};

/// What init joins by itself: its mounts, with which the host is out of reach, and the cgroup namespace, which hides where it comes from.
pub(crate) const LATE: u64 = kind::MOUNT | kind::CGROUP;

/// From clone to the clone of init.
pub(crate) fn run(task: &Task<'_>, init: &Clone<'_>) -> Result<(), Failure> {
    let Task { plan, parent, .. } = *task;
    adjust_oom_score(&plan.process)?;
    enter(task)?;
    if plan.unshare & kind::USER != 0 {
        unshare(kind::USER as i32).during(|| "make the user namespace")?;
        users::wait(plan.users.as_ref(), parent)?;
    }
    let heir = clone3(init, || parent.run(|_| init::run(task).map(|never| match never {}))).during(|| "make init")?;
    parent.heir(heir.pid.as_raw_nonzero().get() as u32, heir.pidfd.as_fd())
}

/// From clone to the clone of a process that joins a container, for a caller without rights in the host's user namespace: only who is in the
/// container's may join its other namespaces, and nobody who leaves the host's pid namespace to his children can return to it.
pub(crate) fn join(process: &Process, target: &Target, inherited: &Inherited, parent: &Parent) -> Result<(), Failure> {
    adjust_oom_score(process)?;
    if target.places.namespaces & kind::USER != 0 {
        setns(&target.init, kind::USER as i32).during(|| "join the user namespace")?;
    }
    if target.places.namespaces & kind::PID != 0 {
        setns(&target.init, kind::PID as i32).during(|| "join the pid namespace")?;
    }
    let clone = Clone { sibling: true, ..Clone::default() };
    let body = |parent: &Parent| join::run(process, target, inherited, parent, true).map(|never| match never {});
    let heir = clone3(&clone, || parent.run(body)).during(|| "make the process")?;
    parent.heir(heir.pid.as_raw_nonzero().get() as u32, heir.pidfd.as_fd())
}

/// As in `users::wait`: who is not root owns its files in procfs only while it can be dumped. It has not entered anything yet.
fn adjust_oom_score(process: &Process) -> Result<(), Failure> {
    if process.oom_score_adj.is_none() {
        return Ok(());
    }
    set_dumpable_behavior(DumpableBehavior::Dumpable).call(|| "prctl(PR_SET_DUMPABLE, 1)").during(|| "set oom_score_adj")?;
    procfs::adjust_oom_score("self", process.oom_score_adj)?;
    hide()
}

/// The three passes.
fn enter(task: &Task<'_>) -> Result<(), Failure> {
    let Task { plan, table, .. } = *task;
    let join = |which: u64, slot| setns(table.get(slot), which as i32);
    let mut rest: Vec<(u64, Slot)> = plan.join.iter().copied().filter(|(which, _)| which & (kind::USER | LATE) == 0).collect();
    if let Some((_, slot)) = plan.join.iter().find(|(which, _)| *which == kind::USER) {
        // Before /proc/self is that of another user.
        let proc = procfs::host().during(|| "look at the user namespace")?;
        let mut refused = Vec::new();
        for (which, slot) in rest {
            match join(which, slot) {
                Err(error) if error.errno() == Errno::PERM => refused.push((which, slot)),
                done => done.during(|| "join a namespace")?,
            }
        }
        rest = refused;
        join(kind::USER, *slot).during(|| "join the user namespace")?;
        plan.users.as_ref().map_or(Ok(()), |users| users::compare(&proc, users))?;
    }
    rest.into_iter().try_for_each(|(which, slot)| join(which, slot).during(|| "join a namespace"))
}
