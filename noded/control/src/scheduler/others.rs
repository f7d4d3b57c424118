//! What the pods that are there, or expected there, mean for one more.

use api::kinds::pod::Pod;

use super::snapshot::{Expected, Snapshot};
use super::terms::{PodRules, Spread, Term};
use super::topology::Counter;

const FAR: &str = "node(s) didn't match pod affinity rules";
const APART: &str = "node(s) didn't match pod anti-affinity rules";
const GUARDED: &str = "node(s) didn't satisfy existing pods anti-affinity rules";
const CROWDED: &str = "node(s) didn't match pod topology spread constraints";

/// The rules of a class of pods about others, with the counters that tell how many there are.
#[derive(Debug)]
pub(super) struct Rules {
    near: Vec<usize>,
    apart: Vec<usize>,
    spread: Vec<(usize, i64, bool, i64)>,
    wishes: Vec<(usize, i64)>,
    /// The places over which pods of the class are spread, for each rule of that.
    reach: Vec<Vec<u32>>,
}

impl Rules {
    pub(super) fn new(snapshot: &mut Snapshot, pod: &Pod) -> Self {
        let rules = PodRules::of(pod);
        let mut counters = |terms: &[Term]| -> Vec<usize> { terms.iter().map(|t| snapshot.counter(t)).collect() };
        let (near, apart) = (counters(&rules.near), counters(&rules.apart));
        let mut over = |rule: &Spread| {
            let over: Vec<bool> = snapshot.places.iter().map(|place| rule.is_over(&pod.spec, &place.node)).collect();
            snapshot.counter_over(&rule.term, over.contains(&false).then_some(over))
        };
        let spread: Vec<_> = rules.spread.iter().map(|rule| (over(rule), rule.skew, rule.hard, rule.places)).collect();
        let wishes = rules.wishes.iter().map(|(term, weight)| (snapshot.counter(term), *weight)).collect();
        let reach = spread.iter().map(|(counter, ..)| {
            let counter = snapshot.counted(*counter);
            let nodes = (0..snapshot.places.len()).filter(|at| counter.is_over(*at));
            let mut places: Vec<u32> = nodes.filter_map(|at| snapshot.place_of(counter, at)).collect();
            places.sort_unstable();
            places.dedup();
            places
        });
        let reach = reach.collect();
        Self { near, apart, spread, wishes, reach }
    }

    /// Counters by whose places nodes differ: in the order in which [`Others::weigh`] takes their places.
    pub(super) fn telling(&self) -> impl Iterator<Item = usize> {
        let spread = self.spread.iter().map(|(counter, ..)| *counter);
        self.near.iter().copied().chain(spread).chain(self.wishes.iter().map(|(counter, _)| *counter))
    }

    /// The rules with today's numbers, for one pod of the class.
    pub(super) fn today<'a>(&'a self, snapshot: &'a Snapshot, key: &str, pod: &Pod) -> Others<'a> {
        let awaited: Vec<_> = snapshot.awaited(pod.spec.priority.unwrap_or(0), key).collect();
        let near = self.near.iter().map(|counter| {
            let counter = snapshot.counted(*counter);
            // the first of a group that wants to be together may begin anywhere
            (counter, counter.is_empty() && snapshot.is_about(&counter.term, pod))
        });
        let spread = self.spread.iter().zip(&self.reach).map(|((counter, skew, hard, places), reach)| {
            let counter = snapshot.counted(*counter);
            let is_coming = |(at, expected): &&(usize, &Expected)| {
                *hard && counter.is_over(*at) && snapshot.is_about_expected(&counter.term, expected)
            };
            let coming = awaited.iter().filter(is_coming).filter_map(|(at, _)| snapshot.place_of(counter, *at)).collect();
            let own = i64::from(snapshot.is_about(&counter.term, pod));
            let mut rule = Evenly { counter, coming, most: None, most_then: None };
            if *hard {
                let enough = i64::try_from(reach.len()).unwrap_or(i64::MAX) >= *places;
                let least =
                    |count: &dyn Fn(u32) -> i64| reach.iter().map(|place| count(*place)).min().filter(|_| enough).unwrap_or(0);
                rule.most = Some(least(&|place| counter.count(place)) + skew - own);
                rule.most_then = (!rule.coming.is_empty()).then(|| least(&|place| rule.then(place)) + skew - own);
            }
            rule
        });
        Others {
            snapshot,
            kept: awaited.iter().flat_map(|(at, expected)| self.kept(snapshot, pod, *at, expected)).collect(),
            near: near.collect(),
            spread: spread.collect(),
            wishes: self.wishes.iter().map(|(counter, weight)| (snapshot.counted(*counter), *weight)).collect(),
            apart: self.apart.iter().map(|counter| snapshot.counted(*counter)).collect(),
            guards: snapshot.guards(pod).collect(),
        }
    }
}

