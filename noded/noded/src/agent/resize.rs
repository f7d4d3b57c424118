//! Resources that change while a pod runs (KEP-1287): those that a container has, those that it is to have, and those that it has to wait for.
//!
//! What the API asks for is only taken when the node has room for it (`crew`): all others of the agent see a pod with what it was given last.

use std::collections::BTreeMap;

use api::kinds::pod::container::{Container, ResourceRequirements};
use api::kinds::pod::{Pod, PodSpec, RESIZED};
use api::quantity::Quantity;
use cri::{ContainerStatus, LinuxContainerResources};

use super::actual::{Actual, Memory, Nanos, Problem};

/// A period of the processor's time, in microseconds.
const PERIOD: i64 = 100_000;

/// Why a pod does not have what it asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pending {
    /// `Deferred` when it may get it once others have gone, else `Infeasible`.
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// What a worker remembers of changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Resizing {
    /// What the pod waits for.
    pub(super) pending: Option<Pending>,
    /// Containers that are restarted for it, by id: since when.
    pub(super) restarts: BTreeMap<String, Nanos>,
    /// What stood in the way of these limits, by container: others are tried at once.
    pub(super) problems: BTreeMap<String, (Limits, Problem)>,
}

/// What the kernel is told of a container's resources. 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    shares: i64,
    period: i64,
    quota: i64,
    memory: i64,
}

impl Limits {
    pub(super) fn of(resources: &ResourceRequirements) -> Limits {
        let request = resources.requests.get("cpu").or_else(|| resources.limits.get("cpu")).map_or(0, Quantity::milli);
        let limit = resources.limits.get("cpu").map(Quantity::milli).filter(|milli| *milli > 0);
        Limits {
            // 1024 shares a processor, at least 2.
            shares: (request.saturating_mul(1024) / 1000).clamp(2, 262_144),
            period: if limit.is_some() { PERIOD } else { 0 },
            quota: limit.map_or(0, |milli| (milli.saturating_mul(PERIOD) / 1000).max(1000)),
            memory: resources.limits.get("memory").map_or(0, Quantity::value),
        }
    }

    fn seen(container: &ContainerStatus) -> Option<Limits> {
        let linux = container.resources.as_ref()?.linux.as_ref()?;
        let LinuxContainerResources { cpu_shares, cpu_period, cpu_quota, memory_limit_in_bytes, .. } = *linux;
        Some(Limits { shares: cpu_shares, period: cpu_period, quota: cpu_quota, memory: memory_limit_in_bytes })
    }

    pub(super) fn memory(self) -> i64 {
        self.memory
    }

    /// As CRI says it.
    pub(super) fn linux(self) -> LinuxContainerResources {
        LinuxContainerResources {
            cpu_shares: self.shares,
            cpu_period: self.period,
            cpu_quota: self.quota,
            memory_limit_in_bytes: self.memory,
            ..LinuxContainerResources::default()
        }
    }
}

/// Which resources a container is to have otherwise than it has them.
pub(super) fn changed(spec: &Container, seen: &ContainerStatus) -> Vec<&'static str> {
    let Some(has) = Limits::seen(seen) else { return Vec::new() };
    let wants = Limits::of(&spec.resources.clone().unwrap_or_default());
    let differs = |name: &str| match name {
        "memory" => wants.memory != has.memory,
        _ => (wants.shares, wants.quota) != (has.shares, has.quota),
    };
    RESIZED.into_iter().filter(|name| differs(name)).collect()
}

/// Whether such a change takes a restart.
fn takes_restart(spec: &Container, changed: &[&str]) -> bool {
    let mut rules = spec.resize_policy.iter().filter(|rule| rule.restart_policy == "RestartContainer");
    rules.any(|rule| changed.contains(&rule.resource_name.as_str()))
}

/// The resources that a container has.
pub(super) fn told(spec: &Container, seen: Option<&ContainerStatus>) -> Option<ResourceRequirements> {
    let mut resources = spec.resources.clone()?;
    let (has, changed) = (seen.and_then(Limits::seen), seen.map(|seen| changed(spec, seen)).unwrap_or_default());
    if let Some(has) = has {
        let mut put =
            |list: fn(&mut ResourceRequirements) -> &mut BTreeMap<String, Quantity>, name: &str, amount: Option<Quantity>| {
                match amount {
                    Some(amount) => drop(list(&mut resources).insert(name.to_owned(), amount)),
                    None => drop(list(&mut resources).remove(name)),
                }
            };
        if changed.contains(&"cpu") {
            put(|of| &mut of.limits, "cpu", (has.quota > 0).then(|| Quantity::from_milli(has.quota * 1000 / has.period.max(1))));
            put(|of| &mut of.requests, "cpu", (has.shares > 2).then(|| Quantity::from_milli((has.shares * 1000 + 1023) / 1024)));
        }
        if changed.contains(&"memory") {
            put(|of| &mut of.limits, "memory", (has.memory > 0).then(|| Quantity::from_bytes(has.memory)));
        }
    }
    let is_none = resources.limits.is_empty() && resources.requests.is_empty();
    (!is_none).then_some(resources)
}

