//! Which pods are counted. A pod has a finalizer until its end is in the job's status, so that it is counted once, whoever deletes it:
//!
//! 1. its uid is written to `uncountedTerminatedPods`; of one with an index that ended well, the index to `completedIndexes`
//! 2. its finalizer goes
//! 3. its uid goes, and the number grows

use std::collections::BTreeSet;

use api::kinds::job::{Job, JobStatus};
use api::kinds::pod::{POD, Pod};
use serde_json::{Value, json};

use super::super::Action;
use super::super::pods::is_active;
use super::{index, is_indexed};

/// What a pod has that is not counted.
pub(in super::super) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

/// What the status says of pods that have ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Those that are counted.
    pub(super) succeeded: i32,
    pub(super) failed: i32,
    /// Indexes that have ended well.
    pub(super) done: BTreeSet<i32>,
    /// Uids of those that are not.
    well: BTreeSet<String>,
    badly: BTreeSet<String>,
}

fn number<T>(all: &BTreeSet<T>) -> i32 {
    i32::try_from(all.len()).unwrap_or(i32::MAX)
}

impl Count {
    /// As it was written.
    pub(super) fn written(status: &JobStatus) -> Self {
        let list = |name: &str| -> BTreeSet<String> {
            let uncounted = status.uncounted_terminated_pods.as_ref();
            uncounted.and_then(|lists| serde_json::from_value(lists[name].clone()).ok()).unwrap_or_default()
        };
        Self {
            succeeded: status.succeeded,
            failed: status.failed,
            done: read(&status.completed_indexes),
            well: list("succeeded"),
            badly: list("failed"),
        }
    }

    /// As it is to be written next, with the job's own pods as they are.
    pub(super) fn next(job: &Job, pods: &[Pod]) -> Self {
        let was = Self::written(&job.status);
        let held: BTreeSet<&String> = pods.iter().filter(|pod| is_held(pod)).map(|pod| &pod.metadata.uid).collect();
        let mut new = was.clone();
        new.well.retain(|uid| held.contains(uid));
        new.badly.retain(|uid| held.contains(uid));
        new.succeeded += number(&was.well) - number(&new.well);
        new.failed += number(&was.badly) - number(&new.badly);
        for pod in pods.iter().filter(|pod| is_held(pod) && !was.has(pod)) {
            let uid = pod.metadata.uid.clone();
            match pod.status.phase.as_str() {
                "Succeeded" if is_indexed(job) => new.done.extend(index(pod).filter(|index| counts(job, *index))),
                "Succeeded" => drop(new.well.insert(uid)),
                // whoever deletes a pod before it has ended lets it fail
                "Failed" => drop(new.badly.insert(uid)),
                _ if pod.metadata.deletion_timestamp.is_some() => drop(new.badly.insert(uid)),
                _ => {}
            }
        }
        if is_indexed(job) {
            new.succeeded = number(&new.done);
        }
        new
    }

    fn has(&self, pod: &Pod) -> bool {
        self.well.contains(&pod.metadata.uid) || self.badly.contains(&pod.metadata.uid)
    }

    /// All that have ended well, counted or not.
    pub(super) fn all_well(&self) -> i32 {
        self.succeeded + number(&self.well)
    }

    /// All that have failed, counted or not.
    pub(super) fn all_badly(&self) -> i32 {
        self.failed + number(&self.badly)
    }

    /// Nothing waits to be counted.
    pub(super) fn is_whole(&self) -> bool {
        self.well.is_empty() && self.badly.is_empty()
    }

    /// The field of the status; a merge patch takes lists away that are empty.
    pub(super) fn uncounted(&self) -> Value {
        let list = |all: &BTreeSet<String>| if all.is_empty() { Value::Null } else { json!(all) };
        json!({"succeeded": list(&self.well), "failed": list(&self.badly)})
    }
}

/// Whether a job has this index.
fn counts(job: &Job, index: i32) -> bool {
    (0..job.spec.completions.unwrap_or(0)).contains(&index)
}

/// Whether it may still have to be counted.
pub(super) fn is_held(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().any(|finalizer| finalizer == FINALIZER)
}

/// What lets a pod go.
pub(super) fn release(pod: &Pod) -> Action {
    Action::Release(&POD, pod.metadata.namespace.clone(), pod.metadata.name.clone(), FINALIZER)
}

/// Lets go what the status has, and holds what runs and was made by a version that did not.
pub(super) fn settle(job: &Job, pods: &[Pod]) -> Vec<Action> {
    let was = Count::written(&job.status);
    let is_in = |pod: &Pod| {
        let by_index = pod.status.phase == "Succeeded" && is_indexed(job);
        if by_index { index(pod).is_none_or(|index| was.done.contains(&index) || !counts(job, index)) } else { was.has(pod) }
    };
    let released = pods.iter().filter(|pod| is_held(pod) && is_in(pod)).map(release);
    let held = pods.iter().filter(|pod| is_active(pod) && !is_held(pod)).map(|pod| {
        let meta = &pod.metadata;
        let all: Vec<&str> = meta.finalizers.iter().map(String::as_str).chain([FINALIZER]).collect();
        let patch = json!({"metadata": {"finalizers": all, "uid": meta.uid}});
        Action::Patch(&POD, meta.namespace.clone(), meta.name.clone(), patch)
    });
    released.chain(held).collect()
}

/// Numbers as `0-2,5`.
pub(super) fn ranges(numbers: &BTreeSet<i32>) -> String {
    let mut parts: Vec<(i32, i32)> = Vec::new();
    for n in numbers {
        match parts.last_mut() {
            Some((_, last)) if *last + 1 == *n => *last = *n,
            _ => parts.push((*n, *n)),
        }
    }
    let shown: Vec<String> = parts.into_iter().map(|(a, z)| if a == z { a.to_string() } else { format!("{a}-{z}") }).collect();
    shown.join(",")
}

/// The same back; what makes no sense is left out.
pub(super) fn read(ranges: &str) -> BTreeSet<i32> {
    let part = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse::<i32>().ok()?..=last.parse::<i32>().ok()?)
    };
    ranges.split(',').filter_map(part).flatten().collect()
}
