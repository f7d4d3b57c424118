//! What a node has too little of for one more pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::kinds::pod::Pod;
use api::quantity::Quantity;
use control::scheduler::{Amounts, requests};

/// A resource that is short: CPU in thousandths, the rest in whole units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Short {
    pub(super) resource: String,
    requested: i64,
    used: i64,
    capacity: i64,
}

impl Short {
    /// A word and a sentence.
    pub(super) fn words(&self) -> (String, String) {
        let Short { resource, requested, used, capacity } = self;
        let message =
            format!("Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}");
        (format!("OutOf{resource}"), message)
    }

    /// How much is missing.
    pub(super) fn missing(&self) -> i64 {
        self.requested.saturating_sub(self.capacity.saturating_sub(self.used))
    }
}

/// What is short, places for pods first.
pub(super) fn short(needs: &Amounts, others: &[Arc<Pod>], allocatable: &BTreeMap<String, Quantity>) -> Vec<Short> {
    let (room, mut used) = (Amounts::of(allocatable), Amounts::default());
    others.iter().for_each(|other| used.add(&requests(&other.spec), 1));
    // Of a device that the node says nothing of others know more.
    let further = needs.others.keys().filter(|name| !is_device(name) || room.others.contains_key(*name));
    let all = ["pods", "cpu", "memory", "ephemeral-storage"].into_iter().chain(further.map(String::as_str));
    let short = all.map(|name| Short {
        resource: name.to_owned(),
        requested: needs.get(name),
        used: used.get(name),
        capacity: room.get(name),
    });
    short.filter(|short| short.requested > 0 && short.missing() > 0).collect()
}

/// Whether a resource is a vendor's and not Kubernetes' own.
fn is_device(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}
