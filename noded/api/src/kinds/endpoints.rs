//! EndpointSlices: the addresses behind a service; and Endpoints, which old clients still read.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Kind, printed};
use crate::errors::FieldError;
use crate::meta::ObjectMeta;
use crate::names;
use crate::schema::types;
use crate::table::{column, listed};

use super::config::ObjectReference;

types! {
    /// Some of the addresses behind a service.
    EndpointSlice = "io.k8s.api.discovery.v1.EndpointSlice" {
        /// IPv4, IPv6 or FQDN.
        address_type = "addressType": String [required, immutable, one_of(&["FQDN", "IPv4", "IPv6"])];
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The addresses.
        endpoints = "endpoints": Vec<Endpoint>;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// Ports that all the addresses have.
        ports = "ports": Vec<EndpointPort>;
    }

    /// One that answers.
    Endpoint = "io.k8s.api.discovery.v1.Endpoint" {
        /// Its addresses.
        addresses = "addresses": Vec<String> [required, set];
        /// What it can do now.
        conditions = "conditions": EndpointConditions;
        /// Further labels by place.
        deprecated_topology = "deprecatedTopology": BTreeMap<String, String>;
        /// Whom it should serve.
        hints = "hints": Option<Value>;
        /// Its host name.
        hostname = "hostname": String [format(names::dns_label)];
        /// Its node.
        node_name = "nodeName": String;
        /// The pod.
        target_ref = "targetRef": Option<ObjectReference>;
        /// Its zone.
        zone = "zone": String;
    }

    /// What an endpoint can do now.
    EndpointConditions = "io.k8s.api.discovery.v1.EndpointConditions" {
        /// It takes new connections and is not ending.
        ready = "ready": Option<bool>;
        /// It takes connections.
        serving = "serving": Option<bool>;
        /// It is ending.
        terminating = "terminating": Option<bool>;
    }

    /// All of the addresses behind a service.
    Endpoints = "io.k8s.api.core.v1.Endpoints" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// Addresses by the ports that they have.
        subsets = "subsets": Vec<EndpointSubset>;
    }

    /// Addresses that have the same ports.
    EndpointSubset = "io.k8s.api.core.v1.EndpointSubset" {
        /// Those that take connections.
        addresses = "addresses": Vec<EndpointAddress>;
        /// Those that do not yet, or not any more.
        not_ready_addresses = "notReadyAddresses": Vec<EndpointAddress>;
        /// Their ports.
        ports = "ports": Vec<SubsetPort>;
    }

    /// One address.
    EndpointAddress = "io.k8s.api.core.v1.EndpointAddress" {
        /// Its host name.
        hostname = "hostname": String;
        /// The address.
        ip = "ip": String [required, format(names::endpoint)];
        /// Its node.
        node_name = "nodeName": String;
        /// The pod.
        target_ref = "targetRef": Option<ObjectReference>;
    }

    /// A port of addresses.
    SubsetPort = "io.k8s.api.core.v1.EndpointPort" {
        /// What is spoken above the protocol.
        app_protocol = "appProtocol": String;
        /// The name in the service.
        name = "name": String;
        /// The port.
        port = "port": i32 [required, within(1, 65535)];
        /// The protocol.
        protocol = "protocol": String [or_text("TCP"), one_of(&["TCP", "UDP", "SCTP"])];
    }

    /// A port of all endpoints.
    EndpointPort = "io.k8s.api.discovery.v1.EndpointPort" {
        /// What is spoken above the protocol.
        app_protocol = "appProtocol": String;
        /// The name in the service.
        name = "name": Option<String>;
        /// The port.
        port = "port": Option<i32> [within(1, 65535)];
        /// The protocol.
        protocol = "protocol": String [or_text("TCP"), one_of(&["TCP", "UDP", "SCTP"])];
    }
}

/// EndpointSlices.
pub static ENDPOINT_SLICE: Kind = Kind {
    group: "discovery.k8s.io",
    columns: &[
        column("AddressType", "IPv4, IPv6 or FQDN."),
        column("Ports", "Ports of all endpoints."),
        column("Endpoints", "The addresses."),
    ],
    row,
    has_generation: true,
    validate: |object, errors| {
        let slice: EndpointSlice = printed(object);
        if slice.endpoints.len() > 1000 {
            let why = "must have at most 1000 items".to_string();
            errors.push(FieldError {
                reason: "FieldValueTooMany",
                field: "endpoints".into(),
                message: format!("Too many: {}: {why}", slice.endpoints.len()),
            });
        }
        for (at, endpoint) in slice.endpoints.iter().enumerate().filter(|_| slice.address_type != "FQDN") {
            for (n, address) in endpoint.addresses.iter().enumerate() {
                names::endpoint(address).into_iter().for_each(|why| {
                    errors.push(FieldError::invalid(format!("endpoints[{at}].addresses[{n}]"), &json!(address), why))
                });
            }
        }
    },
    ..Kind::new("EndpointSlice", "endpointslices", "endpointslice", EndpointSlice::TABLE)
};

/// Endpoints.
pub static ENDPOINTS: Kind = Kind {
    short: &["ep"],
    columns: &[column("Endpoints", "The addresses with their ports.")],
    row: |object, _| {
        let endpoints: Endpoints = printed(object);
        let pairs = endpoints.subsets.iter().flat_map(|subset| {
            // A service without ports has addresses alone.
            let ports: Vec<String> = match subset.ports.is_empty() {
                true => vec![String::new()],
                false => subset.ports.iter().map(|p| format!(":{}", p.port)).collect(),
            };
            ports.into_iter().flat_map(|port| subset.addresses.iter().map(move |a| format!("{}{port}", a.ip)).collect::<Vec<_>>())
        });
        let pairs: Vec<String> = pairs.collect();
        vec![if pairs.is_empty() { "<none>".into() } else { few(pairs).into() }]
    },
    ..Kind::new("Endpoints", "endpoints", "endpoints", Endpoints::TABLE)
};

/// The first few words and how many more there are.
fn few(items: Vec<String>) -> String {
    const SHOWN: usize = 3;
    match items.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} + {more} more...", items[..SHOWN].join(",")),
        _ if items.is_empty() => "<unset>".into(),
        _ => listed(items),
    }
}

fn row(object: &Value, _now: jiff::Timestamp) -> Vec<Value> {
    let slice: EndpointSlice = printed(object);
    let ports = slice.ports.iter().map(|p| p.port.map_or_else(|| "*".into(), |p| p.to_string())).collect();
    let addresses = slice.endpoints.iter().flat_map(|e| e.addresses.iter().cloned()).collect();
    vec![slice.address_type.into(), few(ports).into(), few(addresses).into()]
}