/// What a pod was told to have, which may be less or more than it asks for by now.
pub(super) fn given(pod: &Pod) -> PodSpec {
    let mut spec = pod.spec.clone();
    let all = pod.status.container_statuses.iter().chain(&pod.status.init_container_statuses);
    for status in all.filter(|status| status.resources.is_some()) {
        let mut containers = spec.containers.iter_mut().chain(&mut spec.init_containers);
        if let Some(container) = containers.find(|one| one.name == status.name) {
            let mut resources = status.resources.clone().unwrap_or_default();
            // What is kept for it is not all known to the kernel.
            resources.requests.extend(status.allocated_resources.clone());
            container.resources = Some(resources);
        }
    }
    spec
}

/// The pod with the resources of `given`; none when those are what it asks for.
pub(super) fn held(pod: &Pod, given: &PodSpec) -> Option<Pod> {
    let mut held = pod.clone();
    let (mut differs, old) = (false, given.containers.iter().chain(&given.init_containers));
    for old in old {
        let mut new = held.spec.containers.iter_mut().chain(&mut held.spec.init_containers);
        let Some(new) = new.find(|new| new.name == old.name) else { continue };
        let (mut has, was) = (new.resources.clone().unwrap_or_default(), old.resources.clone().unwrap_or_default());
        for (has, was) in [(&mut has.limits, &was.limits), (&mut has.requests, &was.requests)] {
            for name in RESIZED {
                match (has.get(name), was.get(name)) {
                    (Some(new), Some(old)) if new.same(old) => continue,
                    (None, None) => continue,
                    (_, Some(old)) => drop(has.insert(name.to_owned(), old.clone())),
                    (_, None) => drop(has.remove(name)),
                }
                differs = true;
            }
        }
        new.resources = Some(has);
    }
    differs.then_some(held)
}

impl Memory {
    /// Notes which containers have to be restarted to get what they are to have.
    pub(super) fn note_restarts(&mut self, pod: &Pod, actual: &Actual, now: Nanos) {
        let restarts = &mut self.resizing.restarts;
        restarts.retain(|id, _| actual.containers.iter().any(|seen| seen.id == *id));
        for spec in pod.spec.containers.iter().chain(&pod.spec.init_containers) {
            let runs = actual.newest(&spec.name).filter(|seen| seen.state() == cri::ContainerState::ContainerRunning);
            if let Some(seen) = runs.filter(|seen| takes_restart(spec, &changed(spec, seen))) {
                restarts.entry(seen.id.clone()).or_insert(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(super) fn container(resources: Value) -> Container {
        serde_json::from_value(json!({"name": "a", "resources": resources})).unwrap()
    }

    fn with(resources: Value) -> ContainerStatus {
        let linux = Limits::of(&container(resources).resources.unwrap()).linux();
        ContainerStatus { resources: Some(cri::ContainerResources { linux: Some(linux) }), ..ContainerStatus::default() }
    }

    #[test]
    fn differences_are_those_that_the_kernel_knows() {
        let old = json!({"requests": {"cpu": "100m", "memory": "1Mi"}, "limits": {"cpu": "1"}});
        let of = |new: Value| changed(&container(new), &with(old.clone()));
        assert_eq!(of(old.clone()), Vec::<&str>::new());
        assert_eq!(of(json!({"requests": {"cpu": "0.1", "memory": "9Mi"}, "limits": {"cpu": "1000m"}})), Vec::<&str>::new());
        assert_eq!(of(json!({"requests": {"cpu": "200m"}, "limits": {"cpu": "1"}})), ["cpu"]);
        assert_eq!(of(json!({"requests": {"cpu": "100m"}, "limits": {"cpu": "2", "memory": "1Gi"}})), ["cpu", "memory"]);
    }

    #[test]
    fn what_is_told_is_what_the_container_has() {
        let old = json!({"requests": {"cpu": "100m", "memory": "1Mi"}, "limits": {"cpu": "1", "memory": "32Mi"}});
        let new = container(json!({"requests": {"cpu": "200m", "memory": "2Mi"}, "limits": {"cpu": "2", "memory": "64Mi"}}));
        let told = told(&new, Some(&with(old))).unwrap();
        let expected = json!({"requests": {"cpu": "100m", "memory": "2Mi"}, "limits": {"cpu": "1", "memory": "32Mi"}});
        assert_eq!(serde_json::to_value(told).unwrap(), expected);
        assert_eq!(super::told(&new, None), new.resources);
        assert_eq!(super::told(&container(json!({})), None), None);
    }

    #[test]
    fn a_pod_that_waits_keeps_what_it_has() {
        let status = json!({"name": "a", "resources": {"requests": {"cpu": "1"}}, "allocatedResources": {"cpu": "1"}});
        let pod = |asks: &str, statuses: Value| -> Pod {
            let containers = json!([{"name": "a", "resources": {"requests": {"cpu": asks, "disk": "1"}}}]);
            serde_json::from_value(json!({"spec": {"containers": containers}, "status": {"containerStatuses": statuses}})).unwrap()
        };
        let asks = pod("2", json!([status]));
        let held = held(&asks, &given(&asks)).unwrap();
        assert_eq!(held.spec.containers[0].resources.as_ref().unwrap().requests["cpu"].0, "1");
        assert_eq!(held.spec.containers[0].resources.as_ref().unwrap().requests["disk"].0, "1");
        for same in [pod("1000m", json!([status])), pod("2", json!([]))] {
            assert!(super::held(&same, &given(&same)).is_none());
        }
    }
}
