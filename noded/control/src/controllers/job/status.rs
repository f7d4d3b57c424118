//! What a job's status says.

use std::time::Duration;

use api::kinds::job::{JOB, Job};
use api::meta::Time;
use serde_json::{Value, json};

use super::super::Action;
use super::super::pods::reference;
use super::track::{Count, ranges};
use super::{BACKOFF, DEADLINE, ENDS, Facts, Verdict, is_indexed};

/// Events of jobs that fail.
const WORDS: [&str; 2] = [DEADLINE, BACKOFF];

/// Writes it, if it is another than it was. A verdict is whole when all pods are counted: before that only its first condition is written.
pub(super) fn write(job: &Job, facts: &Facts, verdict: Option<(Verdict, bool)>, now: jiff::Timestamp, actions: &mut Vec<Action>) {
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
        if let Some((Verdict { kind, reason, message }, is_whole)) = &verdict {
            let first = ENDS.iter().find(|(_, last)| last == kind).map_or("", |(first, _)| first);
            if !list.iter().any(|c| c["type"] == first) {
                list.push(condition(first, "True", reason, message));
                changed = true;
            }
            if *is_whole {
                list.push(condition(kind, "True", reason, message));
                let about = reference("batch/v1", "Job", &job.metadata);
                let well = *kind == "Complete";
                let bad = || WORDS.into_iter().find(|word| word == reason).unwrap_or("Failed");
                let (level, word) = if well { ("Normal", "Completed") } else { ("Warning", bad()) };
                let text = if well { "Job completed".into() } else { message.clone() };
                actions.push(Action::Tell(about, level, word, text));
                changed = true;
            }
        }
    }
    let now_is = (active, Some(facts.ready), Some(facts.terminating), start);
    let same = (was.active, was.ready, was.terminating, was.start_time) == now_is && Count::written(was) == facts.count;
    if changed || !same {
        let number = |n: i32| if n == 0 { Value::Null } else { n.into() };
        let mut patch = json!({"active": number(active), "succeeded": number(facts.count.succeeded), "failed": number(facts.count.failed),
            "ready": facts.ready, "terminating": facts.terminating, "uncountedTerminatedPods": facts.count.uncounted(),
            "startTime": start.map(|t| t.to_string()), "conditions": conditions});
        if is_indexed(job) {
            patch["completedIndexes"] = ranges(&facts.count.done).into();
        }
        if verdict.as_ref().is_some_and(|(verdict, is_whole)| verdict.kind == "Complete" && *is_whole) {
            patch["completionTime"] = stamp.into();
        }
        actions.push(Action::Status(&JOB, job.metadata.namespace.clone(), job.metadata.name.clone(), patch));
    }
    if let (Some(deadline), Some(start), None) = (job.spec.active_deadline_seconds, start, verdict) {
        actions.push(Action::After(Duration::from_secs((deadline - start.seconds_until(now)).max(1).unsigned_abs())));
    }
}
