//! PodSandboxStatus, and UpdatePodSandboxResources.

use std::collections::BTreeMap;
use std::net::IpAddr;

use cri::{PodSandboxStatusRequest, PodSandboxStatusResponse, UpdatePodSandboxResourcesRequest, UpdatePodSandboxResourcesResponse};
use engine::{EndpointState, NetworkState, Pod};
use serde_json::{Value, json};

use super::{find, view};
use crate::cri::Answer;
use crate::cri::runtime::{container, kept};
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

/// What `crictl inspectp` shows beside that, by containerd's names: others than people look there for the namespaces and the addresses. There is
/// no process of a pod's own, so there is no number of one.
fn info(node: &Node, pod: &Pod) -> BTreeMap<String, String> {
    let problem = node.engine().check_pod_network(&pod.record.id).err().map(|error| chain(&error));
    let namespaces = node.engine().pod_namespaces(pod);
    let namespaces: Vec<_> = namespaces.iter().map(|(kind, path)| json!({ "type": kind, "path": path })).collect();
    let shown = json!({
        "pid": 0, "netNamespaceClosed": !pod.ready, "runtimeType": "rctr", "config": kept::pod(pod),
        "runtimeSpec": { "linux": { "namespaces": namespaces } },
        "cniResult": pod.network.as_ref().map(interfaces),
        "cgroupParent": pod.record.request.cgroup_parent, "networkProblem": problem,
    });
    BTreeMap::from([("info".to_owned(), shown.to_string())])
}

/// Interfaces with their addresses, as the library of CNI that others use writes them.
fn interfaces(state: &NetworkState) -> Value {
    let interface = |end: &EndpointState| {
        let gateway = |address: &IpAddr| if address.is_ipv4() { end.gateway.map(IpAddr::V4) } else { end.gateway6.map(IpAddr::V6) };
        let addresses = end.addresses();
        let addresses: Vec<_> = addresses.iter().map(|address| json!({ "IP": address, "Gateway": gateway(address) })).collect();
        let mac = end.mac.map(|byte| format!("{byte:02x}")).join(":");
        (end.interface.clone(), json!({ "IPConfigs": addresses, "Mac": mac }))
    };
    json!({ "Interfaces": state.networks.iter().map(interface).collect::<serde_json::Map<_, _>>() })
}

/// UpdatePodSandboxResources: the kubelet tells what it has written to the pod's cgroup, which is its own. There is nothing to do but to
/// say whether the pod is there.
pub(in crate::cri) fn update(node: &Node, request: UpdatePodSandboxResourcesRequest) -> Answer<UpdatePodSandboxResourcesResponse> {
    find(node, &request.pod_sandbox_id).map(|_| UpdatePodSandboxResourcesResponse {})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_shown_as_plugins_name_them() {
        let end = json!({
            "network": "bridge", "interface": "eth0", "address": "10.88.0.5", "prefix": 16, "gateway": "10.88.0.1", "address6": "fd00::5",
            "prefix6": 64, "gateway6": null, "mac": [2, 66, 10, 88, 0, 5], "names": [],
        });
        let state = NetworkState { networks: vec![serde_json::from_value(end).unwrap()], ports: Vec::new() };
        let eth0 = &interfaces(&state)["Interfaces"]["eth0"];
        assert_eq!((&eth0["Mac"], &eth0["IPConfigs"][0]["IP"]), (&json!("02:42:0a:58:00:05"), &json!("10.88.0.5")));
        assert_eq!(eth0["IPConfigs"], json!([{ "IP": "10.88.0.5", "Gateway": "10.88.0.1" }, { "IP": "fd00::5", "Gateway": null }]));
    }
}
