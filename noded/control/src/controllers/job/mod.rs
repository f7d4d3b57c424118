//! Jobs: pods until enough of them have ended well. How they are counted is in `track`.

mod status;
#[cfg(test)]
mod tests;
mod track;

use std::collections::BTreeSet;
use std::time::Duration;

use api::kinds::job::{JOB, Job};
use api::kinds::pod::{POD, Pod};
use api::meta::Time;
use serde_json::{Value, json};

use super::Action;
use super::pods::{ago, count, from_template, is_active, owner};
pub(super) use track::FINALIZER;
use track::{Count, is_held, release, settle};

const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// What is to be done for a job whose own pods are `pods`.
pub fn next(job: &Job, pods: &[Pod], now: jiff::Timestamp) -> Vec<Action> {
    // nothing is counted any more
    let mut leftover: Vec<Action> = pods.iter().filter(|pod| is_held(pod)).map(release).collect();
    if job.metadata.deletion_timestamp.is_some() {
        return leftover;
    }
    if let Some(end) = ended(job) {
        leftover.extend(expire(job, end, now));
        return leftover;
    }
    let facts = Facts::of(job, pods, now);
    let mut actions = settle(job, pods);
    let verdict = verdict(job, &facts, now);
    let active = pods.iter().filter(|pod| is_active(pod));
    if verdict.is_some() {
        actions.extend(active.map(delete));
    } else if job.spec.suspend == Some(true) {
        active.for_each(|pod| actions.extend(withdraw(pod)));
    } else {
        run(job, pods, &facts, &mut actions);
    }
    let is_whole = facts.count.is_whole() && !pods.iter().any(is_held);
    status::write(job, &facts, verdict.map(|verdict| (verdict, is_whole)), now, &mut actions);
    actions
}

fn delete(pod: &Pod) -> Action {
    Action::Delete(&POD, pod.metadata.namespace.clone(), pod.metadata.name.clone(), pod.metadata.uid.clone())
}

/// Deletes a pod that is not wanted any more: it has not failed.
fn withdraw(pod: &Pod) -> [Action; 2] {
    [release(pod), delete(pod)]
}

struct Facts {
    active: i32,
    ready: i32,
    terminating: i32,
    succeeded: i32,
    failed: i32,
    /// Of those that have ended, what is to be written.
    count: Count,
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
        let ended_ones = Count::next(job, pods);
        let ended =
            |p: &Pod| p.status.container_statuses.iter().filter_map(|c| c.state.as_ref()?.terminated.as_ref()?.finished_at).max();
        let restarts: i32 =
            pods.iter().filter(|p| is_active(p)).flat_map(|p| &p.status.container_statuses).map(|c| c.restart_count).sum();
        let retried = if job.spec.template.spec.restart_policy == "OnFailure" { restarts } else { 0 };
        Self {
            active: count(pods, is_active),
            ready: count(pods, |p| is_active(p) && p.is_ready()),
            terminating: count(pods, |p| p.metadata.deletion_timestamp.is_some() && !p.is_done()),
            succeeded: ended_ones.all_well(),
            failed: ended_ones.all_badly() + retried,
            busy: pods.iter().filter(|p| is_active(p)).filter_map(index).collect(),
            count: ended_ones,
            failed_ago: pods
                .iter()
                .filter(|p| phase("Failed")(p))
                .map(|p| ended(p).or(p.metadata.creation_timestamp).map_or(i64::MAX, |time| ago(p, time, now)))
                .min(),
        }
    }
}

/// How a job ends: the condition and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Verdict {
    kind: &'static str,
    reason: String,
    message: String,
}

const DEADLINE: &str = "DeadlineExceeded";
const BACKOFF: &str = "BackoffLimitExceeded";

/// The first condition of each end, and the last.
const ENDS: [(&str, &str); 2] = [("SuccessCriteriaMet", "Complete"), ("FailureTarget", "Failed")];

/// How the job ends, if it does. What was said stays.
fn verdict(job: &Job, facts: &Facts, now: jiff::Timestamp) -> Option<Verdict> {
    let said = job.status.conditions.iter().filter(|c| c.status == "True");
    let said = said.filter_map(|c| Some((c, ENDS.iter().find(|(first, _)| c.kind == *first)?.1))).next();
    if let Some((condition, kind)) = said {
        return Some(Verdict { kind, reason: condition.reason.clone(), message: condition.message.clone() });
    }
    let end = |kind, reason: &str, message: &str| Some(Verdict { kind, reason: reason.into(), message: message.into() });
    let enough = job.spec.completions.map_or_else(|| facts.succeeded > 0 && facts.active == 0, |all| facts.succeeded >= all);
    if enough {
        return end("Complete", "CompletionsReached", "Reached expected number of succeeded pods");
    }
    let age = job.status.start_time.map_or(0, |s| s.seconds_until(now));
    if job.spec.active_deadline_seconds.is_some_and(|d| age >= d) {
        return end("Failed", DEADLINE, "Job was active longer than specified deadline");
    }
    let is_over = facts.failed > job.spec.backoff_limit.unwrap_or(6);
    if is_over { end("Failed", BACKOFF, "Job has reached the specified backoff limit") } else { None }
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
            actions.extend(withdraw(pod));
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
    let free = (0..job.spec.completions.unwrap_or(0)).filter(|i| !facts.count.done.contains(i) && !facts.busy.contains(i));
    let mut free = free.map(Some).chain(std::iter::repeat(None));
    for _ in facts.active..wanted.min(facts.active + 500) {
        let mut pod = from_template(&job.spec.template, &job.metadata.name, &owner);
        let finalizers: Vec<&str> = job.spec.template.metadata.finalizers.iter().map(String::as_str).chain([FINALIZER]).collect();
        pod["metadata"]["finalizers"] = json!(finalizers);
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
