//! Nodes and what runs on them, kept up to date while things change.

mod count;
mod place;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use api::kinds::node::Node;
use api::kinds::pod::Pod;

use super::demand::Amounts;
use super::terms::Spaces;
use super::topology::{Counter, Topology};
pub(super) use place::{Expected, Place, Placed, owner};

/// All nodes, and all pods that have one.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub(super) places: Vec<Place>,
    by_name: HashMap<String, usize>,
    pods: HashMap<String, Placed>,
    /// How many pods there are of each priority.
    priorities: BTreeMap<i32, usize>,
    /// Pods of a controller by the name of their node.
    owners: HashMap<String, HashMap<String, i64>>,
    spaces: Spaces,
    /// For every label that was ever asked for.
    topologies: Vec<Topology>,
    /// Pods by place, for every term that was ever asked for.
    counters: Vec<Counter>,
    /// Rules of placed pods that keep others away, by place.
    guards: Vec<Counter>,
    /// Nodes for which pods wait, by the pods' keys.
    expected: HashMap<String, String>,
    /// How often a node, or a group of nodes that are in the same places, was looked at for a pod.
    pub(super) looks: u64,
}

impl Snapshot {
    /// A node comes or changes.
    pub fn set_node(&mut self, node: Node) {
        let name = node.metadata.name.clone();
        if let Some(at) = self.by_name.get(&name) {
            let place = &mut self.places[*at];
            let same_labels = place.node.metadata.labels == node.metadata.labels;
            place.room = Amounts::of(&node.status.allocatable);
            place.node = node;
            if !same_labels {
                self.recount();
            }
            return;
        }
        self.topologies.iter_mut().for_each(|t| t.push(&node.metadata.labels));
        // whether the new one is among their nodes only the next pod knows
        self.counters.retain(|counter| counter.over.is_none());
        self.by_name.insert(name.clone(), self.places.len());
        self.places.push(Place::new(node));
        if self.pods.values().any(|p| p.node == name) {
            self.recount();
        }
    }

    /// A node goes.
    pub fn remove_node(&mut self, name: &str) {
        let Some(at) = self.by_name.remove(name) else { return };
        self.places.swap_remove(at);
        if let Some(moved) = self.places.get(at) {
            self.by_name.insert(moved.node.metadata.name.clone(), at);
        }
        self.expected.retain(|_, node| node != name);
        self.recount();
    }

    /// A namespace comes or changes; with no labels it may as well be gone.
    pub fn set_namespace(&mut self, name: &str, labels: BTreeMap<String, String>) {
        if self.spaces.insert(name.to_owned(), labels.clone()) != Some(labels)
            && self.counters.iter().chain(&self.guards).any(|c| c.term.looks_at_spaces())
        {
            self.recount();
        }
    }

    /// A pod has a node, or has changed there.
    pub fn set_pod(&mut self, key: &str, pod: &Pod) {
        self.remove_pod(key);
        self.dismiss(key);
        self.put(key, Placed::new(pod));
    }

    /// A pod is done or gone.
    pub fn remove_pod(&mut self, key: &str) -> bool {
        self.take(key).is_some()
    }

    pub(super) fn put(&mut self, key: &str, placed: Placed) {
        *self.priorities.entry(placed.priority).or_default() += 1;
        self.count(key, &placed, 1);
        self.pods.insert(key.into(), placed);
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Placed> {
        let placed = self.pods.remove(key)?;
        if let Some(count) = self.priorities.get_mut(&placed.priority) {
            *count -= 1;
            if *count == 0 {
                self.priorities.remove(&placed.priority);
            }
        }
        self.count(key, &placed, -1);
        Some(placed)
    }

    /// From now on room is kept at a node for a pod that waits for it.
    pub(super) fn expect(&mut self, key: &str, pod: &Pod, node: &str) {
        self.dismiss(key);
        let Some(at) = self.by_name.get(node) else { return };
        self.places[*at].expected.push(Expected::new(key, pod));
        self.expected.insert(key.into(), node.into());
    }

    /// No room is kept for this pod any more; says whether some was.
    pub(super) fn dismiss(&mut self, key: &str) -> bool {
        let Some(node) = self.expected.remove(key) else { return false };
        if let Some(at) = self.by_name.get(&node) {
            self.places[*at].expected.retain(|e| e.key != key);
        }
        true
    }

    /// The node at which room is kept for a pod.
    pub(super) fn awaits(&self, key: &str) -> Option<usize> {
        self.by_name.get(self.expected.get(key)?).copied()
    }

    /// Pods that are expected somewhere before one of this priority with this key, and the nodes at which they are.
    pub(super) fn awaited(&self, priority: i32, key: &str) -> impl Iterator<Item = (usize, &Expected)> {
        let nodes: BTreeSet<usize> = self.expected.values().filter_map(|node| self.by_name.get(node).copied()).collect();
        let pods = nodes.into_iter().flat_map(move |at| self.places[at].expected.iter().map(move |expected| (at, expected)));
        pods.filter(move |(_, expected)| expected.comes_before(priority, key))
    }

    pub(super) fn placed(&self, key: &str) -> Option<&Placed> {
        self.pods.get(key)
    }

    /// A pod was told to end, or was not after all.
    pub(super) fn leaves(&mut self, key: &str, leaving: bool) {
        if let Some(placed) = self.pods.get_mut(key) {
            placed.leaving = leaving;
        }
    }

    /// The least of all pods' priorities.
    pub(super) fn least_priority(&self) -> Option<i32> {
        self.priorities.keys().next().copied()
    }
}
