//! `--filter KEY=VALUE`: filters of one key are alternatives, those of different keys must all fit; labels must all fit.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, bail};
use engine::{Container, HealthState, MountSource, Nanos, Status};

use super::row::{networks, state};

/// One filter as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filter {
    key: String,
    value: String,
}

impl Filter {
    /// It asks for containers that may have ended.
    pub(crate) fn is_about_status(&self) -> bool {
        matches!(self.key.as_str(), "status" | "exited")
    }
}

const KEYS: [&str; 13] =
    ["id", "name", "label", "status", "exited", "ancestor", "publish", "expose", "network", "volume", "before", "since", "health"];
const STATES: [&str; 7] = ["created", "running", "paused", "restarting", "exited", "removing", "dead"];
const HEALTH: [&str; 4] = ["starting", "healthy", "unhealthy", "none"];

pub(crate) fn parse(text: &str) -> Result<Filter, String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is no filter: the form is KEY=VALUE"))?;
    if !KEYS.contains(&key) {
        return Err(format!("there is no filter {key:?}: there are {}", KEYS.join(", ")));
    }
    if key == "status" && !STATES.contains(&value) {
        return Err(format!("there is no status {value:?}: there are {}", STATES.join(", ")));
    }
    if key == "health" && !HEALTH.contains(&value) {
        return Err(format!("there is no health {value:?}: there are {}", HEALTH.join(", ")));
    }
    if key == "exited" && value.parse::<i32>().is_err() {
        return Err(format!("{value:?} is no exit code"));
    }
    Ok(Filter { key: key.to_owned(), value: value.to_owned() })
}

/// One test out of all filters.
pub(crate) fn all<'a>(filters: &'a [Filter], everything: &[Container]) -> Result<impl Fn(&Container) -> bool + 'a> {
    let mut times = BTreeMap::new();
    for filter in filters.iter().filter(|filter| matches!(filter.key.as_str(), "before" | "since")) {
        let named =
            |container: &&Container| container.record.name == filter.value || container.record.id.starts_with(&filter.value);
        let Some(container) = everything.iter().find(named) else {
            bail!("--filter {}={}: no such container", filter.key, filter.value)
        };
        times.insert(filter.value.clone(), container.record.created);
    }
    Ok(move |container: &Container| {
        filters.iter().all(|filter| {
            let same_key = |other: &&Filter| other.key == filter.key;
            if filter.key == "label" {
                fits(filter, container, &times)
            } else {
                filters.iter().filter(same_key).any(|other| fits(other, container, &times))
            }
        })
    })
}

fn fits(filter: &Filter, container: &Container, times: &BTreeMap<String, Nanos>) -> bool {
    let (record, value) = (&container.record, filter.value.as_str());
    let time = times.get(value).copied().unwrap_or_default();
    match filter.key.as_str() {
        "id" => record.id.starts_with(value),
        // Docker's is a regular expression; what people write is a part of the name, or ^name$.
        "name" => match (value.strip_prefix('^').unwrap_or(value), value.starts_with('^'), value.ends_with('$')) {
            (rest, true, true) => record.name == rest.trim_end_matches('$').trim_start_matches('/'),
            (rest, true, false) => record.name.starts_with(rest.trim_start_matches('/')),
            (rest, false, true) => record.name.ends_with(rest.trim_end_matches('$')),
            (rest, false, false) => record.name.contains(rest),
        },
        "label" => match value.split_once('=') {
            Some((key, value)) => record.labels.get(key).is_some_and(|own| own == value),
            None => record.labels.contains_key(value),
        },
        "status" => state(&container.status) == value,
        "exited" => matches!(&container.status, Status::Exited(exit) if exit.code.to_string() == value),
        "health" => {
            let state = container.health.as_ref().map(|health| health.state);
            value
                == match state {
                    Some(HealthState::Starting) => "starting",
                    Some(HealthState::Healthy) => "healthy",
                    Some(HealthState::Unhealthy) => "unhealthy",
                    None => "none",
                }
        }
        "ancestor" => {
            let by_name = |name: &str| name.parse::<images::Reference>().ok();
            record.image.id.hex().starts_with(value) || by_name(&record.image.name) == by_name(value)
        }
        "publish" => {
            let (port, protocol) = value.split_once('/').unwrap_or((value, "tcp"));
            record.ports.iter().any(|own| own.container_port.to_string() == port && own.protocol.to_string() == protocol)
                || record.ports.iter().any(|own| own.host_port.to_string() == port && own.protocol.to_string() == protocol)
        }
        "expose" => {
            let (port, protocol) = value.split_once('/').unwrap_or((value, "tcp"));
            record.exposed.iter().any(|own| *own == format!("{port}/{protocol}"))
                || record.ports.iter().any(|own| own.container_port.to_string() == port && own.protocol.to_string() == protocol)
        }
        "volume" => record.mounts.iter().any(|mount| {
            let named = matches!(&mount.source, MountSource::Volume { name, .. } if name == value);
            named
                || mount.target == Path::new(value)
                || matches!(&mount.source, MountSource::Bind { path, .. } if path == Path::new(value))
        }),
        "network" => networks(container).iter().any(|name| name == value),
        "before" => record.created < time,
        "since" => record.created > time,
        _ => false,
    }
}
