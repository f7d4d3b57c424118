//! What a running container uses.

use container::cgroup;

use crate::request::NetworkMode;
use crate::{Container, Engine, Error};

/// One reading of a running container. Counters count from its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds of processor time.
    pub cpu: u64,
    /// Bytes of memory without the part of the page cache that is soon to go.
    pub memory: u64,
    /// Bytes of memory it may have: its limit, or all that the host has.
    pub memory_limit: u64,
    /// Bytes that came in through its own network.
    pub received: u64,
    /// Bytes that went out through its own network.
    pub sent: u64,
    /// Bytes read from disks.
    pub read: u64,
    /// Bytes written to disks.
    pub written: u64,
    /// Processes and threads.
    pub pids: u64,
    /// Bytes of memory with all of the page cache.
    pub memory_all: u64,
    /// Bytes of memory that no file has.
    pub anonymous: u64,
    /// Bytes in swap.
    pub swap: u64,
    /// Page faults.
    pub faults: u64,
    /// Those that had to wait for a disk.
    pub major_faults: u64,
}

impl Usage {
    /// What a cgroup uses, with bytes in and out of a network.
    pub(crate) fn new(used: &cgroup::Usage, (received, sent): (u64, u64)) -> Usage {
        Usage {
            cpu: used.cpu,
            memory: used.memory,
            memory_limit: used.memory_limit.min(host_memory()),
            received,
            sent,
            read: used.read,
            written: used.written,
            pids: used.pids,
            memory_all: used.memory_all,
            anonymous: used.anonymous,
            swap: used.swap,
            faults: used.faults,
            major_faults: used.major_faults,
        }
    }
}

impl Engine {
    /// Reads what a container uses; `None` when it does not run.
    ///
    /// # Errors
    /// No cgroups are mounted.
    pub fn usage(&self, container: &Container) -> Result<Option<Usage>, Error> {
        let Some((pid, _)) = container.process() else { return Ok(None) };
        let hierarchies = self.config.cgroups_for("stats")?;
        let used = cgroup::usage(&hierarchies, &self.config.cgroup_of(&container.record)).map_err(Error::Cgroup)?;
        Ok(Some(Usage::new(&used, traffic(&self.through(container, pid)))))
    }

    /// What has gone through each interface of a running container's own network.
    pub fn traffic(&self, container: &Container) -> Vec<Traffic> {
        container.process().map_or_else(Vec::new, |(pid, _)| self.through(container, pid))
    }

    fn through(&self, container: &Container, pid: u32) -> Vec<Traffic> {
        match container.record.network {
            NetworkMode::Host => Vec::new(),
            _ => interfaces(&std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default()),
        }
    }
}

/// What has gone through an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// The interface's name.
    pub interface: String,
    /// Bytes that came in.
    pub received: u64,
    /// Packets that came in.
    pub receive_packets: u64,
    /// What could not be received.
    pub receive_errors: u64,
    /// Packets that were dropped on the way in.
    pub receive_dropped: u64,
    /// Bytes that went out.
    pub sent: u64,
    /// Packets that went out.
    pub send_packets: u64,
    /// What could not be sent.
    pub send_errors: u64,
    /// Packets that were dropped on the way out.
    pub send_dropped: u64,
}

/// All interfaces but loopback (proc_pid_net(5), `dev`).
pub(crate) fn interfaces(dev: &str) -> Vec<Traffic> {
    let lines = dev.lines().skip(2).filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() != "lo");
    let interface = |(name, counts): (&str, &str)| {
        let counts: Vec<u64> = counts.split_whitespace().map(|count| count.parse().unwrap_or(0)).collect();
        let at = |column: usize| counts.get(column).copied().unwrap_or(0);
        let interface = name.trim().to_owned();
        Traffic {
            interface,
            received: at(0),
            receive_packets: at(1),
            receive_errors: at(2),
            receive_dropped: at(3),
            sent: at(8),
            send_packets: at(9),
            send_errors: at(10),
            send_dropped: at(11),
        }
    };
    lines.map(interface).collect()
}

/// Bytes in and out together.
pub(crate) fn traffic(interfaces: &[Traffic]) -> (u64, u64) {
    interfaces.iter().fold((0, 0), |(received, sent), one| (received + one.received, sent + one.sent))
}

fn host_memory() -> u64 {
    let info = rustix::system::sysinfo();
    (info.totalram as u64).saturating_mul(u64::from(info.mem_unit.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_does_not_count() {
        let dev = "Inter-|   Receive |  Transmit\n face |bytes packets\n    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  eth0:  100 1 2 3 0 0 0 0 \
                   7 4 5 6 0 0 0 0\n";
        let eth0 = Traffic {
            interface: "eth0".into(),
            received: 100,
            receive_packets: 1,
            receive_errors: 2,
            receive_dropped: 3,
            sent: 7,
            send_packets: 4,
            send_errors: 5,
            send_dropped: 6,
        };
        assert_eq!(interfaces(dev), [eth0]);
        assert_eq!(traffic(&interfaces(dev)), (100, 7));
        assert_eq!(traffic(&interfaces("")), (0, 0));
    }
}
