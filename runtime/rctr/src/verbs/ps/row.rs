//! One container as a row.

use engine::{Container, HealthState, NetworkState, Status};
use serde_json::{Value, json};

use crate::output::amount::{rfc3339, since, span};
use crate::output::ports;
use crate::output::table::cut;
use crate::verbs::inspect::container::names;

/// The fields that Docker's templates know.
pub(crate) fn row(container: &Container, whole: bool) -> Value {
    let record = &container.record;
    let command = record.args().join(" ");
    let labels: Vec<_> = record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mounts: Vec<_> = record.mounts.iter().filter_map(crate::verbs::inspect::mounts::source).collect();
    json!({
        "ID": if whole { &record.id } else { &record.id[..12] },
        "Image": record.image.name,
        "Command": format!("\"{}\"", if whole { command } else { cut(&command, 20) }),
        "CreatedAt": rfc3339(record.created),
        "RunningFor": format!("{} ago", span(since(record.created))),
        "State": state(&container.status),
        "Status": status(container),
        "Ports": container.network.as_ref().map(|network| ports::text(&network.ports, &record.exposed)).unwrap_or_default(),
        "Names": record.name,
        "Labels": labels.join(","),
        "Mounts": mounts.join(","),
        "Networks": networks(container).join(","),
    })
}

/// One word.
pub(crate) fn state(status: &Status) -> &'static str {
    match status {
        Status::Created => "created",
        Status::Running { .. } => "running",
        Status::Paused { .. } => "paused",
        Status::Restarting { .. } => "restarting",
        Status::Exited(_) => "exited",
    }
}

fn status(container: &Container) -> String {
    let health = container.health.as_ref().map(|health| match health.state {
        HealthState::Starting => " (health: starting)",
        HealthState::Healthy => " (healthy)",
        HealthState::Unhealthy => " (unhealthy)",
    });
    match &container.status {
        Status::Created => "Created".to_owned(),
        Status::Running { since: then, .. } => format!("Up {}{}", span(since(*then)), health.unwrap_or_default()),
        Status::Paused { since: then, .. } => format!("Up {} (Paused)", span(since(*then))),
        Status::Restarting { exit, .. } => format!("Restarting ({}) {} ago", exit.code, span(since(exit.finished))),
        Status::Exited(exit) => format!("Exited ({}) {} ago", exit.code, span(since(exit.finished))),
    }
}

/// The networks that it is in, or is to be in when it runs.
pub(super) fn networks(container: &Container) -> Vec<String> {
    names(&container.record, container.network.as_ref().unwrap_or(&NetworkState::default()))
}
