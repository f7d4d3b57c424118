//! Jobs: pods until enough of them have ended well.

use std::collections::BTreeSet;
use std::time::Duration;

use api::kinds::job::{JOB, Job};
use api::kinds::pod::{POD, Pod};
use api::meta::Time;
use serde_json::{Value, json};

use super::Action;
use super::pods::{ago, count, from_template, is_active, owner, reference};

const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What is to be done for a job whose own pods are `pods`.
pub fn next(job: &Job, pods: &[Pod], now: jiff::Timestamp) -> Vec<Action> {
    if job.metadata.deletion_timestamp.is_some() {
        return Vec::new();
    }
    if let Some(end) = ended(job) {
        return expire(job, end, now);
    }
    let facts = Facts::of(job, pods, now);
    let mut actions = Vec::new();
    let verdict = verdict(job, &facts, now);
    let suspended = job.spec.suspend == Some(true);
    if verdict.is_some() || suspended {
        for pod in pods.iter().filter(|p| is_active(p)) {
            actions.push(Action::Delete(&POD, pod.metadata.namespace.clone(), pod.metadata.name.clone(), pod.metadata.uid.clone()));
        }
    } else {
        run(job, pods, &facts, &mut actions);
    }
    status(job, &facts, verdict, now, &mut actions);
    actions
}

struct Facts {
    active: i32,
    ready: i32,
    succeeded: i32,
    failed: i32,
    done: BTreeSet<i32>,
    busy: BTreeSet<i32>,
    /// So many seconds ago the last one failed.
    failed_ago: Option<i64>,
}

fn index(pod: &Pod) -> Option<i32> {
    pod.metadata.annotations.get(INDEX)?.parse().ok()
}

fn is_indexed(job: &Job) -> bool {
    job.spec.completion_mode == "Indexed"
}

impl Facts {
    fn of(job: &Job, pods: &[Pod], now: jiff::Timestamp) -> Self {
        let phase = |word: &'static str| move |p: &Pod| p.status.phase == word;
        let done: BTreeSet<i32> = pods.iter().filter(|p| phase("Succeeded")(p)).filter_map(index).collect();
        let ended =
            |p: &Pod| p.status.container_statuses.iter().filter_map(|c| c.state.as_ref()?.terminated.as_ref()?.finished_at).max();
        let restarts: i32 =
            pods.iter().filter(|p| is_active(p)).flat_map(|p| &p.status.container_statuses).map(|c| c.restart_count).sum();
        let retried = if job.spec.template.spec.restart_policy == "OnFailure" { restarts } else { 0 };
        Self {
            active: count(pods, is_active),
            ready: count(pods, |p| is_active(p) && p.is_ready()),
            succeeded: if is_indexed(job) { i32::try_from(done.len()).unwrap_or(0) } else { count(pods, phase("Succeeded")) },
            // a pod that was deleted before it ended has failed too, unless the job did it
            failed: count(pods, phase("Failed")) + retried,
            busy: pods.iter().filter(|p| is_active(p)).filter_map(index).collect(),
            done,
            failed_ago: pods
                .iter()
                .filter(|p| phase("Failed")(p))
                .map(|p| ended(p).or(p.metadata.creation_timestamp).map_or(i64::MAX, |time| ago(p, time, now)))
                .min(),
        }
    }
}

/// How the job ends, if it does: the condition and its words.
fn verdict(job: &Job, facts: &Facts, now: jiff::Timestamp) -> Option<(&'static str, &'static str, &'static str)> {
    let enough = job.spec.completions.map_or_else(|| facts.succeeded > 0 && facts.active == 0, |all| facts.succeeded >= all);
    if enough {
        return Some(("Complete", "CompletionsReached", "Reached expected number of succeeded pods"));
    }
    let age = job.status.start_time.map_or(0, |s| s.seconds_until(now));
    if job.spec.active_deadline_seconds.is_some_and(|d| age >= d) {
        return Some(("Failed", "DeadlineExceeded", "Job was active longer than specified deadline"));
    }
    (facts.failed > job.spec.backoff_limit.unwrap_or(6)).then_some((
        "Failed",
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
    ))
}

