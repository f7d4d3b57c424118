use api::kinds::pod::Pod;
use cri::{ContainerMetadata, ContainerState, ContainerStatus};
use serde_json::json;

use super::super::actual::{Action, Actual, Health, Memory, Pause, Problem, SECOND, Sandbox};
use super::super::pressure::Evicted;
use super::super::resize::Limits;
use super::end::Outcome;
use super::{next, outcome};

const NOW: u64 = 1_000_000 * SECOND;

fn pod(spec: serde_json::Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "spec": spec})).unwrap()
}

fn plain(policy: &str) -> Pod {
    pod(json!({"restartPolicy": policy, "containers": [{"name": "a"}]}))
}

fn with_inits() -> Pod {
    let inits = json!([{"name": "i"}, {"name": "s", "restartPolicy": "Always", "startupProbe": {}}]);
    pod(json!({"restartPolicy": "Always", "initContainers": inits, "containers": [{"name": "a"}]}))
}

/// A pod that is ready, with volumes, and with these containers, newest first.
fn ready(containers: Vec<ContainerStatus>) -> Actual {
    let sandbox = Sandbox { id: "pod".to_owned(), attempt: 0, ready: true, ips: Vec::new() };
    let mut memory = Memory { volumes: Some(u64::MAX), ..Memory::default() };
    for name in ["a", "i", "s"] {
        memory.images.insert(name.to_owned(), (0, Ok(())));
    }
    Actual { sandboxes: vec![sandbox], containers, memory, doing: Vec::new() }
}

fn seen(name: &str, attempt: u32, state: ContainerState) -> ContainerStatus {
    let metadata = Some(ContainerMetadata { name: name.to_owned(), attempt });
    ContainerStatus { id: format!("{name}{attempt}"), metadata, state: state.into(), ..ContainerStatus::default() }
}

fn runs(name: &str, attempt: u32) -> ContainerStatus {
    seen(name, attempt, ContainerState::ContainerRunning)
}

fn ended(name: &str, attempt: u32, exit_code: i32) -> ContainerStatus {
    let finished_at = i64::try_from(NOW).unwrap();
    ContainerStatus { exit_code, finished_at, ..seen(name, attempt, ContainerState::ContainerExited) }
}

fn begin(name: &str) -> Action {
    Action::Start { container: name.to_owned(), attempt: 0, pause: None }
}

fn stop(name: &str, until: u64) -> Action {
    Action::Stop { container: name.to_owned(), id: format!("{name}0"), until }
}

#[test]
fn it_begins_with_volumes_and_the_pod() {
    let first = next(Some(&plain("Always")), &Actual::default(), NOW);
    assert_eq!(first.actions, [Action::Volumes, Action::Sandbox { attempt: 0 }]);
    let doing = Actual { doing: first.actions, ..Actual::default() };
    assert_eq!(next(Some(&plain("Always")), &doing, NOW).actions, []);
}

#[test]
fn images_come_before_containers() {
    let mut actual = ready(Vec::new());
    actual.memory.images.clear();
    let pull = Action::Pull { container: "a".to_owned(), attempt: 0 };
    assert_eq!(next(Some(&plain("Always")), &actual, NOW).actions, std::slice::from_ref(&pull));
    let problem = Problem::again(None, "ErrImagePull", String::new(), 10 * SECOND, NOW);
    actual.memory.images.insert("a".to_owned(), (0, Err(problem)));
    let waits = next(Some(&plain("Always")), &actual, NOW + 2 * SECOND);
    assert_eq!((waits.actions, waits.wake), (vec![], Some(NOW + 10 * SECOND)));
    assert_eq!(next(Some(&plain("Always")), &actual, NOW + 10 * SECOND).actions, [pull]);
    assert_eq!(next(Some(&plain("Always")), &ready(Vec::new()), NOW).actions, [begin("a")]);
}

