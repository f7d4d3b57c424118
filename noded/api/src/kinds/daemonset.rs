//! DaemonSets.

use serde_json::Value;

use super::apps::{RollingUpdate, WIDE, check_amount, check_pods, wide_cells};
use super::deployment::DeploymentCondition;
use super::pod::{PodTemplateSpec, default_template};
use super::{Kind, printed};
use crate::meta::{LabelSelector, ObjectMeta};
use crate::schema::types;
use crate::table::{Column, column, listed, number};

types! {
    /// Keeps one pod running on each node that fits.
    DaemonSet = "io.k8s.api.apps.v1.DaemonSet" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// What is desired.
        spec = "spec": DaemonSetSpec [required];
        /// What is.
        status = "status": DaemonSetStatus [or_empty];
    }

    /// What a daemon set keeps running.
    DaemonSetSpec = "io.k8s.api.apps.v1.DaemonSetSpec" {
        /// A pod counts as available after it was ready for so many seconds.
        min_ready_seconds = "minReadySeconds": i32 [within(0, i64::MAX)];
        /// So many former templates are kept for going back.
        revision_history_limit = "revisionHistoryLimit": Option<i32> [or_number(10), within(0, i64::MAX)];
        /// Which pods are its own.
        selector = "selector": Option<LabelSelector> [required, immutable];
        /// The pods.
        template = "template": PodTemplateSpec [required];
        /// How pods are replaced.
        update_strategy = "updateStrategy": DaemonSetUpdateStrategy [or_empty];
    }

    /// How pods are replaced.
    DaemonSetUpdateStrategy = "io.k8s.api.apps.v1.DaemonSetUpdateStrategy" {
        /// Limits of a replacement step by step.
        rolling_update = "rollingUpdate": Option<RollingUpdate>;
        /// Step by step, or when someone deletes the old pod.
        type_ = "type": String [or_text("RollingUpdate"), one_of(&["OnDelete", "RollingUpdate"])];
    }

    /// How far a daemon set is.
    DaemonSetStatus = "io.k8s.api.apps.v1.DaemonSetStatus" {
        /// How often names of revisions met.
        collision_count = "collisionCount": Option<i32>;
        /// States of the set.
        conditions = "conditions": Vec<DeploymentCondition> [by(&["type"])];
        /// Nodes that should have the pod and have it.
        current_number_scheduled = "currentNumberScheduled": Option<i32> [or_number(0)];
        /// Nodes that should have the pod.
        desired_number_scheduled = "desiredNumberScheduled": Option<i32> [or_number(0)];
        /// Nodes whose pod was ready long enough.
        number_available = "numberAvailable": i32;
        /// Nodes that have the pod and should not.
        number_misscheduled = "numberMisscheduled": Option<i32> [or_number(0)];
        /// Nodes whose pod is ready.
        number_ready = "numberReady": Option<i32> [or_number(0)];
        /// Nodes whose pod is still missing.
        number_unavailable = "numberUnavailable": i32;
        /// The generation that this is about.
        observed_generation = "observedGeneration": Option<i64>;
        /// Nodes whose pod has the newest template.
        updated_number_scheduled = "updatedNumberScheduled": i32;
    }
}

const COLUMNS: &[Column] = &[
    number("Desired", "How many nodes should have the pod."),
    number("Current", "How many of them have it."),
    number("Ready", "On how many it is ready."),
    number("Up-to-date", "On how many it has the newest template."),
    number("Available", "On how many it was ready long enough."),
    column("Node Selector", "Labels of the nodes."),
    column("Age", "How long ago the object was made."),
    WIDE[0],
    WIDE[1],
    WIDE[2],
];

/// DaemonSets.
pub static DAEMON_SET: Kind = Kind {
    group: "apps",
    short: &["ds"],
    categories: &["all"],
    columns: COLUMNS,
    row,
    defaults,
    validate: |object, errors| {
        check_pods(object, &["Always"], errors);
        let rolling = &object["spec"]["updateStrategy"]["rollingUpdate"];
        check_amount(&rolling["maxUnavailable"], "spec.updateStrategy.rollingUpdate.maxUnavailable", errors);
        check_amount(&rolling["maxSurge"], "spec.updateStrategy.rollingUpdate.maxSurge", errors);
    },
    has_status: true,
    has_generation: true,
    ..Kind::new("DaemonSet", "daemonsets", "daemonset", DaemonSet::TABLE)
};

fn defaults(object: &mut Value) {
    default_template(&mut object["spec"]["template"]);
    let strategy = &mut object["spec"]["updateStrategy"];
    if strategy["type"] == "RollingUpdate" {
        for (field, value) in [("maxUnavailable", 1), ("maxSurge", 0)] {
            if strategy["rollingUpdate"].get(field).is_none() {
                strategy["rollingUpdate"][field] = value.into();
            }
        }
    }
}

fn row(object: &Value, _now: jiff::Timestamp) -> Vec<Value> {
    let set: DaemonSet = printed(object);
    let status = &set.status;
    let mut row: Vec<Value> = vec![
        status.desired_number_scheduled.unwrap_or(0).into(),
        status.current_number_scheduled.unwrap_or(0).into(),
        status.number_ready.unwrap_or(0).into(),
        status.updated_number_scheduled.into(),
        status.number_available.into(),
        listed(set.spec.template.spec.node_selector.iter().map(|(k, v)| format!("{k}={v}"))).into(),
    ];
    row.extend(wide_cells(&set.spec.template, set.spec.selector.as_ref()));
    row
}