/// Starts what is missing, later after each failure.
fn run(job: &Job, pods: &[Pod], facts: &Facts, actions: &mut Vec<Action>) {
    let parallelism = job.spec.parallelism.unwrap_or(1);
    let left = job
        .spec
        .completions
        .map_or_else(|| if facts.succeeded > 0 { facts.active } else { parallelism }, |all| all - facts.succeeded);
    let wanted = parallelism.min(left).max(0);
    if facts.active > wanted {
        let mut active: Vec<&Pod> = pods.iter().filter(|p| is_active(p)).collect();
        active.sort_by_key(|p| (p.is_ready(), std::cmp::Reverse(p.metadata.creation_timestamp)));
        for pod in active.iter().take(usize::try_from(facts.active - wanted).unwrap_or(0)) {
            actions.push(Action::Delete(&POD, pod.metadata.namespace.clone(), pod.metadata.name.clone(), pod.metadata.uid.clone()));
        }
        return;
    }
    let since = facts.failed_ago.unwrap_or(i64::MAX);
    let pause = 10i64 << (facts.failed.clamp(1, 6) - 1);
    if facts.failed > 0 && since < pause.min(360) {
        actions.push(Action::After(Duration::from_secs((pause.min(360) - since).unsigned_abs())));
        return;
    }
    let owner = owner("batch/v1", "Job", &job.metadata);
    let free = (0..job.spec.completions.unwrap_or(0)).filter(|i| !facts.done.contains(i) && !facts.busy.contains(i));
    let mut free = free.map(Some).chain(std::iter::repeat(None));
    for _ in facts.active..wanted.min(facts.active + 500) {
        let mut pod = from_template(&job.spec.template, &job.metadata.name, &owner);
        if is_indexed(job) {
            let Some(Some(index)) = free.next() else { break };
            number(&mut pod, &job.metadata.name, index);
        }
        actions.push(Action::Create(&POD, job.metadata.namespace.clone(), pod));
    }
}

/// Tells a pod which one of the job's it is.
fn number(pod: &mut Value, name: &str, index: i32) {
    pod["metadata"]["generateName"] = format!("{name}-{index}-").into();
    pod["metadata"]["annotations"][INDEX] = index.to_string().into();
    pod["metadata"]["labels"][INDEX] = index.to_string().into();
    pod["spec"]["hostname"] = format!("{name}-{index}").into();
    for list in ["containers", "initContainers"] {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            let mut env = container["env"].as_array().cloned().unwrap_or_default();
            env.push(json!({"name": "JOB_COMPLETION_INDEX", "value": index.to_string()}));
            container["env"] = env.into();
        }
    }
}

fn ended(job: &Job) -> Option<Time> {
    let is_end = |kind: &str| matches!(kind, "Complete" | "Failed");
    job.status.conditions.iter().find(|c| is_end(&c.kind) && c.status == "True").map(|c| c.last_transition_time.unwrap_or_default())
}

/// A job that has ended goes after its time.
fn expire(job: &Job, end: Time, now: jiff::Timestamp) -> Vec<Action> {
    let Some(ttl) = job.spec.ttl_seconds_after_finished else { return Vec::new() };
    let left = i64::from(ttl) - end.seconds_until(now);
    let meta = &job.metadata;
    vec![if left > 0 {
        Action::After(Duration::from_secs(left.unsigned_abs()))
    } else {
        Action::Delete(&JOB, meta.namespace.clone(), meta.name.clone(), meta.uid.clone())
    }]
}

