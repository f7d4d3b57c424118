//! Containers are looked at.

use anyhow::Result;
use engine::{Container, DifferenceKind, Engine, NetworkMode, NetworkState, Port};
use serde_json::{Value, json};

use super::super::answer::{Answer, json as document};
use super::super::call::Call;
use crate::verbs::inspect::{container, with_size};
use crate::verbs::{inspect, ps, top as processes};

/// `GET /containers/json`.
pub(in super::super) fn list(call: &mut Call) -> Result<Answer> {
    let (query, engine) = (&call.query, &call.service.engine);
    let filters = query.filters(ps::filter::parse)?;
    let limit = query.parsed("limit", |text| text.parse::<i64>().map_err(|_| format!("{text:?} is no number")))?;
    let last = limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0);
    let everything = engine.containers()?;
    let found = ps::fitting(&everything, query.is("all"), last, &filters)?;
    let row = |container: &&Container| row(engine, container, query.is("size"));
    document(found.iter().map(row).collect::<Result<Vec<_>>>()?.into())
}

/// One container of the list, made of what `inspect` says, and of the words of `ps`.
pub(in super::super) fn row(engine: &Engine, container: &Container, size: bool) -> Result<Value> {
    let record = &container.record;
    let whole = container::shape(engine, container);
    let words = ps::row(container, true);
    let mut row = json!({
        "Id": record.id,
        "Names": [whole["Name"]],
        "Image": record.image.name,
        "ImageID": whole["Image"],
        "Command": record.args().join(" "),
        "Created": record.created / 1_000_000_000,
        "Ports": ports(container),
        "Labels": record.labels,
        "State": words["State"],
        "Status": words["Status"],
        "HostConfig": { "NetworkMode": whole["HostConfig"]["NetworkMode"] },
        "NetworkSettings": { "Networks": whole["NetworkSettings"]["Networks"] },
        "Mounts": whole["Mounts"],
    });
    if size {
        let (written, image) = ps::sizes(engine, container);
        (row["SizeRw"], row["SizeRootFs"]) = (written.into(), image.saturating_add(written).into());
    }
    Ok(row)
}

/// Published ports, and those that are only listened on, as long as it runs.
fn ports(container: &Container) -> Vec<Value> {
    let none = NetworkState::default();
    let state = container.network.as_ref().unwrap_or(&none);
    let published = state.ports.iter().map(|port| {
        let ip = port.host_ip.map_or_else(|| "0.0.0.0".to_owned(), |ip| ip.to_string());
        json!({ "IP": ip, "PrivatePort": port.container_port, "PublicPort": port.host_port, "Type": port.protocol.to_string() })
    });
    let is_published = |key: &&String| !state.ports.iter().any(|port: &Port| container::key(port) == **key);
    let exposed = if state.networks.is_empty() || container.record.network != NetworkMode::Bridge {
        &[][..]
    } else {
        &container.record.exposed[..]
    };
    let only = exposed.iter().filter(is_published).filter_map(|key| {
        let (port, protocol) = key.split_once('/')?;
        Some(json!({ "PrivatePort": port.parse::<u16>().ok()?, "Type": protocol }))
    });
    published.chain(only).collect()
}

/// `GET /containers/NAME/json`.
pub(in super::super) fn inspect(call: &mut Call) -> Result<Answer> {
    let engine = &call.service.engine;
    let container = engine.container(call.name())?;
    let shape = inspect::container::shape(engine, &container);
    document(if call.query.is("size") { with_size(engine, &container, shape) } else { shape })
}

/// `GET /containers/NAME/top`.
pub(in super::super) fn top(call: &mut Call) -> Result<Answer> {
    let options: Vec<String> = call.query.get("ps_args").into_iter().map(str::to_owned).collect();
    let (titles, rows) = processes::rows(&call.service.engine, call.name(), &options)?;
    document(json!({ "Titles": titles, "Processes": rows }))
}

/// `GET /containers/NAME/changes`.
pub(in super::super) fn changes(call: &mut Call) -> Result<Answer> {
    let kind = |kind| match kind {
        DifferenceKind::Changed => 0,
        DifferenceKind::Added => 1,
        DifferenceKind::Deleted => 2,
    };
    let all = call.service.engine.differences(call.name())?;
    document(all.iter().map(|one| json!({ "Path": one.path, "Kind": kind(one.kind) })).collect())
}
