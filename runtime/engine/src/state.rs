//! What a container is doing, read from its monitor's record and checked against the processes that really exist.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use launch::{Exit, Health, Report, Status};
use serde::de::DeserializeOwned;
use sys::Call;

use crate::config::Config;
use crate::create::{RECORD, in_charge};
use crate::error::During;
use crate::network::NetworkState;
use crate::record::Record;
use crate::{Engine, Error, names};

/// One container: how it was made, and what it is doing now.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// How it was made.
    pub record: Record,
    /// What it is doing.
    pub status: Status,
    /// Its networks while it runs on bridges.
    pub network: Option<NetworkState>,
    /// How often its restart policy has started it again.
    pub restarts: u32,
    /// Somebody wanted it to end.
    pub stopped: bool,
    /// What its health check has found.
    pub health: Option<Health>,
}

impl Container {
    /// It has a process, or will have one by its restart policy.
    pub fn is_running(&self) -> bool {
        !matches!(self.status, Status::Created | Status::Exited(_))
    }

    /// It has ended and will be started again.
    pub fn is_restarting(&self) -> bool {
        matches!(self.status, Status::Restarting { .. })
    }

    /// Milliseconds of the pause that it is in.
    pub(crate) fn delay(&self) -> u64 {
        match self.status {
            Status::Restarting { delay, .. } => delay,
            _ => 0,
        }
    }

    /// Number and start time of its first process, while it has one.
    pub(crate) fn process(&self) -> Option<(u32, u64)> {
        match self.status {
            Status::Running { pid, start_time, .. } | Status::Paused { pid, start_time, .. } => Some((pid, start_time)),
            _ => None,
        }
    }
}

impl Engine {
    /// The container with this id, name, or beginning of an id.
    pub fn container(&self, given: &str) -> Result<Container, Error> {
        let id = names::resolve(&self.config, given)?;
        load(&self.config, &id)?.ok_or_else(|| Error::NoSuchContainer(given.to_owned()))
    }

    /// All containers, newest first, but for those whose record is damaged: see [`Engine::survey`].
    pub fn containers(&self) -> Result<Vec<Container>, Error> {
        Ok(self.survey()?.0)
    }

    /// All containers, newest first, and why others cannot be read: one damaged record must not hide all containers.
    pub fn survey(&self) -> Result<(Vec<Container>, Vec<Error>), Error> {
        let (mut containers, mut damaged) = (Vec::new(), Vec::new());
        for id in names::all(&self.config)? {
            match load(&self.config, &id) {
                // One that vanishes meanwhile is no error.
                Ok(container) => containers.extend(container),
                Err(error) => damaged.push(error),
            }
        }
        containers.sort_by_key(|container| std::cmp::Reverse(container.record.created));
        Ok((containers, damaged))
    }
}

pub(crate) fn load(config: &Config, id: &str) -> Result<Option<Container>, Error> {
    let folder = config.container(id);
    let Some(record) = read::<Record>(&folder.join(RECORD))? else { return Ok(None) };
    let report = read(&folder.join(STATUS))?.unwrap_or_else(|| Report::from(Status::Created));
    let Report { status, restarts, stopped, health } = report;
    let status = verified(status, &folder, &config.runtime(id));
    let running = matches!(status, Status::Running { .. } | Status::Paused { .. });
    let network = if running { read(&config.runtime(id).join("network.json"))? } else { None };
    Ok(Some(Container { record, status, network, restarts, stopped, health }))
}

/// Number and start time of the first process that a container's record names, whether it is there or not.
pub(crate) fn recorded(config: &Config, id: &str) -> Result<Option<(u32, u64)>, Error> {
    let report: Option<Report> = read(&config.container(id).join(STATUS))?;
    Ok(report.and_then(|report| match report.status {
        Status::Running { pid, start_time, .. } | Status::Paused { pid, start_time, .. } => Some((pid, start_time)),
        _ => None,
    }))
}

/// A monitor that was killed, or a host that was rebooted, leaves a record of a process that is no more. Its exit status is lost.
/// While the monitor lives, its record is just about to change. Without a runtime folder nothing runs: after a reboot another process
/// may have the number and start time of the record.
fn verified(status: Status, folder: &Path, runtime: &Path) -> Status {
    let unknown = || Some("its monitor was killed or the host restarted: the exit status is unknown".to_owned());
    match status {
        Status::Running { pid, start_time, since } | Status::Paused { pid, start_time, since }
            if (sys::process::start_time(pid) != Some(start_time) || !runtime.exists()) && !in_charge(folder) =>
        {
            Status::Exited(Exit { code: 255, oom: false, started: since, finished: since, error: unknown() })
        }
        // Between one monitor and the next nobody is in charge for a moment. A clock that was set back, as that of a host without a
        // battery is by each restart, does not make the moment last.
        Status::Restarting { exit, delay }
            if monitor::now().abs_diff(exit.finished) > delay.saturating_mul(1_000_000).saturating_add(HANDOVER)
                && !in_charge(folder) =>
        {
            let error =
                exit.error.or_else(|| Some("its monitor was killed or the host restarted before it was started again".into()));
            Status::Exited(Exit { error, ..exit })
        }
        other => other,
    }
}

/// So long may pass from the end of the pause before a restart to the start, in nanoseconds.
const HANDOVER: u64 = 20_000_000_000;

/// Writes what is known of a container, where no monitor is in charge of it. The holder of its lock may.
pub(crate) fn write(folder: impl AsFd, report: &Report) -> Result<(), Error> {
    let text = serde_json::to_vec(report).unwrap_or_default();
    sys::fs::replace(folder, STATUS, &text).during(|| "write down what a container does")
}

/// The file with what its monitor knows of a container.
const STATUS: &str = "status.json";

/// A JSON file, or `None` when there is none.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(error).call(|| format!("read({path:?})")).during(|| "read a record"),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Damaged { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_over_whichever_way_the_clock_has_jumped() {
        let (nowhere, hour, now) = (Path::new("/nonexistent"), 3_600_000_000_000, monitor::now());
        let waits = |finished| {
            let exit = Exit { finished, ..Exit::default() };
            matches!(verified(Status::Restarting { exit, delay: 100 }, nowhere, nowhere), Status::Restarting { .. })
        };
        assert!(waits(now) && waits(now + 1_000_000_000));
        assert!(!waits(now - hour) && !waits(now + hour) && !waits(0));
    }
}
