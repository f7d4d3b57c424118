//! Pods to nodes.

use std::collections::{BTreeMap, BinaryHeap, HashMap};

use api::kinds::pod::Pod;

use super::demand::{Amounts, Port, collide, ports, requests};
use super::node::{liking, refusal};
use super::snapshot::{Place, Snapshot, owner};
use super::terms::{Counter, PodRules};

/// What becomes of a pending pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes to this node.
    Bind(String),
    /// It fits nowhere; why.
    Wait(String),
}

/// Places pods, in order of their priority and age, and notes each placement in the snapshot.
pub fn schedule(snapshot: &mut Snapshot, pods: &[(String, Pod)]) -> Vec<(String, Decision)> {
    let mut order: Vec<&(String, Pod)> = pods.iter().collect();
    order.sort_by_key(|(_, p)| (std::cmp::Reverse(p.spec.priority.unwrap_or(0)), p.metadata.creation_timestamp));
    let mut classes: HashMap<String, Class> = HashMap::new();
    let mut decisions = Vec::with_capacity(order.len());
    for (key, pod) in order {
        let class = classes.entry(class_of(pod)).or_insert_with(|| Class::new(snapshot, pod));
        let decision = class.place(snapshot, pod);
        if let Decision::Bind(node) = &decision {
            let mut bound = pod.clone();
            bound.spec.node_name.clone_from(node);
            snapshot.set_pod(key, &bound);
        }
        decisions.push((key.clone(), decision));
    }
    snapshot.forget();
    decisions
}

/// Pods of which the same is true: needs, labels, controller.
fn class_of(pod: &Pod) -> String {
    let spec = &pod.spec;
    serde_json::to_string(&(
        &pod.metadata.namespace,
        owner(pod),
        &pod.metadata.labels,
        &spec.node_selector,
        &spec.affinity,
        &spec.tolerations,
        &spec.topology_spread_constraints,
        spec.containers.iter().map(|c| (&c.image, &c.resources, &c.ports)).collect::<Vec<_>>(),
        spec.init_containers.iter().map(|c| (&c.restart_policy, &c.resources, &c.ports)).collect::<Vec<_>>(),
        &spec.overhead,
    ))
    .unwrap_or_default()
}

/// Who keeps a pod away: its own rules about others, and those of others about it.
struct Away<'a> {
    /// Counters of its own terms.
    own: Vec<usize>,
    guards: Vec<&'a Counter>,
}

impl<'a> Away<'a> {
    fn of(snapshot: &'a Snapshot, own: Vec<usize>, pod: &Pod) -> Self {
        let takes = |g: &&Counter| g.term.takes(&pod.metadata.namespace, &pod.metadata.labels);
        Self { own, guards: snapshot.guards.iter().filter(takes).collect() }
    }

    fn refuses(&self, snapshot: &Snapshot, place: &Place) -> Option<String> {
        let is_there = |counter: &Counter| {
            place.node.metadata.labels.get(&counter.term.topology).is_some_and(|value| counter.places.contains_key(value))
        };
        if self.own.iter().any(|c| is_there(snapshot.counted(*c))) {
            return Some("node(s) didn't match pod anti-affinity rules".into());
        }
        let guarded = self.guards.iter().any(|guard| is_there(guard));
        guarded.then(|| "node(s) didn't satisfy existing pods anti-affinity rules".into())
    }
}

struct Class {
    needs: Amounts,
    ports: Vec<Port>,
    rules: PodRules,
    /// Nodes that can ever fit, and how much each is liked for what it is.
    nodes: Vec<(usize, i64)>,
    /// Why the others cannot.
    refusals: BTreeMap<String, usize>,
    /// Pods of this class on each node, or of the same controller before.
    own: HashMap<usize, i64>,
    /// Scores as they were when they were put in: one that has changed is put in again.
    heap: BinaryHeap<(i64, std::cmp::Reverse<usize>)>,
}

impl Class {
    fn new(snapshot: &Snapshot, pod: &Pod) -> Self {
        let mut class = Self {
            needs: requests(&pod.spec),
            ports: ports(&pod.spec),
            rules: PodRules::of(pod),
            nodes: Vec::new(),
            refusals: BTreeMap::new(),
            own: snapshot.of_owner(owner(pod)),
            heap: BinaryHeap::new(),
        };
        for (at, place) in snapshot.places.iter().enumerate() {
            match refusal(&pod.spec, &place.node) {
                Some(why) => *class.refusals.entry(why).or_default() += 1,
                None => class.nodes.push((at, liking(&pod.spec, &place.node))),
            }
        }
        class.heap = class
            .nodes
            .iter()
            .map(|(at, liked)| (class.score(&snapshot.places[*at], *at, *liked), std::cmp::Reverse(*at)))
            .collect();
        class
    }