fn status(
    job: &Job,
    facts: &Facts,
    verdict: Option<(&'static str, &'static str, &'static str)>,
    now: jiff::Timestamp,
    actions: &mut Vec<Action>,
) {
    let was = &job.status;
    let suspended = job.spec.suspend == Some(true);
    let start = if suspended { None } else { was.start_time.or(Some(Time(now))) };
    let active = if verdict.is_some() || suspended { 0 } else { facts.active };
    let mut conditions = serde_json::to_value(&was.conditions).unwrap_or_default();
    let stamp = Time(now).to_string();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| json!({"type": kind, "status": status, "reason": reason, "message": message, "lastProbeTime": stamp, "lastTransitionTime": stamp});
    let list = conditions.as_array_mut();
    let was_suspended = was.conditions.iter().find(|c| c.kind == "Suspended").is_some_and(|c| c.status == "True");
    let mut changed = false;
    if let Some(list) = list {
        if suspended != was_suspended {
            list.retain(|c| c["type"] != "Suspended");
            let (status, reason, message) =
                if suspended { ("True", "JobSuspended", "Job suspended") } else { ("False", "JobResumed", "Job resumed") };
            list.push(condition("Suspended", status, reason, message));
            changed = true;
        }
        if let Some((kind, reason, message)) = verdict {
            let before = if kind == "Complete" { "SuccessCriteriaMet" } else { "FailureTarget" };
            list.push(condition(before, "True", reason, message));
            list.push(condition(kind, "True", reason, message));
            let about = reference("batch/v1", "Job", &job.metadata);
            let (level, word) = if kind == "Complete" { ("Normal", "Completed") } else { ("Warning", reason) };
            actions.push(Action::Tell(
                about,
                level,
                word,
                if kind == "Complete" { "Job completed".into() } else { message.into() },
            ));
            changed = true;
        }
    }
    let same = (was.active, was.succeeded, was.failed, was.ready, was.start_time)
        == (active, facts.succeeded, facts.failed, Some(facts.ready), start);
    if changed || !same {
        let number = |n: i32| if n == 0 { Value::Null } else { n.into() };
        let mut patch = json!({"active": number(active), "succeeded": number(facts.succeeded), "failed": number(facts.failed), "ready": facts.ready,
            "startTime": start.map(|t| t.to_string()), "conditions": conditions});
        if is_indexed(job) {
            patch["completedIndexes"] = ranges(&facts.done).into();
        }
        if verdict.is_some_and(|(kind, ..)| kind == "Complete") {
            patch["completionTime"] = stamp.into();
        }
        actions.push(Action::Status(&JOB, job.metadata.namespace.clone(), job.metadata.name.clone(), patch));
    }
    if let (Some(deadline), Some(start), None) = (job.spec.active_deadline_seconds, start, verdict) {
        actions.push(Action::After(Duration::from_secs((deadline - start.seconds_until(now)).max(1).unsigned_abs())));
    }
}

/// Numbers as `0-2,5`.
fn ranges(numbers: &BTreeSet<i32>) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn job(spec: Value) -> Job {
        let mut value = json!({"metadata": {"name": "j", "namespace": "d", "uid": "u"}, "spec": spec, "status": {"startTime": "2026-01-01T00:00:00Z"}});
        value["spec"]["template"] = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}});
        serde_json::from_value(value).unwrap()
    }

    fn pod(name: &str, phase: &str) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "d", "uid": name, "creationTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": phase}})).unwrap()
    }

    fn at(text: &str) -> jiff::Timestamp {
        text.parse().unwrap()
    }

    fn made(actions: &[Action]) -> usize {
        actions.iter().filter(|a| matches!(a, Action::Create(..))).count()
    }

    fn last_condition(actions: &[Action]) -> String {
        let status = actions.iter().find_map(|a| if let Action::Status(_, _, _, s) = a { Some(s.clone()) } else { None }).unwrap();
        status["conditions"]
            .as_array()
            .and_then(|c| c.last().cloned())
            .map_or_else(String::new, |c| format!("{}/{}", c["type"].as_str().unwrap(), c["reason"].as_str().unwrap()))
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
        assert_eq!(
            last_condition(&next(&one, &[pod("a", "Succeeded")], at("2026-01-01T00:00:01Z"))),
            "Complete/CompletionsReached"
        );
        assert_eq!(last_condition(&next(&one, &[pod("a", "Failed")], at("2026-01-01T00:00:01Z"))), "Failed/BackoffLimitExceeded");
        let slow = job(json!({"completions": 1, "activeDeadlineSeconds": 10}));
        assert_eq!(last_condition(&next(&slow, &[pod("a", "Running")], at("2026-01-01T00:00:11Z"))), "Failed/DeadlineExceeded");
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
        let given: Vec<String> = actions
            .iter()
            .filter_map(|a| {
                if let Action::Create(_, _, p) = a { Some(p["metadata"]["annotations"][INDEX].as_str()?.into()) } else { None }
            })
            .collect();
        assert_eq!((given, ranges(&[0, 1, 2, 5].into())), (vec!["0".to_string(), "2".into()], "0-2,5".to_string()));
    }
}
