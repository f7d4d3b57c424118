//! How to find out whether a container is well.

use launch::Nanos;
use monitor::OnFailure;
use serde::{Deserialize, Serialize};

use super::startup::{StartupRecord, StartupRequest};
use crate::Error;

pub(super) const SECOND: Nanos = 1_000_000_000;
/// The least time between checks, as Docker has it.
pub(super) const LEAST: Nanos = 1_000_000;

/// A health check that is asked for: what is given replaces what the image says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HealthRequest {
    /// None at all, whatever the image says.
    pub none: bool,
    /// A command line for the shell.
    pub command: Option<String>,
    /// Instead of that, a check as [`HealthRecord::test`] has it.
    pub test: Vec<String>,
    /// Nanoseconds between checks.
    pub interval: Option<Nanos>,
    /// Nanoseconds that one may take.
    pub timeout: Option<Nanos>,
    /// Nanoseconds after the start in which failures do not count.
    pub start_period: Option<Nanos>,
    /// Nanoseconds between checks in that time.
    pub start_interval: Option<Nanos>,
    /// So many failures in a row make it unhealthy.
    pub retries: Option<u32>,
    /// What happens then.
    pub on_failure: OnFailure,
    /// What is checked first.
    pub startup: StartupRequest,
}

/// A container's health check, under the names of Docker's API. A 0 is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct HealthRecord {
    /// `CMD` and a program with its arguments, `CMD-SHELL` and a command line, or `NONE`.
    pub test: Vec<String>,
    /// Nanoseconds between checks.
    pub interval: Nanos,
    /// Nanoseconds that one may take.
    pub timeout: Nanos,
    /// Nanoseconds after the start in which failures do not count.
    pub start_period: Nanos,
    /// Nanoseconds between checks in that time.
    pub start_interval: Nanos,
    /// So many failures in a row make it unhealthy.
    pub retries: u32,
    /// What happens then.
    pub on_failure: OnFailure,
    /// What is checked first, until it has succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub startup: Option<StartupRecord>,
}

impl HealthRecord {
    /// What is asked for, on top of what the image says. `None` without any check.
    ///
    /// # Errors
    /// [`Error::Invalid`] for times of less than a millisecond, and for what makes no sense without a check.
    pub(crate) fn merge(asked: &HealthRequest, image: Option<&serde_json::Value>) -> Result<Option<HealthRecord>, Error> {
        if asked.none {
            return Ok(Some(HealthRecord { test: vec!["NONE".to_owned()], ..HealthRecord::default() }));
        }
        // What an image says is taken as far as it makes sense, as Docker takes it.
        let mut health: HealthRecord = image.and_then(|value| serde_json::from_value(value.clone()).ok()).unwrap_or_default();
        if let Some(command) = &asked.command {
            health.test = vec!["CMD-SHELL".to_owned(), command.clone()];
        }
        if !asked.test.is_empty() {
            health.test.clone_from(&asked.test);
        }
        let times = [
            ("--health-interval", asked.interval, &mut health.interval),
            ("--health-timeout", asked.timeout, &mut health.timeout),
            ("--health-start-period", asked.start_period, &mut health.start_period),
            ("--health-start-interval", asked.start_interval, &mut health.start_interval),
        ];
        for (flag, value, to) in times {
            if value.is_some_and(|time| time != 0 && time < LEAST) {
                return Err(Error::Invalid { what: flag.to_owned(), why: "the least time is 1ms".to_owned() });
            }
            *to = value.unwrap_or(*to);
        }
        health.retries = asked.retries.unwrap_or(health.retries);
        health.on_failure = asked.on_failure;
        health.startup = asked.startup.record()?;
        if health.test.is_empty() {
            return match *asked == HealthRequest::default() {
                true => Ok(None),
                false => {
                    let why = "neither --health-cmd nor the image gives a check".to_owned();
                    Err(Error::Invalid { what: "health check".to_owned(), why })
                }
            };
        }
        Ok(Some(health))
    }

    /// Program and arguments of the check; `None` for `NONE`.
    pub(crate) fn command(&self) -> Option<Vec<String>> {
        command(&self.test)
    }

    /// With its defaults filled in.
    pub(crate) fn filled(&self) -> HealthRecord {
        let or = |value: Nanos, default: Nanos| if value == 0 { default } else { value };
        HealthRecord {
            interval: or(self.interval, 30 * SECOND),
            timeout: or(self.timeout, 30 * SECOND),
            start_interval: or(self.start_interval, 5 * SECOND),
            retries: if self.retries == 0 { 3 } else { self.retries },
            ..self.clone()
        }
    }
}

/// Program and arguments of a check as [`HealthRecord::test`] has it.
pub(super) fn command(test: &[String]) -> Option<Vec<String>> {
    let (kind, rest) = test.split_first()?;
    match (kind.as_str(), rest) {
        ("CMD", [_, ..]) => Some(rest.to_vec()),
        ("CMD-SHELL", [line, ..]) => Some(vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> serde_json::Value {
        serde_json::json!({ "Test": ["CMD", "check", "it"], "Interval": 5_000_000_000u64, "Retries": 2 })
    }

    #[test]
    fn the_image_says_what_nobody_else_does() {
        let asked = HealthRequest { timeout: Some(SECOND), ..HealthRequest::default() };
        let health = HealthRecord::merge(&asked, Some(&image())).unwrap().unwrap();
        assert_eq!(health.command().unwrap(), ["check", "it"]);
        let filled = health.filled();
        assert_eq!((filled.interval, filled.timeout, filled.retries), (5 * SECOND, SECOND, 2));
        assert_eq!((filled.start_period, filled.start_interval), (0, 5 * SECOND));
        let asked = HealthRequest { command: Some("own".into()), ..HealthRequest::default() };
        let own = HealthRecord::merge(&asked, Some(&image())).unwrap().unwrap();
        assert_eq!(own.command().unwrap(), ["/bin/sh", "-c", "own"]);
        // What is checked at the start is not the image's to say.
        let mut image = image();
        image["Startup"] = serde_json::json!({ "Test": ["CMD", "x"], "Retries": 1 });
        assert_eq!(HealthRecord::merge(&HealthRequest::default(), Some(&image)).unwrap().unwrap().startup, None);
    }

    #[test]
    fn none_is_none() {
        let none = HealthRequest { none: true, ..HealthRequest::default() };
        assert_eq!(HealthRecord::merge(&none, Some(&image())).unwrap().unwrap().command(), None);
        assert_eq!(HealthRecord::merge(&HealthRequest::default(), None).unwrap(), None);
        let nothing = HealthRequest { retries: Some(1), ..HealthRequest::default() };
        assert!(HealthRecord::merge(&nothing, None).is_err());
        let startup = StartupRequest { command: Some("up".into()), ..StartupRequest::default() };
        let alone = HealthRequest { startup, ..HealthRequest::default() };
        assert!(HealthRecord::merge(&alone, None).unwrap_err().to_string().contains("neither --health-cmd"));
        assert!(HealthRecord::merge(&alone, Some(&image())).unwrap().unwrap().startup.is_some());
        let short = HealthRequest { command: Some("x".into()), interval: Some(1), ..HealthRequest::default() };
        assert!(HealthRecord::merge(&short, None).unwrap_err().to_string().contains("--health-interval"));
    }
}
