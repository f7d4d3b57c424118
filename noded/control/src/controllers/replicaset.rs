//! ReplicaSets: as many pods as desired.

use std::cmp::Reverse;
use std::time::Duration;

use api::kinds::deployment::DeploymentCondition;
use api::kinds::pod::{POD, Pod};
use api::kinds::replicaset::{REPLICA_SET, ReplicaSet};
use api::meta::Time;
use serde_json::{Value, json};

use super::Action;
use super::pods::{availability, count, from_template, is_active, owner, reference};

/// The condition of sets whose pods cannot be made, and of their deployments.
pub(super) const FAILURE: &str = "ReplicaFailure";

/// So many pods are made or deleted in one round.
const BURST: usize = 500;

/// So many pods may fail one after another before the next one waits, at most so many seconds. Failures that are older than that do not count.
const FAILURES: usize = 3;
const LONGEST: i64 = 300;

/// What is to be done for a set whose own pods are `pods`; `refused` says why the last one could not be made.
pub fn next(set: &ReplicaSet, pods: &[Pod], refused: Option<&str>, now: jiff::Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    let active: Vec<&Pod> = pods.iter().filter(|p| is_active(p)).collect();
    if set.metadata.deletion_timestamp.is_none() {
        let desired = usize::try_from(set.spec.replicas.unwrap_or(1)).unwrap_or(0);
        let (api_version, name) = ("apps/v1", &set.metadata.name);
        if let Some(wait) = pause(pods, now).filter(|_| active.len() < desired) {
            actions.push(Action::After(wait));
        } else if active.len() < desired {
            let owner = owner(api_version, "ReplicaSet", &set.metadata);
            let made = (active.len()..desired.min(active.len() + BURST)).map(|_| from_template(&set.spec.template, name, &owner));
            actions.extend(made.map(|pod| Action::Create(&POD, set.metadata.namespace.clone(), pod)));
        } else {
            let mut surplus = active.clone();
            surplus.sort_by_key(|p| rank(p));
            for pod in surplus.iter().take((active.len() - desired).min(BURST)) {
                let about = reference(api_version, "ReplicaSet", &set.metadata);
                actions.push(Action::Tell(about, "Normal", "SuccessfulDelete", format!("Deleted pod: {}", pod.metadata.name)));
                actions.push(Action::Delete(
                    &POD,
                    pod.metadata.namespace.clone(),
                    pod.metadata.name.clone(),
                    pod.metadata.uid.clone(),
                ));
            }
        }
    }
    let refused = refused.filter(|_| actions.iter().any(|action| matches!(action, Action::Create(..))));
    status(set, &active, refused, now, &mut actions);
    actions
}

/// How long the next pod waits where others have failed as soon as they were made, each twice as long: a node that takes none of them would
/// otherwise be asked as fast as pods can be made.
fn pause(pods: &[Pod], now: jiff::Timestamp) -> Option<Duration> {
    let age = |pod: &Pod| pod.metadata.creation_timestamp.map_or(i64::MAX, |made| made.seconds_until(now).max(0));
    let ages: Vec<i64> = pods.iter().filter(|pod| pod.status.phase == "Failed").map(age).filter(|age| *age < LONGEST).collect();
    let doublings = u32::try_from(ages.len().checked_sub(FAILURES)?).unwrap_or(u32::MAX).min(8);
    let left = (1i64 << doublings).min(LONGEST) - ages.into_iter().min()?;
    u64::try_from(left).ok().filter(|left| *left > 0).map(Duration::from_secs)
}

/// Who goes first: those that run nowhere, are not ready, cost the least, are the youngest.
fn rank(pod: &Pod) -> (bool, bool, bool, i64, Reverse<Option<api::meta::Time>>) {
    let cost = pod.metadata.annotations.get("controller.kubernetes.io/pod-deletion-cost").and_then(|c| c.parse().ok()).unwrap_or(0);
    (!pod.spec.node_name.is_empty(), pod.status.phase == "Running", pod.is_ready(), cost, Reverse(pod.metadata.creation_timestamp))
}

fn status(set: &ReplicaSet, active: &[&Pod], refused: Option<&str>, now: jiff::Timestamp, actions: &mut Vec<Action>) {
    let min_ready = set.spec.min_ready_seconds;
    let labelled = |p: &&Pod| set.spec.template.metadata.labels.iter().all(|(k, v)| p.metadata.labels.get(k) == Some(v));
    let mut status = set.status.clone();
    status.replicas = Some(i32::try_from(active.len()).unwrap_or(i32::MAX));
    status.fully_labeled_replicas = count(active, labelled);
    status.ready_replicas = count(active, |p| p.is_ready());
    status.available_replicas = count(active, |p| availability(p, min_ready, now).is_ok());
    status.observed_generation = Some(set.metadata.generation);
    note(&mut status.conditions, refused, now);
    if let Some(seconds) = active.iter().filter_map(|p| availability(p, min_ready, now).err().flatten()).min() {
        actions.push(Action::After(Duration::from_secs(seconds.unsigned_abs())));
    }
    if status != set.status {
        let patch = json!({
            "replicas": status.replicas, "fullyLabeledReplicas": status.fully_labeled_replicas, "readyReplicas": status.ready_replicas,
            "availableReplicas": status.available_replicas, "observedGeneration": status.observed_generation,
            // an object has no empty lists
            "conditions": if status.conditions.is_empty() { Value::Null } else { json!(status.conditions) },
        });
        actions.push(Action::Status(&REPLICA_SET, set.metadata.namespace.clone(), set.metadata.name.clone(), patch));
    }
}

