//! Pods to nodes.

use std::cmp::Reverse;
use std::collections::HashMap;

use api::kinds::pod::Pod;

use super::class::{Class, class_of};
use super::preempt::{Preemption, preempt};
use super::snapshot::Snapshot;

/// What becomes of a pending pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// It goes to this node.
    Bind(String),
    /// It fits nowhere; why.
    Wait(String),
    /// It fits nowhere yet: others make room for it.
    Preempt(Preemption),
}

impl Decision {
    /// Whether `next` says nothing that this one has not said, and asks nobody to go.
    pub(super) fn tells(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Preempt(said), Self::Preempt(next)) => next.victims.is_empty() && said.node == next.node,
            (said, next) => said == next,
        }
    }
}

/// Places pods, in order of their priority and age, and notes in the snapshot who was placed, and who is to make room for whom.
pub fn schedule(snapshot: &mut Snapshot, pods: &[(String, Pod)]) -> Vec<(String, Decision)> {
    let mut order: Vec<&(String, Pod)> = pods.iter().collect();
    order.sort_by_key(|(_, p)| (Reverse(p.spec.priority.unwrap_or(0)), p.metadata.creation_timestamp));
    let mut classes: HashMap<String, Class> = HashMap::new();
    let mut decisions = Vec::with_capacity(order.len());
    for (key, pod) in order {
        let class = classes.entry(class_of(pod)).or_insert_with(|| Class::new(snapshot, pod));
        decisions.push((key.clone(), decide(snapshot, class, key, pod)));
    }
    snapshot.forget();
    decisions
}

fn decide(snapshot: &mut Snapshot, class: &mut Class, key: &str, pod: &Pod) -> Decision {
    let why = match class.find(snapshot, key, pod) {
        Ok(at) => {
            *class.wants.own.entry(at).or_default() += 1;
            let mut bound = pod.clone();
            bound.spec.node_name.clone_from(&snapshot.places[at].node.metadata.name);
            snapshot.set_pod(key, &bound);
            return Decision::Bind(bound.spec.node_name);
        }
        Err(why) => why,
    };
    match preempt(snapshot, class, (key, pod), why) {
        Ok(preemption) => {
            preemption.victims.iter().for_each(|victim| snapshot.leaves(victim, true));
            snapshot.expect(key, pod, &preemption.node);
            Decision::Preempt(preemption)
        }
        Err(why) => {
            snapshot.dismiss(key);
            Decision::Wait(why)
        }
    }
}
