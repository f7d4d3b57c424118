//! Pods of which the same is true.

use std::collections::BTreeMap;

use api::kinds::pod::Pod;

use super::groups::Groups;
use super::node::{liking, refusal};
use super::others::Rules;
use super::snapshot::{Snapshot, owner};
use super::wants::Wants;

/// Pods that need the same, and belong to the same controller: what depends on nodes alone is looked at once for all of them.
pub(super) struct Class {
    pub(super) wants: Wants,
    rules: Rules,
    groups: Groups,
    /// Nodes that can ever fit, and how much each is liked for what it is.
    pub(super) nodes: Vec<(usize, i64)>,
    /// Why the others cannot.
    refusals: BTreeMap<String, usize>,
    /// Nobody can be pushed away for it.
    pub(super) stuck: bool,
}

/// The same text for pods of the same class.
pub(super) fn class_of(pod: &Pod) -> String {
    let spec = &pod.spec;
    serde_json::to_string(&(
        (&pod.metadata.namespace, owner(pod), &pod.metadata.labels),
        (&spec.node_selector, &spec.affinity, &spec.tolerations, &spec.topology_spread_constraints),
        (spec.priority, &spec.overhead),
        spec.containers.iter().map(|c| (&c.image, &c.resources, &c.ports)).collect::<Vec<_>>(),
        spec.init_containers.iter().map(|c| (&c.restart_policy, &c.resources, &c.ports)).collect::<Vec<_>>(),
    ))
    .unwrap_or_default()
}

impl Class {
    pub(super) fn new(snapshot: &mut Snapshot, pod: &Pod) -> Self {
        let (mut nodes, mut refusals) = (Vec::new(), BTreeMap::new());
        for (at, place) in snapshot.places.iter().enumerate() {
            match refusal(&pod.spec, &place.node) {
                Some(why) => *refusals.entry(why).or_default() += 1,
                None => nodes.push((at, liking(&pod.spec, &place.node))),
            }
        }
        let wants = Wants::new(pod, snapshot.of_owner(owner(pod)));
        let rules = Rules::new(snapshot, pod);
        let groups = Groups::new(snapshot, &rules, &wants, &nodes);
        Self { wants, rules, groups, nodes, refusals, stuck: false }
    }

    /// The node for a pod: the one that it waits for, if that has room now, or else the best one.
    pub(super) fn find(&mut self, snapshot: &mut Snapshot, key: &str, pod: &Pod) -> Result<usize, String> {
        if let Some(at) = snapshot.awaits(key).filter(|at| self.refuses(snapshot, key, pod, *at).is_none()) {
            return Ok(at);
        }
        let (found, looks) = self.groups.best(snapshot, &self.wants, &self.rules.today(snapshot, key, pod), key);
        snapshot.looks += looks;
        found.ok_or_else(|| self.reasons(snapshot, key, pod))
    }

    /// Whether a node can ever fit.
    pub(super) fn knows(&self, at: usize) -> bool {
        self.nodes.binary_search_by_key(&at, |(node, _)| *node).is_ok()
    }

    /// Why a pod cannot go to a node as things are.
    pub(super) fn refuses(&self, snapshot: &Snapshot, key: &str, pod: &Pod, at: usize) -> Option<String> {
        if !self.knows(at) {
            return Some("node(s) were not suitable".into());
        }
        let others = || self.rules.today(snapshot, key, pod).refuses(at).map(String::from);
        self.wants.lacks(&snapshot.places[at], key).or_else(others)
    }

    fn reasons(&self, snapshot: &Snapshot, key: &str, pod: &Pod) -> String {
        let all = snapshot.places.len();
        if all == 0 {
            return "no nodes available to schedule pods".into();
        }
        let mut counts = self.refusals.clone();
        let others = self.rules.today(snapshot, key, pod);
        for (at, _) in &self.nodes {
            let why = self.wants.lacks(&snapshot.places[*at], key).or_else(|| others.refuses(*at).map(String::from));
            *counts.entry(why.unwrap_or_else(|| "node(s) were not suitable".into())).or_default() += 1;
        }
        format!("0/{all} nodes are available: {}.", listed(&counts))
    }
}

/// Reasons with their counts.
pub(super) fn listed(counts: &BTreeMap<String, usize>) -> String {
    counts.iter().map(|(why, count)| format!("{count} {why}")).collect::<Vec<_>>().join(", ")
}
