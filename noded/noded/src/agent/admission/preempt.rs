//! Who makes room for a critical pod: as few as possible, of those that have asked for the least care.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::kinds::pod::Pod;
use control::scheduler::{Amounts, requests};

use super::super::pressure::is_critical;
use super::room::Short;

/// What is missing, by resource.
type Missing<'a> = BTreeMap<&'a str, i64>;

/// One that may go.
#[derive(Debug, Clone)]
struct Candidate<'a> {
    uid: &'a str,
    class: &'static str,
    frees: Amounts,
}

/// The uids of those that go. A class is spared for as long as all pods of lesser classes would do.
pub(super) fn victims(pod: &Pod, others: &[Arc<Pod>], short: &[Short]) -> Result<Vec<String>, String> {
    let missing: Missing<'_> = short.iter().map(|short| (short.resource.as_str(), short.missing())).collect();
    let may_go = others.iter().filter(|other| gives_way(pod, other));
    let all: Vec<Candidate<'_>> = may_go
        .map(|other| Candidate { uid: &other.metadata.uid, class: other.spec.qos_class(), frees: requests(&other.spec) })
        .collect();
    let left = without(&missing, &all);
    if !left.is_empty() {
        let left: String = left.iter().map(|(resource, amount)| format!("(res: {resource}, q: {amount}), ")).collect();
        return Err(format!(
            "preemption: error finding a set of pods to preempt: no set of running pods found to reclaim resources: [{left}]"
        ));
    }
    let mut chosen: Vec<Candidate<'_>> = Vec::new();
    for (class, lesser) in
        [("Guaranteed", &["Burstable", "BestEffort"][..]), ("Burstable", &["BestEffort"][..]), ("BestEffort", &[][..])]
    {
        let helps = |one: &&Candidate<'_>| lesser.contains(&one.class);
        let helpers: Vec<Candidate<'_>> = all.iter().filter(helps).chain(&chosen).cloned().collect();
        let (mut missing, mut left) = (without(&missing, &helpers), all.clone());
        left.retain(|one| one.class == class);
        while !missing.is_empty() && !left.is_empty() {
            let next = nearest(&missing, &left);
            let next = left.swap_remove(next);
            missing = without(&missing, std::slice::from_ref(&next));
            chosen.push(next);
        }
    }
    let mut uids: Vec<String> = chosen.into_iter().map(|one| one.uid.to_owned()).collect();
    uids.sort();
    Ok(uids)
}

/// Whether a pod goes for another one that is critical.
fn gives_way(to: &Pod, pod: &Pod) -> bool {
    !is_critical(pod) || to.spec.priority.zip(pod.spec.priority).is_some_and(|(to, own)| to > own)
}

/// What is missing yet when these are gone.
fn without<'a>(missing: &Missing<'a>, gone: &[Candidate<'_>]) -> Missing<'a> {
    let freed = |name: &str| gone.iter().fold(0i64, |sum, one| sum.saturating_add(one.frees.get(name)));
    let left = missing.iter().map(|(name, amount)| (*name, amount.saturating_sub(freed(name))));
    left.filter(|(_, amount)| *amount > 0).collect()
}

/// The one that leaves least missing; of several the one that takes least.
fn nearest(missing: &Missing<'_>, of: &[Candidate<'_>]) -> usize {
    // Each resource counts the same: what is left of it, in thousandths, squared.
    let part = |one: &Candidate<'_>, name: &str, amount: i64| {
        let left = i128::from(amount.saturating_sub(one.frees.get(name)).max(0));
        (left * 1000 / i128::from(amount)).pow(2)
    };
    let distance = |one: &Candidate<'_>| missing.iter().map(|(name, amount)| part(one, name, *amount)).sum::<i128>();
    let order = |at: &usize| {
        let one = &of[*at];
        (distance(one), one.frees.memory, one.frees.cpu, one.uid)
    };
    (0..of.len()).min_by_key(order).unwrap_or(0)
}
