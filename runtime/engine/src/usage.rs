//! What a running container uses.

use container::cgroup::{self, Hierarchies};

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
}

impl Engine {
    /// Reads what a container uses; `None` when it does not run.
    ///
    /// # Errors
    /// No cgroups are mounted.
    pub fn usage(&self, container: &Container) -> Result<Option<Usage>, Error> {
        let Some((pid, _)) = container.process() else { return Ok(None) };
        let hierarchies = Hierarchies::detect().map_err(Error::Cgroup)?;
        let used = cgroup::usage(&hierarchies, &self.config.cgroup_of(&container.record)).map_err(Error::Cgroup)?;
        let network = match container.record.network {
            NetworkMode::Host => (0, 0),
            _ => traffic(&std::fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default()),
        };
        Ok(Some(Usage {
            cpu: used.cpu,
            memory: used.memory,
            memory_limit: used.memory_limit.min(host_memory()),
            received: network.0,
            sent: network.1,
            read: used.read,
            written: used.written,
            pids: used.pids,
        }))
    }
}

/// Bytes in and out of all interfaces but loopback (proc_pid_net(5), `dev`).
fn traffic(dev: &str) -> (u64, u64) {
    let interfaces = dev.lines().skip(2).filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() != "lo");
    interfaces.fold((0, 0), |(received, sent), (_, counts)| {
        let mut counts = counts.split_whitespace().map(|count| count.parse::<u64>().unwrap_or(0));
        (received + counts.next().unwrap_or(0), sent + counts.nth(7).unwrap_or(0))
    })
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
        let dev = "Inter-|   Receive |  Transmit\n face |bytes packets\n    lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n  eth0:  100 1 0 0 0 0 0 0 \
                   7 1 0 0 0 0 0 0\n";
        assert_eq!(traffic(dev), (100, 7));
        assert_eq!(traffic(""), (0, 0));
    }
}
