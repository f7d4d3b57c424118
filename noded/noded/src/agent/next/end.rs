//! How pods end: by themselves, by their deadline, or because they are deleted.

use api::kinds::pod::Pod;
use cri::{ContainerState, ContainerStatus};

use super::super::actual::{Action, Actual, Nanos, SECOND, name_of};
use super::super::pressure::Evicted;
use super::{Next, begun, restarts};

/// How a pod has ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Outcome {
    Succeeded,
    Failed,
    /// It had run for too long.
    TooLate,
    /// Its host goes down.
    Terminated,
    /// The node could not keep it, or did not take it.
    Evicted,
}

/// How a pod has ended, if it has. What was told once stays so.
pub(in super::super) fn outcome(pod: &Pod, actual: &Actual, now: Nanos) -> Option<Outcome> {
    match (pod.status.phase.as_str(), pod.status.reason.as_str()) {
        ("Succeeded", _) => return Some(Outcome::Succeeded),
        ("Failed", "DeadlineExceeded") => return Some(Outcome::TooLate),
        ("Failed", _) => return Some(Outcome::Failed),
        _ if actual.memory.shutdown.is_some() => return Some(Outcome::Terminated),
        _ => {}
    }
    if actual.memory.evicted.is_some() {
        return Some(Outcome::Evicted);
    }
    if deadline(pod, actual).is_some_and(|deadline| deadline <= now) {
        return Some(Outcome::TooLate);
    }
    let policy = pod.spec.restart_policy.as_str();
    let ended = |name: &str| actual.newest(name).filter(|seen| seen.state() == ContainerState::ContainerExited);
    let inits = pod.spec.init_containers.iter().filter(|init| init.restart_policy != "Always");
    let given_up = |name: &str| ended(name).is_some_and(|seen| seen.exit_code != 0);
    if policy == "Never" && !begun(pod, actual) && inits.into_iter().any(|init| given_up(&init.name)) {
        return Some(Outcome::Failed);
    }
    let mut codes = Vec::new();
    for main in &pod.spec.containers {
        codes.push(ended(&main.name).filter(|seen| !restarts(policy, seen, actual))?.exit_code);
    }
    let good = !codes.is_empty() && codes.iter().all(|code| *code == 0);
    Some(if good { Outcome::Succeeded } else { Outcome::Failed })
}

/// When a pod with a deadline has to have ended.
pub(in super::super) fn deadline(pod: &Pod, actual: &Actual) -> Option<Nanos> {
    let seconds = u64::try_from(pod.spec.active_deadline_seconds?).ok()?;
    Some(actual.memory.accepted.saturating_add(seconds.saturating_mul(SECOND)))
}

/// A pod that has ended for good: nothing of it runs any more, but its containers and logs are kept until it is deleted.
pub(super) fn finished(pod: &Pod, actual: &Actual, now: Nanos) -> Next {
    if let Some(until) = stuck(actual, now) {
        return Next::at(until);
    }
    if makes(actual) {
        return Next::default();
    }
    // Whoever has to go for the node's sake has no time.
    let hurried = actual.memory.evicted.as_ref().and_then(Evicted::grace);
    let grace = u64::try_from(hurried.or(pod.spec.termination_grace_period_seconds).unwrap_or(30)).unwrap_or(0);
    // The time counts from the moment in which it is seen; whoever is told to stop is not told again.
    let known = actual.doing.iter().find_map(|doing| match doing {
        Action::Stop { until, .. } => Some(*until),
        _ => None,
    });
    let until = known.unwrap_or_else(|| now.saturating_add(grace.saturating_mul(SECOND)));
    let until = until.min(actual.memory.shutdown.unwrap_or(Nanos::MAX));
    let stops = stops(Some(pod), actual, until);
    if !stops.is_empty() || actual.running().next().is_some() {
        return Next { actions: stops, wake: None };
    }
    let ready = actual.sandboxes.iter().filter(|sandbox| sandbox.ready);
    Next { actions: ready.map(|sandbox| Action::StopSandbox { id: sandbox.id.clone() }).collect(), wake: None }
}

/// A pod that is deleted: first its containers end, then it goes, and only then the API is told.
pub(super) fn all(pod: Option<&Pod>, actual: &Actual, now: Nanos) -> Next {
    if let Some(until) = stuck(actual, now) {
        return Next::at(until);
    }
    // What is being made now is found when it is there.
    if makes(actual) {
        return Next::default();
    }
    // Whoever takes the object away has no patience.
    let until = pod.and(actual.memory.deleted).map_or(now.min(1), |(_, until)| until);
    let stops = stops(pod, actual, until);
    if !stops.is_empty() || actual.running().next().is_some() {
        return Next { actions: stops, wake: None };
    }
    if !actual.sandboxes.is_empty() {
        let all = actual.sandboxes.iter().map(|sandbox| Action::RemoveSandbox { id: sandbox.id.clone() });
        return Next { actions: all.collect(), wake: None };
    }
    Next::one(Action::Forget)
}

/// The word for a pod of which something cannot be ended. It is tried again.
pub(in super::super) const STUCK: &str = "FailedKillPod";

/// When that is, if it is not now.
fn stuck(actual: &Actual, now: Nanos) -> Option<Nanos> {
    actual.memory.problem.as_ref().filter(|problem| problem.reason == STUCK && problem.until > now).map(|problem| problem.until)
}

/// Whether something of the pod is being made.
fn makes(actual: &Actual) -> bool {
    actual.doing.iter().any(|doing| matches!(doing, Action::Sandbox { .. } | Action::Start { .. } | Action::Volumes))
}

/// Who has to end now: first the containers, and when those are gone the sidecars, the last one first.
fn stops(pod: Option<&Pod>, actual: &Actual, until: Nanos) -> Vec<Action> {
    let stop = |seen: &ContainerStatus| Action::Stop { container: name_of(seen).to_owned(), id: seen.id.clone(), until };
    let Some(pod) = pod else { return actual.running().map(stop).collect() };
    let sidecars = pod.spec.init_containers.iter().rev().filter(|init| init.restart_policy == "Always");
    let sidecars: Vec<&str> = sidecars.map(|init| init.name.as_str()).collect();
    let mains: Vec<Action> = actual.running().filter(|seen| !sidecars.contains(&name_of(seen))).map(stop).collect();
    if !mains.is_empty() {
        return mains;
    }
    let running = |name: &&str| actual.running().find(|seen| name_of(seen) == *name);
    sidecars.iter().find_map(running).map(stop).into_iter().collect()
}
