//! Starting a scope with its cgroup, changing it, stopping it.

use oci_spec::runtime::LinuxResources;
use rustix::process::Signal;
use sys::Call;
use sys::process::{Child, Clone, clone3};

use super::super::apply::Devices;
use super::super::create::{Cgroup, check, enforced, of_scope};
use super::super::{Error, Hierarchies};
use super::Unit;
use super::manager::Manager;
use super::properties::{LATE, Property, properties};
use crate::dbus::{Failure, Value, named};

/// A scope that is stopped when dropped, unless kept.
#[derive(Debug)]
pub(in crate::cgroup) struct Scope {
    unit: Option<Unit>,
    holder: Holder,
}

impl Scope {
    /// Leaves it to its container, which is in it by now.
    pub(in crate::cgroup) fn keep(mut self) {
        self.unit = None;
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.holder.end();
        if let Some(unit) = &self.unit {
            let _ = stop(unit);
        }
    }
}

/// A child that does nothing but be in a scope, and ends with its parent.
#[derive(Debug)]
struct Holder(Option<Child>);

impl Holder {
    fn new() -> sys::Result<Holder> {
        let parent = rustix::process::getpid();
        let wait = || {
            let own = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).is_ok();
            if !own || rustix::process::getppid() != Some(parent) || sys::fds::close_all_but(0, &[]).is_err() {
                return 1;
            }
            loop {
                rustix::event::pause();
            }
        };
        clone3(&Clone::default(), wait).map(|child| Holder(Some(child)))
    }

    fn pid(&self) -> u32 {
        self.0.as_ref().map_or(0, |child| child.pid.as_raw_pid() as u32)
    }

    fn end(&mut self) {
        if let Some(child) = self.0.take() {
            let _ = sys::process::signal(&child.pidfd, 9);
            let _ = sys::process::wait(&child.pidfd);
        }
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        self.end();
    }
}

/// Starts the scope `unit` with the limits that `resources` gives and with `extra` properties, and opens its cgroup. No other container has
/// its `description`. The caller must have one
/// thread, and puts a process into the cgroup before it keeps it.
///
/// # Errors
/// [`Error::Systemd`]; otherwise as [`create`](crate::cgroup::create). After an error there is no such unit.
pub fn create(
    hierarchies: &Hierarchies,
    unit: &Unit,
    description: &str,
    resources: &LinuxResources,
    extra: &[(String, Value)],
) -> Result<Cgroup, Error> {
    super::super::limits::limits(hierarchies, resources)?;
    let holder = Holder::new().map_err(|source| refused(unit, Failure::Broken(source)))?;
    let pid = holder.pid();
    enforced(begin(hierarchies, unit, (description, resources, extra), holder, pid)?)
}

/// [`create`] for a caller with threads, which has a process `pid` that does nothing meanwhile: it is put into the scope, and has to stay
/// until another one is there. Rules about devices are still to be enforced.
///
/// # Errors
/// As [`create`].
pub fn create_with(
    hierarchies: &Hierarchies,
    unit: &Unit,
    description: &str,
    resources: &LinuxResources,
    pid: u32,
) -> Result<(Cgroup, Devices), Error> {
    super::super::limits::limits(hierarchies, resources)?;
    begin(hierarchies, unit, (description, resources, &[]), Holder(None), pid)
}

fn refused(unit: &Unit, source: Failure) -> Error {
    Error::Systemd { what: "start", unit: unit.name.clone(), source }
}

/// Starts it with the process `pid`.
fn begin(
    hierarchies: &Hierarchies,
    unit: &Unit,
    (description, resources, extra): (&str, &LinuxResources, &[Property]),
    holder: Holder,
    pid: u32,
) -> Result<(Cgroup, Devices), Error> {
    let failed = |source| refused(unit, source);
    let limits = properties(hierarchies, resources)?;
    let own = own(hierarchies, unit, description, pid);
    let mut bus = Manager::connect(unit.user.as_deref()).map_err(failed)?;
    start(&mut bus, unit, &own, limits, extra).map_err(failed)?;
    let scope = Scope { unit: Some(unit.clone()), holder };
    let path = place(hierarchies, pid)?;
    of_scope(hierarchies, &path, resources, scope)
}

/// What every scope has, unless something else is asked for.
pub(super) fn own(hierarchies: &Hierarchies, unit: &Unit, description: &str, pid: u32) -> Vec<Property> {
    let io = if hierarchies.v1("blkio").is_some() { "BlockIOAccounting" } else { "IOAccounting" };
    let mut all = vec![
        ("Description".to_owned(), Value::string(description)),
        ("Slice".to_owned(), Value::string(unit.slice.as_str())),
        ("PIDs".to_owned(), Value::Array("u".into(), vec![Value::Uint32(pid)])),
    ];
    // It is neither stopped with the system's services nor ordered among them: that is its maker's business.
    let switches = [("Delegate", true), ("DefaultDependencies", false)];
    let accounting = ["MemoryAccounting", "CPUAccounting", "TasksAccounting", io].map(|name| (name, true));
    all.extend(switches.into_iter().chain(accounting).map(|(name, on)| (name.to_owned(), Value::Boolean(on))));
    all
}

