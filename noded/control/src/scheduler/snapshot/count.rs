//! Numbers that are kept while pods come and go.

use std::collections::HashMap;

use api::kinds::pod::Pod;

use super::Snapshot;
use super::place::{Expected, Placed};
use crate::scheduler::demand::Amounts;
use crate::scheduler::terms::Term;
use crate::scheduler::topology::{Counter, Topology};

impl Snapshot {
    pub(super) fn count(&mut self, key: &str, pod: &Placed, sign: i64) {
        let Some(at) = self.by_name.get(&pod.node).copied() else { return };
        self.places[at].count(key, pod, sign);
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
        for counter in self.counters.iter_mut().filter(|c| c.term.takes(&self.spaces, &pod.namespace, &pod.labels)) {
            if counter.is_over(at) {
                counter.add(self.topologies[counter.topology].at(at), sign);
            }
        }
        for term in &pod.apart {
            let guard = self.guards.iter().position(|g| g.term == *term).unwrap_or_else(|| {
                let topology = self.topology(&term.topology);
                self.guards.push(Counter::new(term.clone(), topology, None));
                self.guards.len() - 1
            });
            let guard = &mut self.guards[guard];
            guard.add(self.topologies[guard.topology].at(at), sign);
        }
    }

    /// Counts all anew, after nodes or namespaces have changed.
    pub(super) fn recount(&mut self) {
        self.topologies.clear();
        self.counters.clear();
        self.guards.clear();
        self.owners.clear();
        for place in &mut self.places {
            place.used = Amounts::default();
            place.ports.clear();
            place.pods.clear();
        }
        let pods = std::mem::take(&mut self.pods);
        pods.iter().for_each(|(key, p)| self.count(key, p, 1));
        self.pods = pods;
    }

    /// How many pods of a controller are on each node, by its place here.
    pub(in crate::scheduler) fn of_owner(&self, owner: &str) -> HashMap<usize, i64> {
        let own = self.owners.get(owner).into_iter().flatten();
        own.filter_map(|(node, count)| Some((*self.by_name.get(node)?, *count))).collect()
    }

    fn topology(&mut self, key: &str) -> usize {
        self.topologies.iter().position(|t| t.is_of(key)).unwrap_or_else(|| {
            self.topologies.push(Topology::new(key, self.places.iter().map(|p| &p.node.metadata.labels)));
            self.topologies.len() - 1
        })
    }

    /// How many pods of a term are in each place; kept from now on.
    pub(in crate::scheduler) fn counter(&mut self, term: &Term) -> usize {
        self.counter_over(term, None)
    }

    /// As [`Snapshot::counter`], of those on some nodes alone: for each node, whether it is one of them.
    pub(in crate::scheduler) fn counter_over(&mut self, term: &Term, over: Option<Vec<bool>>) -> usize {
        if let Some(at) = self.counters.iter().position(|c| c.term == *term && c.over == over) {
            return at;
        }
        let topology = self.topology(&term.topology);
        let mut counter = Counter::new(term.clone(), topology, over);
        for pod in self.pods.values().filter(|p| term.takes(&self.spaces, &p.namespace, &p.labels)) {
            if let Some(at) = self.by_name.get(&pod.node).filter(|at| counter.is_over(**at)) {
                counter.add(self.topologies[topology].at(*at), 1);
            }
        }
        self.counters.push(counter);
        self.counters.len() - 1
    }

    pub(in crate::scheduler) fn counted(&self, counter: usize) -> &Counter {
        &self.counters[counter]
    }

    /// The place in which a node is for a counter.
    pub(in crate::scheduler) fn place_of(&self, counter: &Counter, node: usize) -> Option<u32> {
        self.topologies[counter.topology].at(node)
    }

    /// Whether a term is about this pod.
    pub(in crate::scheduler) fn is_about(&self, term: &Term, pod: &Pod) -> bool {
        term.takes(&self.spaces, &pod.metadata.namespace, &pod.metadata.labels)
    }

    /// Whether a term is about this pod, which is expected somewhere.
    pub(in crate::scheduler) fn is_about_expected(&self, term: &Term, pod: &Expected) -> bool {
        term.takes(&self.spaces, &pod.namespace, &pod.labels)
    }

    /// Rules of pods that are there, by which this one is kept away.
    pub(in crate::scheduler) fn guards(&self, pod: &Pod) -> impl Iterator<Item = &Counter> {
        self.guards.iter().filter(|g| !g.is_empty() && self.is_about(&g.term, pod))
    }

    /// Forgets terms that only pods of the past asked for.
    pub(in crate::scheduler) fn forget(&mut self) {
        const MOST: usize = 256;
        if self.counters.len() > MOST {
            self.counters.clear();
        }
        self.guards.retain(|g| !g.is_empty());
    }
}
