//! The printed row of a pod: READY, STATUS, RESTARTS and where it is.

use serde_json::Value;

use super::Pod;
use super::status::ContainerStatus;
use crate::kinds::printed;
use crate::table::{Column, column, or_none, since, wide};

pub(super) const COLUMNS: &[Column] = &[
    column("Ready", "How many containers are ready, of how many."),
    column("Status", "What the pod does, or why it does not."),
    column("Restarts", "How often containers were started again, and when last."),
    column("Age", "How long ago the object was made."),
    wide("IP", "The pod's address."),
    wide("Node", "The node that it runs on."),
    wide("Nominated Node", "The node that it waits for."),
    wide("Readiness Gates", "How many further conditions are true, of how many."),
];

pub(super) fn row(object: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let pod: Pod = printed(object);
    let ready =
        pod.status.container_statuses.iter().filter(|c| c.ready && c.state.as_ref().is_some_and(|s| s.running.is_some())).count()
            + sidecars(&pod).filter(|c| c.started == Some(true) && c.ready).count();
    let total = pod.spec.containers.len() + pod.spec.init_containers.iter().filter(|c| c.restart_policy == "Always").count();
    let gates = match pod.spec.readiness_gates.len() {
        0 => "<none>".into(),
        all => {
            let met = pod
                .spec
                .readiness_gates
                .iter()
                .filter(|g| pod.condition(&g.condition_type).is_some_and(|c| c.status == "True"))
                .count();
            format!("{met}/{all}")
        }
    };
    vec![
        format!("{ready}/{total}").into(),
        reason(&pod).into(),
        restarts(&pod, now).into(),
        or_none(&pod.status.pod_ip).into(),
        or_none(&pod.spec.node_name).into(),
        or_none(&pod.status.nominated_node_name).into(),
        gates.into(),
    ]
}

fn sidecars(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let of = |name: &str| pod.spec.init_containers.iter().any(|c| c.name == name && c.restart_policy == "Always");
    pod.status.init_container_statuses.iter().filter(move |c| of(&c.name))
}

fn restarts(pod: &Pod, now: jiff::Timestamp) -> String {
    let counted: Vec<&ContainerStatus> = pod.status.container_statuses.iter().chain(sidecars(pod)).collect();
    let total: i32 = counted.iter().map(|c| c.restart_count).sum();
    let last = counted.iter().filter_map(|c| c.last_state.as_ref()?.terminated.as_ref()?.finished_at).max();
    match last {
        Some(time) if total > 0 => format!("{total} ({} ago)", since(&time, now)),
        _ => total.to_string(),
    }
}

/// One word for what the pod does: the most telling one of its containers, then of itself.
fn reason(pod: &Pod) -> String {
    let mut word = if pod.status.reason.is_empty() { pod.status.phase.clone() } else { pod.status.reason.clone() };
    if pod.condition("PodScheduled").is_some_and(|c| c.reason == "SchedulingGated") {
        word = "SchedulingGated".into();
    }
    match initialising(pod) {
        Some(found) => word = found,
        None => {
            let mut any_running = false;
            for status in pod.status.container_statuses.iter().rev() {
                match container_word(status) {
                    Some(found) => word = found,
                    None => any_running |= status.ready,
                }
            }
            if word == "Completed" && any_running {
                word = if pod.is_ready() { "Running".into() } else { "NotReady".into() };
            }
        }
    }
    if pod.metadata.deletion_timestamp.is_some() {
        word = match (pod.status.reason.as_str(), pod.is_done()) {
            ("NodeLost", _) => "Unknown".into(),
            (_, true) => word,
            _ => "Terminating".into(),
        };
    }
    word
}

/// What a container waits for or ended with; nothing for one that runs.
fn container_word(status: &ContainerStatus) -> Option<String> {
    let state = status.state.as_ref()?;
    if let Some(waiting) = &state.waiting {
        return (!waiting.reason.is_empty()).then(|| waiting.reason.clone());
    }
    let ended = state.terminated.as_ref()?;
    Some(if !ended.reason.is_empty() {
        ended.reason.clone()
    } else if let Some(signal) = ended.signal.filter(|s| *s != 0) {
        format!("Signal:{signal}")
    } else {
        format!("ExitCode:{}", ended.exit_code.unwrap_or(0))
    })
}

fn initialising(pod: &Pod) -> Option<String> {
    let total = pod.spec.init_containers.len();
    for (at, status) in pod.status.init_container_statuses.iter().enumerate() {
        let state = status.state.clone().unwrap_or_default();
        let is_sidecar = pod.spec.init_containers.iter().any(|c| c.name == status.name && c.restart_policy == "Always");
        let is_past =
            state.terminated.as_ref().is_some_and(|t| t.exit_code == Some(0)) || is_sidecar && status.started == Some(true);
        if is_past {
            continue;
        }
        return Some(match container_word(status) {
            Some(word) if state.terminated.is_some() || word != "PodInitializing" => format!("Init:{word}"),
            _ => format!("Init:{at}/{total}"),
        });
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn word(pod: serde_json::Value) -> String {
        reason(&crate::kinds::view(&pod).unwrap())
    }

    #[test]
    fn the_most_telling_word_wins() {
        assert_eq!(word(json!({"status": {"phase": "Pending"}})), "Pending");
        let waiting = json!({"name": "c", "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        assert_eq!(word(json!({"status": {"phase": "Running", "containerStatuses": [waiting]}})), "CrashLoopBackOff");
        let ended = json!({"name": "c", "state": {"terminated": {"exitCode": 3}}});
        assert_eq!(word(json!({"status": {"phase": "Failed", "containerStatuses": [ended]}})), "ExitCode:3");
        assert_eq!(
            word(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}, "status": {"phase": "Running"}})),
            "Terminating"
        );
        let init = json!({"name": "i", "state": {"running": {}}});
        let spec = json!({"initContainers": [{"name": "i"}, {"name": "j"}]});
        assert_eq!(word(json!({"spec": spec, "status": {"phase": "Pending", "initContainerStatuses": [init]}})), "Init:0/2");
    }

    #[test]
    fn a_row_counts_ready_containers() {
        let running = json!({"name": "a", "ready": true, "restartCount": 2, "state": {"running": {}},
            "lastState": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T00:00:00Z"}}});
        let pod = json!({"spec": {"containers": [{"name": "a"}, {"name": "b"}], "nodeName": "n1"},
            "status": {"phase": "Running", "podIP": "10.0.0.2", "containerStatuses": [running]}});
        let row = row(&pod, "2026-01-01T00:01:00Z".parse().unwrap());
        assert_eq!(row, ["1/2", "Running", "2 (60s ago)", "10.0.0.2", "n1", "<none>", "<none>"]);
    }
}
