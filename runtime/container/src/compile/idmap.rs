//! Whose ids a bind mount shows as whose (runtime-spec, "mounts": `idmap`, `uidMappings`).

use std::path::{Path, PathBuf};

use launch::IdRange;
use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespaceType, Mount};

use super::options::Options;
use crate::Error;

/// The kernel takes no more (user_namespaces(7), Linux 4.15).
const MAX_RANGES: usize = 340;
/// And no longer text than fits into a page of it, which many ranges of high ids do not.
const MAX_TEXT: usize = 4095;

/// An id mapping of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdMap {
    /// For all mounts of the tree, not only its top.
    pub recursive: bool,
    /// Who is who.
    pub users: Users,
}

/// Where a mapping is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Users {
    /// Ranges of users and of groups.
    Ranges {
        /// Users.
        uids: Vec<IdRange>,
        /// Groups.
        gids: Vec<IdRange>,
    },
    /// The file of a user namespace, the one that the container joins.
    Namespace(PathBuf),
}

/// The container's user namespace.
#[derive(Clone, Copy)]
pub(super) enum Container<'a> {
    /// The host's.
    Host,
    /// A new one.
    New(&'a Linux),
    /// One that it joins.
    Joined(&'a Path),
}

impl<'a> Container<'a> {
    pub(super) fn of(linux: &'a Linux) -> Self {
        let user = linux.namespaces().iter().flatten().find(|namespace| namespace.typ() == LinuxNamespaceType::User);
        match user.map(|namespace| namespace.path().as_deref().filter(|path| !path.as_os_str().is_empty())) {
            None => Container::Host,
            Some(None) => Container::New(linux),
            Some(Some(path)) => Container::Joined(path),
        }
    }

    /// Mounts cannot lose what the host has locked.
    pub(super) fn separate(self) -> bool {
        !matches!(self, Container::Host)
    }

    fn mappings(self) -> (&'a [LinuxIdMapping], &'a [LinuxIdMapping]) {
        match self {
            Container::New(linux) => {
                (linux.uid_mappings().as_deref().unwrap_or_default(), linux.gid_mappings().as_deref().unwrap_or_default())
            }
            _ => (&[], &[]),
        }
    }
}

/// The mapping that a mount asks for: by its own ranges, by those behind its option (as with crun), or by the option alone, which means
/// the container's.
pub(super) fn idmap(
    mount: &Mount,
    options: &Options,
    container: Container<'_>,
    field: &dyn Fn(&str) -> String,
) -> Result<Option<IdMap>, Error> {
    let own = (mount.uid_mappings().as_deref().unwrap_or_default(), mount.gid_mappings().as_deref().unwrap_or_default());
    let asked = options.idmap.as_ref();
    let recursive = asked.is_some_and(|asked| asked.recursive);
    let text = asked.and_then(|asked| asked.ranges.as_deref());
    let users = match (own, text) {
        (([], []), None) if asked.is_none() => return Ok(None),
        (([], []), None) => implied(container).ok_or_else(|| {
            Error::invalid(field("options"), "idmap needs uidMappings and gidMappings, or a user namespace of the container's own")
        })?,
        (([], []), Some(text)) => written(text, container).map_err(|why| Error::invalid(field("options"), why))?,
        (_, Some(_)) => return Err(Error::invalid(field("options"), "idmap with ranges beside uidMappings")),
        ((uids, gids), None) => Users::Ranges {
            uids: ranges(uids).map_err(|why| Error::invalid(field("uidMappings"), why))?,
            gids: ranges(gids).map_err(|why| Error::invalid(field("gidMappings"), why))?,
        },
    };
    if options.bind.is_none() && mount.typ().as_deref() != Some("bind") {
        return Err(Error::invalid(field("options"), "only a bind mount can be id-mapped"));
    }
    Ok(Some(IdMap { recursive, users }))
}

fn implied(container: Container<'_>) -> Option<Users> {
    match container {
        Container::Host => None,
        Container::Joined(path) => Some(Users::Namespace(path.to_owned())),
        Container::New(_) => {
            let (uids, gids) = container.mappings();
            Some(Users::Ranges { uids: ranges(uids).ok()?, gids: ranges(gids).ok()? })
        }
    }
}

/// The ranges of a configuration.
pub(super) fn ranges(mappings: &[LinuxIdMapping]) -> Result<Vec<IdRange>, String> {
    let range = |one: &LinuxIdMapping| IdRange { inside: one.container_id(), outside: one.host_id(), size: one.size() };
    checked(mappings.iter().map(range).collect())
}

/// Refuses ranges that a user namespace cannot have.
///
/// # Errors
/// The kernel would refuse them, too, without a word on why.
pub fn check_ids(ranges: &[IdRange]) -> Result<(), String> {
    checked(ranges.to_vec()).map(drop)
}

/// What the kernel would refuse without a word on why.
fn checked(ranges: Vec<IdRange>) -> Result<Vec<IdRange>, String> {
    if ranges.is_empty() {
        return Err("an id mapping has ranges of both users and groups".to_owned());
    }
    if ranges.len() > MAX_RANGES {
        return Err(format!("{} ranges are more than the kernel's {MAX_RANGES}", ranges.len()));
    }
    let text: usize = ranges.iter().map(|one| format!("{} {} {}\n", one.inside, one.outside, one.size).len()).sum();
    if text > MAX_TEXT {
        return Err(format!("{} ranges take {text} bytes of text, the kernel reads {MAX_TEXT}", ranges.len()));
    }
    for (at, IdRange { inside, outside, size }) in ranges.iter().enumerate() {
        if *size == 0 || inside.checked_add(*size).is_none() || outside.checked_add(*size).is_none() {
            return Err(format!("{inside} {outside} {size} is no range of ids"));
        }
        let apart = |a: u32, a_size: u32, b: u32, b_size: u32| a + a_size <= b || b + b_size <= a;
        let meets = |other: &&IdRange| {
            !apart(*inside, *size, other.inside, other.size) || !apart(*outside, *size, other.outside, other.size)
        };
        if let Some(other) = ranges[..at].iter().find(meets) {
            let IdRange { inside: i, outside: o, size: s } = other;
            return Err(format!("the ranges {i} {o} {s} and {inside} {outside} {size} overlap"));
        }
    }
    Ok(ranges)
}

/// `uids=0-1-10#10-11-10;gids=0-100-10`.
fn written(text: &str, container: Container<'_>) -> Result<Users, String> {
    let (mut uids, mut gids) = (Vec::new(), Vec::new());
    let (container_uids, container_gids) = container.mappings();
    for part in text.split(';') {
        match part.split_once('=') {
            Some(("uids", list)) => uids.extend(list_of(list, container_uids)?),
            Some(("gids", list)) => gids.extend(list_of(list, container_gids)?),
            _ => return Err(format!("idmap: {part:?} is not uids=… or gids=…")),
        }
    }
    Ok(Users::Ranges { uids: checked(uids)?, gids: checked(gids)? })
}

/// Ranges divided by `#`. One that begins with `@` says what ids are in the container.
fn list_of(list: &str, container: &[LinuxIdMapping]) -> Result<Vec<IdRange>, String> {
    let mut all = Vec::new();
    for text in list.split('#') {
        let relative = text.strip_prefix('@');
        let numbers: Vec<Option<u32>> = relative.unwrap_or(text).split('-').map(|number| number.parse().ok()).collect();
        let [Some(inside), Some(outside), Some(size)] = numbers[..] else {
            return Err(format!("idmap: {text:?} is not three numbers"));
        };
        let range = IdRange { inside, outside, size };
        match relative {
            Some(_) => all.extend(on_host(range, container).ok_or_else(|| format!("idmap: {text:?} is not all in the container"))?),
            None => all.push(range),
        }
    }
    Ok(all)
}

/// A range whose outside is counted in the container, as it is on the host: in as many pieces as the container's ids are.
fn on_host(range: IdRange, container: &[LinuxIdMapping]) -> Option<Vec<IdRange>> {
    let (mut pieces, mut done) = (Vec::new(), 0);
    while done < range.size {
        let id = range.outside.checked_add(done)?;
        let within = |one: &&LinuxIdMapping| id.checked_sub(one.container_id()).is_some_and(|offset| offset < one.size());
        let known = container.iter().find(within)?;
        let offset = id - known.container_id();
        let size = (range.size - done).min(known.size() - offset);
        pieces.push(IdRange { inside: range.inside.checked_add(done)?, outside: known.host_id().checked_add(offset)?, size });
        done += size;
    }
    Some(pieces)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn range(inside: u32, outside: u32, size: u32) -> IdRange {
        IdRange { inside, outside, size }
    }

    fn linux() -> Linux {
        let ids = json!([{"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1, "hostID": 2, "size": 1000}]);
        serde_json::from_value(json!({"namespaces": [{"type": "user"}], "uidMappings": ids, "gidMappings": ids})).unwrap()
    }

    #[test]
    fn ranges_as_crun_writes_them() {
        let linux = linux();
        let written = |text: &str| written(text, Container::of(&linux));
        let users = Users::Ranges { uids: vec![range(0, 1, 10), range(10, 11, 10)], gids: vec![range(0, 100, 10)] };
        assert_eq!(written("uids=0-1-10#10-11-10;gids=0-100-10"), Ok(users));
        // Relative to the container: its 3 is the host's 4, and its 0 and 1 are not beside each other.
        let users = Users::Ranges { uids: vec![range(1, 4, 10)], gids: vec![range(7, 0, 1), range(8, 2, 1)] };
        assert_eq!(written("uids=@1-3-10;gids=@7-0-2"), Ok(users));
        for (text, why) in [
            ("uids=0-1", "\"0-1\" is not three numbers"),
            ("uids=0-1-x;gids=0-1-1", "\"0-1-x\" is not three numbers"),
            ("uids=0-1-1", "both users and groups"),
            ("ids=0-1-1", "\"ids=0-1-1\" is not uids=… or gids=…"),
            ("uids=@0-990-20;gids=0-1-1", "\"@0-990-20\" is not all in the container"),
            ("uids=0-1-0;gids=0-1-1", "0 1 0 is no range of ids"),
            ("uids=4294967295-1-2;gids=0-1-1", "is no range of ids"),
            ("uids=0-1-10#5-20-1;gids=0-1-1", "the ranges 0 1 10 and 5 20 1 overlap"),
            ("uids=0-1-10#20-5-1;gids=0-1-1", "overlap"),
        ] {
            assert!(written(text).unwrap_err().contains(why), "{text}: {:?}", written(text));
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall(text in "[uidgs=0-9#;@-]{0,40}") {
            let linux = linux();
            if let Ok(Users::Ranges { uids, gids }) = written(&text, Container::of(&linux)) {
                prop_assert!(checked(uids).is_ok() && checked(gids).is_ok());
            }
        }

        /// In the container's words or in the host's: the same.
        #[test]
        fn relative_ranges_are_where_they_say(inside in 0..1000u32, outside in 0..900u32, size in 1..100u32) {
            let linux = linux();
            let container = Container::of(&linux);
            let pieces = on_host(range(inside, outside, size), container.mappings().0).unwrap();
            prop_assert_eq!(pieces.iter().map(|piece| piece.size).sum::<u32>(), size);
            for piece in pieces {
                let id = outside + (piece.inside - inside);
                prop_assert_eq!(piece.outside, if id == 0 { 0 } else { id + 1 });
            }
        }
    }
}
