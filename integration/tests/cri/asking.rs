//! Pods and containers in the words of the interface.

use cri::{
    ContainerConfig, ContainerMetadata, ContainerState, ContainerStatus, ContainerStatusRequest, CreateContainerRequest,
    ExecSyncRequest, ExecSyncResponse, LinuxContainerConfig, LinuxContainerSecurityContext, LinuxPodSandboxConfig, NamespaceMode,
    NamespaceOption, PodSandboxConfig, PodSandboxMetadata, PodSandboxStatus, PodSandboxStatusRequest, RemovePodSandboxRequest,
    RunPodSandboxRequest, StartContainerRequest, StopContainerRequest, StopPodSandboxRequest,
};
use integration::env::within;

use super::images::{pull, spec};
use super::node::{NAMESPACE, Node};

/// The image of most containers.
pub(super) const BUSYBOX: &str = "docker.io/library/busybox:latest";

/// A pod of this name with everything as it comes.
pub(super) fn pod_config(n: &Node, name: &str) -> PodSandboxConfig {
    let metadata =
        PodSandboxMetadata { name: name.to_owned(), uid: format!("uid-{name}"), namespace: NAMESPACE.to_owned(), attempt: 0 };
    PodSandboxConfig {
        metadata: Some(metadata),
        hostname: name.to_owned(),
        log_directory: n.env.path("logs").join(name).display().to_string(),
        labels: [("app".to_owned(), name.to_owned())].into(),
        annotations: [("note".to_owned(), "as it came\n\"quoted\"".to_owned())].into(),
        linux: Some(LinuxPodSandboxConfig { cgroup_parent: n.cgroup_parent(), ..LinuxPodSandboxConfig::default() }),
        ..PodSandboxConfig::default()
    }
}

/// A container that runs a script.
pub(super) fn config(name: &str, script: &str) -> ContainerConfig {
    let pid = NamespaceOption { pid: NamespaceMode::Container.into(), ..NamespaceOption::default() };
    let security = LinuxContainerSecurityContext { namespace_options: Some(pid), ..LinuxContainerSecurityContext::default() };
    ContainerConfig {
        metadata: Some(ContainerMetadata { name: name.to_owned(), attempt: 0 }),
        image: spec(BUSYBOX),
        command: ["sh", "-c", script].map(str::to_owned).to_vec(),
        log_path: format!("{name}.log"),
        labels: [("name".to_owned(), name.to_owned())].into(),
        annotations: [("note".to_owned(), "of a container".to_owned())].into(),
        linux: Some(LinuxContainerConfig { security_context: Some(security), resources: None }),
        ..ContainerConfig::default()
    }
}

/// What sleeps, and ends when it is asked to.
pub(super) const SLEEP: &str = "trap 'exit 0' TERM; while :; do sleep 0.1; done";

#[track_caller]
pub(super) fn run(n: &Node, config: &PodSandboxConfig) -> String {
    let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    n.ok(n.containers().run_pod_sandbox(request)).pod_sandbox_id
}

/// What is asked of a container in a pod.
pub(super) fn creation(pod: &str, config: &ContainerConfig, pod_config: &PodSandboxConfig) -> CreateContainerRequest {
    CreateContainerRequest {
        pod_sandbox_id: pod.to_owned(),
        config: Some(config.clone()),
        sandbox_config: Some(pod_config.clone()),
    }
}

#[track_caller]
pub(super) fn create(n: &Node, pod: &str, config: &ContainerConfig, pod_config: &PodSandboxConfig) -> String {
    n.ok(n.containers().create_container(creation(pod, config, pod_config))).container_id
}

#[track_caller]
pub(super) fn start(n: &Node, id: &str) {
    n.ok(n.containers().start_container(StartContainerRequest { container_id: id.to_owned() }));
}

/// A pod with one container that runs a script: both ids.
#[track_caller]
pub(super) fn started(n: &Node, name: &str, script: &str) -> (String, String) {
    pull(n, BUSYBOX);
    let pod_config = pod_config(n, name);
    let pod = run(n, &pod_config);
    let id = create(n, &pod, &config("main", script), &pod_config);
    start(n, &id);
    (pod, id)
}

#[track_caller]
pub(super) fn status(n: &Node, id: &str) -> ContainerStatus {
    let request = ContainerStatusRequest { container_id: id.to_owned(), verbose: false };
    n.ok(n.containers().container_status(request)).status.expect("a status")
}

#[track_caller]
pub(super) fn pod_status(n: &Node, id: &str) -> PodSandboxStatus {
    let request = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: false };
    n.ok(n.containers().pod_sandbox_status(request)).status.expect("a status")
}

/// Waits until a container has ended.
#[track_caller]
pub(super) fn ended(n: &Node, id: &str) -> ContainerStatus {
    let exited: i32 = ContainerState::ContainerExited.into();
    assert!(within(std::time::Duration::from_secs(20), || status(n, id).state == exited), "it does not end: {:?}", status(n, id));
    status(n, id)
}

#[track_caller]
pub(super) fn stop(n: &Node, id: &str, timeout: i64) {
    n.ok(n.containers().stop_container(StopContainerRequest { container_id: id.to_owned(), timeout }));
}

#[track_caller]
pub(super) fn stop_pod(n: &Node, id: &str) {
    n.ok(n.containers().stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: id.to_owned() }));
}

#[track_caller]
pub(super) fn remove_pod(n: &Node, id: &str) {
    n.ok(n.containers().remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() }));
}

/// Runs a script in a container.
#[track_caller]
pub(super) fn sh(n: &Node, id: &str, script: &str) -> ExecSyncResponse {
    let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
    n.ok(n.containers().exec_sync(ExecSyncRequest { container_id: id.to_owned(), cmd, timeout: 30 }))
}

/// What a script says in a container.
#[track_caller]
pub(super) fn says(n: &Node, id: &str, script: &str) -> String {
    String::from_utf8_lossy(&sh(n, id, script).stdout).trim_end().to_owned()
}

/// Waits until the program of a container has said what it does with signals.
#[track_caller]
pub(super) fn settled(n: &Node, id: &str) {
    n.env.soon("the trap is set", || says(n, id, "grep SigCgt /proc/1/status") != "SigCgt:\t0000000000000000");
}
