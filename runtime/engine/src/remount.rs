//! `update` of what is mounted: other mounts from the next start on.

use std::path::PathBuf;

use crate::request::Mount;
use crate::{Engine, Error, Record, mounts, volume};

/// The mounts of a container after a change: without those at the places `gone`, and with `new` ones, each of which replaces what is at its
/// place.
///
/// # Errors
/// Nothing is mounted at a place that is to go, or what is new cannot be mounted.
pub(crate) fn changed(engine: &Engine, record: &Record, new: &[Mount], gone: &[PathBuf]) -> Result<Vec<Mount>, Error> {
    let mut all = record.mounts.clone();
    for target in gone {
        let before = all.len();
        all.retain(|mount| mount.target != *target);
        if all.len() == before {
            let what = format!("mount on {}", target.display());
            return Err(Error::Invalid { what, why: "there is none".to_owned() });
        }
    }
    let mut new = mounts::complete_all(engine, new)?;
    if record.namespaces.users.is_some() && engine.config.home.is_none() {
        mounts::map_volumes(engine, &mut new)?;
    }
    all.retain(|mount| !new.iter().any(|other| other.target == mount.target));
    all.extend(new);
    Ok(all)
}

/// Gives the container the volumes that only `after` has, made and filled if they are new.
pub(crate) fn take(engine: &Engine, before: &Record, after: &Record) -> Result<(), Error> {
    let new = after.mounts.iter().filter(|mount| !before.mounts.contains(mount)).cloned().collect();
    mounts::take_volumes(engine, &Record { mounts: new, ..after.clone() })
}

/// Gives back those that only `before` had. Their files stay, also of those that were its own: `volume prune` finds them.
pub(crate) fn release(engine: &Engine, before: &Record, after: &Record) {
    let same = |a: &Mount, b: &Mount| a.source.volume().is_some() && a.source.volume() == b.source.volume();
    let gone = before.mounts.iter().filter(|mount| !after.mounts.iter().any(|other| same(mount, other))).cloned().collect();
    let gone = Record { mounts: gone, ..before.clone() };
    volume::release(&engine.config, &gone);
}
