//! Which ids of the host a container gets that has no wish: the first ones of a pool that nobody has.

use launch::IdRange;

use crate::request::{AutoUsers, UserMap};

/// Fewer ids are too few for an image's system users, as with Podman.
const LEAST: u32 = 1024;

/// Chooses for `wanted` what is free beside `taken`. `room` is how many ids the image needs, where no number is asked for.
///
/// # Errors
/// Why there are none.
pub(super) fn choose(wanted: &AutoUsers, taken: &[UserMap], room: u32) -> Result<UserMap, String> {
    let size = wanted.size.unwrap_or_else(|| room.max(LEAST));
    let ranges = |pool: &[(u32, u32)], fixed: &[IdRange], taken: &mut dyn Iterator<Item = &IdRange>, what: &str| {
        let first = free(pool, taken, size).ok_or_else(|| match pool {
            [] => format!("there is no range to take {what} from"),
            _ => format!("no {size} {what} beside each other are free"),
        })?;
        Ok::<_, String>(around(fixed, first, size))
    };
    Ok(UserMap {
        uids: ranges(&wanted.pool.uids, &wanted.fixed.uids, &mut taken.iter().flat_map(|map| &map.uids), "users")?,
        gids: ranges(&wanted.pool.gids, &wanted.fixed.gids, &mut taken.iter().flat_map(|map| &map.gids), "groups")?,
    })
}

/// The first of `size` ids in one of the ranges `pool`, each its first id and how many, that are not in `taken`.
fn free(pool: &[(u32, u32)], taken: &mut dyn Iterator<Item = &IdRange>, size: u32) -> Option<u32> {
    let size = u64::from(size);
    let mut taken: Vec<(u64, u64)> =
        taken.map(|range| (u64::from(range.outside), u64::from(range.outside) + u64::from(range.size))).collect();
    taken.sort_unstable();
    pool.iter().find_map(|(first, count)| {
        let (mut at, end) = (u64::from(*first), (u64::from(*first) + u64::from(*count)).min(u64::from(u32::MAX)));
        for (begin, behind) in &taken {
            if *begin >= at + size {
                break;
            }
            at = at.max(*behind);
        }
        (at + size <= end).then_some(at).and_then(|at| u32::try_from(at).ok())
    })
}

/// Ids from 0 on as those of the host from `first` on, but for what is `fixed` otherwise.
fn around(fixed: &[IdRange], first: u32, size: u32) -> Vec<IdRange> {
    let mut all = fixed.to_vec();
    all.sort_unstable_by_key(|range| range.inside);
    let (mut gaps, mut inside, mut outside, mut left) = (Vec::new(), 0_u32, first, size);
    for range in &all {
        let gap = range.inside.saturating_sub(inside).min(left);
        if gap > 0 {
            gaps.push(IdRange { inside, outside, size: gap });
        }
        (outside, left) = (outside + gap, left - gap);
        inside = inside.max(range.inside.saturating_add(range.size));
    }
    if left > 0 && inside.checked_add(left).is_some() {
        gaps.push(IdRange { inside, outside, size: left });
    }
    all.extend(gaps);
    all.sort_unstable_by_key(|range| range.inside);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::UserPool;

    fn range(inside: u32, outside: u32, size: u32) -> IdRange {
        IdRange { inside, outside, size }
    }

    fn wanted(size: Option<u32>, fixed: &[IdRange]) -> AutoUsers {
        let pool = vec![(100_000, 3000), (500_000, 10_000)];
        let fixed = UserMap { uids: fixed.to_vec(), gids: Vec::new() };
        AutoUsers { size, fixed, pool: UserPool { uids: pool.clone(), gids: pool } }
    }

    #[test]
    fn the_first_free_ones() {
        let mut taken = Vec::new();
        let mut next = |size, room| {
            let map = choose(&wanted(size, &[]), &taken, room).map(|map| {
                taken.push(map.clone());
                (map.uids[0].outside, map.uids[0].size)
            });
            map.unwrap_or_default()
        };
        assert_eq!((next(None, 10), next(None, 2000), next(Some(900), 0)), ((100_000, 1024), (500_000, 2000), (101_024, 900)));
        assert_eq!((next(Some(1077), 0), next(Some(1076), 0)), ((502_000, 1077), (101_924, 1076)));
        assert_eq!((next(Some(7000), 0), next(Some(1), 0)), ((0, 0), (503_077, 1)));
    }

    #[test]
    fn nobody_gets_what_another_has() {
        let taken = |first, size| UserMap { uids: vec![range(0, first, size)], gids: Vec::new() };
        let map = choose(&wanted(Some(1000), &[]), &[taken(99_000, 1001), taken(101_500, 100)], 0).unwrap();
        assert_eq!((map.uids[0].outside, map.gids[0].outside), (100_001, 100_000));
        let why = |pool: &[(u32, u32)]| {
            let pool = UserPool { uids: pool.to_vec(), gids: pool.to_vec() };
            choose(&AutoUsers { pool, ..wanted(Some(1000), &[]) }, &[], 0).unwrap_err()
        };
        assert!(why(&[]).contains("no range") && why(&[(u32::MAX - 10, 10_000)]).contains("no 1000 users"));
    }

    #[test]
    fn what_is_fixed_is_left_out() {
        let map = choose(&wanted(Some(1100), &[range(1000, 7, 1), range(0, 5, 1)]), &[], 0).unwrap();
        let all = [range(0, 5, 1), range(1, 100_000, 999), range(1000, 7, 1), range(1001, 100_999, 101)];
        assert_eq!(map.uids, all);
        assert_eq!(map.gids, [range(0, 100_000, 1100)]);
    }
}
