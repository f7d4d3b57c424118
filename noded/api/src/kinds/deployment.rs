//! Deployments.

use serde_json::{Value, json};

use super::apps::{RollingUpdate, WIDE, check_amount, check_pods, wide_cells};
use super::pod::{PodTemplateSpec, default_template};
use super::{Kind, SCALE, printed};
use crate::errors::{FieldError, FieldErrors};
use crate::meta::{LabelSelector, ObjectMeta, Time};
use crate::schema::types;
use crate::table::{Column, column, number};

types! {
    /// Keeps a number of equal pods running and replaces them step by step when their template changes.
    Deployment = "io.k8s.api.apps.v1.Deployment" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// What is desired.
        spec = "spec": DeploymentSpec [required];
        /// What is.
        status = "status": DeploymentStatus [or_empty];
    }

    /// What a deployment keeps running.
    DeploymentSpec = "io.k8s.api.apps.v1.DeploymentSpec" {
        /// A pod counts as available after it was ready for so many seconds.
        min_ready_seconds = "minReadySeconds": i32 [within(0, i64::MAX)];
        /// Changes of the template wait.
        paused = "paused": bool;
        /// A change that makes no progress for so many seconds has failed.
        progress_deadline_seconds = "progressDeadlineSeconds": Option<i32> [or_number(600), within(0, i64::MAX)];
        /// How many pods.
        replicas = "replicas": Option<i32> [or_number(1), within(0, i64::MAX)];
        /// So many former templates are kept for going back.
        revision_history_limit = "revisionHistoryLimit": Option<i32> [or_number(10), within(0, i64::MAX)];
        /// Which pods are its own.
        selector = "selector": Option<LabelSelector> [required, immutable];
        /// How pods are replaced.
        strategy = "strategy": DeploymentStrategy [or_empty, retain_keys];
        /// The pods.
        template = "template": PodTemplateSpec [required];
    }

    /// How pods are replaced.
    DeploymentStrategy = "io.k8s.api.apps.v1.DeploymentStrategy" {
        /// Limits of a replacement step by step.
        rolling_update = "rollingUpdate": Option<RollingUpdate>;
        /// Step by step, or all at once after the old ones are gone.
        type_ = "type": String [or_text("RollingUpdate"), one_of(&["Recreate", "RollingUpdate"])];
    }

    /// How far a deployment is.
    DeploymentStatus = "io.k8s.api.apps.v1.DeploymentStatus" {
        /// Pods that were ready long enough.
        available_replicas = "availableReplicas": i32;
        /// How often names of replica sets met.
        collision_count = "collisionCount": Option<i32>;
        /// States of the deployment.
        conditions = "conditions": Vec<DeploymentCondition> [by(&["type"])];
        /// The generation that this is about.
        observed_generation = "observedGeneration": Option<i64>;
        /// Pods that are ready.
        ready_replicas = "readyReplicas": i32;
        /// Pods that are there.
        replicas = "replicas": i32;
        /// Pods that are ending.
        terminating_replicas = "terminatingReplicas": Option<i32>;
        /// Pods that are still missing.
        unavailable_replicas = "unavailableReplicas": i32;
        /// Pods of the newest template.
        updated_replicas = "updatedReplicas": i32;
    }

    /// A state of a deployment.
    DeploymentCondition = "io.k8s.api.apps.v1.DeploymentCondition" {
        /// When it last became what it is.
        last_transition_time = "lastTransitionTime": Option<Time>;
        /// When it was last written.
        last_update_time = "lastUpdateTime": Option<Time>;
        /// Words for a person.
        message = "message": String;
        /// One word for a program.
        reason = "reason": String;
        /// True, False or Unknown.
        status = "status": String [required];
        /// Which state.
        kind = "type": String [required];
    }
}

const COLUMNS: &[Column] = &[
    column("Ready", "How many pods are ready, of how many."),
    number("Up-to-date", "How many pods have the newest template."),
    number("Available", "How many pods were ready long enough."),
    column("Age", "How long ago the object was made."),
    WIDE[0],
    WIDE[1],
    WIDE[2],
];

/// Deployments.
pub static DEPLOYMENT: Kind = Kind {
    group: "apps",
    short: &["deploy"],
    categories: &["all"],
    columns: COLUMNS,
    row,
    defaults,
    validate,
    has_status: true,
    has_generation: true,
    subresources: &[SCALE],
    ..Kind::new("Deployment", "deployments", "deployment", Deployment::TABLE)
};

fn defaults(object: &mut Value) {
    default_template(&mut object["spec"]["template"]);
    let strategy = &mut object["spec"]["strategy"];
    if strategy["type"] == "RollingUpdate" {
        for amount in ["maxUnavailable", "maxSurge"] {
            if strategy["rollingUpdate"].get(amount).is_none() {
                strategy["rollingUpdate"][amount] = "25%".into();
            }
        }
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    check_pods(object, &["Always"], errors);
    let strategy = &object["spec"]["strategy"];
    let rolling = &strategy["rollingUpdate"];
    if strategy["type"] == "Recreate" && !rolling.is_null() {
        errors
            .push(FieldError::forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"));
        return;
    }
    check_amount(&rolling["maxUnavailable"], "spec.strategy.rollingUpdate.maxUnavailable", errors);
    check_amount(&rolling["maxSurge"], "spec.strategy.rollingUpdate.maxSurge", errors);
    let none = |v: &Value| v == 0 || v == "0%";
    if none(&rolling["maxUnavailable"]) && none(&rolling["maxSurge"]) {
        errors.push(FieldError::invalid(
            "spec.strategy.rollingUpdate.maxUnavailable",
            &json!(0),
            "may not be 0 when `maxSurge` is 0".into(),
        ));
    }
    let spec: DeploymentSpec = printed(&object["spec"]);
    if spec.progress_deadline_seconds.is_some_and(|d| d <= spec.min_ready_seconds) {
        let value = json!(spec.progress_deadline_seconds);
        errors.push(FieldError::invalid("spec.progressDeadlineSeconds", &value, "must be greater than minReadySeconds".into()));
    }
}

fn row(object: &Value, _now: jiff::Timestamp) -> Vec<Value> {
    let deployment: Deployment = printed(object);
    let (spec, status) = (&deployment.spec, &deployment.status);
    let mut row = vec![
        format!("{}/{}", status.ready_replicas, spec.replicas.unwrap_or(0)).into(),
        status.updated_replicas.into(),
        status.available_replicas.into(),
    ];
    row.extend(wide_cells(&spec.template, spec.selector.as_ref()));
    row
}
