//! Nodes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::pod::placement::Taint;
use super::{Kind, printed};
use crate::errors::{FieldError, FieldErrors};
use crate::meta::{ObjectMeta, Time};
use crate::quantity::Quantity;
use crate::schema::types;
use crate::table::{Column, column, or_none, wide};

types! {
    /// A machine that runs pods.
    Node = "io.k8s.api.core.v1.Node" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// What is desired.
        spec = "spec": NodeSpec [or_empty];
        /// What is.
        status = "status": NodeStatus [or_empty];
    }

    /// What a node is used for.
    NodeSpec = "io.k8s.api.core.v1.NodeSpec" {
        /// The addresses of its pods.
        pod_cidr = "podCIDR": String;
        /// All ranges of its pods' addresses.
        pod_cidrs = "podCIDRs": Vec<String> [set, merged("")];
        /// Its name at the provider of machines.
        provider_id = "providerID": String;
        /// Reasons to keep pods away.
        taints = "taints": Vec<Taint>;
        /// No new pods are placed on it.
        unschedulable = "unschedulable": bool;
    }

    /// What a node says of itself.
    NodeStatus = "io.k8s.api.core.v1.NodeStatus" {
        /// Its addresses.
        addresses = "addresses": Vec<NodeAddress> [by(&["type"])];
        /// What pods may use.
        allocatable = "allocatable": BTreeMap<String, Quantity>;
        /// What it has.
        capacity = "capacity": BTreeMap<String, Quantity>;
        /// States of the node.
        conditions = "conditions": Vec<NodeCondition> [by(&["type"])];
        /// Ports of its daemons.
        daemon_endpoints = "daemonEndpoints": Option<Value>;
        /// What the node can do.
        features = "features": Option<Value>;
        /// Images that it has.
        images = "images": Vec<ContainerImage>;
        /// What it runs.
        node_info = "nodeInfo": Option<NodeSystemInfo>;
        /// Former word for its life.
        phase = "phase": String;
        /// What its runtimes can do.
        runtime_handlers = "runtimeHandlers": Vec<Value>;
    }

    /// An address of a node.
    NodeAddress = "io.k8s.api.core.v1.NodeAddress" {
        /// The address.
        address = "address": String [required];
        /// Hostname, InternalIP or ExternalIP.
        kind = "type": String [required];
    }

    /// A state of a node.
    NodeCondition = "io.k8s.api.core.v1.NodeCondition" {
        /// When the node last said so.
        last_heartbeat_time = "lastHeartbeatTime": Option<Time>;
        /// When it last became what it is.
        last_transition_time = "lastTransitionTime": Option<Time>;
        /// Words for a person.
        message = "message": String;
        /// One word for a program.
        reason = "reason": String;
        /// True, False or Unknown.
        status = "status": String [required];
        /// Which state.
        kind = "type": String [required];
    }

    /// An image on a node.
    ContainerImage = "io.k8s.api.core.v1.ContainerImage" {
        /// Its names.
        names = "names": Vec<String>;
        /// Its size in bytes.
        size_bytes = "sizeBytes": i64;
    }

    /// What a node runs.
    NodeSystemInfo = "io.k8s.api.core.v1.NodeSystemInfo" {
        /// The processor's architecture.
        architecture = "architecture": String;
        /// Id of this boot.
        boot_id = "bootID": String;
        /// The runtime and its version.
        container_runtime_version = "containerRuntimeVersion": String;
        /// The kernel's version.
        kernel_version = "kernelVersion": String;
        /// The service proxy's version.
        kube_proxy_version = "kubeProxyVersion": String;
        /// The agent's version.
        kubelet_version = "kubeletVersion": String;
        /// Id of the machine.
        machine_id = "machineID": String;
        /// The operating system.
        operating_system = "operatingSystem": String;
        /// The distribution.
        os_image = "osImage": String;
        /// Id of the system.
        system_uuid = "systemUUID": String;
    }
}

const ROLE: &str = "node-role.kubernetes.io/";

const COLUMNS: &[Column] = &[
    column("Status", "Whether it is ready, and whether pods are placed on it."),
    column("Roles", "What the node is for."),
    column("Age", "How long ago the object was made."),
    column("Version", "Version of the node's agent."),
    wide("Internal-IP", "Address inside the cluster."),
    wide("External-IP", "Address for the world."),
    wide("OS-Image", "The distribution."),
    wide("Kernel-Version", "The kernel's version."),
    wide("Container-Runtime", "The runtime and its version."),
];

/// Nodes.
pub static NODE: Kind = Kind {
    short: &["no"],
    namespaced: false,
    columns: COLUMNS,
    row,
    selectable: &["spec.unschedulable"],
    has_status: true,
    defaults,
    validate,
    validate_update,
    ..Kind::new("Node", "nodes", "node", Node::TABLE)
};

fn defaults(node: &mut Value) {
    let status = &mut node["status"];
    if status.get("allocatable").is_none() && status.get("capacity").is_some() {
        status["allocatable"] = status["capacity"].clone();
    }
}

/// Nobody has less than nothing.
fn validate(node: &Value, errors: &mut FieldErrors) {
    for list in ["capacity", "allocatable"] {
        for (name, amount) in node["status"][list].as_object().into_iter().flatten() {
            if Quantity::parse(amount.as_str().unwrap_or("")).is_ok_and(|amount| amount.is_negative()) {
                let why = "must be greater than or equal to 0".into();
                errors.push(FieldError::invalid(format!("status.{list}[{name}]"), amount, why));
            }
        }
    }
}

/// Other nodes have routes to a node's pods: their addresses stay.
fn validate_update(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let ranges = |node: &Value| node["spec"]["podCIDRs"].as_array().filter(|list| !list.is_empty()).cloned();
    if let Some(old) = ranges(old)
        && ranges(new) != Some(old)
    {
        let why = "node updates may not change podCIDR except from \"\" to valid";
        errors.push(FieldError::forbidden("spec.podCIDRs", why));
    }
}

fn row(object: &Value, _now: jiff::Timestamp) -> Vec<Value> {
    let node: Node = printed(object);
    let mut status: Vec<&str> = vec![match node.status.conditions.iter().find(|c| c.kind == "Ready").map(|c| c.status.as_str()) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }];
    if node.spec.unschedulable {
        status.push("SchedulingDisabled");
    }
    let roles: Vec<&str> = node.metadata.labels.keys().filter_map(|k| k.strip_prefix(ROLE)).filter(|r| !r.is_empty()).collect();
    let address = |kind: &str| or_none(node.status.addresses.iter().find(|a| a.kind == kind).map_or("", |a| &a.address));
    let info = node.status.node_info.clone().unwrap_or_default();
    let known = |text: String| if text.is_empty() { "<unknown>".to_string() } else { text };
    vec![
        status.join(",").into(),
        or_none(&roles.join(",")).into(),
        info.kubelet_version.into(),
        address("InternalIP").into(),
        address("ExternalIP").into(),
        known(info.os_image).into(),
        known(info.kernel_version).into(),
        known(info.container_runtime_version).into(),
    ]
}
