//! All that is known of what a container or a pod uses.

use std::fs::File;

use container::cgroup::{self, Hierarchies};
use sys::Call;
use sys::ns::{kind, setns};

use crate::error::During;
use crate::{Container, Engine, Error, Pod, pod};

/// Counters of a network interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub sent: Traffic,
}

/// What has passed an interface in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were broken.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}

impl Engine {
    /// What the cgroup of a container says.
    ///
    /// # Errors
    /// No cgroups are mounted.
    pub fn measure(&self, container: &Container) -> Result<cgroup::Stats, Error> {
        let hierarchies = Hierarchies::detect().map_err(Error::Cgroup)?;
        cgroup::stats_of(&hierarchies, &self.config.cgroup_of(&container.record)).map_err(Error::Cgroup)
    }

    /// What the cgroup of a pod says, in which those of its containers are.
    ///
    /// # Errors
    /// No cgroups are mounted.
    pub fn measure_pod(&self, pod: &Pod) -> Result<cgroup::Stats, Error> {
        let hierarchies = Hierarchies::detect().map_err(Error::Cgroup)?;
        cgroup::stats_of(&hierarchies, &pod.record.cgroup(&self.config)?).map_err(Error::Cgroup)
    }

    /// The interfaces of a pod's own network but loopback; none, if it has none or is not ready.
    ///
    /// # Errors
    /// Its network cannot be looked into.
    pub fn interfaces(&self, pod: &Pod) -> Result<Vec<Interface>, Error> {
        if !pod.ready || !pod.record.has_network() {
            return Ok(Vec::new());
        }
        let path = pod::pinned(&self.config, &pod.record.id, "net");
        let what = || format!("look into the network of pod {}", &pod.record.id[..12]);
        let namespace = File::open(&path).call(|| format!("open({path:?})")).during(what)?;
        let read = std::thread::scope(|scope| {
            // A thread of its own: it does not come back from where it goes.
            let thread = std::thread::Builder::new().name("look".to_owned()).spawn_scoped(scope, || {
                setns(&namespace, kind::NET as i32)?;
                std::fs::read_to_string("/proc/thread-self/net/dev").call(|| "read(/proc/thread-self/net/dev)")
            });
            thread.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        let text = read.call(|| "clone3(CLONE_THREAD)").and_then(|read| read).during(what)?;
        Ok(text.lines().skip(2).filter_map(interface).filter(|interface| interface.name != "lo").collect())
    }
}

/// A line of proc_pid_net(5), `dev`.
fn interface(line: &str) -> Option<Interface> {
    let (name, counts) = line.split_once(':')?;
    let counts: Vec<u64> = counts.split_whitespace().map(|count| count.parse().unwrap_or(0)).collect();
    let traffic = |first: usize| {
        Some(Traffic {
            bytes: *counts.get(first)?,
            packets: *counts.get(first + 1)?,
            errors: *counts.get(first + 2)?,
            dropped: *counts.get(first + 3)?,
        })
    };
    Some(Interface { name: name.trim().to_owned(), received: traffic(0)?, sent: traffic(8)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read() {
        let line = "  eth0:  100 2 3 4 0 0 0 0 700 8 9 10 0 0 0 0";
        let (received, sent) =
            (Traffic { bytes: 100, packets: 2, errors: 3, dropped: 4 }, Traffic { bytes: 700, packets: 8, errors: 9, dropped: 10 });
        assert_eq!(interface(line), Some(Interface { name: "eth0".to_owned(), received, sent }));
        assert_eq!(interface("eth0: 1"), None);
    }
}
