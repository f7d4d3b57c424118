//! Ids inside, and the host's.

use launch::IdRange;

use crate::Error;
use crate::request::UserMap;

/// Whom the kernel shows where it knows nobody (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65534;

impl UserMap {
    /// The host's ids of a user and a group, if they are among these.
    pub(crate) fn outside(&self, uid: u32, gid: u32) -> Option<(u32, u32)> {
        let of = |ranges: &[IdRange], id: u32| {
            ranges.iter().find_map(|range| id.checked_sub(range.inside).filter(|at| *at < range.size).map(|at| range.outside + at))
        };
        Some((of(&self.uids, uid)?, of(&self.gids, gid)?))
    }

    /// A user and a group of the host, as they are seen inside.
    pub(crate) fn inside(&self, uid: u32, gid: u32) -> (u32, u32) {
        let of = |ranges: &[IdRange], id: u32| {
            let within = |range: &IdRange| id.checked_sub(range.outside).filter(|at| *at < range.size).map(|at| range.inside + at);
            ranges.iter().find_map(within).unwrap_or(NOBODY)
        };
        (of(&self.uids, uid), of(&self.gids, gid))
    }

    /// [`UserMap::outside`] of those that must be there.
    ///
    /// # Errors
    /// Names them.
    pub(crate) fn must(&self, uid: u32, gid: u32) -> Result<(u32, u32), Error> {
        self.outside(uid, gid).ok_or_else(|| Error::Invalid {
            what: format!("user {uid}:{gid}"),
            why: "it is not mapped in the container's user namespace".to_owned(),
        })
    }

    /// Refuses what the kernel would refuse without a word on why.
    ///
    /// # Errors
    /// A range is empty, leaves the ids that there are, or overlaps another one; there are none.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let invalid = |what: &str, why| Error::Invalid { what: what.to_owned(), why };
        container::check_ids(&self.uids).map_err(|why| invalid("users of its own", why))?;
        container::check_ids(&self.gids).map_err(|why| invalid("groups of its own", why))
    }

    /// Refuses what is not among the ids of a home, of which there are so many users and groups from 0 on.
    ///
    /// # Errors
    /// Names the range.
    pub(crate) fn within(&self, (uids, gids): (u32, u32)) -> Result<(), Error> {
        let beyond =
            |ranges: &[IdRange], count: u32| ranges.iter().copied().find(|range| range.outside.saturating_add(range.size) > count);
        let found = beyond(&self.uids, uids).map(|range| ("users", range, uids));
        let Some((what, range, count)) = found.or_else(|| beyond(&self.gids, gids).map(|range| ("groups", range, gids))) else {
            return Ok(());
        };
        let why = format!(
            "{}:{}:{}: of yours there are {count}, from 0 on: 0 is you, the others are those of /etc/subuid and /etc/subgid",
            range.inside, range.outside, range.size
        );
        Err(Error::Invalid { what: format!("{what} of its own"), why })
    }

    /// For whoever packs files that are stored as the host has them.
    pub(crate) fn owners(&self) -> images::Owners {
        let of = |ranges: &[IdRange]| ranges.iter().map(|range| [range.inside, range.outside, range.size]).collect();
        images::Owners { uids: of(&self.uids), gids: of(&self.gids) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let range = |inside, outside, size| IdRange { inside, outside, size };
        let map = UserMap { uids: vec![range(0, 100_000, 1000), range(5000, 7, 1)], gids: vec![range(0, 0, u32::MAX)] };
        assert_eq!((map.outside(999, 3), map.outside(5000, 0)), (Some((100_999, 3)), Some((7, 0))));
        assert_eq!((map.outside(1000, 3), map.outside(0, u32::MAX)), (None, None));
        assert_eq!((map.inside(100_999, 3), map.inside(7, 0), map.inside(0, 0)), ((999, 3), (5000, 0), (NOBODY, 0)));
        let own = UserMap { uids: vec![range(5, 0, 1), range(0, 1, 5)], gids: vec![range(0, 0, 7)] };
        assert!(own.within((6, 7)).is_ok());
        let refused = |ids| own.within(ids).unwrap_err().to_string();
        assert!(refused((5, 7)).starts_with("users of its own: 0:1:5") && refused((6, 6)).starts_with("groups of its own: 0:0:7"));
        assert!(map.must(1000, 0).unwrap_err().to_string().contains("1000:0"));
    }
}
