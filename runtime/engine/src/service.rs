//! A command that is the unit of a service manager: what it starts is part of that unit.

use container::cgroup::{Hierarchies, Housing};
use sys::Call;

use crate::error::During;
use crate::{Config, Error};

impl Config {
    /// Makes the cgroup that this process is in the one that monitors and containers are below, and leaves it for that of the monitors, as
    /// nothing may run in a cgroup that has others below it. A unit of systemd allows it with `Delegate=`.
    ///
    /// # Errors
    /// This host has cgroup v1, or the process is in no cgroup of its own.
    pub fn split(&mut self) -> Result<(), Error> {
        let refuse = |why: &str| Error::Invalid { what: "cgroups split".to_owned(), why: why.to_owned() };
        let text = std::fs::read("/proc/self/cgroup").call(|| "read(\"/proc/self/cgroup\")").during(|| "find the own cgroup")?;
        let text = String::from_utf8_lossy(&text);
        let own = own(&text).ok_or_else(|| refuse("this host has cgroup v1"))?;
        if own == "/" {
            return Err(refuse("this process is in no cgroup of its own; systemd-run --pipe --property Delegate=yes gives it one"));
        }
        own.clone_into(&mut self.cgroup);
        let hierarchies = Hierarchies::detect().map_err(Error::Cgroup)?;
        Housing::open(&hierarchies, &self.monitors()).and_then(|housing| housing.enter()).map_err(Error::Cgroup)
    }
}

/// The cgroup in `/proc/PID/cgroup` where there is no other hierarchy (cgroups(7)).
fn own(text: &str) -> Option<&str> {
    let mut lines = text.lines();
    lines.next()?.strip_prefix("0::").filter(|_| lines.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_v2_alone_is_split() {
        assert_eq!(own("0::/system.slice/a.service\n"), Some("/system.slice/a.service"));
        for text in ["", "1:name=systemd:/\n", "0::/\n1:name=systemd:/\n", "2:pids:/\n0::/a\n"] {
            assert_eq!(own(text), None, "{text:?}");
        }
    }
}
