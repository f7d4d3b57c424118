//! Nodes that are in the same places, as far as a class of pods asks: what others mean is the same for all of a group.
//!
//! Each group has its nodes in a heap by what they are worth alone. That is at most what it was when it was put in, while a batch is
//! placed: nobody goes, so a node that has no room, or from which somebody keeps the class away, is out for good, and only the top of a heap
//! is ever looked at.

use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BinaryHeap, HashMap};

use super::others::{Others, Rules};
use super::snapshot::Snapshot;
use super::wants::Wants;

/// What a node was worth, the node, and how much it is liked for what it is.
type Worth = (i64, Reverse<usize>, i64);

/// The nodes that can ever fit, by the places in which they are.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// So many places tell groups apart.
    width: usize,
    /// The places of each group, one group after another.
    places: Vec<Option<u32>>,
    heaps: Vec<BinaryHeap<Worth>>,
}

impl Groups {
    pub(super) fn new(snapshot: &Snapshot, rules: &Rules, wants: &Wants, nodes: &[(usize, i64)]) -> Self {
        let telling: Vec<_> = rules.telling().map(|counter| snapshot.counted(counter)).collect();
        let mut numbers: HashMap<Vec<Option<u32>>, usize> = HashMap::new();
        let mut lists: Vec<Vec<Worth>> = Vec::new();
        let mut this = Self { width: telling.len(), ..Self::default() };
        for (at, liked) in nodes {
            let places: Vec<Option<u32>> = telling.iter().map(|counter| snapshot.place_of(counter, *at)).collect();
            let group = *numbers.entry(places).or_insert_with_key(|places| {
                this.places.extend(places);
                lists.push(Vec::new());
                lists.len() - 1
            });
            lists[group].push((wants.score(&snapshot.places[*at], *at, *liked), Reverse(*at), *liked));
        }
        this.heaps = lists.into_iter().map(BinaryHeap::from).collect();
        this
    }

    /// The best node for the pod with this key, and how many looks it took to find it.
    pub(super) fn best(&mut self, snapshot: &Snapshot, wants: &Wants, others: &Others<'_>, key: &str) -> (Option<usize>, u64) {
        let (mut best, mut looks): (Option<(i64, Reverse<usize>)>, u64) = (None, 0);
        for (group, heap) in self.heaps.iter_mut().enumerate() {
            if heap.is_empty() {
                continue;
            }
            looks += 1;
            let Ok(gain) = others.weigh(&self.places[group * self.width..(group + 1) * self.width]) else { continue };
            while let Some(mut top) = heap.peek_mut() {
                let (was, Reverse(at), liked) = *top;
                if best.is_some_and(|best| (was + gain, Reverse(at)) <= best) {
                    break;
                }
                looks += 1;
                let place = &snapshot.places[at];
                if wants.lacks(place, key).is_some() || others.keeps_away(at).is_some() {
                    PeekMut::pop(top);
                    continue;
                }
                let now = wants.score(place, at, liked);
                if now == was {
                    best = Some((now + gain, Reverse(at)));
                    break;
                }
                top.0 = now;
            }
        }
        (best.map(|(_, Reverse(at))| at), looks)
    }
}
