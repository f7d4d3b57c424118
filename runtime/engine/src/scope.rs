//! Containers of pods whose cgroups are systemd's: each is a scope in the slice of its pod, as the kubelet's `cgroupDriver: systemd` has it.
//! What is below a slice and is no unit of systemd may lose its controllers whenever systemd looks after that slice.

use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::Path;

use container::cgroup::systemd::{self, Unit};
use container::cgroup::{self, Cgroup, Devices, Hierarchies};
use oci_spec::runtime::LinuxResources;
use rustix::process::{Pid, WaitOptions, waitpid};
use sys::spawn::Home;

use crate::config::Config;
use crate::error::During;
use crate::{Error, Record};

/// Whether this cgroup is a slice of the systemd that runs this host (sd_booted(3)).
pub(crate) fn is_slice(path: &str) -> bool {
    path.ends_with(".slice") && Path::new("/run/systemd/system").is_dir()
}

/// The scope's name.
pub(crate) fn name(id: &str) -> String {
    format!("rctr-{id}.scope")
}

/// The scope of a container, if its cgroup is one.
pub(crate) fn unit(record: &Record) -> Option<Unit> {
    let parent = record.tuning.cgroup_parent.as_deref().filter(|_| record.tuning.scope)?;
    Some(Unit { slice: last(parent), name: name(&record.id), user: None })
}

fn last(path: &str) -> String {
    path.rsplit('/').next().unwrap_or_default().to_owned()
}

/// Ends a slice with all that is below it. One that is not there is fine.
pub(crate) fn stop(slice: &str) -> Result<(), Error> {
    systemd::stop(&Unit { slice: "-.slice".to_owned(), name: last(slice), user: None }).map_err(Error::Cgroup)
}

/// A process that is in a scope until the container's own is: a scope cannot be empty. It is a monitor that is told nothing.
#[derive(Debug)]
pub(crate) struct Holder {
    socket: Option<OwnedFd>,
    pid: Pid,
}

impl Holder {
    fn new(config: &Config) -> Result<Holder, Error> {
        let what = || format!("start {}", config.monitor.display());
        let (server, client) = sys::socket::pair().during(|| "make a socket")?;
        let sealed = launch::seal(&config.monitor).during(what)?;
        let args = [c"rctr-monitor".to_owned(), CString::new("scope").unwrap_or_default()];
        let pid = sys::spawn::spawn(sealed.program, &args, server, Home::default()).during(what)?;
        Ok(Holder { socket: Some(client), pid })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        // That ends it.
        drop(self.socket.take());
        let _ = waitpid(Some(self.pid), WaitOptions::empty());
    }
}

/// Makes the cgroup of a container, which stays systemd's. The holder goes when the container's first process is there.
pub(crate) fn create(
    config: &Config,
    record: &Record,
    unit: &Unit,
    hierarchies: &Hierarchies,
    resources: &LinuxResources,
) -> Result<(Cgroup, Devices, Holder), Error> {
    let holder = Holder::new(config)?;
    let description = format!("container {}", record.name);
    let pid = holder.pid.as_raw_pid().cast_unsigned();
    let make = || systemd::create_with(hierarchies, unit, &description, resources, pid);
    let made = make().or_else(|error| match &error {
        // The one of its last run, whose end systemd has not seen yet.
        cgroup::Error::Systemd { source, .. } if source.is("UnitExists") => systemd::stop(unit).and_then(|()| make()),
        _ => Err(error),
    });
    let (cgroup, devices) = made.map_err(Error::Cgroup)?;
    Ok((cgroup, devices, holder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_in_the_slice_of_its_pod() {
        let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice";
        let mut record = Record { id: "0a".to_owned(), ..crate::spec::plain_record() };
        record.tuning.cgroup_parent = Some(slice.to_owned());
        assert_eq!(unit(&record), None);
        record.tuning.scope = true;
        let unit = unit(&record).unwrap();
        assert_eq!((unit.slice.as_str(), unit.name.as_str()), ("kubepods-burstable-pod1_2.slice", "rctr-0a.scope"));
        assert_eq!(unit.path().unwrap(), format!("{slice}/rctr-0a.scope"));
        assert!(!is_slice("/kubepods/burstable/pod1"));
    }
}
