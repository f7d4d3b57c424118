//! `rctr network inspect`.

use anyhow::Result;
use engine::{Container, EndpointState, NetworkRecord};
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::output::amount::rfc3339;
use crate::verbs::inspect;

/// Print everything about networks as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Go template, such as '{{.Id}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Means nothing more here: all that is known is printed
    #[arg(short, long)]
    verbose: bool,
    /// Names or ids
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

/// Prints one JSON array of all that was found, in Docker's shape.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let containers = engine.containers()?;
    inspect::each(&args.networks, args.format.as_deref(), |name| Ok(shape(&engine.network(name)?, &containers)))
}

/// The value that templates and scripts read.
pub(crate) fn shape(network: &NetworkRecord, containers: &[Container]) -> Value {
    let mut addresses = Vec::new();
    if let Some(v4) = &network.v4 {
        addresses.push(subnet(&v4.subnet, &v4.gateway, v4.range.as_ref(), network.internal));
    }
    if let Some(v6) = &network.v6 {
        addresses.push(subnet(&v6.subnet, &v6.gateway, v6.range.as_ref(), network.internal));
    }
    if let (Some(first), false) = (addresses.first_mut(), network.reserved.is_empty()) {
        first["AuxiliaryAddresses"] = json!(network.reserved);
    }
    let mut options = network.options.clone();
    if !network.interface.is_empty() {
        options.entry("com.docker.network.bridge.name".to_owned()).or_insert_with(|| network.interface.clone());
    }
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": rfc3339(network.created),
        "Scope": "local",
        "Driver": network.driver.word(),
        "EnableIPv4": network.v4.is_some(),
        "EnableIPv6": network.v6.is_some(),
        "IPAM": { "Driver": "default", "Options": {}, "Config": addresses },
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": false,
        "ConfigFrom": { "Network": "" },
        "ConfigOnly": false,
        "Containers": users(network, containers),
        "Options": options,
        "Labels": network.labels,
    })
}

fn subnet(subnet: &impl ToString, gateway: &impl ToString, range: Option<&impl ToString>, internal: bool) -> Value {
    let mut value = json!({ "Subnet": subnet.to_string() });
    if let Some(range) = range {
        value["IPRange"] = json!(range.to_string());
    }
    if !internal {
        value["Gateway"] = json!(gateway.to_string());
    }
    value
}

/// The containers that run in the network, by id.
fn users(network: &NetworkRecord, containers: &[Container]) -> Map<String, Value> {
    let mut users = Map::new();
    for container in containers {
        let ends = container.network.iter().flat_map(|state| &state.networks);
        for end in ends.filter(|end| end.network == network.name) {
            users.insert(container.record.id.clone(), user(container, end));
        }
    }
    users
}

fn user(container: &Container, end: &EndpointState) -> Value {
    let v6 = end.address6.map(|ip| format!("{ip}/{}", end.prefix6)).unwrap_or_default();
    json!({
        "Name": container.record.name,
        "EndpointID": crate::verbs::inspect::endpoint_id(&container.record.id, &end.network),
        "MacAddress": crate::output::amount::mac(&end.mac),
        "IPv4Address": format!("{}/{}", end.address, end.prefix),
        "IPv6Address": v6,
    })
}
