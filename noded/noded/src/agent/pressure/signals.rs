//! What of the host is scarce.

use std::fs::read_to_string;
use std::path::Path;

use serde_json::{Value, json};

use super::super::actual::{Nanos, SECOND};

/// A pressure that is over is told for so long yet: pods that would come at once would bring it back.
const TRANSITION: Nanos = 300 * SECOND;

/// What is left of what a host has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Host {
    /// Bytes of memory.
    pub(super) memory: Left,
    /// Bytes of the file system of images, containers and volumes.
    pub(super) disk: Left,
    /// Its files.
    pub(super) inodes: Left,
}

/// So much of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Left {
    pub(super) free: u64,
    pub(super) all: u64,
}

impl Left {
    /// Whether less than so many percent are left. A file system that does not count its files has enough of them.
    fn is_below(self, percent: u64) -> bool {
        self.all > 0 && u128::from(self.free) * 100 < u128::from(self.all) * u128::from(percent)
    }

    /// So many percent of all.
    pub(super) fn part(self, percent: u64) -> u64 {
        self.all / 100 * percent
    }

    /// How many bytes have to go until no more than so many percent are used.
    pub(super) fn above(self, percent: u64) -> u64 {
        let wanted = u128::from(self.all) * u128::from(100 - percent.min(100)) / 100;
        u64::try_from(wanted.saturating_sub(u128::from(self.free))).unwrap_or(u64::MAX)
    }
}

/// From when on something is scarce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reserve {
    /// Bytes of memory.
    pub(crate) memory: u64,
    /// Percent of the disk and of its files.
    pub(crate) disk: u64,
    pub(crate) inodes: u64,
}

/// What is scarce. The order is that in which it is looked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scarce {
    Memory,
    Disk,
    Inodes,
}

impl Scarce {
    /// As messages name it.
    pub(super) fn word(self) -> &'static str {
        match self {
            Scarce::Memory => "memory",
            Scarce::Disk => "ephemeral-storage",
            Scarce::Inodes => "inodes",
        }
    }
}

impl Host {
    /// Looks at it. `disk` is where images and containers are.
    pub(super) fn look(disk: &Path) -> Host {
        let (mut bytes, mut inodes) = (Left::default(), Left::default());
        if let Ok(fs) = rustix::fs::statvfs(disk) {
            let (used, free) = (fs.f_blocks.saturating_sub(fs.f_bfree), fs.f_bavail);
            // What is kept for root, or by a quota, is nobody's.
            bytes = Left { free: free * fs.f_frsize, all: (used + free) * fs.f_frsize };
            inodes = Left { free: fs.f_favail, all: fs.f_files };
        }
        let memory = memory(&read_to_string("/proc/meminfo").unwrap_or_default());
        Host { memory, disk: bytes, inodes }
    }

    /// What is scarce.
    pub(super) fn scarce(&self, reserve: Reserve) -> Vec<Scarce> {
        let memory = self.memory.all > 0 && self.memory.free < reserve.memory;
        let all = [
            (memory, Scarce::Memory),
            (self.disk.is_below(reserve.disk), Scarce::Disk),
            (self.inodes.is_below(reserve.inodes), Scarce::Inodes),
        ];
        all.into_iter().filter_map(|(is, what)| is.then_some(what)).collect()
    }
}

/// Memory that is free, or holds files that nobody has used for long: the kernel takes that back at once. It is what the kubelet counts.
fn memory(meminfo: &str) -> Left {
    let field = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0).saturating_mul(1024)
    };
    Left { free: field("MemFree") + field("Inactive(file)"), all: field("MemTotal") }
}

/// Since when memory and disk were scarce last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Pressure {
    memory: Option<Nanos>,
    disk: Option<Nanos>,
}

impl Pressure {
    /// After a look.
    pub(super) fn seen(mut self, scarce: &[Scarce], now: Nanos) -> Pressure {
        for what in scarce {
            match what {
                Scarce::Memory => self.memory = Some(now),
                Scarce::Disk | Scarce::Inodes => self.disk = Some(now),
            }
        }
        let lasts = |since: &Option<Nanos>| since.is_some_and(|since| now.saturating_sub(since) < TRANSITION);
        Pressure { memory: self.memory.filter(|_| lasts(&self.memory)), disk: self.disk.filter(|_| lasts(&self.disk)) }
    }

    /// Whether it is another one for those who look at the node.
    pub(super) fn differs(&self, other: &Pressure) -> bool {
        (self.memory.is_some(), self.disk.is_some()) != (other.memory.is_some(), other.disk.is_some())
    }

    /// The node's conditions.
    pub(in super::super) fn conditions(&self, condition: impl Fn(&str, &str, &str, &str) -> Value) -> [Value; 2] {
        [
            match self.memory {
                Some(_) => {
                    condition("MemoryPressure", "True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available")
                }
                None => {
                    condition("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available")
                }
            },
            match self.disk {
                Some(_) => condition("DiskPressure", "True", "KubeletHasDiskPressure", "kubelet has disk pressure"),
                None => condition("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            },
        ]
    }

    /// Why a pod that needs what is scarce does not begin.
    pub(in super::super) fn refuses(&self, best_effort: bool) -> Option<String> {
        let kinds = [(self.memory.is_some() && best_effort, "MemoryPressure"), (self.disk.is_some(), "DiskPressure")];
        let kinds: Vec<Value> = kinds.into_iter().filter(|(is, _)| *is).map(|(_, kind)| json!(kind)).collect();
        let words = kinds.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ");
        (!kinds.is_empty()).then(|| format!("The node had condition: [{words}]. "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVE: Reserve = Reserve { memory: 100, disk: 15, inodes: 5 };

    fn host(memory: u64, disk: u64, inodes: u64) -> Host {
        let left = |free| Left { free, all: 1000 };
        Host { memory: left(memory), disk: left(disk), inodes: left(inodes) }
    }

    #[test]
    fn less_than_the_reserve_is_scarce() {
        assert_eq!(host(100, 150, 50).scarce(RESERVE), []);
        assert_eq!(host(99, 150, 50).scarce(RESERVE), [Scarce::Memory]);
        assert_eq!(host(100, 149, 49).scarce(RESERVE), [Scarce::Disk, Scarce::Inodes]);
        assert_eq!(Host::default().scarce(RESERVE), [], "what is not known is not scarce");
        assert_eq!((Left { free: 100, all: 1000 }.above(80), Left { free: 200, all: 1000 }.above(80)), (100, 0));
    }

    #[test]
    fn memory_is_what_the_kernel_can_give_at_once() {
        let text = "MemTotal:       100 kB\nMemFree:         10 kB\nInactive:        50 kB\nInactive(file):  20 kB\n";
        assert_eq!(memory(text), Left { free: 30 << 10, all: 100 << 10 });
    }

    #[test]
    fn a_pressure_that_is_over_is_told_for_a_while() {
        let first = Pressure::default().seen(&[Scarce::Inodes], SECOND);
        assert!(first.differs(&Pressure::default()) && first.refuses(false).unwrap().contains("[DiskPressure]"));
        assert!(!first.seen(&[], 300 * SECOND).differs(&first));
        assert_eq!(first.seen(&[], 302 * SECOND), Pressure::default());
        let memory = Pressure::default().seen(&[Scarce::Memory], SECOND);
        assert!(memory.refuses(false).is_none() && memory.refuses(true).unwrap().contains("[MemoryPressure]"));
    }
}
