//! The container's user namespace: who is who in it.

use launch::{IdRange, Mapper, Users};
use oci_spec::runtime::{Linux, LinuxIdMapping, User};

use super::idmap::{self, Container};
use crate::{Error, Host};

/// Compiles `linux.uidMappings` and `linux.gidMappings`.
pub(super) fn users(linux: &Linux, user: &User, host: &Host) -> Result<Option<Users>, Error> {
    let uids = linux.uid_mappings().as_deref().unwrap_or_default();
    let gids = linux.gid_mappings().as_deref().unwrap_or_default();
    let given = [("linux.uidMappings", uids), ("linux.gidMappings", gids)];
    match Container::of(linux) {
        Container::Host if !host.mounts() => {
            return Err(Error::invalid("linux.namespaces", "without privileges a container needs a user namespace"));
        }
        Container::Host => {
            return match given.iter().find(|(_, mappings)| !mappings.is_empty()) {
                Some((field, _)) => Err(Error::invalid(*field, "needs a user namespace of the container's own")),
                None => Ok(None),
            };
        }
        // Its users are its maker's affair. Ranges beside it, as containerd sends them, must say the same.
        Container::Joined(_) if uids.is_empty() && gids.is_empty() => return Ok(None),
        _ => {}
    }
    let ranges = |(field, mappings): (&str, &[LinuxIdMapping])| match mappings {
        [] => Err(Error::invalid(field, "missing: a user namespace needs at least one range")),
        mappings => idmap::ranges(mappings).map_err(|why| Error::invalid(field, why)),
    };
    let (uids, gids) = (ranges(given[0])?, ranges(given[1])?);
    let mapper = mapper(&uids, &gids, host);
    check(user, &uids, &gids, mapper)?;
    Ok(Some(Users { uids, gids, mapper }))
}

fn mapper(uids: &[IdRange], gids: &[IdRange], host: &Host) -> Mapper {
    let alone = |ranges: &[IdRange], id: u32| matches!(ranges, [IdRange { outside, size: 1, .. }] if *outside == id);
    match host.identity {
        None => Mapper::Caller,
        Some((uid, gid)) if alone(uids, uid) && alone(gids, gid) => Mapper::Itself,
        Some(_) => Mapper::Helpers,
    }
}

/// An id that is not mapped could not be taken.
fn check(user: &User, uids: &[IdRange], gids: &[IdRange], mapper: Mapper) -> Result<(), Error> {
    let mapped = |id: u32, ranges: &[IdRange]| ranges.iter().any(|one| id.checked_sub(one.inside).is_some_and(|at| at < one.size));
    let groups = user.additional_gids().as_deref().unwrap_or_default();
    let all = [("uid", user.uid(), uids), ("gid", user.gid(), gids)];
    let all = all.into_iter().chain(groups.iter().map(|group| ("additionalGids", *group, gids)));
    for (field, id, ranges) in all {
        if !mapped(id, ranges) {
            return Err(Error::invalid(format!("process.user.{field}"), format!("{id} is not mapped in the user namespace")));
        }
    }
    if mapper == Mapper::Itself && !groups.is_empty() {
        let why = "groups cannot be changed where a user maps only itself (user_namespaces(7))";
        return Err(Error::invalid("process.user.additionalGids", why));
    }
    Ok(())
}
