//! What comes of jobs.

use serde_json::Value;

use super::track::{ranges, read};
use super::*;

fn job(spec: Value) -> Job {
    let mut value = json!({"metadata": {"name": "j", "namespace": "d", "uid": "u"}, "spec": spec, "status": {"startTime": "2026-01-01T00:00:00Z"}});
    value["spec"]["template"] = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}});
    serde_json::from_value(value).unwrap()
}

fn pod(name: &str, phase: &str) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "d", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FINALIZER]}, "status": {"phase": phase}})).unwrap()
}

fn at(text: &str) -> jiff::Timestamp {
    text.parse().unwrap()
}

fn made(actions: &[Action]) -> usize {
    actions.iter().filter(|a| matches!(a, Action::Create(..))).count()
}

/// Does what is wanted until nothing more is, but for making pods: what the job says then, and which pods are still held.
fn settled(mut job: Job, mut pods: Vec<Pod>, now: jiff::Timestamp) -> (Job, Vec<String>) {
    for _ in 0..20 {
        let actions = next(&job, &pods, now);
        let before = (serde_json::to_value(&job).unwrap(), serde_json::to_value(&pods).unwrap());
        for action in actions {
            match action {
                Action::Status(_, _, _, patch) => {
                    let mut object = serde_json::to_value(&job).unwrap();
                    api::patch::merge(&mut object["status"], patch);
                    job = serde_json::from_value(object).unwrap();
                }
                Action::Release(_, _, name, finalizer) => {
                    let pod = pods.iter_mut().find(|pod| pod.metadata.name == name).unwrap();
                    pod.metadata.finalizers.retain(|f| f != finalizer);
                }
                Action::Delete(_, _, name, _) => {
                    let pod = pods.iter_mut().find(|pod| pod.metadata.name == name).unwrap();
                    pod.metadata.deletion_timestamp = Some(Time(now));
                }
                _ => {}
            }
        }
        // who is let go and deleted is gone
        pods.retain(|pod| is_held(pod) || pod.metadata.deletion_timestamp.is_none());
        if before == (serde_json::to_value(&job).unwrap(), serde_json::to_value(&pods).unwrap()) {
            let held = pods.iter().filter(|pod| is_held(pod)).map(|pod| pod.metadata.name.clone()).collect();
            return (job, held);
        }
    }
    panic!("it never settles: {:?}", job.status);
}

fn last_condition((job, held): &(Job, Vec<String>)) -> String {
    assert!(held.is_empty(), "{held:?}");
    job.status.conditions.last().map_or_else(String::new, |c| format!("{}/{}", c.kind, c.reason))
}

#[test]
fn so_many_run_as_may_and_must() {
    let now = at("2026-01-01T00:00:01Z");
    assert_eq!(made(&next(&job(json!({"completions": 5, "parallelism": 2})), &[pod("a", "Running")], now)), 1);
    assert_eq!(made(&next(&job(json!({"completions": 2, "parallelism": 2})), &[pod("a", "Succeeded")], now)), 1);
    assert_eq!(made(&next(&job(json!({"completions": 2, "parallelism": 2, "suspend": true})), &[], now)), 0);
}

#[test]
fn a_job_ends_well_or_not() {
    let one = job(json!({"completions": 1, "parallelism": 1, "backoffLimit": 0}));
    let well = settled(one.clone(), vec![pod("a", "Succeeded")], at("2026-01-01T00:00:01Z"));
    assert_eq!((last_condition(&well).as_str(), well.0.status.succeeded), ("Complete/CompletionsReached", 1));
    assert!(well.0.status.completion_time.is_some() && well.0.status.conditions[0].kind == "SuccessCriteriaMet");
    let badly = settled(one, vec![pod("a", "Failed")], at("2026-01-01T00:00:01Z"));
    assert_eq!((last_condition(&badly).as_str(), badly.0.status.failed), ("Failed/BackoffLimitExceeded", 1));
    let slow = job(json!({"completions": 1, "activeDeadlineSeconds": 10}));
    let late = settled(slow, vec![pod("a", "Running")], at("2026-01-01T00:00:11Z"));
    assert_eq!((last_condition(&late).as_str(), late.0.status.failed), ("Failed/DeadlineExceeded", 1));
}

#[test]
fn an_end_is_written_before_its_pod_may_go_and_counted_once() {
    let now = at("2026-01-01T00:00:01Z");
    let one = job(json!({"completions": 3, "parallelism": 1}));
    let first = next(&one, &[pod("a", "Succeeded")], now);
    assert!(!first.iter().any(|action| matches!(action, Action::Release(..))), "nothing is written yet");
    let status = |action: &Action| if let Action::Status(_, _, _, patch) = action { Some(patch.clone()) } else { None };
    let patch = first.iter().find_map(status).unwrap();
    assert_eq!((&patch["succeeded"], &patch["uncountedTerminatedPods"]["succeeded"]), (&Value::Null, &json!(["a"])));
    let (job, held) = settled(one, vec![pod("a", "Succeeded"), pod("b", "Failed")], now);
    assert_eq!((job.status.succeeded, job.status.failed, held.len()), (1, 1, 0));
    assert_eq!(job.status.uncounted_terminated_pods, Some(json!({})));
    // people delete them: they stay counted
    assert_eq!(made(&next(&job, &[], now)), 1);
    let (job, _) = settled(job, Vec::new(), now);
    assert_eq!((job.status.succeeded, job.status.failed), (1, 1));
    let (job, _) = settled(job, vec![pod("c", "Succeeded"), pod("d", "Succeeded")], now);
    assert_eq!((job.status.succeeded, last_condition(&(job, Vec::new())).as_str()), (3, "Complete/CompletionsReached"));
}

