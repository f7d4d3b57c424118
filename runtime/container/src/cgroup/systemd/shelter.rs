//! A scope that is an ordinary user's to divide: containers are below it, and what starts them is in it.
//!
//! No user may move a process out of the cgroup of a session, whose parent is root's (cgroups(7), "Delegation containment"). The user's
//! manager may not either, but asks the system's, which may.

use rustix::fs::{Mode, mkdir};
use rustix::io::Errno;
use sys::Call;

use super::super::{Error, Hierarchies};
use super::Unit;
use super::manager::Manager;
use super::scope::{own, start};
use crate::dbus::{Failure, Value};

/// The cgroup below the scope's that processes are in: one that has some itself hands no controllers down (the kernel's cgroup-v2, "No
/// Internal Process Constraint").
const BELOW: &str = "/home";
/// How often a scope may end while somebody is about to move in.
const ATTEMPTS: usize = 5;

/// Puts the processes `pids`, at least one, into the scope `unit`, which is started if there is none: its end is that of all processes below
/// it. Returns its cgroup, which is the caller's user's.
///
/// # Errors
/// [`Error::Systemd`]; [`Error::Create`].
pub fn shelter(hierarchies: &Hierarchies, unit: &Unit, description: &str, pids: &[u32]) -> Result<String, Error> {
    let failed = |source| Error::Systemd { what: "start", unit: unit.name.clone(), source };
    let mut bus = Manager::connect(unit.user.as_deref()).map_err(failed)?;
    let mut properties = own(hierarchies, unit, description, pids.first().copied().unwrap_or_default());
    // It is stopped with the user's services, and so has the time that they have.
    properties.retain(|(name, _)| name != "DefaultDependencies");
    let mut left = ATTEMPTS;
    loop {
        match start(&mut bus, unit, &properties, Vec::new(), &[]) {
            Err(failure) if !failure.is("UnitExists") => return Err(failed(failure)),
            _ => {}
        }
        left -= 1;
        let path = match bus.cgroup(&unit.name).map_err(failed)? {
            Some(path) => path,
            None if left > 0 => continue,
            None => return Err(failed(Failure::Job("gone".into()))),
        };
        let made = below(hierarchies, &path);
        match made.and_then(|()| attach(&mut bus, unit, pids).map_err(failed)) {
            Ok(()) => return Ok(path),
            Err(error) if left == 0 => return Err(error),
            Err(_) => {}
        }
    }
}

/// Puts the processes `pids` into the scope `unit`, which was started by [`shelter`].
///
/// # Errors
/// [`Error::Systemd`]: there is no such scope any more.
pub fn gather(unit: &Unit, pids: &[u32]) -> Result<(), Error> {
    let failed = |source| Error::Systemd { what: "enter", unit: unit.name.clone(), source };
    let mut bus = Manager::connect(unit.user.as_deref()).map_err(failed)?;
    attach(&mut bus, unit, pids).map_err(failed)
}

/// `AttachProcessesToUnit` is for units that are delegated (org.freedesktop.systemd1(5), systemd 238).
fn attach(bus: &mut Manager, unit: &Unit, pids: &[u32]) -> Result<(), Failure> {
    let pids = Value::Array("u".into(), pids.iter().map(|pid| Value::Uint32(*pid)).collect());
    bus.call("AttachProcessesToUnit", &[Value::string(unit.name.as_str()), Value::string(BELOW), pids]).map(drop)
}

fn below(hierarchies: &Hierarchies, path: &str) -> Result<(), Error> {
    let Some(at) = hierarchies.unified() else { return Err(Error::NotMounted) };
    let folder = hierarchies.all()[at].folder(&format!("{path}{BELOW}"));
    match mkdir(&folder, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        made => made.call(|| format!("mkdir({folder:?}, 0755)")).map_err(|source| Error::Create { folder, source }),
    }
}
