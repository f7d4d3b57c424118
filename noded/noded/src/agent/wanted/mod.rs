//! From a pod of the API to what CRI calls take: the agent asks its own node as a kubelet would.

pub(super) mod container;
pub(super) mod dns;
pub(super) mod environment;
pub(super) mod facts;
pub(super) mod mounts;
mod names;

use std::path::{Path, PathBuf};

use api::kinds::pod::Pod;
use cri::{
    IdMapping, LinuxPodSandboxConfig, LinuxSandboxSecurityContext, NamespaceMode, NamespaceOption, PodSandboxConfig,
    PodSandboxMetadata, PortMapping, Protocol, UserNamespace,
};

use super::pressure::{Images, Reserve};
use crate::config::CgroupDriver;
use crate::cri::local::{BeyondPod, Rotation};

/// The label by which an agent finds its pods again: the node's name.
pub(super) const NODE: &str = "dev.rctr.node";

/// What of this node is in every configuration.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) node: String,
    /// The node's address.
    pub(super) host: String,
    pub(super) cgroup: String,
    pub(super) driver: CgroupDriver,
    pub(super) logs: PathBuf,
    pub(super) rotation: Rotation,
    /// What of the host has to be left, and when images go.
    pub(super) reserve: Reserve,
    pub(super) images: Images,
    /// Settings of the kernel that pods may have beside the harmless ones.
    pub(super) sysctls: Vec<String>,
    /// Folders of pods' files: on disk, and in memory.
    pub(super) disk: PathBuf,
    pub(super) memory: PathBuf,
}

/// The cgroup of a pod, below that of its class.
fn cgroup(pod: &Pod, place: &Place) -> String {
    cgroup_of(pod.spec.qos_class(), &pod.metadata.uid, place)
}

/// All cgroups that a pod may have had.
pub(super) fn cgroups(uid: &str, place: &Place) -> [String; 3] {
    ["Guaranteed", "Burstable", "BestEffort"].map(|class| cgroup_of(class, uid, place))
}

fn cgroup_of(class: &str, uid: &str, place: &Place) -> String {
    let class = class.to_lowercase();
    match place.driver {
        CgroupDriver::Cgroupfs if class == "guaranteed" => format!("{}/pod{uid}", place.cgroup),
        CgroupDriver::Cgroupfs => format!("{}/{class}/pod{uid}", place.cgroup),
        CgroupDriver::Systemd => {
            let (base, uid) = (place.cgroup.trim_start_matches('/'), uid.replace('-', "_"));
            let class = if class == "guaranteed" { String::new() } else { format!("-{class}") };
            format!("{base}{class}-pod{uid}.slice")
        }
    }
}

/// The folder of a pod's logs, as the kubelet names it.
pub(super) fn logs(pod: &Pod, logs: &Path) -> PathBuf {
    let metadata = &pod.metadata;
    logs.join(format!("{}_{}_{}", metadata.namespace, metadata.name, metadata.uid))
}

/// Users of a pod's own: so many of the host's, from this one on.
pub(super) const USERS: u32 = 1 << 16;

