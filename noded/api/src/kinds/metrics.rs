//! What nodes and pods use of processors and memory. Nothing of it is kept: nodes are asked when somebody wants to know.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Kind, printed};
use crate::meta::{ObjectMeta, Time};
use crate::quantity::Quantity;
use crate::schema::types;
use crate::table::{Column, column};

types! {
    /// What a node uses.
    NodeMetrics = "io.k8s.metrics.pkg.apis.metrics.v1beta1.NodeMetrics" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name and labels of the node.
        metadata = "metadata": ObjectMeta;
        /// The end of the time in which it was measured.
        timestamp = "timestamp": Option<Time>;
        /// What was used on average.
        usage = "usage": BTreeMap<String, Quantity>;
        /// How long it was measured, such as `15s`.
        window = "window": String;
    }

    /// What a pod uses.
    PodMetrics = "io.k8s.metrics.pkg.apis.metrics.v1beta1.PodMetrics" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// Its containers.
        containers = "containers": Vec<ContainerMetrics>;
        /// The kind.
        kind = "kind": String;
        /// Name, namespace and labels of the pod.
        metadata = "metadata": ObjectMeta;
        /// The end of the time in which it was measured.
        timestamp = "timestamp": Option<Time>;
        /// How long it was measured, such as `15s`.
        window = "window": String;
    }

    /// What a container uses.
    ContainerMetrics = "io.k8s.metrics.pkg.apis.metrics.v1beta1.ContainerMetrics" {
        /// Its name.
        name = "name": String;
        /// What was used on average.
        usage = "usage": BTreeMap<String, Quantity>;
    }
}

/// What can be asked: one, or all.
const VERBS: &[&str] = &["get", "list"];

const COLUMNS: &[Column] = &[
    column("CPU", "Processors that were used."),
    column("Memory", "Memory in use that would be missed."),
    column("Window", "How long it was measured."),
];

/// What nodes use.
pub static NODE_METRICS: Kind = Kind {
    group: "metrics.k8s.io",
    version: "v1beta1",
    namespaced: false,
    verbs: VERBS,
    columns: COLUMNS,
    row: |object, _| {
        let node: NodeMetrics = printed(object);
        row([&node.usage].into_iter(), node.window)
    },
    ..Kind::new("NodeMetrics", "nodes", "", NodeMetrics::TABLE)
};

/// What pods use.
pub static POD_METRICS: Kind = Kind {
    group: "metrics.k8s.io",
    version: "v1beta1",
    verbs: VERBS,
    columns: COLUMNS,
    row: |object, _| {
        let pod: PodMetrics = printed(object);
        row(pod.containers.iter().map(|c| &c.usage), pod.window)
    },
    ..Kind::new("PodMetrics", "pods", "", PodMetrics::TABLE)
};

/// The sum of what is used, as people read it.
fn row<'a>(usages: impl Iterator<Item = &'a BTreeMap<String, Quantity>>, window: String) -> Vec<Value> {
    let (mut cpu, mut memory) = (0, 0);
    for usage in usages {
        cpu += usage.get("cpu").map_or(0, Quantity::milli);
        memory += usage.get("memory").map_or(0, Quantity::value);
    }
    vec![format!("{cpu}m").into(), format!("{}Mi", memory >> 20).into(), window.into()]
}
