//! The same calls for the agent in this process, which is this node's kubelet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use cri::{ContainerConfig, ContainerStatus, PodSandboxConfig};
use engine::{HostEntry, Pod};
use streaming::Job;
use tonic::Status;

use super::{Answer, image, runtime};
use crate::node::Node;

/// What this node's own agent may want, and for which CRI has no words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// When the log is rotated; a kubelet does that itself.
    pub(crate) rotation: Option<Rotation>,
    /// A path in what is mounted, by its place in the container, where not all of it is meant.
    pub(crate) parts: BTreeMap<String, PathBuf>,
}

/// The same of a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BeyondPod {
    /// Its host name with its domain; empty without one.
    pub(crate) full_name: String,
    /// Further lines of /etc/hosts, which a kubelet writes itself.
    pub(crate) hosts: Vec<HostEntry>,
}

/// When a log is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotation {
    /// Bytes of a file.
    pub(crate) size: u64,
    /// Files, the newest one among them.
    pub(crate) files: u32,
}

/// Makes a pod, or finds it.
pub(crate) async fn run_pod(node: &Arc<Node>, config: PodSandboxConfig, handler: &str, beyond: BeyondPod) -> Answer<String> {
    let request = cri::RunPodSandboxRequest { config: Some(config), runtime_handler: handler.to_owned() };
    Ok(runtime::pod::run(node, request, beyond).await?.pod_sandbox_id)
}

/// Kills what runs in a pod, and gives its addresses back.
pub(crate) async fn stop_pod(node: &Arc<Node>, id: &str) -> Answer<()> {
    let request = cri::StopPodSandboxRequest { pod_sandbox_id: id.to_owned() };
    blocking(node, move |node| runtime::pod::stop(node, request)).await.map(drop)
}

/// Removes a pod with its containers.
pub(crate) async fn remove_pod(node: &Arc<Node>, id: &str) -> Answer<()> {
    let request = cri::RemovePodSandboxRequest { pod_sandbox_id: id.to_owned() };
    blocking(node, move |node| runtime::pod::remove(node, request)).await.map(drop)
}

/// Makes a container, or finds it; answers its id.
pub(crate) async fn create(node: &Arc<Node>, pod: &str, config: ContainerConfig, beyond: Beyond) -> Answer<String> {
    let request = cri::CreateContainerRequest { pod_sandbox_id: pod.to_owned(), config: Some(config), sandbox_config: None };
    Ok(runtime::container::create(node, request, beyond).await?.container_id)
}

/// Runs the program of a container.
pub(crate) async fn start(node: &Arc<Node>, id: &str) -> Answer<()> {
    let request = cri::StartContainerRequest { container_id: id.to_owned() };
    blocking(node, move |node| runtime::container::start(node, request)).await.map(drop)
}

/// Sends the stop signal, and SIGKILL after so many seconds.
pub(crate) async fn stop(node: &Arc<Node>, id: &str, timeout: i64) -> Answer<()> {
    let request = cri::StopContainerRequest { container_id: id.to_owned(), timeout };
    blocking(node, move |node| runtime::container::stop(node, request)).await.map(drop)
}

/// Changes what a container may use. What is 0 stays as it is.
pub(crate) async fn update(node: &Arc<Node>, id: &str, linux: cri::LinuxContainerResources) -> Answer<()> {
    let (container_id, linux) = (id.to_owned(), Some(linux));
    let request = cri::UpdateContainerResourcesRequest { container_id, linux, ..Default::default() };
    blocking(node, move |node| runtime::container::update(node, request)).await.map(drop)
}

/// Removes a container.
pub(crate) async fn remove(node: &Arc<Node>, id: &str) -> Answer<()> {
    let request = cri::RemoveContainerRequest { container_id: id.to_owned() };
    blocking(node, move |node| runtime::container::remove(node, request)).await.map(drop)
}

