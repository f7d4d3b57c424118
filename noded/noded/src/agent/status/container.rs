//! What is told of one container.

use api::kinds::pod::Pod;
use api::kinds::pod::container::Container;
use api::kinds::pod::status::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, PodStatus,
};
use cri::ContainerState as Is;

use super::super::actual::{Actual, Nanos, SECOND, attempt_of, may_start};
use super::super::next::{is_started, outcome, restarts, succeeded};
use super::super::{last_words, resize};
use super::at;

/// A container of a pod as it is told. `word` is what it waits for when nothing else is known.
pub(super) fn container(
    pod: &Pod,
    spec: &Container,
    init: bool,
    before: &PodStatus,
    actual: &Actual,
    word: &str,
    now: Nanos,
) -> ContainerStatus {
    let seen = actual.newest(&spec.name);
    let sidecar = init && spec.restart_policy == "Always";
    let policy = match (init, sidecar) {
        (_, true) => "Always",
        (true, _) if pod.spec.restart_policy == "Never" => "Never",
        (true, _) => "OnFailure",
        _ if pod.spec.ephemeral_containers.iter().any(|added| added.name == spec.name) => "Never",
        _ => pod.spec.restart_policy.as_str(),
    };
    let running = seen.is_some_and(|seen| seen.state() == Is::ContainerRunning);
    let started = seen.is_some_and(|seen| is_started(spec, seen, actual));
    let probed = seen.and_then(|seen| actual.health(&seen.id)).is_some_and(|health| health.ready);
    let done = init && !sidecar && seen.is_some_and(succeeded);
    let (state, last) = states(pod, spec, policy, actual, word, now);
    let old = if init { &before.init_container_statuses } else { &before.container_statuses };
    let old = old.iter().find(|old| old.name == spec.name);
    ContainerStatus {
        name: spec.name.clone(),
        image: seen
            .map_or_else(|| spec.image.clone(), |seen| seen.image.as_ref().map_or(String::new(), |image| image.image.clone())),
        image_id: seen.map_or(String::new(), |seen| seen.image_ref.clone()),
        container_id: seen.map_or(String::new(), |seen| format!("rctr://{}", seen.id)),
        ready: done || started && (spec.readiness_probe.is_none() || probed),
        started: Some(running && started),
        // What was lost with a pod of before counts, too.
        restart_count: seen
            .map_or_else(|| old.map_or(0, |old| old.restart_count), |seen| i32::try_from(attempt_of(seen)).unwrap_or(i32::MAX)),
        state: Some(state),
        last_state: Some(last),
        resources: resize::told(spec, seen),
        allocated_resources: spec.resources.as_ref().map(|resources| resources.requests.clone()).unwrap_or_default(),
        ..ContainerStatus::default()
    }
}

/// What a container does, and how the one before it ended.
fn states(pod: &Pod, spec: &Container, policy: &str, actual: &Actual, word: &str, now: Nanos) -> (ContainerState, ContainerState) {
    let mut all = actual.all(&spec.name);
    let (newest, older) = (all.next(), all.next());
    let terminated = |seen: &cri::ContainerStatus| terminated(pod, seen);
    let last = older.map_or_else(ContainerState::default, terminated);
    let Some(seen) = newest else { return (waiting(spec, actual, word, now), last) };
    match seen.state() {
        Is::ContainerRunning => (
            ContainerState {
                running: Some(ContainerStateRunning { started_at: at(seen.started_at) }),
                ..ContainerState::default()
            },
            last,
        ),
        Is::ContainerCreated => (waiting(spec, actual, word, now), last),
        _ => {
            let going = pod.metadata.deletion_timestamp.is_some() || outcome(pod, actual, now).is_some();
            if going || !restarts(policy, seen, actual) {
                return (terminated(seen), last);
            }
            let ended = u64::try_from(seen.finished_at).unwrap_or(0);
            let pause = actual.memory.pauses.get(&spec.name).copied();
            let known = trouble(spec, actual, now);
            if may_start(pause, ended) <= now && known.is_none() {
                // It is started again this moment.
                return (terminated(seen), last);
            }
            let (reason, message) = known.unwrap_or_else(|| {
                let seconds = pause.map_or(0, |pause| pause.length / SECOND);
                let message = format!("back-off {seconds}s restarting failed container={} pod={}", spec.name, pod.metadata.name);
                ("CrashLoopBackOff".to_owned(), message)
            });
            let waiting = ContainerStateWaiting { reason, message };
            (ContainerState { waiting: Some(waiting), ..ContainerState::default() }, terminated(seen))
        }
    }
}

/// What stands in the way of a container.
fn trouble(spec: &Container, actual: &Actual, now: Nanos) -> Option<(String, String)> {
    if let Some((_, Err(problem))) = actual.memory.images.get(&spec.name) {
        // Just now it has failed; later it waits.
        let shown = problem.reason == "ErrImagePull" && now >= problem.at + SECOND;
        let message = match shown {
            true => format!("Back-off pulling image {:?}: {}", spec.image, problem.message),
            false => problem.message.clone(),
        };
        return Some((if shown { "ImagePullBackOff".to_owned() } else { problem.reason.clone() }, message));
    }
    actual.memory.problems.get(&spec.name).map(|problem| (problem.reason.clone(), problem.message.clone()))
}

fn waiting(spec: &Container, actual: &Actual, word: &str, now: Nanos) -> ContainerState {
    let (reason, message) = trouble(spec, actual, now).unwrap_or_else(|| (word.to_owned(), String::new()));
    ContainerState { waiting: Some(ContainerStateWaiting { reason, message }), ..ContainerState::default() }
}

fn terminated(pod: &Pod, seen: &cri::ContainerStatus) -> ContainerState {
    let terminated = ContainerStateTerminated {
        container_id: format!("rctr://{}", seen.id),
        exit_code: Some(seen.exit_code),
        reason: seen.reason.clone(),
        message: last_words::fitting(pod, &seen.message),
        started_at: at(seen.started_at),
        finished_at: at(seen.finished_at),
        ..ContainerStateTerminated::default()
    };
    ContainerState { terminated: Some(terminated), ..ContainerState::default() }
}
