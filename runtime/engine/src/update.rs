//! `update`: what may change after a container was made. Ports, variables and mounts wait for the next start.

use std::path::PathBuf;

use container::cgroup;
use monitor::{Policy, Request};

use crate::create::{Folder, RECORD, in_charge, store};
use crate::environment::environment;
use crate::request::{Mount, Port, Protocol, Resources};
use crate::{Engine, Error, Record, names, remount, scope, spec, state};

/// What is to change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// Limits: those that are given. A 0 takes one away.
    pub resources: Resources,
    /// What happens when it has ended.
    pub restart: Option<Policy>,
    /// Labels that it gets.
    pub labels: Vec<(String, String)>,
    /// Labels that it loses.
    pub labels_gone: Vec<String>,
    /// Variables that it gets, `KEY=VALUE`.
    pub env: Vec<String>,
    /// Variables that it loses.
    pub env_gone: Vec<String>,
    /// What is mounted, too, or instead of what is at the same place.
    pub mounts: Vec<Mount>,
    /// Places at which nothing is mounted any more.
    pub mounts_gone: Vec<PathBuf>,
    /// Ports that are published, too.
    pub ports: Vec<Port>,
    /// Ports of the container that are not any more.
    pub ports_gone: Vec<(u16, Protocol)>,
}

impl Engine {
    /// Changes a container. Answers whether some of it waits for the next start.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what does not fit together. Nothing is changed after an error, unless the kernel has taken some of the
    /// limits before it refused one.
    pub fn update(&self, given: &str, change: &Change) -> Result<bool, Error> {
        let config = &self.config;
        let id = names::resolve(config, given)?;
        let lock = Folder::lock(config, &id)?;
        let before: Option<Record> = state::read(&config.container(&id).join(RECORD))?;
        let before = before.ok_or_else(|| Error::NoSuchContainer(given.to_owned()))?;
        let mut after = changed(&before, change)?;
        after.mounts = remount::changed(self, &before, &change.mounts, &change.mounts_gone)?;
        let (mut known, new) = (spec::limits(&before.resources)?, spec::limits(&after.resources)?);
        let container = state::load(config, &id)?;
        let runs = container.as_ref().is_some_and(|container| container.process().is_some());
        if runs && before.resources != after.resources {
            let hierarchies = config.cgroups_for("update")?;
            // One that was taken away has to be written, too.
            let written = lifted(&before.resources, &after.resources)?.unwrap_or(new);
            let written = cgroup::merge(&mut known, &written)
                .map_err(|error| Error::Invalid { what: "limits".to_owned(), why: error.to_string() })?;
            let path = config.cgroup_of(&after);
            let done = match scope::unit(&after) {
                Some(unit) => cgroup::systemd::update(&hierarchies, &unit, &path, &written),
                None => cgroup::update(&hierarchies, &path, &written),
            };
            done.map_err(Error::Cgroup)?;
        }
        if before.restart != after.restart
            && let Some(mut session) = self.connect(&id)?
        {
            match session.ask(&Request::Policy(after.restart)) {
                Ok(()) | Err(Error::MonitorGone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        remount::take(self, &before, &after)?;
        store(&lock.dir, &after)?;
        // One that runs, or is about to run again, has them still: they are free once it is removed.
        if !runs && !in_charge(&config.container(&id)) {
            remount::release(self, &before, &after);
        }
        self.told(&after, "update", &[]);
        Ok(runs && (&before.ports, &before.env, &before.mounts) != (&after.ports, &after.env, &after.mounts))
    }
}

/// The record after the change.
fn changed(record: &Record, change: &Change) -> Result<Record, Error> {
    let mut record = record.clone();
    record.resources.change(&change.resources);
    if let Some(policy) = change.restart {
        if record.remove && policy != Policy::No {
            let why = "a container that is removed when it has ended cannot be started again".to_owned();
            return Err(Error::Invalid { what: "restart policy".to_owned(), why });
        }
        record.restart = policy;
    }
    change.labels_gone.iter().for_each(|key| drop(record.labels.remove(key)));
    record.labels.extend(change.labels.iter().cloned());
    // A bare name takes a variable away.
    record.env = environment(&record.env, &[change.env_gone.as_slice(), &change.env].concat());
    for (port, protocol) in &change.ports_gone {
        let before = record.ports.len();
        record.ports.retain(|own| (own.container_port, own.protocol) != (*port, *protocol));
        if record.ports.len() == before {
            let what = format!("port {port}/{protocol}");
            return Err(Error::Invalid { what, why: "it is not published".to_owned() });
        }
    }
    for port in &change.ports {
        if !record.ports.contains(port) {
            record.ports.push(*port);
        }
    }
    Ok(record)
}

/// The limits after a change, with those that are none any more as the kernel takes them: -1.
fn lifted(before: &Resources, after: &Resources) -> Result<Option<oci_spec::runtime::LinuxResources>, Error> {
    let gone = |old: bool, new: bool| old && !new;
    let mut written = after.clone();
    let mut any = false;
    for (old, new, to) in [
        (before.memory.is_some(), after.memory.is_some(), &mut written.memory),
        (before.memory_swap.is_some(), after.memory_swap.is_some(), &mut written.memory_swap),
        (before.pids.is_some(), after.pids.is_some(), &mut written.pids),
        (quota(before), quota(after), &mut written.cpu_quota),
    ] {
        if gone(old, new) {
            (*to, any) = (Some(-1), true);
        }
    }
    if any { spec::limits(&written).map(Some) } else { Ok(None) }
}

fn quota(resources: &Resources) -> bool {
    resources.nano_cpus.is_some() || resources.cpu_quota.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_gone_is_written_as_none() {
        let before = Resources { memory: Some(64 << 20), nano_cpus: Some(500_000_000), ..Resources::default() };
        let mut after = before.clone();
        after.change(&Resources { nano_cpus: Some(0), ..Resources::default() });
        let written = lifted(&before, &after).unwrap().unwrap();
        assert_eq!(written.cpu().as_ref().unwrap().quota(), Some(-1));
        assert_eq!(written.memory().as_ref().unwrap().limit(), Some(64 << 20));
        assert!(lifted(&before, &before).unwrap().is_none());
    }
}
