//! Which pod has to go when something is scarce, and what is said of it: as the kubelet has it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use api::kinds::pod::Pod;
use api::kinds::pod::container::Container;
use api::quantity::Quantity;

use super::super::statics::is_static;
use super::evicted::Evicted;
use super::signals::{Left, Scarce};

/// Pods of this priority and above are the cluster's own.
const CRITICAL: i32 = 2_000_000_000;

/// What a pod takes, in bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) memory: u64,
    /// Volumes on disk.
    pub(super) volumes: BTreeMap<String, u64>,
    /// Files and logs of containers.
    pub(super) containers: BTreeMap<String, u64>,
}

impl Taken {
    fn disk(&self) -> u64 {
        self.volumes.values().chain(self.containers.values()).sum()
    }
}

/// A pod that may be chosen.
#[derive(Debug, Clone)]
pub(super) struct Candidate<'a> {
    pub(super) pod: &'a Pod,
    pub(super) taken: Taken,
}

/// Whether a pod stays whatever is scarce.
pub(in super::super) fn is_critical(pod: &Pod) -> bool {
    pod.spec.priority.is_some_and(|priority| priority >= CRITICAL) || is_static(pod)
}

/// The first one to go: one that takes more than it has asked for, of the least priority, and of those the one that takes most beyond that.
pub(super) fn first<'a, 'b>(candidates: &'b [Candidate<'a>], scarce: Scarce) -> Option<&'b Candidate<'a>> {
    let key = |one: &Candidate<'_>| {
        let (taken, asked) = amounts(one, scarce);
        (Reverse(taken > asked), one.pod.spec.priority.unwrap_or(0), Reverse(i128::from(taken) - i128::from(asked)))
    };
    candidates.iter().filter(|one| !is_critical(one.pod)).min_by_key(|one| key(one))
}

/// What it takes, and what its containers have asked for.
fn amounts(of: &Candidate<'_>, scarce: Scarce) -> (u64, u64) {
    let (taken, name) = match scarce {
        Scarce::Memory => (of.taken.memory, "memory"),
        Scarce::Disk | Scarce::Inodes => (of.taken.disk(), "ephemeral-storage"),
    };
    (taken, of.pod.spec.containers.iter().map(|container| asked(container, name)).sum())
}

fn asked(container: &Container, name: &str) -> u64 {
    container.resources.as_ref().and_then(|of| bytes(of.requests.get(name).or_else(|| of.limits.get(name)))).unwrap_or(0)
}

fn bytes(quantity: Option<&Quantity>) -> Option<u64> {
    u64::try_from(quantity?.value()).ok()
}

/// What is said of a pod that goes because something is scarce.
pub(super) fn why(of: &Candidate<'_>, scarce: Scarce, left: Left, threshold: u64) -> Evicted {
    let shown = |amount: u64| if scarce == Scarce::Inodes { amount.to_string() } else { ki(amount) };
    let mut message = format!(
        "The node was low on resource: {}. Threshold quantity: {}, available: {}. ",
        scarce.word(),
        shown(threshold),
        shown(left.free)
    );
    if scarce == Scarce::Disk {
        for container in &of.pod.spec.containers {
            let (taken, asked) = (of.taken.containers.get(&container.name).copied().unwrap_or(0), asked(container, scarce.word()));
            if taken > asked {
                message.push_str(&format!(
                    "Container {} was using {}, request is {}, has larger consumption of {}. ",
                    container.name,
                    ki(taken),
                    if asked == 0 { "0".to_owned() } else { ki(asked) },
                    scarce.word()
                ));
            }
        }
    }
    Evicted::by_node(message)
}

fn ki(bytes: u64) -> String {
    format!("{}Ki", bytes >> 10)
}

/// Whether limits of its own are told in a pod, for which its files have to be counted.
pub(super) fn has_limits(pod: &Pod) -> bool {
    pod.spec.volumes.iter().any(|volume| limit_of(volume).is_some())
        || pod.spec.containers.iter().any(|container| storage_limit(container).is_some())
}

fn limit_of(volume: &api::kinds::pod::volume::Volume) -> Option<u64> {
    let empty = volume.empty_dir.as_ref().filter(|empty| empty.medium != "Memory")?;
    bytes(empty.size_limit.as_ref()).filter(|limit| *limit > 0)
}

fn storage_limit(container: &Container) -> Option<u64> {
    bytes(container.resources.as_ref()?.limits.get("ephemeral-storage"))
}

