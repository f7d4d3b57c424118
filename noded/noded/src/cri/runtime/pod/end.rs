//! StopPodSandbox and RemovePodSandbox. Both may be repeated, and a pod that is not there is fine.

use std::time::Duration;

use cri::{RemovePodSandboxRequest, RemovePodSandboxResponse, StopPodSandboxRequest, StopPodSandboxResponse};
use engine::{Grace, Pod};

use super::maybe;
use crate::cri::runtime::container;
use crate::cri::{Answer, check as say, status as code};
use crate::node::Node;

/// Kills what runs in the pod, and gives its addresses back. The kubelet has stopped its containers before, if there was time.
pub(in crate::cri) fn stop(node: &Node, request: StopPodSandboxRequest) -> Answer<StopPodSandboxResponse> {
    if let Some(pod) = asked(node, &request.pod_sandbox_id)? {
        node.engine().stop_pod(&pod.record.id, Grace::For(Duration::ZERO)).map_err(|error| code::of(&error))?;
        if pod.ready {
            node.events.pod(&pod.record.id, cri::ContainerEventType::ContainerStoppedEvent);
        }
    }
    Ok(StopPodSandboxResponse {})
}

/// Removes the pod with all its containers. The cgroup that it was given by name, `cgroup_parent`, stays: it is of whoever has named it, and may have
/// limits and other children. The kubelet makes it before the pod and removes it after, as noded's own agent does; containerd leaves it, too.
pub(in crate::cri) fn remove(node: &Node, request: RemovePodSandboxRequest) -> Answer<RemovePodSandboxResponse> {
    let Some(pod) = asked(node, &request.pod_sandbox_id)? else {
        // One whose record is damaged is removed, too.
        node.engine().remove_pod(&request.pod_sandbox_id).map_err(|error| code::of(&error))?;
        return Ok(RemovePodSandboxResponse {});
    };
    // Those whose records are damaged go without a word.
    let members = container::of_pod(node, &pod.record.id).unwrap_or_default();
    node.engine().remove_pod(&pod.record.id).map_err(|error| code::of(&error))?;
    node.samples.forget(&pod.record.id);
    for member in members {
        node.samples.forget(&member.container.record.id);
    }
    node.events.gone(&pod);
    Ok(RemovePodSandboxResponse {})
}

fn asked(node: &Node, id: &str) -> Answer<Option<Pod>> {
    say::id("pod_sandbox_id", id)?;
    match maybe(node, id) {
        Err(status) if status.code() == tonic::Code::DataLoss => Ok(None),
        found => found,
    }
}
