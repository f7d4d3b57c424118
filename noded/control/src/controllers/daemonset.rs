//! DaemonSets: one pod on each node that fits.

use std::collections::BTreeMap;

use api::kinds::daemonset::{DAEMON_SET, DaemonSet};
use api::kinds::node::Node;
use api::kinds::pod::placement::Toleration;
use api::kinds::pod::{POD, Pod, PodSpec};
use serde_json::{Value, json};

use super::Action;
use super::pods::{availability, from_template, hash, owner};
use crate::scheduler::{fits_node, stays_on_node};

pub(super) const HASH: &str = "controller-revision-hash";

/// Taints that pods of daemon sets always bear: they belong to the node.
const BORNE: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// The name of the template that a set has now.
pub(super) fn template_hash(set: &DaemonSet) -> String {
    hash(&set.spec.template, 0)
}

/// What is to be done for a set whose own pods are `pods`.
pub fn next(set: &DaemonSet, nodes: &[&Node], pods: &[Pod], now: jiff::Timestamp) -> Vec<Action> {
    let wanted = spec(set);
    let hash = template_hash(set);
    let mut by_node: BTreeMap<String, Vec<&Pod>> = BTreeMap::new();
    for pod in pods.iter().filter(|p| p.metadata.deletion_timestamp.is_none()) {
        by_node.entry(node_of(pod).to_string()).or_default().push(pod);
    }
    let mut actions = Vec::new();
    let (mut status, mut stale) = (Counts::default(), Vec::new());
    let active = set.metadata.deletion_timestamp.is_none();
    let going = |node: &str| pods.iter().any(|p| p.metadata.deletion_timestamp.is_some() && node_of(p) == node);
    for node in nodes {
        let name = &node.metadata.name;
        let there = by_node.remove(name).unwrap_or_default();
        if !(fits_node(&wanted, node) && active) {
            status.misplaced += i32::from(!there.is_empty());
            let goes = |pod: &&&Pod| pod.is_done() || !stays_on_node(&wanted, node);
            // what becomes of the pods of a set that goes, whoever deletes it has said
            actions.extend(there.iter().filter(|_| active).filter(goes).map(|p| delete(p)));
            continue;
        }
        status.desired += 1;
        let (done, mut alive): (Vec<&Pod>, Vec<&Pod>) = there.into_iter().partition(|p| p.is_done());
        actions.extend(done.iter().map(|p| delete(p)));
        alive.sort_by_key(|p| p.metadata.creation_timestamp);
        match alive.first() {
            // the one that is going must be gone: two of a set never share a node
            None if going(name) => {}
            None => actions.push(make(set, &hash, name)),
            Some(pod) => {
                status.count(pod, set, &hash, now);
                if pod.metadata.labels.get(HASH) != Some(&hash) {
                    stale.push((*pod, availability(pod, set.spec.min_ready_seconds, now).is_ok()));
                }
                actions.extend(alive[1..].iter().map(|p| delete(p)));
            }
        }
    }
    if active {
        // pods of nodes that are no more
        actions.extend(by_node.into_values().flatten().map(delete));
        replace(set, &status, stale, &mut actions);
    }
    status.write(set, &mut actions);
    actions
}

#[derive(Default)]
struct Counts {
    desired: i32,
    current: i32,
    misplaced: i32,
    ready: i32,
    available: i32,
    updated: i32,
}

impl Counts {
    fn count(&mut self, pod: &Pod, set: &DaemonSet, hash: &String, now: jiff::Timestamp) {
        self.current += 1;
        self.ready += i32::from(pod.is_ready());
        self.available += i32::from(availability(pod, set.spec.min_ready_seconds, now).is_ok());
        self.updated += i32::from(pod.metadata.labels.get(HASH) == Some(hash));
    }

    fn write(&self, set: &DaemonSet, actions: &mut Vec<Action>) {
        let was = &set.status;
        let mut new = was.clone();
        new.desired_number_scheduled = Some(self.desired);
        new.current_number_scheduled = Some(self.current);
        new.number_misscheduled = Some(self.misplaced);
        new.number_ready = Some(self.ready);
        new.number_available = self.available;
        new.number_unavailable = self.desired - self.available;
        new.updated_number_scheduled = self.updated;
        new.observed_generation = Some(set.metadata.generation);
        if new != *was {
            let mut patch = serde_json::to_value(&new).unwrap_or_default();
            for field in ["numberAvailable", "numberUnavailable", "updatedNumberScheduled"] {
                if patch.get(field).is_none() {
                    patch[field] = Value::Null;
                }
            }
            actions.push(Action::Status(&DAEMON_SET, set.metadata.namespace.clone(), set.metadata.name.clone(), patch));
        }
    }
}

/// Replaces pods of former templates, as many at once as may be missing.
fn replace(set: &DaemonSet, counts: &Counts, stale: Vec<(&Pod, bool)>, actions: &mut Vec<Action>) {
    if set.spec.update_strategy.type_ == "OnDelete" {
        return;
    }
    let rolling = set.spec.update_strategy.rolling_update.clone().unwrap_or_default();
    let allowed = rolling.max_unavailable.and_then(|m| m.of(counts.desired, true)).unwrap_or(1).max(1);
    let mut room = allowed - (counts.desired - counts.available);
    for (pod, available) in stale {
        // one that does not serve is no loss
        if !available {
            actions.push(delete(pod));
        } else if room > 0 {
            room -= 1;
            actions.push(delete(pod));
        }
    }
}

