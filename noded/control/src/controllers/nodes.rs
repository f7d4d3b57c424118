//! Nodes: who was not heard of is not ready, and what ran there runs elsewhere.

use std::time::Duration;

use api::kinds::node::{NODE, Node};
use api::kinds::pod::placement::Taint;
use api::kinds::pod::{POD, Pod};
use api::meta::Time;
use serde_json::{Value, json};

use super::pods::reference;
use super::{Action, Times};

const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const NOT_READY: &str = "node.kubernetes.io/not-ready";
/// What a kubelet says, and our agent, when its host has announced that it shuts down.
const SHUTS_DOWN: &str = "node is shutting down";

/// Conditions that keep new pods away while they are true.
const CONDITIONS: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
];

/// What is known of a node, by this host's own clock: other hosts' clocks may differ.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// How long nothing was heard.
    pub silent: Duration,
    /// Too many nodes are lost at once: more likely the network is, and moving their work would make it worse.
    pub brake: bool,
}

/// What is to be done for a node and the pods on it.
pub fn next(node: &Node, pods: &[&Pod], heard: Heard, times: &Times, now: jiff::Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    let is_lost = heard.silent >= times.node_silence;
    let ready = node.status.conditions.iter().find(|c| c.kind == "Ready");
    if is_lost {
        silence(node, now, &mut actions);
    } else {
        actions.push(Action::After(times.node_silence - heard.silent));
    }
    let is_ready = !is_lost && ready.is_some_and(|c| c.status == "True");
    let wanted = match (is_lost, is_ready) {
        (true, _) => Some(UNREACHABLE),
        (false, false) => Some(NOT_READY),
        (false, true) => None,
    };
    let taint_since = taint(node, wanted, now, &mut actions);
    for pod in pods.iter().filter(|_| is_lost) {
        unready(pod, now, &mut actions);
    }
    // Who announces that it goes down ends its pods by itself, in the order that they need.
    let ends_them = !is_lost && ready.is_some_and(|c| c.status == "False" && c.message == SHUTS_DOWN);
    if node.metadata.deletion_timestamp.is_none() && !heard.brake && !ends_them {
        evict(node, pods, wanted.zip(taint_since), times, now, &mut actions);
    }
    actions
}

/// All that a lost node said is not known any more.
fn silence(node: &Node, now: jiff::Timestamp, actions: &mut Vec<Action>) {
    if node.status.conditions.iter().all(|c| c.status == "Unknown") && !node.status.conditions.is_empty() {
        return;
    }
    let mut conditions = serde_json::to_value(&node.status.conditions).unwrap_or_default();
    if let Value::Array(list) = &mut conditions {
        if !list.iter().any(|c| c["type"] == "Ready") {
            list.push(json!({"type": "Ready", "status": ""}));
        }
        for condition in list.iter_mut().filter(|c| c["status"] != "Unknown") {
            condition["status"] = "Unknown".into();
            condition["reason"] = "NodeStatusUnknown".into();
            condition["message"] = "Kubelet stopped posting node status.".into();
            condition["lastTransitionTime"] = Time(now).to_string().into();
        }
    }
    let name = &node.metadata.name;
    actions.push(Action::Status(&NODE, String::new(), name.clone(), json!({"conditions": conditions})));
    let about = reference("v1", "Node", &node.metadata);
    actions.push(Action::Tell(about, "Normal", "NodeNotReady", format!("Node {name} status is now: NodeNotReady")));
}

/// Sets the taints that belong to the node's state, for new pods and for those that run; says since when the latter is there.
fn taint(node: &Node, wanted: Option<&str>, now: jiff::Timestamp, actions: &mut Vec<Action>) -> Option<Time> {
    let is_ours = |key: &str| matches!(key, UNREACHABLE | NOT_READY) || CONDITIONS.iter().any(|(_, taint)| *taint == key);
    let is_true = |kind: &str| node.status.conditions.iter().any(|c| c.kind == kind && c.status == "True");
    let state = wanted.into_iter().flat_map(|key| [(key, "NoSchedule"), (key, "NoExecute")]);
    let conditions = CONDITIONS.iter().filter(|(kind, _)| is_true(kind)).map(|(_, key)| (*key, "NoSchedule"));
    let right: Vec<(&str, &str)> = state.chain(conditions).collect();
    let all = &node.spec.taints;
    let since =
        all.iter().find(|t| Some(t.key.as_str()) == wanted && t.effect == "NoExecute").map(|t| t.time_added.unwrap_or_default());
    let stays = |t: &&Taint| !is_ours(&t.key) || right.contains(&(t.key.as_str(), t.effect.as_str()));
    let is_there = |(key, effect): &&(&str, &str)| all.iter().any(|t| t.key == *key && t.effect == *effect);
    let mut taints: Vec<Value> = all.iter().filter(stays).filter_map(|t| serde_json::to_value(t).ok()).collect();
    let missing = right.iter().filter(|t| !is_there(t));
    let added: Vec<Value> =
        missing.map(|(key, effect)| json!({"key": key, "effect": effect, "timeAdded": Time(now).to_string()})).collect();
    if taints.len() == all.len() && added.is_empty() {
        return since;
    }
    taints.extend(added);
    // an object has no empty lists
    let taints = if taints.is_empty() { Value::Null } else { taints.into() };
    actions.push(Action::Patch(&NODE, String::new(), node.metadata.name.clone(), json!({"spec": {"taints": taints}})));
    wanted.map(|_| since.unwrap_or(Time(now)))
}

