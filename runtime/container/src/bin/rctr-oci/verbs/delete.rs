//! `delete`: what is left of a container.

use std::path::Path;

use container::cgroup::{self, Hierarchies, systemd};

use super::Verb;
use super::status::{Status, init, locked};
use crate::args::{Args, Order, switch};
use crate::error::{Failed, Result};
use crate::record::Record;
use crate::store::{self, Entry};
use crate::{Context, begin, hooks};

pub(super) const VERB: Verb = Verb {
    name: "delete",
    usage: "[FLAGS] ID",
    about: "remove a container that has stopped, or was never started",
    flags: &[switch(&["force", "f"], "kill it if it runs; no error if there is none")],
    flags_come: Order::Anywhere,
    run,
};

fn run(context: &Context, args: &Args) -> Result<u8> {
    let (id, force) = (args.only("container id")?, args.on("force"));
    store::check_id(id)?;
    let Some(entry) = store::find(&context.root, id)? else {
        return if force { Ok(0) } else { Err(Failed::missing(id)) };
    };
    entry.lock(true)?;
    let Some(record) = entry.read()? else {
        // Removed meanwhile, or left by a process that was killed before it had made anything.
        entry.remove()?;
        return if force { Ok(0) } else { Err(Failed::missing(id)) };
    };
    match locked(&record) {
        Status::Stopped | Status::Created => {}
        _ if force => {}
        status => return Err(Failed::new(format!("cannot delete container {id:?} that is not stopped: {status}"))),
    }
    remove_with(context, &entry, &record).map(|()| 0)
}

/// Ends and removes a container that this process has made or locked.
pub(super) fn remove(context: &Context, entry: &Entry) -> Result<()> {
    match entry.read()? {
        Some(record) => remove_with(context, entry, &record),
        None => entry.remove(),
    }
}

fn remove_with(context: &Context, entry: &Entry, record: &Record) -> Result<()> {
    end(record)?;
    match (&record.rctr.unit, record.init_process_pid) {
        (Some(unit), 0) => systemd::abandon(unit, &begin::description(context, &record.id))?,
        (Some(unit), _) => systemd::stop(unit)?,
        (None, _) => {}
    }
    for folder in record.rctr.folders.iter().rev() {
        cgroup::remove(&folder.path)?;
    }
    if let Some(groups) = &record.rctr.rdt {
        groups.remove()?;
    }
    forget(&record.config.cgroups.path, record);
    entry.remove()?;
    hooks::poststop(&context.log, record);
    Ok(())
}

/// Kills what lives. A container without an init has none that belongs to it: what it was to be put in may be somebody else's.
fn end(record: &Record) -> Result<()> {
    if record.init_process_pid == 0 {
        return Ok(());
    }
    if let Ok(process) = init(record) {
        let _ = sys::process::signal(&process, 9);
        if record.rctr.own_pids {
            thaw(record);
            return Ok(());
        }
    }
    // Without a cgroup there is nobody else that is known to be its.
    if record.rctr.own_pids || record.rctr.folders.is_empty() {
        return Ok(());
    }
    Ok(cgroup::kill(&record.hierarchies()?, &record.config.cgroups.path)?)
}

/// A v1 freezer keeps even killed processes; v2 lets them go.
fn thaw(record: &Record) {
    let Some(freezer) = record.cgroup_paths.get("freezer") else { return };
    if cgroup::frozen(freezer, false)
        && let Ok(hierarchies) = Hierarchies::detect()
    {
        let _ = cgroup::kill(&hierarchies, &record.config.cgroups.path);
    }
}

/// Removes the folder above that this program has made for containers without a place of their own, once it is empty.
fn forget(path: &str, record: &Record) {
    if path.starts_with("/rctr-oci/") {
        for folder in &record.rctr.folders {
            let above = folder.path.parent().unwrap_or(Path::new(""));
            let _ = rustix::fs::rmdir(above);
        }
    }
}
