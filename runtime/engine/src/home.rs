//! An engine that runs for an ordinary user, as root of a user namespace ("rootless"). What that changes is here, and asked for by those it
//! changes something for:
//!
//! * bridges and all that belongs to them are in a network namespace of the home, which a thread enters to see to them ([`Config::inside`]);
//!   processes stay in the host's own, where ports are bound, and where a container with the host's network is started;
//! * no rule for packets leads from the host's network there: every published port is relayed (`net::Outside`);
//! * cgroups are used as far as they are delegated to the user ([`Accounts`]).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use container::Host;
use rustix::fs::{Mode, OFlags, open};
use sys::Call;

use crate::Error;
use crate::accounts::Accounts;
use crate::config::Config;
use crate::error::During;

/// The surroundings of an engine of a user without privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The network namespace that bridges are in.
    pub netns: PathBuf,
    /// Why nothing leads from there to the host's network, if nothing does.
    pub cut_off: Option<String>,
    /// Where containers are accounted.
    pub accounts: Accounts,
    /// Why there is no id but the user's own, if there is none.
    pub only_own: Option<String>,
}

impl Home {
    /// Where the host's resolvers are asked from within the home's network, though they may be on the host's loopback.
    pub const RESOLVER: &'static str = "169.254.1.1";

    /// Begins a network namespace that was just made: its loopback comes up.
    ///
    /// # Errors
    /// It cannot be entered.
    pub fn begin(netns: &Path) -> Result<(), Error> {
        net::unconnected(Some(opened(netns)?)).map(drop).map_err(Error::Network)
    }

    /// Moves the calling thread to the network that bridges are in.
    ///
    /// # Errors
    /// It is not there any more.
    pub fn go_inside(&self) -> Result<(), Error> {
        const NEWNET: i32 = sys::ns::kind::NET as i32;
        sys::ns::setns(opened(&self.netns)?, NEWNET).during(|| "enter the network of this user's home")
    }
}

/// The processes in the pid namespace of `init` and those below, in ascending order.
pub(crate) fn members(init: u32) -> Vec<u32> {
    let of = |pid: u32| rustix::fs::stat(format!("/proc/{pid}/ns/pid")).ok().map(|own| own.st_ino);
    let Some(own) = of(init) else { return Vec::new() };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut found: Vec<u32> =
        all.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| of(*pid) == Some(own)).collect();
    found.sort_unstable();
    found
}

/// The ids that there are in a home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// Those of its user on the host, of a user and of a group. It is 0 in the home.
    pub own: (u32, u32),
    /// How many users and groups there are, from 0 on.
    pub count: (u32, u32),
}

/// The highest group of this user namespace, which has all below it.
pub(crate) fn last_group() -> u32 {
    ids("gid_map").1.saturating_sub(1)
}

/// Who 0 is outside, and how many ids there are from 0 on, by one of this process's maps (user_namespaces(7)).
fn ids(map: &str) -> (u32, u32) {
    counted(&std::fs::read_to_string(format!("/proc/self/{map}")).unwrap_or_default())
}

fn counted(map: &str) -> (u32, u32) {
    map.lines().fold((0, 0), |(own, next), line| {
        let numbers: Vec<u32> = line.split_whitespace().filter_map(|number| number.parse().ok()).collect();
        match numbers[..] {
            [0, outside, count] => (outside, count),
            [first, _, count] if first == next => (own, next.saturating_add(count)),
            _ => (own, next),
        }
    })
}

fn opened(netns: &Path) -> Result<OwnedFd, Error> {
    let file = open(netns, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    file.call(|| format!("open({netns:?})")).during(|| "find the network of this user's home")
}

impl Config {
    /// The ids of the home, if it is an ordinary user's engine.
    pub fn ids(&self) -> Option<Ids> {
        self.home.as_ref()?;
        let (users, groups) = (ids("uid_map"), ids("gid_map"));
        Some(Ids { own: (users.0, groups.0), count: (users.1, groups.1) })
    }

    /// Moves the calling thread, which must be one made for this, to the network that bridges are in.
    pub(crate) fn go_inside(&self) -> Result<(), Error> {
        self.home.as_ref().map_or(Ok(()), Home::go_inside)
    }

    /// Does `work` in the network that bridges are in.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
        if self.home.is_none() {
            return work();
        }
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| self.go_inside().and_then(|()| work()));
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// The network that a relay reaches containers from, if that is not its own.
    pub(crate) fn netns(&self) -> Result<Option<OwnedFd>, Error> {
        self.home.as_ref().map(|home| opened(&home.netns)).transpose()
    }

    /// Whether nobody may drop groups: where a user has mapped itself alone (user_namespaces(7)).
    pub(crate) fn groups_denied(&self) -> bool {
        self.home.as_ref().is_some_and(|home| home.only_own.is_some())
    }

    /// What the kernel offers here.
    pub(crate) fn host(&self) -> Result<Host, Error> {
        let mut host = Host::gather().map_err(Error::Container)?;
        host.cgroup = self.hierarchies()?;
        Ok(host)
    }
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn ids_are_counted_from_0_on() {
        assert_eq!(counted("         0       1000          1\n         1     100000      65536\n"), (1000, 65537));
        assert_eq!(counted("0 1000 1\n"), (1000, 1));
        // What comes after a gap is not counted.
        assert_eq!((counted("0 1000 1\n5 100000 10\n"), counted("")), ((1000, 1), (0, 0)));
    }
}
