//! Namespaces, and what may be set only in one's own: host name, domain name, sysctls.

use std::collections::BTreeMap;

use launch::{ClockOffset, NetDevice, Slot};
use oci_spec::runtime::{Linux, LinuxNamespaceType, LinuxTimeOffset, Spec};

use super::{Build, Source, network, sysctl};
use crate::{Error, Host};

/// `CLONE_NEWNET`.
pub(super) const NETWORK: u64 = LinuxNamespaceType::Network as u64;
/// `CLONE_NEWUTS`.
pub(super) const UTS: u64 = LinuxNamespaceType::Uts as u64;
/// `CLONE_NEWUSER`.
pub(super) const USER: u64 = LinuxNamespaceType::User as u64;
/// `CLONE_NEWNS`.
pub(super) const MOUNT: u64 = LinuxNamespaceType::Mount as u64;
/// `CLONE_NEWCGROUP`.
pub(super) const CGROUP: u64 = LinuxNamespaceType::Cgroup as u64;
/// `CLONE_NEWTIME`.
const TIME: u64 = LinuxNamespaceType::Time as u64;
/// `CLONE_NEWIPC`.
pub(super) const IPC: u64 = LinuxNamespaceType::Ipc as u64;

/// A plan's share of this.
#[derive(Debug, Default)]
pub(super) struct Namespaces {
    pub(super) unshare: u64,
    pub(super) join: Vec<(u64, Slot)>,
    pub(super) hostname: Option<String>,
    pub(super) domainname: Option<String>,
    pub(super) sysctls: Vec<(String, String)>,
    pub(super) clocks: Vec<ClockOffset>,
    pub(super) devices: Vec<NetDevice>,
}

impl Namespaces {
    /// Whether the container has one of this type that is not simply its maker's.
    pub(super) fn has(&self, flag: u64) -> bool {
        self.unshare & flag != 0 || self.join.iter().any(|(joined, _)| *joined == flag)
    }
}

/// The name of a namespace type, as in a configuration.
pub(crate) fn name(flag: u64) -> &'static str {
    match flag {
        NETWORK => "network",
        UTS => "uts",
        IPC => "ipc",
        _ if flag == LinuxNamespaceType::Pid as u64 => "pid",
        _ if flag == LinuxNamespaceType::Mount as u64 => "mount",
        _ if flag == LinuxNamespaceType::Cgroup as u64 => "cgroup",
        _ if flag == LinuxNamespaceType::User as u64 => "user",
        _ => "time",
    }
}

/// Compiles `linux.namespaces` with what depends on them.
pub(super) fn namespaces(spec: &Spec, linux: &Linux, host: &Host, build: &mut Build) -> Result<Namespaces, Error> {
    let mut own = Namespaces::default();
    let hostname = filled(spec.hostname());
    let domainname = filled(spec.domainname());
    let sysctls = sysctl::sysctls(linux.sysctl().iter().flatten())?;
    let mut needed: Vec<(u64, String)> = sysctls.iter().map(|(key, _, flag)| (*flag, format!("linux.sysctl.{key}"))).collect();
    needed.extend(hostname.iter().map(|_| (UTS, "hostname".to_owned())));
    needed.extend(domainname.iter().map(|_| (UTS, "domainname".to_owned())));
    own.devices = network::devices(linux, host)?;
    needed.extend(own.devices.iter().map(|device| (NETWORK, format!("linux.netDevices.{}", device.outside))));
    let mut seen = 0;
    for (at, namespace) in linux.namespaces().iter().flatten().enumerate() {
        let flag = namespace.typ() as u64;
        let field = format!("linux.namespaces[{at}]");
        if seen & flag != 0 {
            return Err(Error::invalid(field, format!("a second {} namespace", name(flag))));
        }
        seen |= flag;
        let Some(path) = namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) else {
            own.unshare |= flag;
            continue;
        };
        if !path.is_absolute() {
            return Err(Error::invalid(format!("{field}.path"), format!("{} is not an absolute path", path.display())));
        }
        let foreign = needed.iter().any(|(needed, _)| *needed == flag);
        own.join.push((flag, build.slot(Source::Namespace { path: path.clone(), flag, foreign })));
    }
    // runc takes one without hidden and read-only paths, and mounts all that it has in the host's namespace, for good.
    if seen & MOUNT == 0 {
        return Err(Error::unsupported("linux.namespaces", "a container without a mount namespace of its own is"));
    }
    if let Some((flag, field)) = needed.into_iter().find(|(flag, _)| seen & flag == 0) {
        return Err(Error::invalid(field, format!("needs a {} namespace of the container's own", name(flag))));
    }
    own.clocks = clocks(linux, own.unshare & TIME != 0)?;
    own.hostname = hostname;
    own.domainname = domainname;
    own.sysctls = sysctls.into_iter().map(|(key, value, _)| (key, value)).collect();
    Ok(own)
}

/// Compiles `linux.timeOffsets`, in the order of their names: the map has none.
fn clocks(linux: &Linux, new: bool) -> Result<Vec<ClockOffset>, Error> {
    let asked: BTreeMap<_, _> = linux.time_offsets().iter().flatten().collect();
    let clock = |(clock, offset): (&String, &LinuxTimeOffset)| {
        let field = format!("linux.timeOffsets.{clock}");
        let (seconds, nanoseconds) = (offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0));
        match clock.as_str() {
            _ if !new => Err(Error::invalid(field, "clocks can only be set in a new time namespace")),
            "monotonic" | "boottime" if nanoseconds >= 1_000_000_000 => {
                Err(Error::invalid(field, format!("{nanoseconds} nanoseconds are a second or more")))
            }
            "monotonic" | "boottime" => Ok(ClockOffset { clock: clock.clone(), seconds, nanoseconds }),
            _ => Err(Error::invalid(field, "is neither monotonic nor boottime")),
        }
    };
    asked.into_iter().map(clock).collect()
}

fn filled(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}
