use cri::ContainerMetadata;
use serde_json::json;

use super::super::actual::{Health, Memory, Pause, Problem, SHORTEST, Sandbox};
use super::super::pressure::Evicted;
use super::*;
use cri::ContainerState as Is;

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
    assert_eq!((status.phase.as_str(), status.pod_ip.as_str(), status.qos_class.as_str()), ("Running", "10.0.0.2", "BestEffort"));
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
fn one_that_is_not_taken_says_why_and_nothing_of_containers() {
    let mut actual = Actual::default();
    actual.memory.evicted = Some(Evicted::rejected("OutOfcpu", "too little"));
    let first = of(&pod("Always"), &actual, NOW);
    assert_eq!((first.phase.as_str(), first.reason.as_str()), ("Failed", "OutOfcpu"));
    assert_eq!(first.message, "Pod was rejected: too little");
    assert!(first.container_statuses.is_empty() && is(&first, "Ready") == "False" && is(&first, "PodScheduled") == "True");
    // It stays so when another agent looks.
    let later = Pod { status: first.clone(), ..pod("Always") };
    assert_eq!(status(&later, &first, &Actual::default(), "192.0.2.1", NOW + SECOND).reason, "OutOfcpu");
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
    none.memory.problems.insert("a".to_owned(), Problem { reason: "CreateContainerConfigError".to_owned(), ..Problem::default() });
    assert_eq!(waiting(&none, NOW), "CreateContainerConfigError");
}

#[test]
fn conditions_of_others_stay_and_times_too() {
    let before = of(&pod("Always"), &actual(Is::ContainerRunning, 0), NOW);
    let mut others = before.clone();
    others.conditions.push(PodCondition { kind: "DisruptionTarget".to_owned(), status: "True".to_owned(), ..Default::default() });
    let after = status(&pod("Always"), &others, &actual(Is::ContainerRunning, 0), "192.0.2.1", NOW + 60 * SECOND);
    assert!(after.conditions.iter().any(|condition| condition.kind == "DisruptionTarget"));
    let time = |status: &PodStatus| status.conditions.iter().find(|c| c.kind == "Ready").unwrap().last_transition_time;
    assert_eq!(time(&after), time(&before));
}
