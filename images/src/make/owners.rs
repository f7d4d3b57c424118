//! Whose files they are in an archive, where they are stored as somebody else's: those of a container with users of its own.

/// Ranges of users and of groups, each as the first id in the archive, the first one on disk, and how many there are. Without ranges, owners
/// are as they are on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owners {
    /// Users.
    pub uids: Vec<[u32; 3]>,
    /// Groups.
    pub gids: Vec<[u32; 3]>,
}

/// Whom the kernel shows where it knows nobody (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65534;

impl Owners {
    /// An owner on disk as the archive has it.
    pub(super) fn of(&self, uid: u32, gid: u32) -> (u32, u32) {
        (inside(&self.uids, uid), inside(&self.gids, gid))
    }

    /// `security.capability`: what the root of the container's users has set says whose it is (`struct vfs_ns_cap_data`), and to whoever
    /// has root's own id that is anybody's.
    pub(super) fn capability(&self, value: &[u8]) -> Vec<u8> {
        const NAMES_ROOT: u8 = 3;
        const PLAIN: u8 = 2;
        match value {
            [flags @ .., a, b, c, d]
                if flags.len() == 20
                    && flags[3] == NAMES_ROOT
                    && !self.uids.is_empty()
                    && inside(&self.uids, u32::from_le_bytes([*a, *b, *c, *d])) == 0 =>
            {
                let mut plain = flags.to_vec();
                plain[3] = PLAIN;
                plain
            }
            value => value.to_vec(),
        }
    }
}

fn inside(ranges: &[[u32; 3]], id: u32) -> u32 {
    let within = |[first, stored, size]: &[u32; 3]| id.checked_sub(*stored).filter(|at| at < size).map(|at| first + at);
    if ranges.is_empty() { id } else { ranges.iter().find_map(within).unwrap_or(NOBODY) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_found_by_range() {
        let owners = Owners { uids: vec![[0, 100_000, 10], [10, 500, 1]], gids: vec![[5, 7, u32::MAX - 7]] };
        assert_eq!((owners.of(100_000, 7), owners.of(500, 8)), ((0, 5), (10, 6)));
        assert_eq!((owners.of(100_010, 6), owners.of(0, 0)), ((NOBODY, NOBODY), (NOBODY, NOBODY)));
        assert_eq!(Owners::default().of(0, 3), (0, 3));
    }

    #[test]
    fn capabilities_of_the_containers_root_are_roots() {
        let owners = Owners { uids: vec![[0, 100_000, 10]], gids: Vec::new() };
        let value = |version: u8, root: &[u8]| [&[1, 0, 0, version][..], &[7; 16], root].concat();
        assert_eq!(owners.capability(&value(3, &100_000_u32.to_le_bytes())), value(2, &[]));
        for other in [value(3, &100_001_u32.to_le_bytes()), value(2, &[]), vec![3; 7]] {
            assert_eq!(owners.capability(&other), other);
        }
        let plain = value(3, &100_000_u32.to_le_bytes());
        assert_eq!(Owners::default().capability(&plain), plain);
    }
}
