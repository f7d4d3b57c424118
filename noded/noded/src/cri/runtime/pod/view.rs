//! Pods as CRI shows them.

use cri::{
    LinuxPodSandboxStatus, Namespace, NamespaceOption, PodIp, PodSandbox, PodSandboxConfig, PodSandboxNetworkStatus,
    PodSandboxState, PodSandboxStatus,
};
use engine::{NetworkState, Pod};

use crate::cri::runtime::kept;

/// In a list.
pub(in crate::cri::runtime) fn item(pod: &Pod) -> PodSandbox {
    let PodSandboxConfig { metadata, labels, annotations, .. } = kept::pod(pod);
    PodSandbox {
        id: pod.record.id.clone(),
        metadata,
        state: state(pod),
        created_at: created(pod),
        labels,
        annotations,
        runtime_handler: pod.record.request.handler.clone(),
    }
}

/// All about it.
pub(in crate::cri::runtime) fn status(pod: &Pod) -> PodSandboxStatus {
    let PodSandboxConfig { metadata, labels, annotations, linux, .. } = kept::pod(pod);
    let options = linux.and_then(|linux| linux.security_context).and_then(|security| security.namespace_options);
    let options: NamespaceOption = options.unwrap_or_default();
    PodSandboxStatus {
        id: pod.record.id.clone(),
        metadata,
        state: state(pod),
        created_at: created(pod),
        network: Some(network(pod.network.as_ref())),
        linux: Some(LinuxPodSandboxStatus { namespaces: Some(Namespace { options: Some(options) }) }),
        labels,
        annotations,
        runtime_handler: pod.record.request.handler.clone(),
    }
}

fn state(pod: &Pod) -> i32 {
    if pod.ready { PodSandboxState::SandboxReady.into() } else { PodSandboxState::SandboxNotready.into() }
}

fn created(pod: &Pod) -> i64 {
    i64::try_from(pod.record.created).unwrap_or(i64::MAX)
}

/// Its addresses, the first one first. On the host's network it has none: the kubelet knows the host's.
fn network(state: Option<&NetworkState>) -> PodSandboxNetworkStatus {
    let mut addresses =
        state.iter().flat_map(|state| &state.networks).flat_map(|network| network.addresses()).map(|address| address.to_string());
    let ip = addresses.next().unwrap_or_default();
    PodSandboxNetworkStatus { ip, additional_ips: addresses.map(|ip| PodIp { ip }).collect() }
}