#[test]
fn init_containers_run_in_order_and_sidecars_stay() {
    let pod = with_inits();
    let actions = |containers| next(Some(&pod), &ready(containers), NOW).actions;
    assert_eq!(actions(vec![]), [begin("i")]);
    assert_eq!(actions(vec![runs("i", 0)]), []);
    assert_eq!(actions(vec![ended("i", 0, 0)]), [begin("s")]);
    // Its startup probe has not succeeded yet.
    assert_eq!(actions(vec![runs("s", 0), ended("i", 0, 0)]), []);
    let mut actual = ready(vec![runs("s", 0), ended("i", 0, 0)]);
    actual.memory.health.insert("s0".to_owned(), Health { started: true, ..Health::default() });
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [begin("a")]);
    actual.containers.insert(0, runs("a", 0));
    assert_eq!(next(Some(&pod), &actual, NOW).actions, []);
    // It is started again beside the others.
    actual.containers[1] = ended("s", 0, 0);
    actual.memory.images.insert("s".to_owned(), (1, Ok(())));
    let actions = next(Some(&pod), &actual, NOW).actions;
    assert!(matches!(&actions[..], [Action::Start { container, attempt: 1, .. }] if container == "s"), "{actions:?}");
}

#[test]
fn a_failed_init_container_ends_a_pod_that_never_restarts() {
    let mut pod = with_inits();
    pod.spec.restart_policy = "Never".to_owned();
    let actual = ready(vec![ended("i", 0, 1)]);
    assert_eq!(outcome(&pod, &actual, NOW), Some(Outcome::Failed));
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [Action::StopSandbox { id: "pod".to_owned() }]);
    pod.spec.restart_policy = "OnFailure".to_owned();
    assert_eq!(outcome(&pod, &actual, NOW), None);
}

#[test]
fn containers_are_started_again_by_policy_and_with_pauses() {
    let again = |policy: &str, code: i32| {
        let mut actual = ready(vec![ended("a", 0, code)]);
        actual.memory.images.insert("a".to_owned(), (1, Ok(())));
        next(Some(&plain(policy)), &actual, NOW).actions
    };
    let start = |length| {
        let pause = Some(Pause { length, since: NOW });
        [Action::Start { container: "a".to_owned(), attempt: 1, pause }]
    };
    assert_eq!(again("Always", 0), start(10 * SECOND));
    assert_eq!(again("OnFailure", 1), start(10 * SECOND));
    let over = [Action::StopSandbox { id: "pod".to_owned() }];
    assert_eq!(again("OnFailure", 0), over);
    assert_eq!(again("Never", 1), over);
    let mut actual = ready(vec![ended("a", 0, 1)]);
    actual.memory.images.insert("a".to_owned(), (1, Ok(())));
    actual.memory.pauses.insert("a".to_owned(), Pause { length: 10 * SECOND, since: NOW - SECOND });
    let waits = next(Some(&plain("Always")), &actual, NOW + SECOND);
    assert_eq!((waits.actions, waits.wake), (vec![], Some(NOW + 10 * SECOND)));
    assert_eq!(next(Some(&plain("Always")), &actual, NOW + 10 * SECOND).actions, start(20 * SECOND));
}

#[test]
fn one_that_fails_its_probe_is_stopped_within_its_grace() {
    let mut actual = ready(vec![runs("a", 0)]);
    actual.memory.health.insert("a0".to_owned(), Health { failed: Some((NOW, Some(5))), ..Health::default() });
    assert_eq!(next(Some(&plain("Always")), &actual, NOW + SECOND).actions, [stop("a", NOW + 5 * SECOND)]);
}

#[test]
fn only_the_last_two_of_a_name_are_kept() {
    let actual = ready(vec![runs("a", 3), ended("a", 2, 1), ended("a", 1, 1), ended("a", 0, 1)]);
    let removed = ["a1", "a0"].map(|id| Action::Remove { id: id.to_owned() });
    assert_eq!(next(Some(&plain("Always")), &actual, NOW).actions, removed);
}

#[test]
fn a_deleted_pod_ends_in_steps_and_is_told_last() {
    let mut pod = with_inits();
    pod.metadata.deletion_timestamp = Some(api::meta::Time("2026-01-01T00:00:30Z".parse().unwrap()));
    let until = NOW + 30 * SECOND;
    let mut actual = ready(vec![runs("a", 0), runs("s", 0), ended("i", 0, 0)]);
    actual.memory.note_deletion(&pod, NOW);
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [stop("a", until)]);
    actual.doing = vec![stop("a", until)];
    assert_eq!(next(Some(&pod), &actual, NOW).actions, []);
    // A shorter grace counts at once.
    pod.metadata.deletion_timestamp = Some(api::meta::Time("2026-01-01T00:00:10Z".parse().unwrap()));
    pod.metadata.deletion_grace_period_seconds = Some(10);
    actual.memory.note_deletion(&pod, NOW);
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [stop("a", until - 20 * SECOND)]);
    actual.doing.clear();
    actual.containers[0] = ended("a", 0, 0);
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [stop("s", until - 20 * SECOND)]);
    actual.containers[1] = ended("s", 0, 0);
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [Action::RemoveSandbox { id: "pod".to_owned() }]);
    actual.doing = vec![Action::RemoveSandbox { id: "pod".to_owned() }];
    assert_eq!(next(Some(&pod), &actual, NOW).actions, []);
    assert_eq!(next(Some(&pod), &Actual::default(), NOW).actions, [Action::Forget]);
}

