//! The status of a pod, as its node sees it: a function of what is desired, what is, and what was said before.

mod container;
#[cfg(test)]
mod tests;

use api::kinds::pod::Pod;
use api::kinds::pod::container::{Container, EphemeralContainer};
use api::kinds::pod::status::{ContainerStatus, HostIp, PodCondition, PodIp, PodStatus};
use api::meta::Time;

use super::actual::{Action, Actual, Nanos, SECOND, name_of};
use super::next::{Outcome, begun, is_started, outcome, succeeded};
use super::resize::changed;
use container::container;

/// The node's own conditions; all others are somebody else's.
const OWN: [&str; 6] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", PENDING, IN_PROGRESS];

/// A pod asks for resources that it does not have yet, and those that it was given are not all with its containers yet.
pub(super) const PENDING: &str = "PodResizePending";
pub(super) const IN_PROGRESS: &str = "PodResizeInProgress";

/// Why a pod ends that ends with its host: the kubelet's words.
const SHUTDOWN: &str = "Pod was terminated in response to imminent node shutdown.";

/// What to tell the API.
pub(super) fn status(pod: &Pod, before: &PodStatus, actual: &Actual, host: &str, now: Nanos) -> PodStatus {
    let spec = &pod.spec;
    let ended = outcome(pod, actual, now);
    let ips = actual.sandbox().filter(|sandbox| sandbox.ready && ended.is_none()).map(|sandbox| sandbox.ips.clone());
    let ips = match spec.host_network {
        true if ips.is_some() => vec![host.to_owned()],
        _ => ips.unwrap_or_default(),
    };
    let through = is_initialized(pod, actual);
    let waits = if through { "ContainerCreating" } else { "PodInitializing" };
    // One that was never taken has no containers to speak of.
    let never = ended.is_some() && actual.sandboxes.is_empty() && before.container_statuses.is_empty();
    let view = |containers: &[Container], sidecars: bool, word: &str| -> Vec<ContainerStatus> {
        containers.iter().filter(|_| !never).map(|spec| container(pod, spec, sidecars, before, actual, word, now)).collect()
    };
    let inits = view(&spec.init_containers, true, if actual.sandbox().is_some() { "PodInitializing" } else { waits });
    let mains = view(&spec.containers, false, waits);
    let added: Vec<Container> = spec.ephemeral_containers.iter().map(EphemeralContainer::container).collect();
    let added =
        view(&added, false, waits).into_iter().map(|status| ContainerStatus { ready: false, started: None, ..status }).collect();
    let ready = ended.is_none() && mains.iter().all(|main| main.ready);
    let (phase, reason, message) = match ended {
        Some(Outcome::Succeeded) => ("Succeeded", "", ""),
        Some(Outcome::Failed) => ("Failed", before.reason.as_str(), before.message.as_str()),
        Some(Outcome::Evicted) => {
            actual.memory.evicted.as_ref().map_or(("Failed", "", ""), |why| ("Failed", why.reason.as_str(), why.message.as_str()))
        }
        Some(Outcome::TooLate) => ("Failed", "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"),
        Some(Outcome::Terminated) => ("Failed", "Terminated", SHUTDOWN),
        None if mains.iter().any(is_on) => ("Running", "", ""),
        None => ("Pending", "", ""),
    };
    let unready: Vec<&str> = mains.iter().filter(|main| !main.ready).map(|main| main.name.as_str()).collect();
    let why = format!("containers with unready status: [{}]", unready.join(" "));
    let why_not = match ended {
        Some(Outcome::Succeeded) => ("PodCompleted", ""),
        Some(_) => ("PodFailed", ""),
        None => ("ContainersNotReady", why.as_str()),
    };
    let done = if ended == Some(Outcome::Succeeded) { "PodCompleted" } else { "" };
    let pending: Vec<&str> = spec.init_containers.iter().map(|init| init.name.as_str()).collect();
    let incomplete = format!("containers with incomplete status: [{}]", pending.join(" "));
    let gates = spec
        .readiness_gates
        .iter()
        .all(|gate| before.conditions.iter().any(|condition| condition.kind == gate.condition_type && condition.status == "True"));
    let time = time(now);
    let says = |kind: &str, is: bool, reason: &str, message: &str| condition(before, kind, is, reason, message, time);
    let no_gate = ("ReadinessGatesNotReady", "corresponding condition of a readiness gate is not \"True\"");
    let (reason_ready, message_ready) = if ready && !gates { no_gate } else { why_not };
    let mut conditions: Vec<PodCondition> =
        before.conditions.iter().filter(|condition| !OWN.contains(&condition.kind.as_str())).cloned().collect();
    if !conditions.iter().any(|condition| condition.kind == "PodScheduled") {
        conditions.push(says("PodScheduled", true, "", ""));
    }
    if ended == Some(Outcome::Terminated) && !conditions.iter().any(|condition| condition.kind == "DisruptionTarget") {
        conditions.push(says("DisruptionTarget", true, "TerminationByKubelet", SHUTDOWN));
    }
    conditions.extend([
        says("PodReadyToStartContainers", !ips.is_empty() || spec.host_network && actual.sandbox().is_some(), "", ""),
        match through {
            true => says("Initialized", true, done, ""),
            false => says("Initialized", false, "ContainersNotInitialized", &incomplete),
        },
        if ready && gates { says("Ready", true, "", "") } else { says("Ready", false, reason_ready, message_ready) },
        if ready { says("ContainersReady", true, "", "") } else { says("ContainersReady", false, why_not.0, why_not.1) },
    ]);
    if ended.is_none() {
        let says = |(kind, reason, message): (&str, &str, &str)| PodCondition {
            observed_generation: Some(pod.metadata.generation),
            ..says(kind, true, reason, message)
        };
        conditions.extend(resizing(pod, actual).into_iter().map(says));
    }
    if let Some(why) = actual.memory.evicted.as_ref().filter(|why| why.by_node) {
        conditions.retain(|condition| condition.kind != "DisruptionTarget");
        conditions.push(says("DisruptionTarget", true, "TerminationByKubelet", &why.message));
    }
    PodStatus {
        phase: phase.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        conditions,
        host_ip: host.to_owned(),
        host_ips: vec![HostIp { ip: host.to_owned() }],
        pod_ip: ips.first().cloned().unwrap_or_default(),
        pod_ips: ips.into_iter().map(|ip| PodIp { ip }).collect(),
        start_time: before.start_time.or(Some(self::time(actual.memory.accepted))),
        qos_class: spec.qos_class().to_owned(),
        init_container_statuses: inits,
        container_statuses: mains,
        ephemeral_container_statuses: added,
        observed_generation: Some(pod.metadata.generation).filter(|generation| *generation > 0),
        nominated_node_name: before.nominated_node_name.clone(),
        ..PodStatus::default()
    }
}

