//! The health check of a container, as its monitor runs it.

use std::path::Path;

use container::Host;
use monitor::{HealthCheck, StartupCheck};

use super::user::Identity;
use super::{confine, exec};
use crate::request::{ExecRequest, StartupRecord};
use crate::stop::grace;
use crate::{Error, Record};

/// The check of `record`, if it has one: executed as `rctr exec` would execute it. `run` is the folder of what lives as
/// long as the host; `secrets` are variables that the record does not have.
pub(crate) fn health(
    record: &Record,
    identity: &Identity,
    host: &Host,
    run: &Path,
    secrets: Vec<String>,
) -> Result<Option<HealthCheck>, Error> {
    let Some(health) = record.health.as_ref().map(|health| health.filled()) else { return Ok(None) };
    let Some(cmd) = health.command() else { return Ok(None) };
    let process = |cmd| {
        let process = exec(record, &ExecRequest { cmd, ..ExecRequest::default() }, identity, secrets.clone())?;
        let mut process = container::compile_process(&process, host).map_err(Error::Container)?;
        confine(&mut process, &record.security, host, run)?;
        Ok::<_, Error>(process)
    };
    let startup = health.startup.as_ref().and_then(|startup| Some((startup, startup.command()?)));
    let startup = startup.map(|(startup, cmd)| {
        let process = process(cmd)?;
        let &StartupRecord { interval, timeout, retries, successes, .. } = startup;
        Ok::<_, Error>(StartupCheck { process, interval, timeout, retries, successes })
    });
    let forever = 365 * 24 * 3600 * 1_000_000_000;
    Ok(Some(HealthCheck {
        process: process(cmd)?,
        interval: health.interval,
        timeout: health.timeout,
        start_period: health.start_period,
        start_interval: health.start_interval,
        retries: health.retries,
        on_failure: health.on_failure,
        startup: startup.transpose()?,
        stop_signal: record.stop_signal,
        stop_timeout: grace(record).map_or(forever, |grace| grace.as_nanos() as u64),
    }))
}
