//! PodSandboxStatus, and UpdatePodSandboxResources.

use std::collections::BTreeMap;

use cri::{PodSandboxStatusRequest, PodSandboxStatusResponse, UpdatePodSandboxResourcesRequest, UpdatePodSandboxResourcesResponse};
use engine::Pod;
use serde_json::json;

use super::{find, view};
use crate::cri::Answer;
use crate::cri::runtime::container;
use crate::host::chain;
use crate::node::Node;

/// One pod with its containers, all at one moment.
pub(in crate::cri) fn status(node: &Node, request: PodSandboxStatusRequest) -> Answer<PodSandboxStatusResponse> {
    let timestamp = i64::try_from(engine::now()).unwrap_or(i64::MAX);
    let pod = find(node, &request.pod_sandbox_id)?;
    let containers_statuses = container::statuses(node, &pod.record.id)?;
    Ok(PodSandboxStatusResponse {
        status: Some(view::status(&pod)),
        info: if request.verbose { info(node, &pod) } else { BTreeMap::new() },
        containers_statuses,
        timestamp,
    })
}

/// What `crictl inspectp` shows beside that.
fn info(node: &Node, pod: &Pod) -> BTreeMap<String, String> {
    let request = &pod.record.request;
    let problem = node.engine().check_pod_network(&pod.record.id).err().map(|error| chain(&error));
    let shown = json!({
        "cgroupParent": request.cgroup_parent, "sysctls": request.sysctls, "network": pod.network, "networkProblem": problem,
    });
    BTreeMap::from([("info".to_owned(), shown.to_string())])
}

/// UpdatePodSandboxResources: the kubelet tells what it has written to the pod's cgroup, which is its own. There is nothing to do but to
/// say whether the pod is there.
pub(in crate::cri) fn update(node: &Node, request: UpdatePodSandboxResourcesRequest) -> Answer<UpdatePodSandboxResourcesResponse> {
    find(node, &request.pod_sandbox_id).map(|_| UpdatePodSandboxResourcesResponse {})
}
