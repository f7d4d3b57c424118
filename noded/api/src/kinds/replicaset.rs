//! ReplicaSets.

use serde_json::Value;

use super::apps::{WIDE, check_pods, wide_cells};
use super::deployment::DeploymentCondition;
use super::pod::{PodTemplateSpec, default_template};
use super::{Kind, SCALE, printed};
use crate::meta::{LabelSelector, ObjectMeta};
use crate::schema::types;
use crate::table::{Column, column, number};

types! {
    /// Keeps a number of equal pods running.
    ReplicaSet = "io.k8s.api.apps.v1.ReplicaSet" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// What is desired.
        spec = "spec": ReplicaSetSpec [required];
        /// What is.
        status = "status": ReplicaSetStatus [or_empty];
    }

    /// What a replica set keeps running.
    ReplicaSetSpec = "io.k8s.api.apps.v1.ReplicaSetSpec" {
        /// A pod counts as available after it was ready for so many seconds.
        min_ready_seconds = "minReadySeconds": i32 [within(0, i64::MAX)];
        /// How many pods.
        replicas = "replicas": Option<i32> [or_number(1), within(0, i64::MAX)];
        /// Which pods are its own.
        selector = "selector": Option<LabelSelector> [required, immutable];
        /// The pods.
        template = "template": PodTemplateSpec;
    }

    /// How far a replica set is.
    ReplicaSetStatus = "io.k8s.api.apps.v1.ReplicaSetStatus" {
        /// Pods that were ready long enough.
        available_replicas = "availableReplicas": i32;
        /// States of the set.
        conditions = "conditions": Vec<DeploymentCondition> [by(&["type"])];
        /// Pods that have all labels of the template.
        fully_labeled_replicas = "fullyLabeledReplicas": i32;
        /// The generation that this is about.
        observed_generation = "observedGeneration": Option<i64>;
        /// Pods that are ready.
        ready_replicas = "readyReplicas": i32;
        /// Pods that are there.
        replicas = "replicas": Option<i32> [or_number(0)];
        /// Pods that are ending.
        terminating_replicas = "terminatingReplicas": Option<i32>;
    }
}

const COLUMNS: &[Column] = &[
    number("Desired", "How many pods there should be."),
    number("Current", "How many pods there are."),
    number("Ready", "How many pods are ready."),
    column("Age", "How long ago the object was made."),
    WIDE[0],
    WIDE[1],
    WIDE[2],
];

/// ReplicaSets.
pub static REPLICA_SET: Kind = Kind {
    group: "apps",
    short: &["rs"],
    categories: &["all"],
    columns: COLUMNS,
    row: |object, _| {
        let set: ReplicaSet = printed(object);
        let mut row: Vec<Value> =
            [set.spec.replicas.unwrap_or(0), set.status.replicas.unwrap_or(0), set.status.ready_replicas].map(Value::from).to_vec();
        row.extend(wide_cells(&set.spec.template, set.spec.selector.as_ref()));
        row
    },
    defaults: |object| default_template(&mut object["spec"]["template"]),
    validate: |object, errors| check_pods(object, &["Always"], errors),
    selectable: &["status.replicas"],
    has_status: true,
    has_generation: true,
    subresources: &[SCALE],
    ..Kind::new("ReplicaSet", "replicasets", "replicaset", ReplicaSet::TABLE)
};
