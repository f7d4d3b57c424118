//! Users of a pod's own (`hostUsers: false`): which ids of the host they are.
//!
//! Each pod has [`USERS`] beside each other, and no two pods, containers or people of this host have the same. Which ones it has is in the
//! engine's record of the pod; what is remembered here is only what an agent has given out since it began, until that is said there.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};

use engine::{IdRange, UserMap};

use super::wanted::USERS;
use crate::node::Node;

/// Ids that systemd's list of users and groups has as unused: above those of its own containers, below those of foreign images.
const POOL: std::ops::Range<u32> = 0x7000_0000..0x7ffe_0000;

/// Ids from one on, and the first one behind them.
type Range = (u64, u64);

/// [`Users::take`] beside the tasks of the runtime: it reads the records of all pods and containers, and waits for whoever does so, too.
pub(super) async fn take(users: &Arc<Users>, node: &Arc<Node>, uid: &str) -> Result<u32, String> {
    let (users, node, uid) = (Arc::clone(users), Arc::clone(node), uid.to_owned());
    let taken = tokio::task::spawn_blocking(move || users.take(&node, &uid)).await;
    taken.unwrap_or_else(|error| Err(format!("hostUsers: {error}")))
}

/// What was given out, by the uids of pods.
#[derive(Debug, Default)]
pub(super) struct Users(Mutex<BTreeMap<String, u32>>);

impl Users {
    /// The first of a pod's users: those that it has already, or else some that nobody has.
    fn take(&self, node: &Node, uid: &str) -> Result<u32, String> {
        let failed = |what: &str, why: &dyn std::fmt::Display| format!("hostUsers: look whose users are taken: {what}: {why}");
        // Whoever chooses does so alone.
        let mut given = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(first) = given.get(uid) {
            return Ok(*first);
        }
        let pods = node.engine().pods().map_err(|error| failed("pods", &error))?;
        let own = pods.iter().filter(|pod| pod.record.request.uid == uid).find_map(|pod| first(pod.record.request.users.as_ref()?));
        if let Some(own) = own {
            given.insert(uid.to_owned(), own);
            return Ok(own);
        }
        let containers = node.engine().containers().map_err(|error| failed("containers", &error))?;
        let others = containers.iter().filter_map(|one| one.record.namespaces.users.as_ref());
        let maps = pods.iter().filter_map(|pod| pod.record.request.users.as_ref()).chain(others);
        let mut taken: Vec<Range> = maps.flat_map(|map| map.uids.iter().chain(&map.gids)).map(range).collect();
        taken.extend(given.values().map(|first| (u64::from(*first), u64::from(*first) + u64::from(USERS))));
        for file in ["/etc/subuid", "/etc/subgid"] {
            match std::fs::read_to_string(file) {
                Ok(text) => taken.extend(delegated(&text)),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(file, &error)),
            }
        }
        let free = free(&taken).ok_or_else(|| format!("hostUsers: no {USERS} users beside each other are free on this node"))?;
        given.insert(uid.to_owned(), free);
        Ok(free)
    }

    /// Nothing is left of the pod.
    pub(super) fn forget(&self, uid: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }
}

/// The first id of a map that is as one of ours.
fn first(map: &UserMap) -> Option<u32> {
    let whole = |ranges: &[IdRange]| match ranges {
        [IdRange { inside: 0, outside, size: USERS }] => Some(*outside),
        _ => None,
    };
    whole(&map.uids).filter(|first| whole(&map.gids) == Some(*first))
}

fn range(of: &IdRange) -> Range {
    (u64::from(of.outside), u64::from(of.outside) + u64::from(of.size))
}

/// What people of the host may use in namespaces of theirs: subuid(5).
fn delegated(text: &str) -> Vec<Range> {
    let line = |line: &str| {
        let mut fields = line.split(':').skip(1);
        let (first, count) = (fields.next()?.trim().parse::<u64>().ok()?, fields.next()?.trim().parse::<u64>().ok()?);
        Some((first, first.saturating_add(count)))
    };
    text.lines().filter_map(line).collect()
}

/// The first ids of the pool of which none is taken.
fn free(taken: &[Range]) -> Option<u32> {
    let is_free = |first: &u32| {
        let (begin, end) = (u64::from(*first), u64::from(*first) + u64::from(USERS));
        taken.iter().all(|(from, to)| *to <= begin || *from >= end)
    };
    POOL.step_by(USERS as usize).find(is_free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_gets_what_another_has() {
        let (pool, size) = (u64::from(POOL.start), u64::from(USERS));
        let mut taken = vec![(0, 65536), (100_000, 165_536)];
        assert_eq!(free(&taken), Some(POOL.start));
        // One id of the first ones, the last one of the second ones, and what begins with the fourth.
        taken.extend([(pool, pool + 1), (pool + 2 * size - 1, pool + 2 * size), (pool + 3 * size, pool + 5 * size)]);
        assert_eq!(free(&taken), Some(POOL.start + 2 * USERS));
        taken.push((pool + 2 * size, pool + 3 * size));
        assert_eq!(free(&taken), Some(POOL.start + 5 * USERS));
        assert_eq!(free(&[(0, u64::from(u32::MAX))]), None);
    }

    #[test]
    fn those_of_people_are_read() {
        assert_eq!(delegated("a:100000:65536\n# b\nc:x:1\nd:7\n1000:5:2\n"), [(100_000, 165_536), (5, 7)]);
    }

    #[test]
    fn a_pod_keeps_its_own() {
        let map = |outside, size, gid| UserMap {
            uids: vec![IdRange { inside: 0, outside, size }],
            gids: vec![IdRange { inside: 0, outside: gid, size }],
        };
        assert_eq!(first(&map(POOL.start, USERS, POOL.start)), Some(POOL.start));
        assert_eq!((first(&map(POOL.start, USERS, 7)), first(&map(POOL.start, 5, POOL.start))), (None, None));
    }
}
