//! Who makes room for a pod that is more important.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use api::kinds::pod::Pod;

use super::class::{Class, listed};
use super::snapshot::{Placed, Snapshot};

/// A node at which others make room for a pod that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preemption {
    /// The node.
    pub node: String,
    /// The keys of the pods that are to end; those that end already are not among them.
    pub victims: Vec<String>,
    /// Why the pod fits nowhere as things are.
    pub why: String,
}

/// What can be done for a pod that fits nowhere; or that reason again, with why nobody can be pushed away.
pub(super) fn preempt(
    snapshot: &mut Snapshot,
    class: &mut Class,
    (key, pod): (&str, &Pod),
    why: String,
) -> Result<Preemption, String> {
    if pod.spec.preemption_policy == "Never" {
        return Err(format!("{why} preemption: not eligible due to preemptionPolicy=Never."));
    }
    let named = |snapshot: &Snapshot, at: usize| snapshot.places[at].node.metadata.name.clone();
    if let Some(at) = snapshot.awaits(key).filter(|at| class.knows(*at) && somebody_leaves(snapshot, *at, class.wants.priority)) {
        return Ok(Preemption { node: named(snapshot, at), victims: Vec::new(), why });
    }
    let found = if class.stuck { None } else { cheapest(snapshot, class, key, pod) };
    let Some((at, victims)) = found else {
        class.stuck = true;
        return Err(format!("{why}{}", unhelpful(snapshot, class)));
    };
    let mut victims: Vec<String> = victims;
    victims.retain(|victim| snapshot.placed(victim).is_some_and(|placed| !placed.leaving));
    Ok(Preemption { node: named(snapshot, at), victims, why })
}

/// A less important pod is about to end there.
fn somebody_leaves(snapshot: &Snapshot, at: usize, priority: i32) -> bool {
    let pods = snapshot.places[at].pods.iter().filter_map(|key| snapshot.placed(key));
    pods.into_iter().any(|pod| pod.leaving && pod.priority < priority)
}

fn unhelpful(snapshot: &Snapshot, class: &Class) -> String {
    let (all, able) = (snapshot.places.len(), class.nodes.len());
    if all == 0 {
        return String::new();
    }
    let reasons =
        [("No preemption victims found for incoming pod", able), ("Preemption is not helpful for scheduling", all - able)];
    let counts: BTreeMap<String, usize> = reasons.iter().filter(|(_, n)| *n > 0).map(|(why, n)| ((*why).into(), *n)).collect();
    format!(" preemption: 0/{all} nodes are available: {}.", listed(&counts))
}

/// How much a choice of victims costs, as Kubernetes counts it: the most important of them, the sum of their priorities, how many they are,
/// and how long the most important one that runs longest has run.
type Cost = (i32, i64, usize, Reverse<jiff::Timestamp>);

fn cost(victims: &[(String, Placed)]) -> Cost {
    let highest = victims.iter().map(|(_, v)| v.priority).max().unwrap_or(i32::MIN);
    // a sum of numbers above zero: two pods cost more than one
    let sum = victims.iter().map(|(_, v)| i64::from(v.priority) - i64::from(i32::MIN) + 1).sum();
    let starts = victims.iter().filter(|(_, v)| v.priority == highest).map(|(_, v)| started(v));
    (highest, sum, victims.len(), Reverse(starts.min().unwrap_or(jiff::Timestamp::MAX)))
}

/// One that has not started is the youngest.
fn started(pod: &Placed) -> jiff::Timestamp {
    pod.start.unwrap_or(jiff::Timestamp::MAX)
}

/// The node whose victims cost least. Not all nodes are looked at where many would do: a tenth of them, a hundred at least.
fn cheapest(snapshot: &mut Snapshot, class: &Class, key: &str, pod: &Pod) -> Option<(usize, Vec<String>)> {
    if snapshot.least_priority().is_none_or(|least| least >= class.wants.priority) {
        return None;
    }
    let enough = (class.nodes.len() / 10).max(100);
    let able = class.nodes.iter().filter_map(|(at, _)| Some((*at, victims(snapshot, class, (key, pod), *at)?)));
    let best = able.take(enough).min_by_key(|(at, victims)| (cost(victims), *at));
    best.map(|(at, victims)| (at, victims.into_iter().map(|(key, _)| key).collect()))
}

/// The pods that must leave a node for this one to fit there; nothing where that does not help.
///
/// All that are less important are taken away; then each that need not go is put back, the most important ones first. The snapshot is
/// afterwards what it was.
fn victims(snapshot: &mut Snapshot, class: &Class, (key, pod): (&str, &Pod), at: usize) -> Option<Vec<(String, Placed)>> {
    let is_less = |snapshot: &Snapshot, key: &String| snapshot.placed(key).is_some_and(|p| p.priority < class.wants.priority);
    let less: Vec<String> = snapshot.places[at].pods.iter().filter(|key| is_less(snapshot, key)).cloned().collect();
    let mut out: Vec<(String, Placed)> =
        less.into_iter().filter_map(|key| snapshot.take(&key).map(|placed| (key, placed))).collect();
    out.sort_by_key(|(_, placed)| (Reverse(placed.priority), started(placed)));
    let fits = |snapshot: &mut Snapshot| {
        snapshot.looks += 1;
        class.refuses(snapshot, key, pod, at).is_none()
    };
    let helps = !out.is_empty() && fits(snapshot);
    let mut victims = Vec::new();
    for (other, placed) in out {
        snapshot.put(&other, placed);
        if helps && !fits(snapshot) {
            victims.extend(snapshot.take(&other).map(|placed| (other, placed)));
        }
    }
    victims.iter().for_each(|(key, placed)| snapshot.put(key, placed.clone()));
    (!victims.is_empty()).then_some(victims)
}