#[test]
fn what_is_being_made_is_waited_for_before_it_is_unmade() {
    let mut pod = plain("Always");
    pod.metadata.deletion_timestamp = Some(api::meta::Time::default());
    let actual = Actual { doing: vec![begin("a")], ..ready(Vec::new()) };
    assert_eq!(next(Some(&pod), &actual, NOW).actions, []);
}

#[test]
fn what_the_api_does_not_know_is_killed() {
    let actual = ready(vec![runs("a", 0)]);
    let actions = next(None, &actual, NOW).actions;
    assert!(matches!(actions[..], [Action::Stop { until, .. }] if until <= NOW), "{actions:?}");
}

#[test]
fn a_pod_ends_with_its_host_no_later_than_that() {
    let mut pod = plain("Never");
    pod.spec.termination_grace_period_seconds = Some(600);
    let mut actual = ready(vec![runs("a", 0)]);
    actual.memory.shutdown = Some(NOW + 20 * SECOND);
    assert_eq!(outcome(&pod, &actual, NOW), Some(Outcome::Terminated));
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [stop("a", NOW + 20 * SECOND)]);
    // Its own grace counts when it is shorter, and what it says at its end is no success.
    pod.spec.termination_grace_period_seconds = Some(5);
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [stop("a", NOW + 5 * SECOND)]);
    actual.containers = vec![ended("a", 0, 0)];
    assert_eq!(outcome(&pod, &actual, NOW), Some(Outcome::Terminated));
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [Action::StopSandbox { id: "pod".to_owned() }]);
    // One that had succeeded before stays what it is, and one that has not begun does not begin.
    pod.status.phase = "Succeeded".to_owned();
    assert_eq!(outcome(&pod, &actual, NOW), Some(Outcome::Succeeded));
    let none = Actual { memory: actual.memory, ..Actual::default() };
    assert!(next(Some(&plain("Always")), &none, NOW).actions.is_empty());
}

#[test]
fn a_lost_pod_is_made_again() {
    let mut actual = ready(vec![ended("a", 0, 255)]);
    actual.sandboxes[0].ready = false;
    assert_eq!(next(Some(&plain("Always")), &actual, NOW).actions, [Action::Sandbox { attempt: 1 }]);
    let new = Sandbox { id: "new".to_owned(), attempt: 1, ready: true, ips: Vec::new() };
    actual.sandboxes.insert(0, new);
    actual.memory.images.insert("a".to_owned(), (1, Ok(())));
    let actions = next(Some(&plain("Always")), &actual, NOW).actions;
    assert!(matches!(&actions[..], [Action::RemoveSandbox { id }, Action::Start { attempt: 1, .. }] if id == "pod"), "{actions:?}");
}

#[test]
fn a_deadline_ends_a_pod() {
    let mut pod = plain("Always");
    pod.spec.active_deadline_seconds = Some(5);
    let mut actual = ready(vec![runs("a", 0)]);
    actual.memory.accepted = NOW;
    assert_eq!(outcome(&pod, &actual, NOW + 4 * SECOND), None);
    assert_eq!(next(Some(&pod), &actual, NOW + 4 * SECOND).wake, Some(NOW + 5 * SECOND));
    assert_eq!(outcome(&pod, &actual, NOW + 5 * SECOND), Some(Outcome::TooLate));
    let actions = next(Some(&pod), &actual, NOW + 5 * SECOND).actions;
    assert!(matches!(actions[..], [Action::Stop { .. }]), "{actions:?}");
}

