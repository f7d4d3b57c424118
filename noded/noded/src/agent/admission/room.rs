//! What a node has too little of for one more pod.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::kinds::pod::Pod;
use api::quantity::Quantity;
use control::scheduler::{Amounts, requests};

use super::super::resize::Pending;

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

/// Why a pod cannot become this `new` one beside the others.
pub(in super::super) fn grows(
    new: &Pod,
    old: &Pod,
    others: &[Arc<Pod>],
    allocatable: &BTreeMap<String, Quantity>,
) -> Option<Pending> {
    let (needs, has) = (requests(&new.spec), requests(&old.spec));
    let mut short = short(&needs, others, allocatable);
    // One that takes less is never in the way.
    short.retain(|short| needs.get(&short.resource) > has.get(&short.resource));
    if let Some(Short { resource, requested, capacity, .. }) = short.iter().find(|short| short.requested > short.capacity) {
        let message = format!("Node didn't have enough capacity: {resource}, requested: {requested}, capacity: {capacity}");
        return Some(Pending { reason: "Infeasible", message });
    }
    short.first().map(|short| Pending { reason: "Deferred", message: short.words().1 })
}

/// Whether a resource is a vendor's and not Kubernetes' own.
fn is_device(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_grows_finds_room_or_is_told_what_is_short() {
        let pod = |milli: i64, memory: &str| -> Pod {
            let requests = json!({"cpu": format!("{milli}m"), "memory": memory});
            serde_json::from_value(json!({"spec": {"containers": [{"name": "a", "resources": {"requests": requests}}]}})).unwrap()
        };
        let room: BTreeMap<String, Quantity> = serde_json::from_value(json!({"cpu": "2", "memory": "1Gi", "pods": "1"})).unwrap();
        let others = [Arc::new(pod(1500, "2Gi"))];
        let said = |new: &Pod| grows(new, &pod(400, "1Mi"), &others, &room).map(|why| (why.reason, why.message));
        assert_eq!(said(&pod(500, "1Mi")), None, "what it has already is not asked for again, however short it is");
        assert_eq!(said(&pod(100, "1Ki")), None);
        let short = "Node didn't have enough resource: cpu, requested: 501, used: 1500, capacity: 2000";
        assert_eq!(said(&pod(501, "1Mi")), Some(("Deferred", short.to_owned())));
        let never = "Node didn't have enough capacity: cpu, requested: 2001, capacity: 2000";
        assert_eq!(said(&pod(2001, "1Mi")), Some(("Infeasible", never.to_owned())));
    }
}
