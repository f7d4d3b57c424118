//! A container's first process: made, then started.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fd::AsRawFd;
use sys::Call;
use sys::ns::{self, kind};
use sys::process::Clone;

use crate::child::{init, stem};
use crate::failure::During;
use crate::handshake::Child;
use crate::{Failure, Gate, Plan, Slot, beside, network, users};

/// A process's three standard streams. Both sides of create and exec take them whole: the caller's copies are closed.
#[derive(Debug)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: OwnedFd,
    /// Descriptor 1.
    pub stdout: OwnedFd,
    /// Descriptor 2.
    pub stderr: OwnedFd,
}

/// An init that has built its root and waits. Dropping it kills and reaps it, and with it all that is in its pid namespace.
#[derive(Debug)]
pub struct Created {
    /// Process number in the caller's pid namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
    /// The process; readable once it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal.
    pub terminal: Option<OwnedFd>,
    child: Child,
    places: Places,
}

/// An init that has executed its program. It is the caller's child: the caller reaps it.
#[derive(Debug)]
pub struct Running {
    /// Process number in the caller's pid namespace.
    pub pid: u32,
    /// Start time in clock ticks since boot.
    pub start_time: u64,
    /// The process; readable once it has ended.
    pub pidfd: OwnedFd,
    /// The master of its terminal.
    pub terminal: Option<OwnedFd>,
    /// What [`crate::exec`] needs.
    pub target: Target,
}

/// A running container, for processes that join it later.
#[derive(Debug)]
pub struct Target {
    /// Its init.
    pub(crate) init: OwnedFd,
    pub(crate) places: Places,
    /// Its processes are born in exactly the v2 cgroup of `places`.
    pub(crate) exact: bool,
}

/// Where a container's processes live.
#[derive(Debug)]
pub(crate) struct Places {
    /// Namespaces that differ from the caller's.
    pub(crate) namespaces: u64,
    /// The v2 cgroup to be born in.
    pub(crate) into: Option<OwnedFd>,
    /// The cgroup folders to join.
    pub(crate) join: Vec<OwnedFd>,
}

/// What a container's process takes over from its caller.
#[derive(Debug, Default)]
pub struct Inherited {
    /// Its standard streams; without them and without a terminal it keeps the caller's.
    pub stdio: Option<Stdio>,
    /// How many descriptors from 3 on it gets as they are (`--preserve-fds`). The caller knows that they are open, and meant for it.
    pub preserved: u32,
    /// It stays in the caller's session keyring.
    pub keyring: bool,
}

/// What else is done while a container is made; OCI hooks are. What goes wrong keeps the container from being made or started.
pub trait Stages {
    /// In init, in its namespaces and as their root, before its root is built: descriptors that the caller had not the rights to open. They
    /// take the place of those in the table. Where they are not locked it is the caller's mount namespace after all: what the host protects by the
    /// flags of a mount, root of the container could change.
    ///
    /// # Errors
    /// One line.
    fn open(&self, _locked: bool) -> Result<Vec<(Slot, OwnedFd)>, String> {
        Ok(Vec::new())
    }
    /// Whether [`Stages::open`] is for the caller: by a process of its own, in the mount namespace of init. For one with the right to mount, and
    /// a container with users of its own: there the host's mounts are locked as they are.
    fn beside(&self) -> bool {
        false
    }
    /// Where the root is attached in init's mount namespace, for hooks that look for it there. Nobody looks for it without one: then it covers
    /// the namespace's own root.
    fn place(&self) -> Option<&Path> {
        None
    }
    /// In init, right before the root is attached at that place: mounts that are made from here on reach nobody.
    ///
    /// # Errors
    /// One line.
    fn furnish(&self) -> Result<(), String> {
        Ok(())
    }
    /// In the caller, when the namespaces of init, whose number is `pid`, are made and its root is not.
    ///
    /// # Errors
    /// One line.
    fn made(&self, pid: u32) -> Result<(), String>;
    /// In init, before its root is changed.
    ///
    /// # Errors
    /// One line.
    fn inside(&self) -> Result<(), String>;
    /// In init, right before it executes its program.
    ///
    /// # Errors
    /// One line.
    fn starting(&self) -> Result<(), String>;
}

/// Makes the container's init, which builds its root and then waits. `fds` is the table that the plan's slots count in. Without
/// `stdio` and without a terminal in the plan the process keeps the caller's standard streams.
///
/// The caller must be single-threaded, and becomes non-dumpable (CVE-2016-9962).
///
/// # Errors
/// What failed, in the parent or in the child, which is then gone. A program that does not exist is noticed here.
pub fn create(plan: &Plan, fds: &[OwnedFd], stdio: Option<Stdio>) -> Result<Created, Failure> {
    create_with(plan, fds, Inherited { stdio, ..Inherited::default() }, None, None)
}

