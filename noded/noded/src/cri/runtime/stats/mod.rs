//! What pods and containers use: ContainerStats, PodSandboxStats, and metrics under the names of cAdvisor.

mod metrics;
mod open;
mod table;
mod view;

pub(super) use metrics::{all_metrics, descriptors, metrics};
pub(in crate::cri) use view::working_set;

use cri::{
    ContainerStats, ContainerStatsFilter, ContainerStatsRequest, ContainerStatsResponse, ListContainerStatsRequest,
    ListContainerStatsResponse, ListPodSandboxStatsRequest, ListPodSandboxStatsResponse, PodSandboxStats, PodSandboxStatsRequest,
    PodSandboxStatsResponse, StreamContainerStatsRequest, StreamPodSandboxStatsRequest,
};
use engine::Pod;

use super::container::Member;
use super::filter::selected;
use super::{container, pod};
use crate::cri::local::Used;
use crate::cri::{Answer, status as code};
use crate::node::Node;

/// ContainerStats.
pub(super) fn container(node: &Node, request: ContainerStatsRequest) -> Answer<ContainerStatsResponse> {
    let member = container::find(node, &request.container_id)?;
    Ok(ContainerStatsResponse { stats: Some(measured(node, &member)?) })
}

/// ListContainerStats.
pub(super) fn containers(node: &Node, request: ListContainerStatsRequest) -> Answer<ListContainerStatsResponse> {
    let stats = all_containers(node, StreamContainerStatsRequest { filter: request.filter })?;
    Ok(ListContainerStatsResponse { stats })
}

/// Of running containers that pass the filter.
pub(super) fn all_containers(node: &Node, request: StreamContainerStatsRequest) -> Answer<Vec<ContainerStats>> {
    let filter = request.filter.unwrap_or_default();
    let members = container::every(node)?;
    let wanted = members.iter().filter(|member| member.container.is_running() && passes(&filter, member));
    wanted.map(|member| measured(node, member)).collect()
}

fn passes(filter: &ContainerStatsFilter, member: &Member) -> bool {
    member.id().starts_with(&filter.id)
        && member.pod.starts_with(&filter.pod_sandbox_id)
        && selected(&filter.label_selector, &member.kept.config.labels)
}

fn measured(node: &Node, member: &Member) -> Answer<ContainerStats> {
    let engine = node.engine();
    let at = engine::now();
    let stats = match member.container.is_running() {
        true => Some(engine.measure(&member.container).map_err(|error| code::of(&error))?),
        false => None,
    };
    let rate = stats.as_ref().and_then(|stats| node.samples.rate(member.id(), at, stats.cpu.usage.total));
    let written = engine.taken_by(&member.container.record);
    let folder = engine.config().root.join("containers");
    Ok(view::container(member, at, stats.as_ref(), rate, view::layer(at, &folder, written)))
}

/// PodSandboxStats.
pub(super) fn pod(node: &Node, request: PodSandboxStatsRequest) -> Answer<PodSandboxStatsResponse> {
    let pod = pod::find(node, &request.pod_sandbox_id)?;
    Ok(PodSandboxStatsResponse { stats: Some(of_pod(node, &pod)?) })
}

/// ListPodSandboxStats.
pub(super) fn pods(node: &Node, request: ListPodSandboxStatsRequest) -> Answer<ListPodSandboxStatsResponse> {
    let stats = all_pods(node, StreamPodSandboxStatsRequest { filter: request.filter })?;
    Ok(ListPodSandboxStatsResponse { stats })
}

/// Of pods that are ready and pass the filter.
pub(super) fn all_pods(node: &Node, request: StreamPodSandboxStatsRequest) -> Answer<Vec<PodSandboxStats>> {
    let filter = request.filter.unwrap_or_default();
    let pods = pod::every(node)?;
    let wanted = pods.iter().map(|seen| &seen.pod).filter(|pod| {
        let id = &pod.record.id;
        pod.ready && id.starts_with(&filter.id) && selected(&filter.label_selector, &pod.record.request.labels)
    });
    wanted.map(|pod| of_pod(node, pod)).collect()
}

/// What the running containers have used, without what they have written, which takes long to count. One that ends meanwhile is left out.
pub(in crate::cri) fn used(node: &Node) -> Answer<Vec<Used>> {
    let members = container::every(node)?;
    let of = |member: &Member, label: &str| member.kept.config.labels.get(label).cloned().unwrap_or_default();
    let used = members.iter().filter(|member| member.container.is_running()).filter_map(|member| {
        let stats = node.engine().measure(&member.container).ok()?;
        Some(Used {
            id: member.id().to_owned(),
            pod: of(member, "io.kubernetes.pod.uid"),
            name: of(member, "io.kubernetes.container.name"),
            cpu: stats.cpu.usage.total,
            memory: view::working_set(&stats),
        })
    });
    Ok(used.collect())
}

fn of_pod(node: &Node, pod: &Pod) -> Answer<PodSandboxStats> {
    let engine = node.engine();
    let at = engine::now();
    let stats = engine.measure_pod(pod).map_err(|error| code::of(&error))?;
    // A pod that is taken down meanwhile has no network any more.
    let interfaces = engine.interfaces(pod).unwrap_or_default();
    let rate = node.samples.rate(&pod.record.id, at, stats.cpu.usage.total);
    let members = container::of_pod(node, &pod.record.id)?;
    let running = members.iter().filter(|member| member.container.is_running());
    let containers = running.map(|member| measured(node, member)).collect::<Answer<Vec<_>>>()?;
    Ok(view::pod(pod, at, &stats, rate, &interfaces, containers))
}
