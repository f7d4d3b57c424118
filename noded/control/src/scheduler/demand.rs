//! What a pod needs of a node.

use std::collections::BTreeMap;

use api::kinds::pod::container::Container;
use api::kinds::pod::{Pod, PodSpec};
use api::quantity::Quantity;

/// Amounts of resources: CPU in thousandths, the rest in whole units.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Processors.
    pub cpu: i64,
    /// Bytes of memory.
    pub memory: i64,
    /// Bytes of the disk.
    pub storage: i64,
    /// Pods.
    pub pods: i64,
    /// Whatever else there is, by name.
    pub others: BTreeMap<String, i64>,
}

impl Amounts {
    /// What a list of an object says.
    pub fn of(list: &BTreeMap<String, Quantity>) -> Self {
        let mut amounts = Self::default();
        for (name, quantity) in list {
            match name.as_str() {
                "cpu" => amounts.cpu = quantity.milli(),
                "memory" => amounts.memory = quantity.value(),
                "ephemeral-storage" => amounts.storage = quantity.value(),
                "pods" => amounts.pods = quantity.value(),
                _ => drop(amounts.others.insert(name.clone(), quantity.value())),
            }
        }
        amounts
    }

    /// The amount of one resource by its name.
    pub fn get(&self, name: &str) -> i64 {
        match name {
            "cpu" => self.cpu,
            "memory" => self.memory,
            "ephemeral-storage" => self.storage,
            "pods" => self.pods,
            other => self.others.get(other).copied().unwrap_or(0),
        }
    }

    /// Adds others, or takes them away with a sign of -1.
    pub fn add(&mut self, other: &Self, sign: i64) {
        self.cpu = self.cpu.saturating_add(sign * other.cpu);
        self.memory = self.memory.saturating_add(sign * other.memory);
        self.storage = self.storage.saturating_add(sign * other.storage);
        self.pods += sign * other.pods;
        for (name, amount) in &other.others {
            let place = self.others.entry(name.clone()).or_default();
            *place = place.saturating_add(sign * amount);
        }
    }

    /// The greater one of each.
    fn rise(&mut self, other: &Self) {
        self.cpu = self.cpu.max(other.cpu);
        self.memory = self.memory.max(other.memory);
        self.storage = self.storage.max(other.storage);
        for (name, amount) in &other.others {
            let place = self.others.entry(name.clone()).or_default();
            *place = (*place).max(*amount);
        }
    }
}

/// A host port: protocol, address (empty for all), number.
pub type Port = (String, String, i32);

/// Whether two host ports get into each other's way.
pub fn collide(a: &Port, b: &Port) -> bool {
    let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
    a.2 == b.2 && a.0 == b.0 && (any(&a.1) || any(&b.1) || a.1 == b.1)
}

/// What a pod asks for.
pub fn requests(spec: &PodSpec) -> Amounts {
    sum(spec, asks)
}

/// What a node keeps for a pod. While its resources change that is the most of what it asks for, what it was given, and what it has; what
/// its node cannot give it does not count.
pub fn kept(pod: &Pod) -> Amounts {
    let status = &pod.status;
    let cannot = pod.condition("PodResizePending").is_some_and(|waits| waits.reason == "Infeasible");
    sum(&pod.spec, |container| {
        let mut all = status.container_statuses.iter().chain(&status.init_container_statuses);
        let Some(seen) = all.find(|seen| seen.name == container.name) else { return asks(container) };
        let given = Amounts::of(&seen.allocated_resources);
        let is_known = seen.resources.is_some() || !seen.allocated_resources.is_empty();
        let mut most = if cannot && is_known { Amounts::default() } else { asks(container) };
        most.rise(&given);
        most.rise(&seen.resources.as_ref().map(|has| Amounts::of(&has.requests)).unwrap_or_default());
        most
    })
}

fn asks(container: &Container) -> Amounts {
    container.resources.as_ref().map(|resources| Amounts::of(&resources.requests)).unwrap_or_default()
}

/// The sum of what runs at once, or the most that any step of the start needs.
fn sum(spec: &PodSpec, of: impl Fn(&Container) -> Amounts) -> Amounts {
    let (mut running, mut start) = (Amounts::default(), Amounts::default());
    for container in &spec.init_containers {
        if container.restart_policy == "Always" {
            running.add(&of(container), 1);
            start.rise(&running);
        } else {
            let mut step = running.clone();
            step.add(&of(container), 1);
            start.rise(&step);
        }
    }
    spec.containers.iter().for_each(|c| running.add(&of(c), 1));
    running.rise(&start);
    running.add(&Amounts::of(&spec.overhead), 1);
    running.pods = 1;
    running
}

/// Host ports that a pod needs.
pub fn ports(spec: &PodSpec) -> Vec<Port> {
    let all = spec.containers.iter().chain(&spec.init_containers).flat_map(|c| &c.ports);
    all.filter(|p| p.host_port != 0).map(|p| (p.protocol.clone(), p.host_ip.clone(), p.host_port)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_changes_counts_as_the_most_that_it_may_be() {
        let of = |asks: &str, status: Value, conditions: Value| {
            let containers = json!([{"name": "a", "resources": {"requests": {"cpu": asks}}}]);
            let status = json!({"conditions": conditions, "containerStatuses": [status]});
            kept(&serde_json::from_value(json!({"spec": {"containers": containers}, "status": status})).unwrap()).cpu
        };
        let has = json!({"name": "a", "resources": {"requests": {"cpu": "2"}}, "allocatedResources": {"cpu": "1"}});
        let waits = |reason: &str| json!([{"type": "PodResizePending", "status": "True", "reason": reason}]);
        assert_eq!(of("3", json!({"name": "a"}), json!([])), 3000);
        assert_eq!(of("3", has.clone(), waits("Deferred")), 3000);
        assert_eq!(of("1", has.clone(), json!([])), 2000, "what it has yet");
        assert_eq!(of("9", has, waits("Infeasible")), 2000, "what its node cannot give");
    }
}
