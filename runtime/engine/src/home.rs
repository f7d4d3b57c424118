//! An engine that runs for an ordinary user, as root of a user namespace ("rootless"). What that changes is here, and asked for by those it
//! changes something for:
//!
//! * bridges and all that belongs to them are in a network namespace of the home, which a thread enters to see to them ([`Config::inside`]);
//!   processes stay in the host's own, where ports are bound, and where a container with the host's network is started;
//! * no rule for packets leads from the host's network there: every published port is relayed (`net::Outside`);
//! * cgroups are used as far as they are delegated to the user ([`Config::hierarchies`]).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use container::Host;
use container::cgroup::Hierarchies;
use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags, open};
use sys::Call;

use crate::config::Config;
use crate::error::During;
use crate::{Error, Record};

/// The surroundings of an engine of a user without privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// The network namespace that bridges are in.
    pub netns: PathBuf,
    /// Why nothing leads from there to the host's network, if nothing does.
    pub cut_off: Option<String>,
    /// Parent of all container cgroups, if one is delegated to the user.
    pub cgroup: Option<String>,
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

    /// Where containers of the calling user are accounted, if a cgroup is delegated to it: beside its own cgroup, whose processes keep it from
    /// handing controllers down (the kernel's cgroup-v2, "No Internal Process Constraint").
    pub fn delegated() -> Option<String> {
        let own = own_cgroup();
        let path = Path::new(&own).parent().unwrap_or(Path::new("/")).join("rctr").to_string_lossy().into_owned();
        let usable = Hierarchies::detect().ok()?.delegated(&path, &own);
        (!usable.is_empty()).then_some(path)
    }
}

/// The cgroup of this process, of v2.
fn own_cgroup() -> String {
    let all = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    all.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned()
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

/// The highest group of this user namespace, which has all below it.
pub(crate) fn last_group() -> u32 {
    let map = std::fs::read_to_string("/proc/self/gid_map").unwrap_or_default();
    map.lines()
        .fold(0_u32, |next, line| {
            let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u32>().ok());
            match (numbers.next(), numbers.nth(1)) {
                (Some(first), Some(count)) if first == next => next.saturating_add(count),
                _ => next,
            }
        })
        .saturating_sub(1)
}

fn opened(netns: &Path) -> Result<OwnedFd, Error> {
    let file = open(netns, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    file.call(|| format!("open({netns:?})")).during(|| "find the network of this user's home")
}

impl Config {
    /// Moves the calling thread, which must be one made for this, to the network that bridges are in.
    pub(crate) fn go_inside(&self) -> Result<(), Error> {
        const NEWNET: i32 = sys::ns::kind::NET as i32;
        let Some(home) = &self.home else { return Ok(()) };
        sys::ns::setns(opened(&home.netns)?, NEWNET).during(|| "enter the network of this user's home")
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

    /// The cgroups that containers are in.
    pub(crate) fn hierarchies(&self) -> Result<Hierarchies, Error> {
        let all = Hierarchies::detect();
        match &self.home {
            None => all.map_err(Error::Cgroup),
            // Where none is mounted none is missed.
            Some(Home { cgroup: Some(path), .. }) => {
                all.map(|all| all.delegated(path, &own_cgroup())).or_else(|_| Ok(Hierarchies::none()))
            }
            Some(_) => Ok(Hierarchies::none()),
        }
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

    /// The cgroups, for what cannot be done without: `what` is that.
    pub(crate) fn cgroups_for(&self, what: &str) -> Result<Hierarchies, Error> {
        let found = self.hierarchies()?;
        if found.is_empty() { Err(no_cgroups(what)) } else { Ok(found) }
    }

    /// What of `resources` is to be enforced. In a home nobody can make a device, nor load the program that would see to it.
    pub(crate) fn enforceable(&self, record: &Record, host: &Host, mut resources: LinuxResources) -> Result<LinuxResources, Error> {
        if self.home.is_none() {
            return Ok(resources);
        }
        resources.set_devices(None);
        let limited = record.resources != Default::default();
        if host.cgroup.is_empty() && limited {
            Err(no_cgroups("limits of memory, CPUs, processes and disks"))
        } else {
            Ok(resources)
        }
    }
}

fn no_cgroups(what: &str) -> Error {
    let why = "containers of this user have no cgroups: none is delegated to it; on a host with cgroup v2 alone, \
               begin the first command by: systemd-run --user --scope -p Delegate=yes rctr …";
    Error::Invalid { what: what.to_owned(), why: why.to_owned() }
}