/// [`create`], with what is done on the way, and what else the caller has to do, `meanwhile`: that gets the number and the start time of an init
/// that builds its root.
///
/// # Errors
/// As [`create`], and what `meanwhile` says.
pub fn create_meanwhile(
    plan: &Plan,
    fds: &[OwnedFd],
    stdio: Option<Stdio>,
    stages: Option<&dyn Stages>,
    meanwhile: impl FnOnce(u32, u64) -> Result<(), Failure>,
) -> Result<Created, Failure> {
    make(plan, fds, Inherited { stdio, ..Inherited::default() }, None, stages, meanwhile)
}

/// [`create`], for a container that other processes start at its `gate`, with what is done on the way.
///
/// # Errors
/// As [`create`].
pub fn create_with(
    plan: &Plan,
    fds: &[OwnedFd],
    inherited: Inherited,
    gate: Option<Gate>,
    stages: Option<&dyn Stages>,
) -> Result<Created, Failure> {
    make(plan, fds, inherited, gate, stages, |_, _| Ok(()))
}

fn make(
    plan: &Plan,
    fds: &[OwnedFd],
    inherited: Inherited,
    gate: Option<Gate>,
    stages: Option<&dyn Stages>,
    meanwhile: impl FnOnce(u32, u64) -> Result<(), Failure>,
) -> Result<Created, Failure> {
    let table = Table::new(plan, fds)?;
    let joined = plan.join.iter().fold(0, |all, (which, _)| all | which);
    if (plan.unshare | joined) & kind::MOUNT == 0 {
        return Err(Failure::runtime("the plan has no mount namespace of its own"));
    }
    hide()?;
    let stem = joined & kind::USER != 0
        || (plan.unshare & kind::USER != 0 && joined & !stem::LATE != 0)
        || (joined & kind::PID != 0 && !may_return());
    let clone = Clone { namespaces: born_into(plan, stem), cgroup: plan.cgroup.into.map(|slot| table.get(slot)), sibling: stem };
    let plain = Clone::default();
    let spawn = || {
        Child::spawn(if stem { &plain } else { &clone }, gate, plan.process.seccomp.as_ref(), |parent| {
            let task = init::Task { plan, table: &table, inherited: &inherited, parent, stages, stem };
            if stem { stem::run(&task, &clone) } else { init::run(&task).map(|never| match never {}) }
        })
    };
    let mut child = match plan.join.iter().find(|(which, _)| *which == kind::PID && !stem) {
        Some((_, slot)) => in_pid_namespace(table.get(*slot), spawn)?,
        None => spawn()?,
    };
    if plan.unshare & kind::USER != 0 {
        child.wait_unmapped()?;
        users::settle(child.pid(), plan)?;
        child.go()?;
    }
    if stem {
        child.wait_heir()?;
    }
    drop(inherited);
    if init::stops(plan, stages) {
        child.wait_born()?;
        if let Some(stages) = stages.filter(|stages| stages.beside()) {
            beside::hand(&child, stages)?;
        }
        if !plan.devices.is_empty() {
            network::move_all(&plan.devices, child.pid())?;
        }
        stages.map_or(Ok(()), |stages| stages.made(child.pid())).map_err(Failure::runtime)?;
        child.go()?;
    }
    meanwhile(child.pid(), child.start_time())?;
    let terminal = child.wait_ready()?;
    let pidfd = own(child.pidfd()).during(|| "keep init")?;
    let places = Places::new(plan, &table)?;
    Ok(Created { pid: child.pid(), start_time: child.start_time(), pidfd, terminal, child, places })
}

/// The new namespaces that init is cloned into.
fn born_into(plan: &Plan, stem: bool) -> u64 {
    // A new cgroup namespace is rooted where its maker is: even with CLONE_INTO_CGROUP that is the parent's cgroup (copy_cgroup_ns looks
    // at current), so the child unshares it once it has arrived.
    let mut late = kind::CGROUP;
    if !plan.clocks.is_empty() {
        late |= kind::TIME;
    }
    if stem {
        late |= kind::USER;
    }
    plan.unshare & !late
}

impl Created {
    /// Lets init execute its program, and returns once it has.
    ///
    /// # Errors
    /// Why it could not, with the kind that decides the exit code. Init is gone then.
    pub fn start(self) -> Result<Running, Failure> {
        let Created { pid, start_time, pidfd, terminal, child, places } = self;
        child.go()?;
        let target = Target { init: child.wait_executed()?, places, exact: false };
        Ok(Running { pid, start_time, pidfd, terminal, target })
    }