impl Rules {
    /// What a pod that is expected at a node keeps from one of the class, by its rules or by that one's.
    fn kept<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        pod: &Pod,
        at: usize,
        expected: &'a Expected,
    ) -> Vec<(&'static str, &'a str, &'a str)> {
        let own = self.apart.iter().map(|counter| &snapshot.counted(*counter).term);
        let own = own.filter(|term| snapshot.is_about_expected(term, expected)).map(|term| (APART, term));
        let theirs = expected.apart.iter().filter(|term| snapshot.is_about(term, pod)).map(|term| (GUARDED, term));
        let labels = &snapshot.places[at].node.metadata.labels;
        let place = |(why, term): (_, &'a Term)| Some((why, term.topology.as_str(), labels.get(&term.topology)?.as_str()));
        own.chain(theirs).filter_map(place).collect()
    }
}

/// One rule about how evenly pods are spread, with today's numbers.
struct Evenly<'a> {
    counter: &'a Counter,
    /// Places of those that are expected.
    coming: Vec<u32>,
    /// The most that may be in a place already; no number: the fewer the better.
    most: Option<i64>,
    /// The same when those that are expected have come, if any are.
    most_then: Option<i64>,
}

impl Evenly<'_> {
    /// How many will be in a place when those that are expected have come.
    fn then(&self, place: u32) -> i64 {
        self.counter.count(place) + self.coming.iter().map(|coming| i64::from(*coming == place)).sum::<i64>()
    }

    /// Whether one more in a place is one too many, now or then.
    fn is_crowded(&self, place: Option<u32>) -> bool {
        let within =
            |most: Option<i64>, count: &dyn Fn(u32) -> i64| most.is_none_or(|most| place.is_some_and(|place| count(place) <= most));
        !within(self.most, &|place| self.counter.count(place)) || !within(self.most_then, &|place| self.then(place))
    }
}

/// What the pods that are there mean for one more.
pub(super) struct Others<'a> {
    snapshot: &'a Snapshot,
    /// Nodes with such a label are kept for pods that are expected, from which this one must be apart; why.
    kept: Vec<(&'static str, &'a str, &'a str)>,
    /// And whether it may begin a group.
    near: Vec<(&'a Counter, bool)>,
    spread: Vec<Evenly<'a>>,
    wishes: Vec<(&'a Counter, i64)>,
    /// Whom it keeps away from.
    apart: Vec<&'a Counter>,
    /// Who keeps it away.
    guards: Vec<&'a Counter>,
}

impl Others<'_> {
    /// What nodes in these places gain or lose by them; or why they are out of the question.
    pub(super) fn weigh(&self, places: &[Option<u32>]) -> Result<i64, &'static str> {
        let (near, rest) = places.split_at(self.near.len());
        let (spread, wishes) = rest.split_at(self.spread.len());
        let mut gain = 0;
        for (place, rule) in spread.iter().zip(&self.spread) {
            if rule.is_crowded(*place) {
                return Err(CROWDED);
            }
            if rule.most.is_none() {
                gain -= 30 * place.map_or(10, |place| rule.counter.count(place));
            }
        }
        let far = |(place, (counter, first)): (&Option<u32>, &(&Counter, bool))| {
            place.is_none_or(|place| counter.count(place) == 0 && !first)
        };
        if near.iter().zip(&self.near).any(far) {
            return Err(FAR);
        }
        for (place, (counter, weight)) in wishes.iter().zip(&self.wishes) {
            gain += place.map_or(0, |place| counter.count(place)).min(10) * weight;
        }
        Ok(gain)
    }

    /// Whether some pod keeps this one away from a node, by its own rules or by that pod's.
    pub(super) fn keeps_away(&self, node: usize) -> Option<&'static str> {
        let is_there = |counter: &&Counter| self.snapshot.place_of(counter, node).is_some_and(|place| counter.count(place) > 0);
        if self.apart.iter().any(&is_there) {
            return Some(APART);
        }
        if self.guards.iter().any(is_there) {
            return Some(GUARDED);
        }
        let labels = &self.snapshot.places[node].node.metadata.labels;
        self.kept.iter().find(|(_, label, value)| labels.get(*label).is_some_and(|own| own == value)).map(|(why, ..)| *why)
    }

    /// Why the pod cannot go to a node, as far as other pods matter.
    pub(super) fn refuses(&self, node: usize) -> Option<&'static str> {
        let near = self.near.iter().map(|(counter, _)| *counter);
        let spread = self.spread.iter().map(|rule| rule.counter);
        let telling = near.chain(spread).chain(self.wishes.iter().map(|(counter, _)| *counter));
        let places: Vec<Option<u32>> = telling.map(|counter| self.snapshot.place_of(counter, node)).collect();
        self.weigh(&places).err().or_else(|| self.keeps_away(node))
    }
}
