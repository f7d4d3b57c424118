//! `/networks`.

use anyhow::Result;
use engine::{NetworkRequest, Record};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{Answer, done, json as document};
use super::call::Call;
use super::create;
use super::refused::bad;
use crate::parse::{self, Network};
use crate::verbs::network::{filter, inspect, prune as pruning};

/// `GET /networks`.
pub(super) fn list(call: &mut Call) -> Result<Answer> {
    let engine = &call.service.engine;
    let filters = call.query.filters(filter::parse)?;
    let users: Vec<Record> = match filter::asks_for_users(&filters) {
        true => engine.containers()?.into_iter().map(|container| container.record).collect(),
        false => Vec::new(),
    };
    let networks = engine.networks()?;
    let fitting = networks.iter().filter(|network| filter::all(&filters, network, &users));
    // As Docker has it, a list does not say who is in them.
    document(fitting.map(|network| inspect::shape(network, &[])).collect())
}

/// `GET /networks/NAME`.
pub(super) fn look(call: &mut Call) -> Result<Answer> {
    let engine = &call.service.engine;
    document(inspect::shape(&engine.network(call.name())?, &engine.containers()?))
}

/// `POST /networks/create`.
pub(super) fn make(call: &mut Call) -> Result<Answer> {
    let request: NetworkRequest = create::network(&call.object()?).map_err(|create::Refusal(why)| bad(why))?;
    let made = call.service.engine.create_network(&request)?;
    Ok(Answer::Json(StatusCode::CREATED, json!({ "Id": made.id, "Warning": "" })))
}

/// `DELETE /networks/NAME`.
pub(super) fn remove(call: &mut Call) -> Result<Answer> {
    call.service.engine.remove_network(call.name())?;
    done()
}

/// Who is to be connected, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Connecting {
    container: String,
    endpoint_config: Option<Map<String, Value>>,
    force: bool,
}

/// `POST /networks/NAME/connect`.
pub(super) fn connect(call: &mut Call) -> Result<Answer> {
    let asked: Connecting = call.document()?;
    let engine = &call.service.engine;
    let name = engine.network(call.name())?.name;
    let word = create::endpoint(&name, &asked.endpoint_config.unwrap_or_default().into())
        .map_err(|why| bad(format!("EndpointConfig: {why}")))?;
    match parse::network(&word).map_err(bad)? {
        Network::Named(end) => engine.connect_network(&asked.container, end)?,
        Network::Mode(_) => return Err(bad(format!("network {name}: containers are made in it, and not connected to it"))),
    }
    Ok(Answer::Empty(StatusCode::OK))
}

/// `POST /networks/NAME/disconnect`.
pub(super) fn disconnect(call: &mut Call) -> Result<Answer> {
    let asked: Connecting = call.document()?;
    call.service.engine.disconnect_network(&asked.container, call.name(), asked.force)?;
    Ok(Answer::Empty(StatusCode::OK))
}

/// `POST /networks/prune`.
pub(super) fn prune(call: &mut Call) -> Result<Answer> {
    let filters = call.query.filters(filter::parse)?;
    let pruned = pruning::prune(&call.service.engine, &|network, users| filter::all(&filters, network, users))?;
    document(json!({ "NetworksDeleted": pruned.lines }))
}