fn delete(pod: &Pod) -> Action {
    let meta = &pod.metadata;
    Action::Delete(&POD, meta.namespace.clone(), meta.name.clone(), meta.uid.clone())
}

/// The node that a pod is on, or is meant for.
fn node_of(pod: &Pod) -> &str {
    if !pod.spec.node_name.is_empty() {
        return &pod.spec.node_name;
    }
    let required = pod.spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref()?.required.as_ref());
    required
        .and_then(|r| r.terms.iter().flat_map(|t| &t.match_fields).find(|f| f.key == "metadata.name")?.values.first())
        .map_or("", String::as_str)
}

fn spec(set: &DaemonSet) -> PodSpec {
    let mut spec = set.spec.template.spec.clone();
    let on_host = spec.host_network.then_some(("node.kubernetes.io/network-unavailable", "NoSchedule"));
    spec.tolerations.extend(BORNE.into_iter().chain(on_host).map(|(key, effect)| Toleration {
        key: key.into(),
        operator: "Exists".into(),
        effect: effect.into(),
        ..Default::default()
    }));
    spec
}

/// A pod that only this node fits.
fn make(set: &DaemonSet, hash: &str, node: &str) -> Action {
    let owner = owner("apps/v1", "DaemonSet", &set.metadata);
    let mut template = set.spec.template.clone();
    template.spec = spec(set);
    template.metadata.labels.insert(HASH.into(), hash.into());
    let mut pod = from_template(&template, &set.metadata.name, &owner);
    let here = json!({"key": "metadata.name", "operator": "In", "values": [node]});
    let required = &mut pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    match required["nodeSelectorTerms"].as_array_mut().filter(|t| !t.is_empty()) {
        Some(terms) => terms.iter_mut().for_each(|t| t["matchFields"] = json!([here])),
        None => *required = json!({"nodeSelectorTerms": [{"matchFields": [here]}]}),
    }
    Action::Create(&POD, set.metadata.namespace.clone(), pod)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set() -> DaemonSet {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"nodeSelector": {"disk": "ssd"}, "containers": [{"name": "c", "image": "x"}]}});
        let value = json!({"metadata": {"name": "s", "namespace": "d", "uid": "u"}, "spec": {"template": template, "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}}});
        serde_json::from_value(value).unwrap()
    }

    fn node(name: &str, disk: &str) -> Node {
        serde_json::from_value(json!({"metadata": {"name": name, "labels": {"disk": disk}}, "spec": {"unschedulable": true}}))
            .unwrap()
    }

    fn pod(name: &str, node: &str, hash: &str) -> Pod {
        let value = json!({"metadata": {"name": name, "namespace": "d", "uid": name, "labels": {HASH: hash}}, "spec": {"nodeName": node},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_node_that_fits_gets_one() {
        let (a, b, c) = (node("a", "ssd"), node("b", "tape"), node("c", "ssd"));
        let actions = next(
            &set(),
            &[&a, &b, &c],
            &[pod("p", "c", &hash(&set().spec.template, 0)), pod("q", "b", "x")],
            jiff::Timestamp::UNIX_EPOCH,
        );
        let [Action::Delete(_, _, gone, _), Action::Status(_, _, _, status)] =
            &actions.iter().filter(|x| !matches!(x, Action::Create(..))).collect::<Vec<_>>()[..]
        else {
            panic!("{actions:?}")
        };
        assert_eq!((gone.as_str(), &status["desiredNumberScheduled"], &status["numberMisscheduled"]), ("q", &json!(2), &json!(1)));
        let made = actions
            .iter()
            .find_map(|x| if let Action::Create(_, _, p) = x { serde_json::from_value::<Pod>(p.clone()).ok() } else { None })
            .unwrap();
        assert_eq!(node_of(&made), "a");
    }

    #[test]
    fn who_is_there_stays_unless_a_taint_drives_it_away() {
        let deleted = |set: &DaemonSet, effect: &str| {
            let mut a = node("a", "ssd");
            a.spec.taints = serde_json::from_value(json!([{"key": "k", "effect": effect}])).unwrap();
            let own = pod("p", "a", &hash(&set.spec.template, 0));
            let actions = next(set, &[&a], &[own], jiff::Timestamp::UNIX_EPOCH);
            assert!(!actions.iter().any(|x| matches!(x, Action::Create(..))));
            actions.iter().any(|x| matches!(x, Action::Delete(..)))
        };
        assert_eq!((deleted(&set(), "NoSchedule"), deleted(&set(), "NoExecute")), (false, true));
        // a set that goes leaves its pods to whoever deletes it: they may stay
        let mut going = set();
        going.metadata.deletion_timestamp = Some(api::meta::Time::default());
        assert!(!deleted(&going, "NoExecute"));
    }

    #[test]
    fn former_pods_are_replaced_one_by_one() {
        let (a, c) = (node("a", "ssd"), node("c", "ssd"));
        let actions = next(&set(), &[&a, &c], &[pod("p", "a", "old"), pod("q", "c", "old")], jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(actions.iter().filter(|x| matches!(x, Action::Delete(..))).count(), 1);
    }
}
