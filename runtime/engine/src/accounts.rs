//! The cgroups of an ordinary user's containers, as far as they are delegated to the user (cgroups(7), "Cgroups delegation: delegating a
//! hierarchy to a less privileged user").

use std::path::Path;

use container::Host;
use container::cgroup::systemd::{self, Unit};
use container::cgroup::{self, Hierarchies, Kind};
use oci_spec::runtime::LinuxResources;
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::{Error, Home, Record};

/// Where containers of an ordinary user are accounted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounts {
    /// Parent of all container cgroups, if one is delegated to the user.
    pub cgroup: Option<String>,
    /// The scope of the user's systemd that it is of: it takes in whoever starts a container.
    pub unit: Option<Unit>,
    /// Why there is none, if there is none.
    pub none: Option<String>,
}

impl Accounts {
    /// Where containers of the calling user are accounted in the home that the process `holder` keeps: in the scope `name`, which the user's
    /// systemd begins with that process and this one, where it answers in the folder `runtime`. Or else in what is delegated to the user in
    /// another way: beside its own cgroup, whose processes keep it from handing controllers down (the kernel's cgroup-v2, "No Internal Process
    /// Constraint").
    pub fn open(runtime: &Path, name: &str, holder: u32) -> Accounts {
        let none = |why: String| Accounts { none: Some(why), ..Accounts::default() };
        let all = match Hierarchies::detect() {
            Ok(all) if all.kind() == Kind::V2 => all,
            Ok(_) => return none("only cgroup v2 is delegated to users, and this host has v1 beside it".to_owned()),
            Err(error) => return none(error.to_string()),
        };
        let unit = Unit::new(Some(&format!("::{name}")), "", name, Some(runtime.to_owned()));
        let begun = unit.and_then(|unit| {
            let pids = [holder, std::process::id()];
            let cgroup = systemd::shelter(&all, &unit, "Containers of rctr", &pids)?;
            Ok(Accounts { cgroup: Some(cgroup), unit: Some(unit), none: None })
        });
        begun.unwrap_or_else(|error| {
            let own = own_cgroup();
            let path = Path::new(&own).parent().unwrap_or(Path::new("/")).join("rctr").to_string_lossy().into_owned();
            if all.delegated(&path, &own).is_empty() {
                none(format!("the user's systemd gives none: {}", chain(&error)))
            } else {
                Accounts { cgroup: Some(path), ..Accounts::default() }
            }
        })
    }

    /// Removes the cgroup once nothing runs below it. That of a scope goes with its last process.
    ///
    /// # Errors
    /// Something does.
    pub fn close(&self) -> Result<(), Error> {
        let (Some(path), None) = (&self.cgroup, &self.unit) else { return Ok(()) };
        let all = Hierarchies::detect().map_err(Error::Cgroup)?;
        cgroup::paths(&all.owned(path), path).iter().try_for_each(|folder| cgroup::remove(folder)).map_err(Error::Cgroup)
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The cgroup of this process, of v2.
fn own_cgroup() -> String {
    let all = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    all.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned()
}

impl Config {
    /// The cgroups that containers are in.
    pub(crate) fn hierarchies(&self) -> Result<Hierarchies, Error> {
        let all = Hierarchies::detect();
        match &self.home {
            None => all.map_err(Error::Cgroup),
            // Where none is mounted none is missed.
            Some(Home { accounts: Accounts { cgroup: Some(path), .. }, .. }) => {
                all.map(|all| all.owned(path)).or_else(|_| Ok(Hierarchies::none()))
            }
            Some(_) => Ok(Hierarchies::none()),
        }
    }

    /// Sees to it that what this process starts may be in the cgroup of a container.
    pub(crate) fn move_in(&self) -> Result<(), Error> {
        let Some(Home { accounts: Accounts { cgroup: Some(path), unit, .. }, .. }) = &self.home else { return Ok(()) };
        let own = own_cgroup();
        if Hierarchies::detect().map_err(Error::Cgroup)?.reaches(path, &own) {
            return Ok(());
        }
        match unit {
            Some(unit) => systemd::gather(unit, &[std::process::id()]).map_err(Error::Cgroup),
            None => Err(Error::Invalid {
                what: format!("cgroup {path} of this user's containers"),
                why: format!("nothing may be moved there from {own}, where this command is; run it where the first one was run"),
            }),
        }
    }

    /// The cgroups, for what cannot be done without: `what` is that.
    pub(crate) fn cgroups_for(&self, what: &str) -> Result<Hierarchies, Error> {
        let found = self.hierarchies()?;
        if found.is_empty() { Err(self.no_cgroups(what)) } else { Ok(found) }
    }

    /// What of `resources` is to be enforced. In a home nobody can make a device, nor load the program that would see to it.
    pub(crate) fn enforceable(&self, record: &Record, host: &Host, mut resources: LinuxResources) -> Result<LinuxResources, Error> {
        if self.home.is_none() {
            return Ok(resources);
        }
        resources.set_devices(None);
        let limited = record.resources != Default::default();
        if host.cgroup.is_empty() && limited {
            Err(self.no_cgroups("limits of memory, CPUs, processes and disks"))
        } else {
            Ok(resources)
        }
    }

    fn no_cgroups(&self, what: &str) -> Error {
        let why = self.home.as_ref().and_then(|home| home.accounts.none.as_deref()).unwrap_or("none is delegated to it");
        Error::Invalid { what: what.to_owned(), why: format!("containers of this user have no cgroups: {why}") }
    }
}
