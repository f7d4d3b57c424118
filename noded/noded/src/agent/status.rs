//! The status of a pod, as its node sees it: a function of what is desired, what is, and what was said before.

use api::kinds::pod::Pod;
use api::kinds::pod::container::{Container, EphemeralContainer};
use api::kinds::pod::status::{
    ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, HostIp, PodCondition,
    PodIp, PodStatus,
};
use api::meta::Time;
use cri::ContainerState as Is;

use super::actual::{Action, Actual, Nanos, SECOND, attempt_of, may_start};
use super::last_words;
use super::next::{Outcome, begun, is_started, outcome, restarts, succeeded};
use super::wanted::qos;

/// The node's own conditions; all others are somebody else's.
const OWN: [&str; 4] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

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
    let view = |containers: &[Container], sidecars: bool, word: &str| -> Vec<ContainerStatus> {
        containers.iter().map(|spec| container(pod, spec, sidecars, before, actual, word, now)).collect()
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
        Some(Outcome::Evicted) => ("Failed", "Evicted", actual.memory.evicted.as_ref().map_or("", |why| why.message.as_str())),
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
        qos_class: qos(pod).to_owned(),
        init_container_statuses: inits,
        container_statuses: mains,
        ephemeral_container_statuses: added,
        observed_generation: Some(pod.metadata.generation).filter(|generation| *generation > 0),
        nominated_node_name: before.nominated_node_name.clone(),
        ..PodStatus::default()
    }
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

fn container(
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
            if going || !restarts(policy, seen.exit_code) {
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

#[cfg(test)]
mod tests {
    use cri::ContainerMetadata;
    use serde_json::json;

    use super::super::actual::{Health, Memory, Pause, Problem, SHORTEST, Sandbox};
    use super::*;

    const NOW: Nanos = 1_000_000 * SECOND;

    fn pod(policy: &str) -> Pod {
        let spec = json!({"restartPolicy": policy, "containers": [{"name": "a", "image": "i"}]});
        serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u", "generation": 2}, "spec": spec})).unwrap()
    }

    fn actual(state: Is, exit_code: i32) -> Actual {
        let metadata = Some(ContainerMetadata { name: "a".to_owned(), attempt: 3 });
        let finished_at = if state == Is::ContainerExited { i64::try_from(NOW).unwrap() } else { 0 };
        let id = "c".to_owned();
        let seen = cri::ContainerStatus { id, metadata, state: state.into(), exit_code, finished_at, ..Default::default() };
        let sandbox = Sandbox { id: "s".to_owned(), attempt: 0, ready: true, ips: vec!["10.0.0.2".to_owned()] };
        Actual { sandboxes: vec![sandbox], containers: vec![seen], ..Actual::default() }
    }

    fn of(pod: &Pod, actual: &Actual, now: Nanos) -> PodStatus {
        status(pod, &PodStatus::default(), actual, "192.0.2.1", now)
    }

    fn is(status: &PodStatus, kind: &str) -> String {
        status.conditions.iter().find(|condition| condition.kind == kind).unwrap().status.clone()
    }

    #[test]
    fn a_pod_that_runs_is_ready() {
        let status = of(&pod("Always"), &actual(Is::ContainerRunning, 0), NOW);
        assert_eq!(
            (status.phase.as_str(), status.pod_ip.as_str(), status.qos_class.as_str()),
            ("Running", "10.0.0.2", "BestEffort")
        );
        for kind in ["PodScheduled", "Initialized", "ContainersReady", "Ready"] {
            assert_eq!(is(&status, kind), "True", "{kind}");
        }
        assert_eq!((status.container_statuses[0].restart_count, status.observed_generation), (3, Some(2)));
    }

    #[test]
    fn probes_hold_readiness_back() {
        let mut pod = pod("Always");
        pod.spec.containers[0].readiness_probe = Some(Default::default());
        let mut actual = actual(Is::ContainerRunning, 0);
        let status = of(&pod, &actual, NOW);
        assert_eq!((status.phase.as_str(), is(&status, "Ready").as_str()), ("Running", "False"));
        actual.memory.health.insert("c".to_owned(), Health { started: true, ready: true, failed: None });
        assert_eq!(is(&of(&pod, &actual, NOW), "Ready"), "True");
    }

    #[test]
    fn ends_have_phases() {
        for (policy, code, phase) in [
            ("Never", 0, "Succeeded"),
            ("Never", 1, "Failed"),
            ("OnFailure", 0, "Succeeded"),
            ("OnFailure", 1, "Running"),
            ("Always", 0, "Running"),
        ] {
            assert_eq!(of(&pod(policy), &actual(Is::ContainerExited, code), NOW).phase, phase, "{policy} {code}");
        }
    }

    #[test]
    fn one_that_waits_says_why() {
        let waiting = |actual: &Actual, now| {
            let status = of(&pod("Always"), actual, now);
            status.container_statuses[0].state.clone().unwrap().waiting.unwrap().reason
        };
        let mut crashed = actual(Is::ContainerExited, 1);
        crashed.memory.pauses.insert("a".to_owned(), Pause { length: SHORTEST, since: NOW - SECOND });
        assert_eq!(waiting(&crashed, NOW), "CrashLoopBackOff");
        let mut none = Actual { containers: Vec::new(), ..actual(Is::ContainerCreated, 0) };
        assert_eq!(waiting(&none, NOW), "ContainerCreating");
        let problem = Problem::again(None, "ErrImagePull", "no".to_owned(), SHORTEST, NOW);
        none.memory.images.insert("a".to_owned(), (0, Err(problem)));
        assert_eq!(waiting(&none, NOW), "ErrImagePull");
        assert_eq!(waiting(&none, NOW + 2 * SECOND), "ImagePullBackOff");
        none.memory = Memory::default();
        none.memory
            .problems
            .insert("a".to_owned(), Problem { reason: "CreateContainerConfigError".to_owned(), ..Problem::default() });
        assert_eq!(waiting(&none, NOW), "CreateContainerConfigError");
    }

    #[test]
    fn conditions_of_others_stay_and_times_too() {
        let before = of(&pod("Always"), &actual(Is::ContainerRunning, 0), NOW);
        let mut others = before.clone();
        others.conditions.push(PodCondition {
            kind: "DisruptionTarget".to_owned(),
            status: "True".to_owned(),
            ..Default::default()
        });
        let after = status(&pod("Always"), &others, &actual(Is::ContainerRunning, 0), "192.0.2.1", NOW + 60 * SECOND);
        assert!(after.conditions.iter().any(|condition| condition.kind == "DisruptionTarget"));
        let time = |status: &PodStatus| status.conditions.iter().find(|c| c.kind == "Ready").unwrap().last_transition_time;
        assert_eq!(time(&after), time(&before));
    }
}
