//! The way of a process that joins a running container, in order. It was born in the container's pid namespace, and it is
//! non-dumpable like its parent.

use std::convert::Infallible;
use std::os::fd::AsFd;

use rustix::fs::{CWD, Mode, OFlags, openat};
use sys::Call;
use sys::ns::{kind, setns};

use super::{cgroup, labels, procfs, terminal, users};
use crate::failure::During;
use crate::handshake::Parent;
use crate::process::{self, Streams};
use crate::{Failure, Inherited, Process, Target};

/// From clone to exec. With a `stem` before it the user namespace is joined, and the score set.
pub(crate) fn run(
    process: &Process,
    target: &Target,
    inherited: &Inherited,
    parent: &Parent,
    stem: bool,
) -> Result<Infallible, Failure> {
    if stem {
        parent.inherit()?;
    }
    // The container's limits hold from here on.
    cgroup::enter(target.places.join.iter().map(|fd| fd.as_fd()))?;
    process::restrict(process.affinity.as_ref())?;
    // While /proc is the host's.
    if !stem {
        procfs::adjust_oom_score("self", process.oom_score_adj)?;
    }
    let labels = labels::open(&process.labels, !inherited.keyring)?;
    // Before the mount namespace: /proc of a container is not to be trusted.
    let proc = (target.places.namespaces & kind::USER != 0).then(procfs::host).transpose().during(|| "join the container")?;
    // All at once: either everything is entered or nothing, and the kernel judges by the host's rights even what the container's user
    // namespace has none for. With the mount namespace come its root and, as folder, that root. The pid namespace was entered by being
    // born there.
    let entered = if stem { kind::PID | kind::USER } else { kind::PID };
    let namespaces = target.places.namespaces & !entered;
    setns(&target.init, namespaces as i32).during(|| "join the container")?;
    let groups_denied = proc.map(|proc| users::settle(&proc, process)).transpose()?.unwrap_or(false);
    process::new_session()?;
    let terminal = match process.terminal {
        Some(size) => {
            let root =
                openat(CWD, "/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).call(|| "open(\"/\", O_PATH)");
            Some(terminal::open(root.during(|| "terminal")?.as_fd(), size, parent)?)
        }
        None => None,
    };
    let streams = Streams::of(terminal, inherited.stdio.as_ref());
    process::execute(process, process::Given { streams, inherited, parent, labels: &labels, groups_denied }, None)
}