#[test]
fn whoever_deletes_a_pod_lets_it_fail_but_for_the_job_itself() {
    let now = at("2026-01-01T00:00:01Z");
    let mut deleted = pod("a", "Running");
    deleted.metadata.deletion_timestamp = Some(Time(now));
    let (failed, held) = settled(job(json!({"completions": 1})), vec![deleted], now);
    assert_eq!((failed.status.failed, held.len()), (1, 0));
    let paused = job(json!({"completions": 1, "suspend": true}));
    let (paused, held) = settled(paused, vec![pod("a", "Running")], now);
    assert_eq!((paused.status.failed, held.len()), (0, 0));
    let fewer = job(json!({"completions": 9, "parallelism": 1}));
    let (fewer, held) = settled(fewer, vec![pod("a", "Running"), pod("b", "Running")], now);
    assert_eq!((fewer.status.failed, fewer.status.active, held.len()), (0, 1, 1));
}

#[test]
fn what_is_not_counted_any_more_is_let_go() {
    let now = at("2026-01-01T00:00:01Z");
    let mut going = job(json!({"completions": 1}));
    going.metadata.deletion_timestamp = Some(Time(now));
    assert!(matches!(next(&going, &[pod("a", "Running")], now)[..], [Action::Release(..)]));
    // one of a version that did not hold its pods
    let mut old = pod("a", "Running");
    old.metadata.finalizers.clear();
    let actions = next(&job(json!({"completions": 1, "parallelism": 1})), &[old], now);
    let held =
        |action: &Action| matches!(action, Action::Patch(_, _, _, patch) if patch["metadata"]["finalizers"] == json!([FINALIZER]));
    assert!(actions.iter().any(held), "{actions:?}");
}

#[test]
fn a_failure_is_followed_by_a_pause() {
    let one = job(json!({"completions": 1, "backoffLimit": 3}));
    assert_eq!(made(&next(&one, &[pod("a", "Failed")], at("2026-01-01T00:00:05Z"))), 0);
    assert_eq!(made(&next(&one, &[pod("a", "Failed")], at("2026-01-01T00:00:10Z"))), 1);
}

#[test]
fn a_pause_is_as_long_whatever_the_nodes_clock_says() {
    let one = job(json!({"completions": 1, "backoffLimit": 3}));
    for ended in ["2025-12-31T12:00:00Z", "2026-01-01T12:00:00Z"] {
        let mut failed = pod("a", "Failed");
        let state = json!({"name": "c", "state": {"terminated": {"exitCode": 1, "finishedAt": ended}}});
        failed.status.container_statuses = serde_json::from_value(json!([state])).unwrap();
        assert_eq!(made(&next(&one, &[failed.clone()], at("2026-01-01T00:00:05Z"))), 0, "{ended}");
        assert_eq!(made(&next(&one, &[failed], at("2026-01-01T00:00:10Z"))), 1, "{ended}");
    }
}

#[test]
fn indexes_are_given_once() {
    let three = job(json!({"completions": 3, "parallelism": 3, "completionMode": "Indexed"}));
    let mut one = pod("a", "Running");
    one.metadata.annotations.insert(INDEX.into(), "1".into());
    let actions = next(&three, &[one], at("2026-01-01T00:00:01Z"));
    let given: Vec<String> =
        actions
            .iter()
            .filter_map(|a| {
                if let Action::Create(_, _, p) = a { Some(p["metadata"]["annotations"][INDEX].as_str()?.into()) } else { None }
            })
            .collect();
    assert_eq!((given, ranges(&[0, 1, 2, 5].into())), (vec!["0".to_string(), "2".into()], "0-2,5".to_string()));
    assert_eq!(read("0-2,5,x,7-"), [0, 1, 2, 5].into());
    let indexed = |name: &str, index: &str, phase: &str| {
        let mut pod = pod(name, phase);
        pod.metadata.annotations.insert(INDEX.into(), index.into());
        pod
    };
    let now = at("2026-01-01T00:00:01Z");
    let pods = vec![
        indexed("a", "0", "Succeeded"),
        indexed("b", "0", "Succeeded"),
        indexed("c", "2", "Succeeded"),
        indexed("d", "9", "Succeeded"),
    ];
    let (two, held) = settled(three, pods, now);
    assert_eq!((two.status.succeeded, two.status.completed_indexes.as_str(), held), (2, "0,2", Vec::<String>::new()));
}