/// A pod on a lost node gets no traffic.
fn unready(pod: &Pod, now: jiff::Timestamp, actions: &mut Vec<Action>) {
    if !pod.is_ready() {
        return;
    }
    let mut conditions = serde_json::to_value(&pod.status.conditions).unwrap_or_default();
    for condition in conditions.as_array_mut().into_iter().flatten().filter(|c| c["type"] == "Ready") {
        condition["status"] = "False".into();
        condition["reason"] = "NodeNotReady".into();
        condition["lastTransitionTime"] = Time(now).to_string().into();
    }
    actions.push(Action::Status(
        &POD,
        pod.metadata.namespace.clone(),
        pod.metadata.name.clone(),
        json!({"conditions": conditions}),
    ));
}

/// Pods leave a node with a NoExecute taint that they do not bear, or do not bear any longer.
fn evict(node: &Node, pods: &[&Pod], ours: Option<(&str, Time)>, times: &Times, now: jiff::Timestamp, actions: &mut Vec<Action>) {
    let others = node.spec.taints.iter().filter(|t| t.effect == "NoExecute" && !matches!(t.key.as_str(), UNREACHABLE | NOT_READY));
    let mut taints: Vec<(String, String, Time, bool)> =
        others.map(|t| (t.key.clone(), t.value.clone(), t.time_added.unwrap_or_default(), false)).collect();
    taints.extend(ours.map(|(key, since)| (key.to_string(), String::new(), since, true)));
    for pod in pods.iter().filter(|p| p.metadata.deletion_timestamp.is_none() && !p.is_done()) {
        let mut leaves: Option<i64> = None;
        for (key, value, since, is_ours) in &taints {
            let bears = pod.spec.tolerations.iter().filter(|t| tolerates(t, key, value));
            let stay = bears.map(|t| t.toleration_seconds.unwrap_or(i64::MAX)).max();
            let stay = stay.or_else(|| is_ours.then(|| i64::try_from(times.eviction.as_secs()).unwrap_or(0))).unwrap_or(0);
            let left = stay.saturating_sub(since.seconds_until(now));
            leaves = Some(leaves.map_or(left, |l| l.min(left)));
        }
        match leaves {
            Some(left) if left <= 0 => {
                let meta = &pod.metadata;
                let about = reference("v1", "Pod", meta);
                actions.push(Action::Tell(
                    about,
                    "Normal",
                    "TaintManagerEviction",
                    format!("Marking for deletion Pod {}/{}", meta.namespace, meta.name),
                ));
                actions.push(Action::Delete(&POD, meta.namespace.clone(), meta.name.clone(), meta.uid.clone()));
            }
            Some(left) if left < i64::MAX / 2 => actions.push(Action::After(Duration::from_secs(left.unsigned_abs()))),
            _ => {}
        }
    }
}

