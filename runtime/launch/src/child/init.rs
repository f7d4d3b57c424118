//! The way of a container's first process, in order.

use std::convert::Infallible;

use rustix::fs::Mode;

use super::{cgroup, labels, namespaces, procfs, root};
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
}

/// From clone to exec. Every step has the reason for its place.
pub(crate) fn run(task: &Task<'_>) -> Result<Infallible, Failure> {
    let Task { plan, table, inherited, parent, stages } = *task;
    // Folders and nodes are made with the very modes that are asked for; the process's own mask comes at its end.
    rustix::process::umask(Mode::empty());
    // Before anything is allocated on the container's behalf: from here on its limits hold.
    cgroup::enter(plan.cgroup.join.iter().map(|slot| table.get(*slot)))?;
    process::restrict(plan.process.affinity.as_ref())?;
    // While /proc is the host's, which nobody in the container can redirect (CVE-2025-52881).
    procfs::adjust_oom_score(plan.process.oom_score_adj)?;
    let labels = labels::open(&plan.process.labels, !inherited.keyring)?;
    // After the cgroup: a cgroup namespace is rooted where its maker is at that time.
    namespaces::enter(plan, table)?;
    // In the namespaces that they configure, and still through the host's /proc.
    namespaces::configure(plan)?;
    // A session of its own: signals of the caller's terminal do not reach it, and it may take a terminal.
    process::new_session()?;
    if stages.is_some() {
        parent.born()?;
    }
    // The host is out of reach from here on.
    let terminal = root::build(task).during(|| "root file system")?;
    let streams = Streams::of(terminal, inherited.stdio.as_ref());
    let starting = || stages.map_or(Ok(()), |stages| stages.starting());
    process::execute(&plan.process, process::Given { streams, inherited, parent, labels: &labels }, Some(&starting))
}