#[test]
fn one_that_is_added_is_started_once() {
    let spec = json!({"restartPolicy": "Always", "initContainers": [{"name": "i"}], "containers": [{"name": "a"}],
        "ephemeralContainers": [{"name": "d", "image": "x"}]});
    let pod = pod(spec);
    let mut actual = ready(vec![runs("a", 0)]);
    actual.memory.images.insert("d".to_owned(), (0, Ok(())));
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [begin("d")]);
    // It waits for nobody, and its end is for good, whatever the pod's policy is.
    actual.containers = vec![runs("i", 0)];
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [begin("d")]);
    actual.containers = vec![ended("d", 0, 1), runs("a", 0)];
    assert_eq!(next(Some(&pod), &actual, NOW).actions, []);
    actual.containers = vec![runs("a", 0)];
    actual.memory.attempts.insert("d".to_owned(), 1);
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [], "also when the pod in the engine is another one");
}

#[test]
fn one_that_has_to_go_has_a_moment() {
    let pod = plain("Always");
    let mut actual = ready(vec![runs("a", 0)]);
    actual.memory.evicted = Some(Evicted::kept_away("no room"));
    assert_eq!(outcome(&pod, &actual, NOW), Some(Outcome::Evicted));
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [stop("a", NOW + SECOND)]);
    // One that makes room for another has its own time.
    actual.memory.evicted = Some(Evicted::preempted());
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [stop("a", NOW + 30 * SECOND)]);
    actual.containers = vec![ended("a", 0, 137)];
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [Action::StopSandbox { id: "pod".to_owned() }]);
}

#[test]
fn what_comes_again_waits_for_what_there_was_to_be_forgotten() {
    let actual = Actual { doing: vec![Action::Forget], ..Actual::default() };
    assert_eq!(next(Some(&plain("Always")), &actual, NOW).actions, []);
}

/// Tokens and files are looked at again while the pod runs: see `effects::volumes`.
#[test]
fn volumes_of_a_pod_that_runs_are_brought_up_to_date() {
    let mut actual = ready(vec![runs("a", 0)]);
    actual.memory.volumes = Some(NOW + 60 * SECOND);
    let waits = next(Some(&plain("Always")), &actual, NOW);
    assert_eq!((waits.actions, waits.wake), (vec![], Some(NOW + 60 * SECOND)));
    assert_eq!(next(Some(&plain("Always")), &actual, NOW + 60 * SECOND).actions, [Action::Volumes]);
}

#[test]
fn resources_change_in_place_or_by_a_restart() {
    let pod = pod(json!({"restartPolicy": "OnFailure", "containers": [{"name": "a", "resources": {"limits": {"memory": "1Mi"}}}]}));
    let has = |memory| {
        let linux = cri::LinuxContainerResources { cpu_shares: 2, memory_limit_in_bytes: memory, ..Default::default() };
        ContainerStatus { resources: Some(cri::ContainerResources { linux: Some(linux) }), ..runs("a", 0) }
    };
    assert_eq!(next(Some(&pod), &ready(vec![has(1 << 20)]), NOW).actions, []);
    let mut actual = ready(vec![has(2 << 20)]);
    let of = |pod: &Pod| Limits::of(pod.spec.containers[0].resources.as_ref().unwrap());
    let resize = |limits| Action::Resize { container: "a".to_owned(), id: "a0".to_owned(), limits };
    assert_eq!(next(Some(&pod), &actual, NOW).actions, [resize(of(&pod))]);
    let problem = Problem::again(None, "ResizeError", String::new(), 10 * SECOND, NOW);
    actual.memory.resizing.problems.insert("a".to_owned(), (of(&pod), problem));
    assert_eq!(next(Some(&pod), &actual, NOW), super::Next::at(NOW + 10 * SECOND));
    // Somebody who asks for something else meanwhile does not wait.
    let mut other = pod.clone();
    other.spec.containers[0].resources.as_mut().unwrap().limits.insert("memory".into(), api::quantity::Quantity("3Mi".into()));
    assert_eq!(next(Some(&other), &actual, NOW).actions, [resize(of(&other))]);

    actual.memory.resizing.restarts.insert("a0".to_owned(), NOW);
    assert_eq!(next(Some(&pod), &actual, NOW + SECOND).actions, [stop("a", NOW + 30 * SECOND)]);
    // It has ended well, and comes back all the same.
    let mut actual = ready(vec![ended("a", 0, 0)]);
    assert_eq!(outcome(&pod, &actual, NOW), Some(Outcome::Succeeded));
    actual.memory.resizing.restarts.insert("a0".to_owned(), NOW);
    assert_eq!(outcome(&pod, &actual, NOW), None);
    actual.memory.images.insert("a".to_owned(), (1, Ok(())));
    assert!(matches!(next(Some(&pod), &actual, NOW).actions[..], [Action::Start { attempt: 1, .. }]));
}
