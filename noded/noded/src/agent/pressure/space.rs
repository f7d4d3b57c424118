//! What pods take of the host.

use std::collections::{BTreeMap, HashMap};

use api::kinds::pod::Pod;

use super::super::actual::name_of;
use super::super::wanted::{self, Place};
use super::rank::Taken;
use crate::cri::local;
use crate::node::Node;

/// What the engine has of this agent's pods, by uid.
pub(super) fn known(node: &Node, place: &Place) -> HashMap<String, Vec<engine::Pod>> {
    let mut known: HashMap<String, Vec<engine::Pod>> = HashMap::new();
    for pod in node.engine().pods().unwrap_or_default() {
        if pod.record.request.labels.get(wanted::NODE).is_some_and(|name| *name == place.node) {
            known.entry(pod.record.request.uid.clone()).or_default().push(pod);
        }
    }
    known
}

/// What a pod has on disk: all its files are looked at.
pub(super) fn disk(node: &Node, place: &Place, pod: &Pod, sandboxes: &[engine::Pod]) -> Taken {
    let engine = node.engine();
    let uid = &pod.metadata.uid;
    let empty = pod.spec.volumes.iter().filter(|volume| volume.empty_dir.as_ref().is_some_and(|empty| empty.medium != "Memory"));
    let volumes = empty.map(|volume| (volume.name.clone(), engine::taken(&place.disk.join(uid).join(&volume.name)).bytes));
    let logs = wanted::logs(pod, &place.logs);
    let all = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let mut containers: BTreeMap<String, u64> =
        all.map(|container| (container.name.clone(), engine::taken(&logs.join(&container.name)).bytes)).collect();
    for container in sandboxes.iter().flat_map(|sandbox| local::containers(node, sandbox).unwrap_or_default()) {
        if let Ok(found) = engine.container(&container.id) {
            *containers.entry(name_of(&container).to_owned()).or_default() += engine.taken_by(&found.record).bytes;
        }
    }
    Taken { memory: 0, volumes: volumes.collect(), containers }
}

/// What a pod has of memory.
pub(super) fn memory(node: &Node, sandboxes: &[engine::Pod]) -> u64 {
    sandboxes.iter().filter(|sandbox| sandbox.ready).map(|sandbox| local::working_set(node, sandbox)).sum()
}