/// What there is to say of resources: kind, word and sentence.
fn resizing<'a>(pod: &Pod, actual: &'a Actual) -> Vec<(&'static str, &'a str, &'a str)> {
    let resizing = &actual.memory.resizing;
    let pending = resizing.pending.as_ref().map(|why| (PENDING, why.reason, why.message.as_str()));
    let mut all = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let running = |spec: &Container| actual.running().find(|seen| name_of(seen) == spec.name);
    let is_on = all.any(|spec| running(spec).is_some_and(|seen| !changed(spec, seen).is_empty()));
    let problem = resizing.problems.values().next();
    let why = problem.map_or(("", ""), |(_, problem)| ("Error", problem.message.as_str()));
    pending.into_iter().chain(is_on.then_some((IN_PROGRESS, why.0, why.1))).collect()
}

fn is_initialized(pod: &Pod, actual: &Actual) -> bool {
    let mut inits = pod.spec.init_containers.iter();
    begun(pod, actual)
        || inits.all(|init| {
            let seen = actual.newest(&init.name);
            let sidecar = init.restart_policy == "Always";
            seen.is_some_and(|seen| if sidecar { is_started(init, seen, actual) } else { succeeded(seen) })
        })
}

/// Whether a container has begun: it makes the pod one that runs.
fn is_on(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    status.last_state.as_ref().is_some_and(|last| last.terminated.is_some())
        || state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

/// A condition that stays what it is keeps its time.
fn condition(before: &PodStatus, kind: &str, is: bool, reason: &str, message: &str, now: Time) -> PodCondition {
    let status = if is { "True" } else { "False" };
    let old = before.conditions.iter().find(|old| old.kind == kind && old.status == status);
    PodCondition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: old.and_then(|old| old.last_transition_time).or(Some(now)),
        ..PodCondition::default()
    }
}

/// Of nothing, nothing.
fn at(nanos: i64) -> Option<Time> {
    u64::try_from(nanos).ok().filter(|nanos| *nanos > 0).map(time)
}

fn time(nanos: Nanos) -> Time {
    let seconds = i64::try_from(nanos / SECOND).unwrap_or(0);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| Time::default(), Time)
}

/// Whether the pod is being made right now: what it says then is old in a moment.
pub(super) fn is_in_the_making(actual: &Actual) -> bool {
    actual.doing.iter().any(|doing| matches!(doing, Action::Start { .. } | Action::Sandbox { .. }))
}
