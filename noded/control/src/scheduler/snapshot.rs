//! Nodes and what runs on them, kept up to date while things change.

use std::collections::{BTreeMap, HashMap};

use api::kinds::node::Node;
use api::kinds::pod::Pod;

use super::demand::{Amounts, Port, ports, requests};
use super::terms::{Counter, PodRules, Term};

/// A node, its room, and what is taken of it.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) node: Node,
    pub(super) room: Amounts,
    pub(super) used: Amounts,
    pub(super) ports: Vec<Port>,
}

/// A pod that has a node.
#[derive(Debug, Clone)]
struct Placed {
    node: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    /// The uid of its controller, if it has one.
    owner: String,
    amounts: Amounts,
    ports: Vec<Port>,
    apart: Vec<Term>,
}

/// All nodes, and all pods that have one.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub(super) places: Vec<Place>,
    by_name: HashMap<String, usize>,
    pods: HashMap<String, Placed>,
    /// Pods of a controller by the name of their node.
    owners: HashMap<String, HashMap<String, i64>>,
    /// Pods by place, for every term that was ever asked for.
    counters: Vec<Counter>,
    /// Rules of placed pods that keep others away, by place.
    pub(super) guards: Vec<Counter>,
}

impl Snapshot {
    /// A node comes or changes.
    pub fn set_node(&mut self, node: Node) {
        let room = Amounts::of(&node.status.allocatable);
        let name = node.metadata.name.clone();
        if let Some(at) = self.by_name.get(&name) {
            let same_labels = self.places[*at].node.metadata.labels == node.metadata.labels;
            self.places[*at].room = room;
            self.places[*at].node = node;
            if !same_labels {
                self.recount();
            }
            return;
        }
        let mut place = Place { node, room, used: Amounts::default(), ports: Vec::new() };
        for pod in self.pods.values().filter(|p| p.node == name) {
            place.used.add(&pod.amounts, 1);
            place.ports.extend(pod.ports.iter().cloned());
        }
        self.by_name.insert(name, self.places.len());
        self.places.push(place);
        if self.pods.values().any(|p| p.node == self.places[self.places.len() - 1].node.metadata.name) {
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
        self.recount();
    }

    /// A pod has a node, or has changed there.
    pub fn set_pod(&mut self, key: &str, pod: &Pod) {
        self.remove_pod(key);
        let rules = PodRules::of(pod);
        let placed = Placed {
            node: pod.spec.node_name.clone(),
            namespace: pod.metadata.namespace.clone(),
            labels: pod.metadata.labels.clone(),
            owner: owner(pod).to_owned(),
            amounts: requests(&pod.spec),
            ports: ports(&pod.spec),
            apart: rules.apart,
        };
        self.count(&placed, 1);
        self.pods.insert(key.into(), placed);
    }

    /// A pod is done or gone.
    pub fn remove_pod(&mut self, key: &str) -> bool {
        let Some(placed) = self.pods.remove(key) else { return false };
        self.count(&placed, -1);
        true
    }

    fn count(&mut self, pod: &Placed, sign: i64) {
        let Some(at) = self.by_name.get(&pod.node).copied() else { return };
        let place = &mut self.places[at];
        place.used.add(&pod.amounts, sign);
        if sign > 0 {
            place.ports.extend(pod.ports.iter().cloned());
        } else {
            place.ports.retain(|p| !pod.ports.contains(p));
        }
        if !pod.owner.is_empty() {
            let own = self.owners.entry(pod.owner.clone()).or_default();
            let count = own.entry(pod.node.clone()).or_default();
            *count += sign;
            if *count <= 0 {
                own.remove(&pod.node);
            }
            if own.is_empty() {
                self.owners.remove(&pod.owner);
            }
        }
        let labels = &place.node.metadata.labels;
        for counter in self.counters.iter_mut().filter(|c| c.term.takes(&pod.namespace, &pod.labels)) {
            add(counter, labels, sign);
        }
        for term in &pod.apart {
            let at = self.guards.iter().position(|g| g.term == *term).unwrap_or_else(|| {
                self.guards.push(Counter { term: term.clone(), places: HashMap::new() });
                self.guards.len() - 1
            });
            add(&mut self.guards[at], labels, sign);
        }
    }

    /// Counts all anew, after nodes have changed.
    fn recount(&mut self) {
        self.counters.clear();
        self.guards.clear();
        self.owners.clear();
        for place in &mut self.places {
            place.used = Amounts::default();
            place.ports.clear();
        }
        let pods = std::mem::take(&mut self.pods);
        pods.values().for_each(|p| self.count(p, 1));
        self.pods = pods;
    }

    /// How many pods of a controller are on each node, by its place here.
    pub(super) fn of_owner(&self, owner: &str) -> HashMap<usize, i64> {
        let own = self.owners.get(owner).into_iter().flatten();
        own.filter_map(|(node, count)| Some((*self.by_name.get(node)?, *count))).collect()
    }

    /// How many pods of a term are in each place; kept from now on.
    pub(super) fn counter(&mut self, term: &Term) -> usize {
        if let Some(at) = self.counters.iter().position(|c| c.term == *term) {
            return at;
        }
        let mut counter = Counter { term: term.clone(), places: HashMap::new() };
        for pod in self.pods.values().filter(|p| term.takes(&p.namespace, &p.labels)) {
            if let Some(at) = self.by_name.get(&pod.node) {
                add(&mut counter, &self.places[*at].node.metadata.labels, 1);
            }
        }
        self.counters.push(counter);
        self.counters.len() - 1
    }

    pub(super) fn counted(&self, counter: usize) -> &Counter {
        &self.counters[counter]
    }

    /// Forgets terms that only pods of the past asked for.
    pub(super) fn forget(&mut self) {
        const MOST: usize = 256;
        if self.counters.len() > MOST {
            self.counters.clear();
        }
        self.guards.retain(|g| !g.places.is_empty());
    }
}

/// The uid of a pod's controller; empty without one.
pub(super) fn owner(pod: &Pod) -> &str {
    pod.metadata.owner_references.iter().find(|o| o.controller == Some(true)).map_or("", |o| &o.uid)
}

fn add(counter: &mut Counter, labels: &BTreeMap<String, String>, sign: i64) {
    let Some(place) = labels.get(&counter.term.topology) else { return };
    let number = counter.places.entry(place.clone()).or_default();
    *number += sign;
    if *number <= 0 {
        counter.places.remove(place);
    }
}
