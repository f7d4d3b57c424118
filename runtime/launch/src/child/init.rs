//! The way of a container's first process, in order.

use std::convert::Infallible;

use rustix::fs::Mode;

use super::{cgroup, namespaces, procfs, root};
use crate::create::Table;
use crate::failure::During;
use crate::handshake::Parent;
use crate::process::{self, Streams};
use crate::{Failure, Plan, Stdio};

/// From clone to exec. Every step has the reason for its place.
pub(crate) fn run(plan: &Plan, table: &Table<'_>, stdio: Option<&Stdio>, parent: &Parent) -> Result<Infallible, Failure> {
    // Folders and nodes are made with the very modes that are asked for; the process's own mask comes at its end.
    rustix::process::umask(Mode::empty());
    // Before anything is allocated on the container's behalf: from here on its limits hold.
    cgroup::enter(plan.cgroup.join.iter().map(|slot| table.get(*slot)))?;
    // While /proc is the host's, which nobody in the container can redirect (CVE-2025-52881).
    procfs::adjust_oom_score(plan.process.oom_score_adj)?;
    // After the cgroup: a cgroup namespace is rooted where its maker is at that time.
    namespaces::enter(plan, table)?;
    // In the namespaces that they configure, and still through the host's /proc.
    namespaces::configure(plan)?;
    // A session of its own: signals of the caller's terminal do not reach it, and it may take a terminal.
    process::new_session()?;
    // The host is out of reach from here on.
    let terminal = root::build(plan, table, parent).during(|| "root file system")?;
    process::execute(&plan.process, Streams::of(terminal, stdio), parent, true)
}
