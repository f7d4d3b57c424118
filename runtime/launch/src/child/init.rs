//! The way of a container's first process, in order.

use std::convert::Infallible;

use rustix::fs::Mode;
use sys::ns::kind;

use super::{cgroup, labels, namespaces, procfs, root, users};
use crate::create::{Inherited, Stages, Table};
use crate::failure::During;
use crate::handshake::Parent;
use crate::process::{self, Streams};
use crate::{Failure, Plan};

/// What init has to do and with what.
pub(crate) struct Task<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) table: &'a Table<'a>,
    pub(crate) inherited: &'a Inherited,
    pub(crate) parent: &'a Parent,
    pub(crate) stages: Option<&'a dyn Stages>,
    /// A process before it has joined namespaces and settled its users: see `stem`.
    pub(crate) stem: bool,
}

/// Whether it waits for its parent once its namespaces are made.
pub(crate) fn stops(plan: &Plan, stages: Option<&dyn Stages>) -> bool {
    stages.is_some() || !plan.devices.is_empty()
}

/// From clone to exec. Every step has the reason for its place.
pub(crate) fn run(task: &Task<'_>) -> Result<Infallible, Failure> {
    let Task { plan, table, inherited, parent, stages, stem } = *task;
    if stem {
        parent.inherit()?;
    }
    // Folders and nodes are made with the very modes that are asked for; the process's own mask comes at its end.
    rustix::process::umask(Mode::empty());
    // Before anything is allocated on the container's behalf: from here on its limits hold. In a user namespace, too, it still is the
    // host's user, who may do this.
    cgroup::enter(plan.cgroup.join.iter().map(|slot| table.get(*slot)))?;
    process::restrict(plan.process.affinity.as_ref())?;
    let own_users = plan.unshare & kind::USER != 0;
    match (own_users, stem) {
        (true, false) => users::wait(plan.users.as_ref(), parent)?,
        // While /proc is the host's, which nobody in the container can redirect (CVE-2025-52881).
        (false, false) => procfs::adjust_oom_score("self", plan.process.oom_score_adj)?,
        (_, true) => {}
    }
    let labels = labels::open(&plan.process.labels, !inherited.keyring)?;
    // After the cgroup: a cgroup namespace is rooted where its maker is at that time. A pid namespace is entered by being born there.
    let these = if stem { kind::CGROUP } else { !(kind::PID | kind::MOUNT) };
    namespaces::enter(plan, table, these)?;
    // What is made from here on belongs to the container's root, and so do settings of its namespaces.
    let groups_denied = (own_users || stem)
        .then(|| users::settle(&procfs::host().during(|| "users")?, &plan.process))
        .transpose()?
        .unwrap_or(false);
    // In the namespaces that they configure, and still through the host's /proc.
    namespaces::configure(plan)?;
    // A session of its own: signals of the caller's terminal do not reach it, and it may take a terminal.
    process::new_session()?;
    let given = if stops(plan, stages) { parent.born()? } else { Vec::new() };
    // The host is out of reach from here on.
    let late = match stages.filter(|stages| !stages.beside()) {
        Some(stages) => stages.open(true).map_err(Failure::runtime)?,
        None => given,
    };
    let terminal = root::build(&Task { table: &table.with(late), ..*task }).during(|| "root file system")?;
    let streams = Streams::of(terminal, inherited.stdio.as_ref());
    let starting = || stages.map_or(Ok(()), |stages| stages.starting());
    let given = process::Given { streams, inherited, parent, labels: &labels, groups_denied };
    process::execute(&plan.process, given, Some(&starting))
}