/// Runs a program in a container; its exit code and what it has said.
pub(crate) async fn exec(node: &Arc<Node>, id: &str, cmd: Vec<String>, timeout: i64) -> Answer<cri::ExecSyncResponse> {
    let request = cri::ExecSyncRequest { container_id: id.to_owned(), cmd, timeout };
    blocking(node, move |node| runtime::exec::sync(node, request)).await
}

/// What is to be done for a program that is run with streams.
pub(crate) async fn exec_job(node: &Arc<Node>, request: cri::ExecRequest) -> Answer<Job> {
    blocking(node, move |node| runtime::exec::exec_job(node, request)).await
}

/// What is to be done for whoever joins a container's streams.
pub(crate) async fn attach_job(node: &Arc<Node>, request: cri::AttachRequest) -> Answer<Job> {
    blocking(node, move |node| runtime::exec::attach_job(node, request)).await
}

/// What is to be done for whoever reaches ports of a pod: these, or those that each stream names.
pub(crate) async fn forward_job(node: &Arc<Node>, pod: String, port: Vec<i32>) -> Answer<Job> {
    let request = cri::PortForwardRequest { pod_sandbox_id: pod, port };
    blocking(node, move |node| runtime::exec::forward_job(node, &request)).await
}

/// The image of this name, if it is here.
pub(crate) async fn image(node: &Arc<Node>, name: &str) -> Answer<Option<cri::Image>> {
    let image = Some(cri::ImageSpec { image: name.to_owned(), ..cri::ImageSpec::default() });
    let request = cri::ImageStatusRequest { image, verbose: false };
    Ok(blocking(node, move |node| image::status(node, request)).await?.image)
}

/// All images that are here.
pub(crate) async fn images(node: &Arc<Node>) -> Answer<Vec<cri::Image>> {
    blocking(node, move |node| image::all(node, cri::StreamImagesRequest::default())).await
}

/// Brings an image here.
pub(crate) async fn pull(node: &Arc<Node>, name: &str, auth: Option<cri::AuthConfig>) -> Answer<()> {
    let image = Some(cri::ImageSpec { image: name.to_owned(), ..cri::ImageSpec::default() });
    image::pull(node, cri::PullImageRequest { image, auth, sandbox_config: None }).await.map(drop)
}

/// Bytes of memory that a pod has in use and would miss; none of one whose cgroup is gone.
pub(crate) fn working_set(node: &Node, pod: &Pod) -> u64 {
    node.engine().measure_pod(pod).map_or(0, |stats| runtime::stats::working_set(&stats))
}

/// The containers of a pod, newest first.
pub(crate) fn containers(node: &Node, pod: &Pod) -> Answer<Vec<ContainerStatus>> {
    runtime::container::statuses(node, &pod.record.id)
}

/// What a running container of a pod has used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Used {
    /// Its id.
    pub(crate) id: String,
    /// The uid of its pod, and its name there.
    pub(crate) pod: String,
    pub(crate) name: String,
    /// Nanoseconds of processor time since its start.
    pub(crate) cpu: u64,
    /// Bytes of memory that would be missed.
    pub(crate) memory: u64,
}

/// Bytes of memory that a container would miss; none of one that does not run.
pub(crate) async fn memory(node: &Arc<Node>, id: &str) -> Answer<u64> {
    let all = blocking(node, used).await?;
    Ok(all.iter().find(|used| used.id == id).map_or(0, |used| used.memory))
}

/// What the running containers of all pods have used.
pub(crate) fn used(node: &Node) -> Answer<Vec<Used>> {
    runtime::stats::used(node)
}

async fn blocking<T: Send + 'static>(node: &Arc<Node>, call: impl FnOnce(&Node) -> Answer<T> + Send + 'static) -> Answer<T> {
    let node = Arc::clone(node);
    let work = tokio::task::spawn_blocking(move || call(&node));
    work.await.unwrap_or_else(|_| Err(Status::internal("the call failed in itself")))
}