    /// Leaves init to wait at its gate, where [`crate::start`] reaches it, whatever becomes of the caller. Without a gate it would be
    /// started at once.
    ///
    /// # Errors
    /// Init has ended meanwhile.
    pub fn leave(self) -> Result<(), Failure> {
        self.child.leave()
    }
}

impl Target {
    /// The container whose first process is behind `init`: the namespaces in which it differs from the caller (`CLONE_NEW*`), the v2
    /// cgroup to be born in, and the cgroup folders to join.
    pub fn new(init: OwnedFd, namespaces: u64, into: Option<OwnedFd>, join: Vec<OwnedFd>) -> Self {
        Target { init, places: Places { namespaces, into, join }, exact: false }
    }

    /// For processes that are to be born in exactly this v2 cgroup. Without it one that can hold no processes any more, because the container
    /// has handed controllers down, stands for the cgroup of init.
    pub fn exactly(self) -> Self {
        Target { exact: true, ..self }
    }
}

impl Places {
    fn new(plan: &Plan, table: &Table<'_>) -> Result<Self, Failure> {
        let keep = |slot: &Slot| own(table.get(*slot)).during(|| "keep the cgroup");
        Ok(Places {
            namespaces: plan.join.iter().fold(plan.unshare, |all, (which, _)| all | which),
            into: plan.cgroup.into.as_ref().map(keep).transpose()?,
            join: plan.cgroup.join.iter().map(keep).collect::<Result<_, _>>()?,
        })
    }
}

/// A descriptor of one's own.
fn own(fd: BorrowedFd<'_>) -> sys::Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3).call(|| format!("fcntl({}, F_DUPFD_CLOEXEC)", fd.as_raw_fd()))
}

/// The descriptors of a plan, each slot known to be there.
pub(crate) struct Table<'a> {
    fds: &'a [OwnedFd],
    /// What was opened late, by [`Stages::open`].
    late: Vec<(Slot, OwnedFd)>,
}

impl<'a> Table<'a> {
    pub(crate) fn new(plan: &Plan, fds: &'a [OwnedFd]) -> Result<Self, Failure> {
        match plan.slots().find(|slot| slot.0 as usize >= fds.len()) {
            Some(Slot(missing)) => Err(Failure::runtime(format!("the plan names descriptor {missing} of {}", fds.len()))),
            None => Ok(Table { fds, late: Vec::new() }),
        }
    }

    /// The same with others in some places.
    pub(crate) fn with(&self, late: Vec<(Slot, OwnedFd)>) -> Self {
        Table { fds: self.fds, late }
    }

    /// The descriptor in `slot`, which is one of the plan's.
    pub(crate) fn get(&self, slot: Slot) -> BorrowedFd<'_> {
        let late = self.late.iter().find(|(other, _)| *other == slot).map(|(_, fd)| fd);
        late.unwrap_or_else(|| &self.fds[slot.0 as usize]).as_fd()
    }
}

/// Makes the caller, and with it the child until it executes, one that no process of a container may trace or look into, not even
/// while it is in the container's pid namespace (prctl(2), `PR_SET_DUMPABLE`; CVE-2016-9962).
pub(crate) fn hide() -> Result<(), Failure> {
    let behaviour = rustix::process::DumpableBehavior::NotDumpable;
    rustix::process::set_dumpable_behavior(behaviour).call(|| "prctl(PR_SET_DUMPABLE, 0)").during(|| "hide from the container")
}

/// Whether the caller may enter its own pid namespace again, once its children are born elsewhere: in a user namespace that is not the first
/// one it may be somebody else's (pid_namespaces(7)).
pub(crate) fn may_return() -> bool {
    ns::is_first_of_users()
}

/// Runs `spawn` with `namespace` (or that of a process descriptor) as the pid namespace of new children. A process enters a pid
/// namespace only by being born there (setns(2)).
pub(crate) fn in_pid_namespace(
    namespace: BorrowedFd<'_>,
    spawn: impl FnOnce() -> Result<Child, Failure>,
) -> Result<Child, Failure> {
    let pid = kind::PID as i32;
    let home = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
        .call(|| "pidfd_open(self)")
        .during(|| "join the pid namespace")?;
    ns::setns(namespace, pid).during(|| "join the pid namespace")?;
    let child = spawn();
    // Whatever has happened: or the next container would be born in there too.
    ns::setns(home, pid).during(|| "return from the pid namespace")?;
    child
}
