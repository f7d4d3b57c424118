//! A running container as an OCI configuration, for those who know such: nothing of it is kept, it is made once more.

use std::os::fd::OwnedFd;

use launch::Status;
use oci_spec::runtime::Spec;
use serde_json::Value;

use crate::files::of_running;
use crate::spec::{self, user};
use crate::{Container, Engine, Error, names};

impl Engine {
    /// The OCI configuration that a container runs by; none when it does not run: a part of it is decided at each start.
    ///
    /// # Errors
    /// Its files cannot be looked at.
    pub fn configuration(&self, container: &Container) -> Result<Option<Value>, Error> {
        let (Status::Running { pid, .. } | Status::Paused { pid, .. }) = container.status else { return Ok(None) };
        Ok(serde_json::to_value(self.described(container, pid)?).ok())
    }

    /// The same, of the one whose first process is `pid`.
    pub(crate) fn described(&self, container: &Container, pid: u32) -> Result<Spec, Error> {
        let record = &container.record;
        let gone = || Error::NotRunning(names::short(record));
        let rootfs: OwnedFd = of_running(container)?.ok_or_else(gone)?;
        let identity = user::identify(&rootfs, &record.user, &record.tuning)?;
        let files = match &record.pod {
            Some(member) => self.config.pod(&member.pod),
            None => self.config.container(&record.id),
        };
        let (cgroup, joined) = (self.config.cgroup_of(record), self.joined(record)?);
        let facts = spec::Facts {
            home: self.config.home.as_ref().map(|_| crate::home::last_group()),
            identity: &identity,
            netns: Some(format!("/proc/{pid}/ns/net").into()),
            files: &files,
            cgroup: &cgroup,
            joined: &joined,
            init: &self.config.monitor,
            size: None,
        };
        spec::with_devices(record, spec::spec(record, facts)?)
    }
}
