//! One container as a row.

use engine::{Container, Port, Status};
use serde_json::{Value, json};

use crate::output::amount::{rfc3339, since, span};
use crate::output::table::cut;

/// The fields that Docker's templates know.
pub(super) fn row(container: &Container, whole: bool) -> Value {
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
        "Status": status(&container.status),
        "Ports": container.network.as_ref().map(|network| ports(&network.ports)).unwrap_or_default(),
        "Names": record.name,
        "Labels": labels.join(","),
        "Mounts": mounts.join(","),
        "Networks": record.network,
    })
}

/// One word.
pub(crate) fn state(status: &Status) -> &'static str {
    match status {
        Status::Created => "created",
        Status::Running { .. } => "running",
        Status::Paused { .. } => "paused",
        Status::Exited(_) => "exited",
    }
}

fn status(status: &Status) -> String {
    match status {
        Status::Created => "Created".to_owned(),
        Status::Running { since: then, .. } => format!("Up {}", span(since(*then))),
        Status::Paused { since: then, .. } => format!("Up {} (Paused)", span(since(*then))),
        Status::Exited(exit) => format!("Exited ({}) {} ago", exit.code, span(since(exit.finished))),
    }
}

fn ports(ports: &[Port]) -> String {
    let shown = |port: &Port| {
        let ip = port.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
        format!("{ip}:{}->{}/{}", port.host_port, port.container_port, port.protocol)
    };
    ports.iter().map(shown).collect::<Vec<_>>().join(", ")
}