    fn place(&mut self, snapshot: &mut Snapshot, pod: &Pod) -> Decision {
        // whoever only wants to keep away from others is not let in later where it is kept out now
        let found = if self.rules.keep_away_only() { self.best(snapshot, pod) } else { self.search(snapshot, pod) };
        match found {
            Ok(at) => {
                *self.own.entry(at).or_default() += 1;
                Decision::Bind(snapshot.places[at].node.metadata.name.clone())
            }
            Err(why) => Decision::Wait(why),
        }
    }

    /// The node with the best score that has room, and from which nobody keeps this pod away.
    fn best(&mut self, snapshot: &mut Snapshot, pod: &Pod) -> Result<usize, String> {
        let apart: Vec<usize> = self.rules.apart.iter().map(|t| snapshot.counter(t)).collect();
        let snapshot = &*snapshot;
        let away = Away::of(snapshot, apart, pod);
        while let Some((score, std::cmp::Reverse(at))) = self.heap.pop() {
            let place = &snapshot.places[at];
            if self.lacks(place).is_some() || away.refuses(snapshot, place).is_some() {
                // room is only ever taken while a batch is placed, and pods only ever come
                continue;
            }
            let now = self.score(place, at, self.liked(at));
            if now < score {
                self.heap.push((now, std::cmp::Reverse(at)));
                continue;
            }
            // it will be lower once this pod is there
            self.heap.push((now, std::cmp::Reverse(at)));
            return Ok(at);
        }
        Err(self.reasons(snapshot, |at| away.refuses(snapshot, &snapshot.places[at])))
    }

    fn liked(&self, at: usize) -> i64 {
        self.nodes.binary_search_by_key(&at, |(n, _)| *n).map_or(0, |i| self.nodes[i].1)
    }

    /// What a node lacks for this class.
    fn lacks(&self, place: &Place) -> Option<String> {
        let (needs, room, used) = (&self.needs, &place.room, &place.used);
        let short = |need: i64, room: i64, used: i64| need > 0 && used.saturating_add(need) > room;
        if short(1, room.pods, used.pods) && room.pods > 0 {
            return Some("Too many pods".into());
        }
        for (name, need, room, used) in [
            ("cpu", needs.cpu, room.cpu, used.cpu),
            ("memory", needs.memory, room.memory, used.memory),
            ("ephemeral-storage", needs.storage, room.storage, used.storage),
        ] {
            if short(need, room, used) {
                return Some(format!("Insufficient {name}"));
            }
        }
        for (name, need) in &needs.others {
            if short(*need, room.others.get(name).copied().unwrap_or(0), used.others.get(name).copied().unwrap_or(0)) {
                return Some(format!("Insufficient {name}"));
            }
        }
        let taken = self.ports.iter().any(|p| place.ports.iter().any(|q| collide(p, q)));
        taken.then(|| "node(s) didn't have free ports for the requested pod ports".into())
    }

    /// How good a node is: much of it free, evenly, and few of the same controller there.
    fn score(&self, place: &Place, at: usize, liked: i64) -> i64 {
        // pods that ask for nothing count as something, or they would all go to one node
        let (cpu, memory) = (self.needs.cpu.max(100), self.needs.memory.max(200 << 20));
        let free =
            |room: i64, used: i64, need: i64| if room <= 0 { 0 } else { ((room - used - need).max(0)).saturating_mul(100) / room };
        let pods = place.used.pods;
        let cpu = free(place.room.cpu, place.used.cpu.max(pods * 100), cpu);
        let memory = free(place.room.memory, place.used.memory.max(pods * (200 << 20)), memory);
        let even = 100 - (cpu - memory).abs();
        (cpu + memory) / 2 + even / 2 + liked - 40 * self.own.get(&at).copied().unwrap_or(0)
    }

