//! Jobs.

use serde_json::{Value, json};

use super::apps::{WIDE, wide_cells};
use super::pod::status::PodCondition;
use super::pod::{PodTemplateSpec, default_template, validate_template};
use super::{Kind, printed};
use crate::errors::{FieldError, FieldErrors};
use crate::meta::{LabelSelector, ObjectMeta, Time};
use crate::schema::types;
use crate::table::{Column, column, duration};

types! {
    /// Runs pods until enough of them have ended well.
    Job = "io.k8s.api.batch.v1.Job" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// What is desired.
        spec = "spec": JobSpec [required];
        /// What is.
        status = "status": JobStatus [or_empty];
    }

    /// What a job does.
    JobSpec = "io.k8s.api.batch.v1.JobSpec" {
        /// After so many seconds the job has failed.
        active_deadline_seconds = "activeDeadlineSeconds": Option<i64> [within(0, i64::MAX)];
        /// So many failures are allowed.
        backoff_limit = "backoffLimit": Option<i32> [within(0, i64::MAX)];
        /// So many failures of each index are allowed.
        backoff_limit_per_index = "backoffLimitPerIndex": Option<i32> [immutable, within(0, i64::MAX)];
        /// Whether each pod has a number of its own.
        completion_mode = "completionMode": String [or_text("NonIndexed"), immutable, one_of(&["Indexed", "NonIndexed"])];
        /// So many pods must end well.
        completions = "completions": Option<i32> [within(0, i64::MAX)];
        /// Who looks after the job.
        managed_by = "managedBy": String [immutable];
        /// The selector was written by hand.
        manual_selector = "manualSelector": Option<bool>;
        /// So many indexes may fail.
        max_failed_indexes = "maxFailedIndexes": Option<i32> [within(0, i64::MAX)];
        /// So many pods run at once.
        parallelism = "parallelism": Option<i32> [within(0, i64::MAX)];
        /// What failures of pods mean.
        pod_failure_policy = "podFailurePolicy": Option<Value> [immutable];
        /// When a failed pod is replaced.
        pod_replacement_policy = "podReplacementPolicy": String [or_text("TerminatingOrFailed"), one_of(&["Failed", "TerminatingOrFailed"])];
        /// Which pods are its own.
        selector = "selector": Option<LabelSelector> [immutable];
        /// When an indexed job has succeeded.
        success_policy = "successPolicy": Option<Value> [immutable];
        /// No pods are run.
        suspend = "suspend": Option<bool> [or_flag(false)];
        /// The pods.
        template = "template": PodTemplateSpec [required, immutable];
        /// So many seconds after its end the job goes.
        ttl_seconds_after_finished = "ttlSecondsAfterFinished": Option<i32> [within(0, i64::MAX)];
    }

    /// How far a job is.
    JobStatus = "io.k8s.api.batch.v1.JobStatus" {
        /// Pods that run.
        active = "active": i32;
        /// Indexes that have ended well.
        completed_indexes = "completedIndexes": String;
        /// When it ended well.
        completion_time = "completionTime": Option<Time>;
        /// States of the job.
        conditions = "conditions": Vec<PodCondition> [atomic, merged("type")];
        /// Pods that have failed.
        failed = "failed": i32;
        /// Indexes that have failed.
        failed_indexes = "failedIndexes": String;
        /// Pods that are ready.
        ready = "ready": Option<i32>;
        /// When it began.
        start_time = "startTime": Option<Time>;
        /// Pods that have ended well.
        succeeded = "succeeded": i32;
        /// Pods that are ending.
        terminating = "terminating": Option<i32>;
        /// Pods that have ended and are not counted yet.
        uncounted_terminated_pods = "uncountedTerminatedPods": Option<Value>;
    }
}

const COLUMNS: &[Column] = &[
    column("Status", "What the job does."),
    column("Completions", "How many pods have ended well, of how many."),
    column("Duration", "How long it has run."),
    column("Age", "How long ago the object was made."),
    WIDE[0],
    WIDE[1],
    WIDE[2],
];

/// Jobs.
pub static JOB: Kind = Kind {
    group: "batch",
    categories: &["all"],
    columns: COLUMNS,
    row,
    defaults,
    validate,
    selectable: &["status.successful"],
    has_status: true,
    has_generation: true,
    ..Kind::new("Job", "jobs", "job", Job::TABLE)
};

/// The label by which a job's pods are its own.
pub const UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
/// The label with the job's name.
pub const NAME_LABEL: &str = "batch.kubernetes.io/job-name";

fn defaults(object: &mut Value) {
    default_template(&mut object["spec"]["template"]);
    let uid = object["metadata"]["uid"].as_str().unwrap_or("").to_string();
    let name = object["metadata"]["name"].as_str().unwrap_or("").to_string();
    let Value::Object(spec) = &mut object["spec"] else { return };
    if !spec.contains_key("completions") && !spec.contains_key("parallelism") {
        spec.insert("completions".into(), 1.into());
    }
    spec.entry("parallelism").or_insert(1.into());
    let no_limit = if spec.contains_key("backoffLimitPerIndex") { i32::MAX } else { 6 };
    spec.entry("backoffLimit").or_insert(no_limit.into());
    // the pods of a job are told by its uid, which is known once the server has named the object
    if spec.get("manualSelector") != Some(&Value::Bool(true)) && !spec.contains_key("selector") && !uid.is_empty() {
        spec.insert("selector".into(), json!({"matchLabels": {UID_LABEL: uid}}));
        let labels = &mut spec["template"]["metadata"]["labels"];
        for (key, value) in [(UID_LABEL, &uid), ("controller-uid", &uid), (NAME_LABEL, &name), ("job-name", &name)] {
            labels[key] = value.as_str().into();
        }
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    if object["spec"].get("template").is_some() {
        validate_template(&object["spec"]["template"], "spec.template", &["OnFailure", "Never"], errors);
    }
    if object["spec"]["completionMode"] == "Indexed" && object["spec"].get("completions").is_none() {
        errors.push(FieldError::required("spec.completions", "when completion mode is Indexed"));
    }
}

fn row(object: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let job: Job = printed(object);
    let (spec, status) = (&job.spec, &job.status);
    let is = |kind: &str| status.conditions.iter().any(|c| c.kind == kind && c.status == "True");
    let word = match () {
        () if is("Complete") => "Complete",
        () if is("Failed") => "Failed",
        () if job.metadata.deletion_timestamp.is_some() => "Terminating",
        () if is("Suspended") => "Suspended",
        () if is("FailureTarget") => "FailureTarget",
        () if is("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    };
    let of = match (spec.completions, spec.parallelism.unwrap_or(1)) {
        (Some(all), _) => all.to_string(),
        (None, several) if several > 1 => format!("1 of {several}"),
        (None, _) => "1".into(),
    };
    let took = status
        .start_time
        .map_or_else(String::new, |start| duration(start.seconds_until(status.completion_time.map_or(now, |end| end.0))));
    let mut row = vec![word.into(), format!("{}/{of}", status.succeeded).into(), took.into()];
    row.extend(wide_cells(&spec.template, spec.selector.as_ref()));
    row
}