pub(super) fn start(
    bus: &mut Manager,
    unit: &Unit,
    own: &[Property],
    limits: Vec<Property>,
    extra: &[Property],
) -> Result<(), Failure> {
    let mut reset = false;
    let job = without_late(limits, |limits| {
        // What a configuration gives counts, also where it is about something that all scopes have.
        let given = |name: &String| extra.iter().any(|(given, _)| given == name);
        let all = own.iter().chain(limits).filter(|(name, _)| !given(name)).chain(extra);
        let call =
            [Value::string(unit.name.as_str()), Value::string("replace"), named(all), Value::Array("(sa(sv))".into(), vec![])];
        let started = bus.call("StartTransientUnit", &call);
        if matches!(&started, Err(failure) if failure.is("UnitExists")) && !std::mem::replace(&mut reset, true) {
            // Perhaps one that has failed, and that nobody has looked at.
            let _ = bus.call("ResetFailedUnit", &[Value::string(unit.name.as_str())]);
            return bus.call("StartTransientUnit", &call);
        }
        started
    })?;
    bus.done(&job).inspect_err(|_| {
        let _ = bus.call("ResetFailedUnit", &[Value::string(unit.name.as_str())]);
    })
}

/// Tries with all limits, and without the one that an older systemd does not know.
fn without_late(
    mut limits: Vec<Property>,
    mut attempt: impl FnMut(&[Property]) -> Result<String, Failure>,
) -> Result<String, Failure> {
    loop {
        let failure = match attempt(&limits) {
            Err(failure @ Failure::Refused { .. }) => failure,
            other => return other,
        };
        let text = failure.to_string();
        let named = |name: &str| text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == name);
        match limits.iter().position(|(name, _)| LATE.contains(&name.as_str()) && named(name)) {
            Some(at) => drop(limits.remove(at)),
            None => return Err(failure),
        }
    }
}

/// The cgroup that systemd has put a process into, in the hierarchy that it tracks its units by.
fn place(hierarchies: &Hierarchies, pid: u32) -> Result<String, Error> {
    let path = format!("/proc/{pid}/cgroup");
    let read = |source| Error::Read { path: path.as_str().into(), source };
    let file = rustix::fs::open(&path, rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty());
    let bytes = file.call(|| format!("open({path:?})")).and_then(|file| sys::fs::read_all(file, 64 << 10)).map_err(read)?;
    let name = if hierarchies.v1("name=systemd").is_some() { "name=systemd" } else { "" };
    let text = String::from_utf8_lossy(&bytes);
    let found = text.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(name)?.strip_prefix(':'));
    found.map(str::to_owned).ok_or_else(|| Error::Path { path: path.clone(), why: "systemd's hierarchy is not in it" })
}

/// Gives other limits to a scope that runs, and writes them to its cgroup `path`.
///
/// # Errors
/// As [`create`].
pub fn update(hierarchies: &Hierarchies, unit: &Unit, path: &str, resources: &LinuxResources) -> Result<(), Error> {
    let failed = |source| Error::Systemd { what: "change", unit: unit.name.clone(), source };
    // Before systemd puts them into force.
    check(hierarchies, path, resources)?;
    let limits = properties(hierarchies, resources)?;
    if !limits.is_empty() {
        let mut bus = Manager::connect(unit.user.as_deref()).map_err(failed)?;
        let set = |limits: &[Property]| {
            let call = [Value::string(unit.name.as_str()), Value::Boolean(true), named(limits.iter())];
            bus.call("SetUnitProperties", &call)
        };
        without_late(limits, set).map_err(failed)?;
    }
    super::super::update(hierarchies, path, resources)
}

/// Kills what is left in a scope and waits until there is no such unit. None is fine.
///
/// # Errors
/// [`Error::Systemd`].
pub fn stop(unit: &Unit) -> Result<(), Error> {
    let failed = |source| Error::Systemd { what: "stop", unit: unit.name.clone(), source };
    let mut bus = Manager::connect(unit.user.as_deref()).map_err(failed)?;
    let name = || Value::string(unit.name.as_str());
    // Or it would wait for processes that take their time.
    let _ = bus.call("KillUnit", &[name(), Value::string("all"), Value::Int32(9)]);
    match bus.call("StopUnit", &[name(), Value::string("replace")]) {
        Ok(job) => match bus.done(&job) {
            // However it has ended: it has ended.
            Ok(()) | Err(Failure::Job(_)) => {}
            Err(failure) => return Err(failed(failure)),
        },
        Err(failure) if failure.is("NoSuchUnit") => return Ok(()),
        Err(failure) => return Err(failed(failure)),
    }
    // One that has failed stays for people to look at.
    let _ = bus.call("ResetFailedUnit", &[name()]);
    Ok(())
}

/// [`stop`] for a container whose maker was killed on the way: only if the unit is the one that it has made, or systemd was about to
/// make for it when it was killed. Its `description` tells.
///
/// # Errors
/// [`Error::Systemd`].
pub fn abandon(unit: &Unit, description: &str) -> Result<(), Error> {
    let failed = |source| Error::Systemd { what: "stop", unit: unit.name.clone(), source };
    let found = Manager::connect(unit.user.as_deref()).and_then(|mut bus| bus.description(&unit.name)).map_err(failed)?;
    if found.as_deref() == Some(description) { stop(unit) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_old_systemd_does_not_know_is_left_out() {
        let limit = |name: &str| (name.to_owned(), Value::Uint64(1));
        let refused = |message: &str| Failure::Refused {
            name: "org.freedesktop.DBus.Error.PropertyReadOnly".into(),
            message: message.into(),
        };
        let attempt = |limits: &[Property]| match limits.iter().find(|(name, _)| name.starts_with("Allowed")) {
            Some((name, _)) => Err(refused(&format!("Cannot set property {name}, or unknown property."))),
            None => Ok(limits.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(" ")),
        };
        let limits = ["AllowedCPUs", "MemoryMax", "AllowedMemoryNodes"].map(limit).to_vec();
        assert_eq!(without_late(limits, attempt).unwrap(), "MemoryMax");
        let failure =
            without_late(vec![limit("MemoryMax")], |_| Err(refused("Cannot set property MemoryMax, or unknown property.")));
        assert!(failure.unwrap_err().to_string().starts_with("Cannot set property MemoryMax"));
    }
}
