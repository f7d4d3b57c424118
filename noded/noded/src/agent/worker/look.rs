//! What there is of a pod.

use std::sync::Arc;

use cri::ContainerStatus;

use super::super::actual::{Actual, Sandbox, name_of};
use super::super::statics::SOURCE;
use super::super::{last_words, wanted};
use super::Worker;
use crate::cri::local;
use crate::node::Node;

impl Worker {
    /// What is there.
    pub(super) async fn look(&mut self) -> Actual {
        let (shared, ids, mut words) = (Arc::clone(&self.shared), self.sandboxes.clone(), std::mem::take(&mut self.words));
        let pod = self.desired.borrow().as_ref().map(|object| Arc::clone(&object.pod));
        let looked = tokio::task::spawn_blocking(move || {
            let (sandboxes, containers): (Vec<_>, Vec<_>) = ids.iter().filter_map(|id| see(&shared.node, id)).unzip();
            let containers: Vec<ContainerStatus> = containers.into_iter().flatten().collect();
            words.retain(|id, _| containers.iter().any(|seen| seen.id == *id));
            if let Some(pod) = &pod {
                let new = last_words::all((&shared.node, &shared.place, pod), &containers, &words);
                words.extend(new);
            }
            (sandboxes, containers, words)
        });
        let (sandboxes, mut containers, words) = looked.await.unwrap_or_default();
        self.words = words;
        self.sandboxes = sandboxes.iter().map(|sandbox: &Sandbox| sandbox.id.clone()).collect();
        for container in &mut containers {
            let words = self.words.get(&container.id).map_or("", String::as_str);
            container.message = last_words::joined(&container.message, words);
            let attempt = container.metadata.as_ref().map_or(0, |metadata| metadata.attempt) + 1;
            let known = self.memory.attempts.entry(name_of(container).to_owned()).or_insert(attempt);
            *known = (*known).max(attempt);
        }
        Actual { sandboxes, containers, doing: self.doing.clone(), memory: self.memory.clone() }
    }
}

/// A pod in the engine with its containers; none if it is gone.
fn see(node: &Node, id: &str) -> Option<(Sandbox, Vec<ContainerStatus>)> {
    let pod = node.engine().pod(id).ok()?;
    let containers = local::containers(node, &pod).unwrap_or_default();
    let ips = ips(&pod).collect();
    Some((Sandbox { id: pod.record.id, attempt: pod.record.request.attempt, ready: pod.ready, ips }, containers))
}

fn ips(pod: &engine::Pod) -> impl Iterator<Item = String> {
    pod.network.iter().flat_map(|network| &network.networks).flat_map(|end| end.addresses()).map(|ip| ip.to_string())
}

/// Its first address, if it has one of its own.
pub(in super::super) fn address(pod: &engine::Pod) -> Option<String> {
    ips(pod).next()
}

/// What the engine has of a pod of this agent, newest first.
pub(in super::super) fn sandboxes(node: &Node, name: &str, uid: &str) -> Vec<engine::Pod> {
    let all = node.engine().pods().unwrap_or_default().into_iter();
    let is_own = |pod: &engine::Pod| pod.record.request.labels.get(wanted::NODE).is_some_and(|node| node == name);
    all.filter(|pod| pod.record.request.uid == uid && is_own(pod)).collect()
}

/// A pod of this agent that the engine has.
#[derive(Debug)]
pub(in super::super) struct Known {
    pub(in super::super) uid: String,
    /// Its id in the engine.
    pub(in super::super) sandbox: String,
    /// It came from a manifest of this host.
    pub(in super::super) is_static: bool,
}

/// All of them, newest first.
pub(in super::super) fn known(node: &Node, name: &str) -> Vec<Known> {
    let all = node.engine().pods().unwrap_or_default().into_iter().map(|pod| (pod.record.id, pod.record.request));
    let own = all.filter(|(_, request)| request.labels.get(wanted::NODE).is_some_and(|node| node == name));
    let is_static = |request: &engine::PodRequest| request.annotations.get(SOURCE).is_some_and(|source| source == "file");
    own.map(|(sandbox, request)| Known { is_static: is_static(&request), uid: request.uid, sandbox }).collect()
}