/// The pod as the engine is to make it. `users` is the first of those that it has of its own, if it has some.
pub(super) fn sandbox(
    pod: &Pod,
    attempt: u32,
    place: &Place,
    resolvers: &dns::Resolvers,
    users: Option<u32>,
) -> Result<(PodSandboxConfig, BeyondPod), String> {
    let (metadata, spec) = (&pod.metadata, &pod.spec);
    let security = spec.security_context.clone().unwrap_or_default();
    let mode = |host: bool| if host { NamespaceMode::Node } else { NamespaceMode::Pod };
    let options = NamespaceOption {
        network: mode(spec.host_network).into(),
        ipc: mode(spec.host_ipc).into(),
        pid: pid(pod).into(),
        userns_options: users.map(mapped),
        ..NamespaceOption::default()
    };
    let (hostname, beyond) = names::names(pod)?;
    let containers = || spec.containers.iter().chain(&spec.init_containers);
    let privileged =
        containers().any(|container| container.security_context.as_ref().is_some_and(|of| of.privileged == Some(true)));
    let labels = [
        ("io.kubernetes.pod.name", &metadata.name),
        ("io.kubernetes.pod.namespace", &metadata.namespace),
        ("io.kubernetes.pod.uid", &metadata.uid),
        (NODE, &place.node),
    ];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.clone()));
    let ports = containers().flat_map(|container| &container.ports).filter(|port| port.host_port != 0);
    let config = PodSandboxConfig {
        metadata: Some(PodSandboxMetadata {
            name: metadata.name.clone(),
            uid: metadata.uid.clone(),
            namespace: metadata.namespace.clone(),
            attempt,
        }),
        hostname,
        log_directory: logs(pod, &place.logs).display().to_string(),
        dns_config: dns::dns(pod, resolvers),
        port_mappings: ports
            .map(|port| PortMapping {
                protocol: match port.protocol.as_str() {
                    "UDP" => Protocol::Udp.into(),
                    "SCTP" => Protocol::Sctp.into(),
                    _ => Protocol::Tcp.into(),
                },
                container_port: port.container_port,
                host_port: port.host_port,
                host_ip: port.host_ip.clone(),
            })
            .collect(),
        labels: metadata.labels.clone().into_iter().chain(labels).collect(),
        annotations: metadata.annotations.clone(),
        linux: Some(LinuxPodSandboxConfig {
            cgroup_parent: cgroup(pod, place),
            security_context: Some(LinuxSandboxSecurityContext {
                namespace_options: Some(options),
                privileged,
                ..LinuxSandboxSecurityContext::default()
            }),
            sysctls: security.sysctls.iter().map(|one| (one.name.clone(), one.value.clone())).collect(),
            ..LinuxPodSandboxConfig::default()
        }),
    };
    Ok((config, beyond))
}

/// A pod's users as those of the host from `first` on.
fn mapped(first: u32) -> UserNamespace {
    let all = vec![IdMapping { container_id: 0, host_id: first, length: USERS }];
    UserNamespace { mode: NamespaceMode::Pod.into(), uids: all.clone(), gids: all }
}

/// Whose processes the containers see.
fn pid(pod: &Pod) -> NamespaceMode {
    match (pod.spec.host_pid, pod.spec.share_process_namespace) {
        (true, _) => NamespaceMode::Node,
        (_, Some(true)) => NamespaceMode::Pod,
        _ => NamespaceMode::Container,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    pub(in super::super) fn place() -> Place {
        Place {
            node: "n".to_owned(),
            host: "192.0.2.1".to_owned(),
            cgroup: "/kubepods".to_owned(),
            driver: CgroupDriver::Cgroupfs,
            logs: "/var/log/pods".into(),
            reserve: Reserve { memory: 0, disk: 0, inodes: 0 },
            images: Images { high: 100, low: 100, age: 0 },
            sysctls: Vec::new(),
            rotation: Rotation { size: 1 << 20, files: 2 },
            disk: "/disk".into(),
            memory: "/memory".into(),
        }
    }

    fn pod(resources: serde_json::Value) -> Pod {
        let containers = json!([{"name": "a", "resources": resources}]);
        serde_json::from_value(
            json!({"metadata": {"name": "p", "namespace": "d", "uid": "u-1"}, "spec": {"containers": containers}}),
        )
        .unwrap()
    }

    #[test]
    fn pods_have_a_place_in_the_tree() {
        let config = |place: &Place, pod: &Pod| sandbox(pod, 0, place, &dns::Resolvers::default(), None).unwrap().0;
        let burstable = pod(json!({"requests": {"cpu": "1"}}));
        let linux = config(&place(), &burstable).linux.unwrap();
        assert_eq!(linux.cgroup_parent, "/kubepods/burstable/podu-1");
        let systemd = Place { driver: CgroupDriver::Systemd, ..place() };
        assert_eq!(config(&systemd, &burstable).linux.unwrap().cgroup_parent, "kubepods-burstable-podu_1.slice");
        assert_eq!(config(&place(), &burstable).log_directory, "/var/log/pods/d_p_u-1");
        assert_eq!(config(&place(), &burstable).labels[NODE], "n");
    }
}
