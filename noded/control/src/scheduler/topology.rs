//! Which nodes are one place, and how many pods of a term are in each.

use std::collections::{BTreeMap, HashMap};

use super::terms::Term;

/// Nodes by the value of one label; each value is the name of a place, such as a host or a zone.
#[derive(Debug, Clone)]
pub(super) struct Topology {
    key: String,
    /// The place of each node, in the snapshot's order; none for a node without the label.
    of_node: Vec<Option<u32>>,
    numbers: HashMap<String, u32>,
}

impl Topology {
    pub(super) fn new<'a>(key: &str, nodes: impl Iterator<Item = &'a BTreeMap<String, String>>) -> Self {
        let mut this = Self { key: key.into(), of_node: Vec::new(), numbers: HashMap::new() };
        nodes.for_each(|labels| this.push(labels));
        this
    }

    pub(super) fn is_of(&self, key: &str) -> bool {
        self.key == key
    }

    /// Takes in one more node.
    pub(super) fn push(&mut self, labels: &BTreeMap<String, String>) {
        let place = labels.get(&self.key).map(|value| match self.numbers.get(value) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
                self.numbers.insert(value.clone(), number);
                number
            }
        });
        self.of_node.push(place);
    }

    /// The place of a node.
    pub(super) fn at(&self, node: usize) -> Option<u32> {
        self.of_node.get(node).copied().flatten()
    }
}

/// How many pods of a term are in each place; kept while pods come and go.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    pub(super) term: Term,
    /// The number of its topology in the snapshot.
    pub(super) topology: usize,
    /// Whether pods on a node count, in the snapshot's order; nothing: all do.
    pub(super) over: Option<Vec<bool>>,
    counts: Vec<i64>,
    total: i64,
}

impl Counter {
    pub(super) fn new(term: Term, topology: usize, over: Option<Vec<bool>>) -> Self {
        Self { term, topology, over, counts: Vec::new(), total: 0 }
    }

    /// Whether pods on a node count.
    pub(super) fn is_over(&self, node: usize) -> bool {
        self.over.as_ref().is_none_or(|over| over.get(node).copied().unwrap_or(false))
    }

    /// So many more, or fewer, at a place.
    pub(super) fn add(&mut self, place: Option<u32>, change: i64) {
        let Some(place) = place.and_then(|place| usize::try_from(place).ok()) else { return };
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += change;
        self.total += change;
    }

    /// How many are at a place.
    pub(super) fn count(&self, place: u32) -> i64 {
        usize::try_from(place).ok().and_then(|place| self.counts.get(place)).copied().unwrap_or(0)
    }

    /// There are none in any place.
    pub(super) fn is_empty(&self) -> bool {
        self.total == 0
    }
}