/// Whether a toleration bears a NoExecute taint.
fn tolerates(toleration: &api::kinds::pod::placement::Toleration, key: &str, value: &str) -> bool {
    let effect = toleration.effect.is_empty() || toleration.effect == "NoExecute";
    let key_fits = toleration.key.is_empty() || toleration.key == key;
    effect && key_fits && (toleration.operator == "Exists" || toleration.value == value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(taints: Value) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n"}, "spec": {"taints": taints}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})).unwrap()
    }

    fn pod(tolerations: Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "d", "uid": "u"}, "spec": {"tolerations": tolerations}, "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}})).unwrap()
    }

    fn at(seconds: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(seconds).unwrap()
    }

    fn heard(seconds: u64, brake: bool) -> Heard {
        Heard { silent: Duration::from_secs(seconds), brake }
    }

    fn deletes(actions: &[Action]) -> bool {
        actions.iter().any(|a| matches!(a, Action::Delete(..)))
    }

    #[test]
    fn a_silent_node_is_unknown_tainted_and_left() {
        let times = Times::default();
        let lost = next(&node(json!([])), &[&pod(json!([]))], heard(5, false), &times, at(100));
        assert!(
            lost.iter()
                .any(|a| matches!(a, Action::Status(k, _, _, s) if k.kind == "Node" && s["conditions"][0]["status"] == "Unknown"))
        );
        assert!(lost.iter().any(|a| matches!(a, Action::Status(k, ..) if k.kind == "Pod")));
        assert!(lost.iter().any(|a| matches!(a, Action::Patch(_, _, _, p) if p["spec"]["taints"][1]["effect"] == "NoExecute")));
        assert!(!deletes(&lost));
        let tainted = node(
            json!([{"key": UNREACHABLE, "effect": "NoExecute", "timeAdded": Time(at(100)).to_string()}, {"key": UNREACHABLE, "effect": "NoSchedule"}]),
        );
        assert!(deletes(&next(&tainted, &[&pod(json!([]))], heard(7, false), &times, at(102))));
        assert!(!deletes(&next(&tainted, &[&pod(json!([]))], heard(7, true), &times, at(102))), "the brake holds");
        let patient = json!([{"key": UNREACHABLE, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}]);
        assert!(!deletes(&next(&tainted, &[&pod(patient.clone())], heard(7, false), &times, at(399))));
        assert!(deletes(&next(&tainted, &[&pod(patient)], heard(7, false), &times, at(400))));
    }

    #[test]
    fn a_node_that_is_heard_again_is_clean() {
        let tainted = node(json!([{"key": UNREACHABLE, "effect": "NoExecute"}, {"key": "mine", "effect": "NoSchedule"}]));
        let back = next(&tainted, &[], heard(1, false), &Times::default(), at(0));
        let patched = back.iter().find_map(|a| if let Action::Patch(_, _, _, p) = a { Some(p) } else { None }).unwrap();
        assert_eq!(patched["spec"]["taints"].as_array().unwrap().len(), 1);
        let alone =
            next(&node(json!([{"key": UNREACHABLE, "effect": "NoExecute"}])), &[], heard(1, false), &Times::default(), at(0));
        assert!(alone.iter().any(|a| matches!(a, Action::Patch(_, _, _, p) if *p == json!({"spec": {"taints": null}}))));
        assert!(back.contains(&Action::After(Duration::from_secs(4))));
    }

    #[test]
    fn a_node_that_goes_down_ends_its_pods_itself() {
        let mut down = node(
            json!([{"key": NOT_READY, "effect": "NoExecute", "timeAdded": Time(at(100)).to_string()}, {"key": NOT_READY, "effect": "NoSchedule"}]),
        );
        let ready = &mut down.status.conditions[0];
        (ready.status, ready.message) = ("False".to_owned(), "container runtime is down".to_owned());
        assert!(deletes(&next(&down, &[&pod(json!([]))], heard(0, false), &Times::default(), at(200))));
        down.status.conditions[0].message = SHUTS_DOWN.to_owned();
        assert!(!deletes(&next(&down, &[&pod(json!([]))], heard(0, false), &Times::default(), at(200))));
        // Once it is gone, whoever is left there is replaced.
        let left = next(&down, &[&pod(json!([]))], heard(60, false), &Times::default(), at(200));
        assert!(left.iter().any(|a| matches!(a, Action::Patch(_, _, _, p) if p["spec"]["taints"][0]["key"] == UNREACHABLE)));
    }

    #[test]
    fn conditions_keep_new_pods_away() {
        let mut node = node(json!([{"key": "mine", "effect": "NoSchedule"}]));
        let condition = |kind: &str, status: &str| serde_json::from_value(json!({"type": kind, "status": status})).unwrap();
        node.status.conditions.extend([condition("DiskPressure", "True"), condition("NetworkUnavailable", "True")]);
        let taints = |node: &Node| {
            let actions = next(node, &[], heard(0, false), &Times::default(), at(0));
            actions
                .into_iter()
                .find_map(|a| if let Action::Patch(_, _, _, p) = a { Some(p["spec"]["taints"].clone()) } else { None })
        };
        let set = taints(&node).unwrap();
        let keys: Vec<&str> = set.as_array().unwrap().iter().map(|t| t["key"].as_str().unwrap()).collect();
        assert_eq!(keys, ["mine", "node.kubernetes.io/disk-pressure", "node.kubernetes.io/network-unavailable"]);
        node.spec.taints = serde_json::from_value(set).unwrap();
        assert_eq!(taints(&node), None, "once is enough");
        node.status.conditions.retain(|c| c.kind == "Ready");
        assert_eq!(taints(&node).unwrap().as_array().unwrap().len(), 1);
    }

    #[test]
    fn a_taint_of_the_users_evicts_too() {
        let tainted = node(json!([{"key": "a", "value": "b", "effect": "NoExecute"}]));
        assert!(deletes(&next(&tainted, &[&pod(json!([]))], heard(0, false), &Times::default(), at(0))));
        assert!(!deletes(&next(&tainted, &[&pod(json!([{"key": "a", "value": "b"}]))], heard(0, false), &Times::default(), at(0))));
    }
}