/// Why a pod has to go for its own limits.
pub(super) fn exceeds(pod: &Pod, taken: &Taken) -> Option<Evicted> {
    let said = |message: String| Some(Evicted::by_itself(message));
    for volume in &pod.spec.volumes {
        let is = taken.volumes.get(&volume.name).copied().unwrap_or(0);
        if limit_of(volume).is_some_and(|limit| is > limit) {
            let limit = volume.empty_dir.as_ref().and_then(|empty| empty.size_limit.as_ref()).map_or("", |limit| limit.0.as_str());
            return said(format!("Usage of EmptyDir volume {:?} exceeds the limit {limit:?}. ", volume.name));
        }
    }
    let limits: Option<u64> = pod.spec.containers.iter().map(storage_limit).sum();
    if let Some(limit) = limits.filter(|limit| !pod.spec.containers.is_empty() && taken.disk() > *limit) {
        return said(format!("Pod ephemeral local storage usage exceeds the total limit of containers {limit}. "));
    }
    for container in &pod.spec.containers {
        let is = taken.containers.get(&container.name).copied().unwrap_or(0);
        if storage_limit(container).is_some_and(|limit| is > limit) {
            let limit =
                container.resources.as_ref().and_then(|of| of.limits.get("ephemeral-storage")).map_or("", |limit| limit.0.as_str());
            return said(format!("Container {} exceeded its local ephemeral storage limit {limit:?}. ", container.name));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::super::statics::SOURCE;
    use super::*;

    fn pod(name: &str, priority: i32, request: &str) -> Pod {
        let mut container = json!({"name": "a"});
        if !request.is_empty() {
            container["resources"] = json!({"requests": {"memory": request}});
        }
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"priority": priority, "containers": [container]}}))
            .unwrap()
    }

    #[test]
    fn whoever_takes_more_than_asked_for_goes_first() {
        let pods = [
            pod("asked", 0, "300Mi"),
            pod("little", 0, ""),
            pod("much", 0, "1Mi"),
            pod("high", 9, ""),
            pod("critical", CRITICAL, ""),
        ];
        let mut candidates: Vec<Candidate<'_>> = pods
            .iter()
            .zip([200, 10, 50, 500, 900])
            .map(|(pod, mib)| Candidate { pod, taken: Taken { memory: mib << 20, ..Taken::default() } })
            .collect();
        let mut order = Vec::new();
        while let Some(next) = first(&candidates, Scarce::Memory) {
            let name = next.pod.metadata.name.clone();
            candidates.retain(|one| one.pod.metadata.name != name);
            order.push(name);
        }
        assert_eq!(order, ["much", "little", "high", "asked"]);
        let file = json!({"metadata": {"annotations": {SOURCE: "file"}}, "spec": {"containers": []}});
        assert!(is_critical(&serde_json::from_value(file).unwrap()));
    }

    #[test]
    fn limits_of_its_own() {
        let of = |volumes: Value, limits: Value, volume: u64, container: u64| {
            let spec = json!({"containers": [{"name": "a", "resources": {"limits": limits}}], "volumes": volumes});
            let pod: Pod = serde_json::from_value(json!({"spec": spec})).unwrap();
            let (volumes, containers) = ([("v".to_owned(), volume)].into(), [("a".to_owned(), container)].into());
            let taken = Taken { memory: 0, volumes, containers };
            (has_limits(&pod), exceeds(&pod, &taken).map(|why| why.message))
        };
        let volume = json!([{"name": "v", "emptyDir": {"sizeLimit": "1Ki"}}]);
        let message = "Usage of EmptyDir volume \"v\" exceeds the limit \"1Ki\". ";
        assert_eq!(of(volume.clone(), json!({}), 1025, 0), (true, Some(message.to_owned())));
        assert_eq!(of(volume, json!({}), 1024, 1 << 30), (true, None));
        assert_eq!(
            of(json!([{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Ki"}}]), json!({}), 0, 0),
            (false, None)
        );
        let limits = json!({"ephemeral-storage": "1Ki"});
        let (_, why) = of(json!([]), limits.clone(), 0, 2000);
        assert!(why.unwrap().starts_with("Pod ephemeral local storage usage exceeds the total limit of containers 1024"));
        assert_eq!(of(json!([]), limits, 1, 1000), (true, None));
    }

    #[test]
    fn it_is_said_why() {
        let pod = pod("p", 0, "");
        let taken = Taken { containers: [("a".to_owned(), 2 << 20)].into(), ..Taken::default() };
        let why = why(&Candidate { pod: &pod, taken }, Scarce::Disk, Left { free: 1 << 20, all: 1 << 30 }, 4 << 20);
        assert_eq!(
            why.message,
            "The node was low on resource: ephemeral-storage. Threshold quantity: 4096Ki, available: 1024Ki. \
             Container a was using 2048Ki, request is 0, has larger consumption of ephemeral-storage. "
        );
    }
}