    fn reasons(&self, snapshot: &Snapshot, other: impl Fn(usize) -> Option<String>) -> String {
        let all = snapshot.places.len();
        if all == 0 {
            return "no nodes available to schedule pods".into();
        }
        let mut counts = self.refusals.clone();
        for (at, _) in &self.nodes {
            let why = self.lacks(&snapshot.places[*at]).or_else(|| other(*at));
            *counts.entry(why.unwrap_or_else(|| "node(s) were not suitable".into())).or_default() += 1;
        }
        let listed: Vec<String> = counts.iter().map(|(why, count)| format!("{count} {why}")).collect();
        format!("0/{all} nodes are available: {}.", listed.join(", "))
    }

    /// Looks at every node, with the rules about other pods.
    fn search(&self, snapshot: &mut Snapshot, pod: &Pod) -> Result<usize, String> {
        let near: Vec<usize> = self.rules.near.iter().map(|t| snapshot.counter(t)).collect();
        let apart: Vec<usize> = self.rules.apart.iter().map(|t| snapshot.counter(t)).collect();
        let spread: Vec<usize> = self.rules.spread.iter().map(|(t, ..)| snapshot.counter(t)).collect();
        let wishes: Vec<usize> = self.rules.wishes.iter().map(|(t, _)| snapshot.counter(t)).collect();
        let snapshot = &*snapshot;
        let (namespace, labels) = (&pod.metadata.namespace, &pod.metadata.labels);
        let away = Away::of(snapshot, apart, pod);
        // the least crowded place of each rule, among nodes that can ever fit
        let least: Vec<i64> = spread.iter().zip(&self.rules.spread).map(|(c, rule)| self.least(snapshot, *c, rule.3)).collect();
        let at_place = |counter: usize, place: &Place| {
            let counter = snapshot.counted(counter);
            place.node.metadata.labels.get(&counter.term.topology).map(|value| counter.places.get(value).copied().unwrap_or(0))
        };
        let refuses = |at: usize| -> Option<String> {
            let place = &snapshot.places[at];
            let far = near.iter().zip(&self.rules.near).any(|(c, term)| {
                let first = snapshot.counted(*c).places.is_empty() && term.takes(namespace, labels);
                // the first of a group that wants to be together may begin anywhere
                at_place(*c, place).is_none_or(|n| n == 0 && !first)
            });
            if far {
                return Some("node(s) didn't match pod affinity rules".into());
            }
            if let Some(why) = away.refuses(snapshot, place) {
                return Some(why);
            }
            let crowded = spread.iter().zip(&self.rules.spread).zip(&least).any(|((c, (term, skew, hard, _)), least)| {
                let own = i64::from(term.takes(namespace, labels));
                *hard && at_place(*c, place).is_none_or(|n| n + own - least > *skew)
            });
            crowded.then(|| "node(s) didn't match pod topology spread constraints".into())
        };
        let fits = self.nodes.iter().filter(|(at, _)| self.lacks(&snapshot.places[*at]).is_none() && refuses(*at).is_none());
        let score = |at: usize, liked: i64| {
            let place = &snapshot.places[at];
            let wished: i64 =
                wishes.iter().zip(&self.rules.wishes).map(|(c, (_, w))| at_place(*c, place).unwrap_or(0).min(10) * w).sum();
            let soft = spread.iter().zip(&self.rules.spread).filter(|(_, (_, _, hard, _))| !hard);
            let crowded: i64 = soft.map(|(c, _)| 30 * at_place(*c, place).unwrap_or(10)).sum();
            self.score(place, at, liked) + wished - crowded
        };
        let best = fits.map(|(at, liked)| (score(*at, *liked), std::cmp::Reverse(*at))).max();
        best.map(|(_, std::cmp::Reverse(at))| at).ok_or_else(|| self.reasons(snapshot, refuses))
    }

    /// The least count of any place that pods of this class could be in; none where there are fewer places than asked for.
    fn least(&self, snapshot: &Snapshot, counter: usize, domains: i64) -> i64 {
        let counter = snapshot.counted(counter);
        let mut places: HashMap<&str, i64> = HashMap::new();
        for (at, _) in &self.nodes {
            if let Some(value) = snapshot.places[*at].node.metadata.labels.get(&counter.term.topology) {
                places.insert(value, counter.places.get(value).copied().unwrap_or(0));
            }
        }
        if i64::try_from(places.len()).unwrap_or(i64::MAX) < domains { 0 } else { places.into_values().min().unwrap_or(0) }
    }
}
