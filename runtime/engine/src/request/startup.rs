//! How to find out whether a container has started: until then nothing else is checked.

use launch::Nanos;
use serde::{Deserialize, Serialize};

use super::health::{LEAST, SECOND, command};
use crate::Error;

/// A check of the start that is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartupRequest {
    /// A command line for the shell. Without it there is no such check.
    pub command: Option<String>,
    /// Nanoseconds between checks.
    pub interval: Option<Nanos>,
    /// Nanoseconds that one may take.
    pub timeout: Option<Nanos>,
    /// After so many failures the container is started again; never with 0.
    pub retries: Option<u32>,
    /// So many successes are needed; 0 is one.
    pub successes: Option<u32>,
}

/// A container's check of its start, under the names of Podman's `inspect`. A 0 is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StartupRecord {
    /// `CMD-SHELL` and a command line.
    pub test: Vec<String>,
    /// Nanoseconds between checks.
    pub interval: Nanos,
    /// Nanoseconds that one may take.
    pub timeout: Nanos,
    /// After so many failures the container is started again; never with 0.
    pub retries: u32,
    /// So many successes are needed; 0 is one.
    pub successes: u32,
}

impl StartupRecord {
    /// Program and arguments of the check.
    pub(crate) fn command(&self) -> Option<Vec<String>> {
        command(&self.test)
    }
}

impl StartupRequest {
    /// What is asked for, with its defaults.
    ///
    /// # Errors
    /// [`Error::Invalid`] for times of less than a millisecond, and without a command.
    pub(super) fn record(&self) -> Result<Option<StartupRecord>, Error> {
        let invalid = |what: &str, why: &str| Err(Error::Invalid { what: what.to_owned(), why: why.to_owned() });
        let Some(command) = &self.command else {
            return match *self == StartupRequest::default() {
                true => Ok(None),
                false => invalid("health check of the start", "--health-startup-cmd gives none"),
            };
        };
        for (flag, time) in [("--health-startup-interval", self.interval), ("--health-startup-timeout", self.timeout)] {
            if time.is_some_and(|time| time != 0 && time < LEAST) {
                return invalid(flag, "the least time is 1ms");
            }
        }
        let or = |value: Option<Nanos>| value.filter(|time| *time != 0).unwrap_or(30 * SECOND);
        Ok(Some(StartupRecord {
            test: vec!["CMD-SHELL".to_owned(), command.clone()],
            interval: or(self.interval),
            timeout: or(self.timeout),
            retries: self.retries.unwrap_or(0),
            successes: self.successes.unwrap_or(0),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_has_defaults() {
        assert_eq!(StartupRequest::default().record().unwrap(), None);
        let asked = StartupRequest { command: Some("up".to_owned()), retries: Some(3), ..StartupRequest::default() };
        let record = asked.record().unwrap().unwrap();
        assert_eq!((record.test.join(" "), record.interval, record.timeout), ("CMD-SHELL up".to_owned(), 30 * SECOND, 30 * SECOND));
        assert_eq!((record.retries, record.successes), (3, 0));
        let short = StartupRequest { timeout: Some(1), ..asked };
        assert!(short.record().unwrap_err().to_string().contains("--health-startup-timeout"));
        let nothing = StartupRequest { retries: Some(3), ..StartupRequest::default() };
        assert!(nothing.record().unwrap_err().to_string().contains("--health-startup-cmd"));
    }
}