/// Says that pods cannot be made, and why, while it is so.
fn note(conditions: &mut Vec<DeploymentCondition>, refused: Option<&str>, now: jiff::Timestamp) {
    let before = conditions.iter().find(|c| c.kind == FAILURE).and_then(|c| c.last_transition_time);
    conditions.retain(|c| c.kind != FAILURE);
    conditions.extend(refused.map(|why| DeploymentCondition {
        kind: FAILURE.into(),
        status: "True".into(),
        reason: "FailedCreate".into(),
        message: why.into(),
        last_transition_time: before.or(Some(Time(now))),
        last_update_time: None,
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(replicas: i32) -> ReplicaSet {
        serde_json::from_value(
            json!({"metadata": {"name": "s", "namespace": "d", "uid": "u", "generation": 2}, "spec": {"replicas": replicas,
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}}}),
        )
        .unwrap()
    }

    fn pod(name: &str, phase: &str, ready: bool) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "d", "uid": name, "labels": {"a": "b"}}, "spec": {"nodeName": "n"},
            "status": {"phase": phase, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}))
        .unwrap()
    }

    fn at() -> jiff::Timestamp {
        "2026-01-01T00:00:05Z".parse().unwrap()
    }

    fn deleted(actions: &[Action]) -> Vec<&str> {
        actions.iter().filter_map(|a| if let Action::Delete(_, _, name, _) = a { Some(name.as_str()) } else { None }).collect()
    }

    #[test]
    fn missing_pods_are_made_and_done_ones_do_not_count() {
        let actions = next(&set(3), &[pod("a", "Running", true), pod("b", "Failed", false)], None, at());
        assert_eq!(actions.iter().filter(|a| matches!(a, Action::Create(..))).count(), 2);
        let Some(Action::Status(_, _, _, status)) = actions.last() else { panic!() };
        assert_eq!(
            (&status["readyReplicas"], &status["replicas"], &status["observedGeneration"]),
            (&json!(1), &json!(1), &json!(2))
        );
    }

    #[test]
    fn pods_that_fail_at_once_are_not_made_for_ever() {
        let failed = |seconds: i64| {
            let mut pod = pod("f", "Failed", false);
            pod.metadata.creation_timestamp = Some(api::meta::Time(at() - jiff::SignedDuration::from_secs(seconds)));
            pod
        };
        let made =
            |pods: &[Pod]| next(&set(1), pods, None, at()).iter().filter(|action| matches!(action, Action::Create(..))).count();
        assert_eq!(made(&[failed(0), failed(0)]), 1);
        let five: Vec<Pod> = (0..5).map(failed).collect();
        assert_eq!(made(&five), 0);
        assert!(next(&set(1), &five, None, at()).contains(&Action::After(Duration::from_secs(4))));
        assert_eq!(made(&five.iter().cloned().chain([pod("r", "Running", true)]).collect::<Vec<_>>()), 0);
        assert_eq!(made(&(4..9).map(failed).collect::<Vec<_>>()), 1, "the last one is older than the pause");
        assert_eq!(made(&(300..310).map(failed).collect::<Vec<_>>()), 1, "what was long ago does not count");
    }

    #[test]
    fn surplus_pods_go_the_least_useful_first() {
        let pods = [pod("a", "Running", true), pod("b", "Running", false), pod("c", "Pending", false)];
        assert_eq!(deleted(&next(&set(1), &pods, None, at())), ["c", "b"]);
        assert_eq!(deleted(&next(&set(3), &pods, None, at())).len(), 0);
    }

    #[test]
    fn a_pod_is_available_when_it_was_ready_long_enough() {
        let mut set = set(1);
        set.spec.min_ready_seconds = 8;
        let actions = next(&set, &[pod("a", "Running", true)], None, at());
        assert!(actions.contains(&Action::After(Duration::from_secs(3))));
    }

    #[test]
    fn why_pods_cannot_be_made_is_said_while_it_is_so() {
        let conditions = |set: &ReplicaSet, pods: &[Pod], refused, now: jiff::Timestamp| {
            let actions = next(set, pods, refused, now);
            actions.iter().find_map(|a| if let Action::Status(_, _, _, s) = a { Some(s["conditions"].clone()) } else { None })
        };
        let mut set = set(1);
        let said = conditions(&set, &[], Some("no such account"), at()).unwrap();
        assert_eq!(
            (&said[0]["type"], &said[0]["reason"], &said[0]["message"]),
            (&json!(FAILURE), &json!("FailedCreate"), &json!("no such account"))
        );
        set.status.conditions = serde_json::from_value(said.clone()).unwrap();
        (set.status.observed_generation, set.status.replicas) = (Some(2), Some(0));
        let later = at() + jiff::SignedDuration::from_secs(60);
        assert_eq!(conditions(&set, &[], Some("no such account"), later), None, "once is enough");
        assert_eq!(conditions(&set, &[], Some("another"), later).unwrap()[0]["lastTransitionTime"], said[0]["lastTransitionTime"]);
        // there is one: whatever was refused before is over
        assert_eq!(conditions(&set, &[pod("a", "Running", true)], Some("no such account"), later), Some(Value::Null));
    }

    #[test]
    fn a_set_that_goes_makes_nothing() {
        let mut set = set(3);
        set.metadata.deletion_timestamp = Some(api::meta::Time::default());
        assert!(!next(&set, &[], None, at()).iter().any(|a| matches!(a, Action::Create(..))));
    }
}
