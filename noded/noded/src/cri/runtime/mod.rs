//! The runtime service.

mod about;
pub(super) mod container;
mod events;
pub(super) mod exec;
mod filter;
mod kept;
pub(super) mod pod;
mod selinux;
pub(super) mod stats;

use cri::runtime_service_server::RuntimeService;
use tonic::{Request, Response, Status};

use super::stream::{Answers, in_parts};
use super::{Answer, Calls};

/// Bytes of each output that ExecSync keeps; what comes after is read and dropped (CVE-2022-1708).
pub(super) const OUTPUT: usize = 16 << 20;

/// Pods and containers as calls answer them.
pub(crate) type Mirror = engine::Mirror<pod::Seen, container::Member>;

/// One that has read nothing yet.
pub(crate) fn mirror() -> Mirror {
    Mirror::new(pod::Seen::new, container::Member::of)
}

/// Whether the input of a container ends with that of the first client that is attached to it.
pub(crate) fn stdin_once(container: &engine::Container) -> bool {
    container.record.pod.as_ref().is_some_and(|member| kept::Kept::of(container, member).config.stdin_once)
}

#[tonic::async_trait]
impl RuntimeService for Calls {
    type StreamPodSandboxesStream = Answers<cri::StreamPodSandboxesResponse>;

    type StreamContainersStream = Answers<cri::StreamContainersResponse>;

    type StreamContainerStatsStream = Answers<cri::StreamContainerStatsResponse>;

    type StreamPodSandboxStatsStream = Answers<cri::StreamPodSandboxStatsResponse>;

    type GetContainerEventsStream = Answers<cri::ContainerEventResponse>;

    type StreamPodSandboxMetricsStream = Answers<cri::StreamPodSandboxMetricsResponse>;

    async fn version(&self, request: Request<cri::VersionRequest>) -> Answer<Response<cri::VersionResponse>> {
        self.call("Version", request, about::version).await
    }

    async fn run_pod_sandbox(&self, request: Request<cri::RunPodSandboxRequest>) -> Answer<Response<cri::RunPodSandboxResponse>> {
        self.told("RunPodSandbox", request, |request| pod::run(&self.node, request, Default::default())).await
    }

    async fn stop_pod_sandbox(
        &self,
        request: Request<cri::StopPodSandboxRequest>,
    ) -> Answer<Response<cri::StopPodSandboxResponse>> {
        self.call("StopPodSandbox", request, pod::stop).await
    }

    async fn remove_pod_sandbox(
        &self,
        request: Request<cri::RemovePodSandboxRequest>,
    ) -> Answer<Response<cri::RemovePodSandboxResponse>> {
        self.call("RemovePodSandbox", request, pod::remove).await
    }

    async fn pod_sandbox_status(
        &self,
        request: Request<cri::PodSandboxStatusRequest>,
    ) -> Answer<Response<cri::PodSandboxStatusResponse>> {
        self.call("PodSandboxStatus", request, pod::status).await
    }

    async fn list_pod_sandbox(
        &self,
        request: Request<cri::ListPodSandboxRequest>,
    ) -> Answer<Response<cri::ListPodSandboxResponse>> {
        self.call("ListPodSandbox", request, pod::list).await
    }

    async fn stream_pod_sandboxes(
        &self,
        request: Request<cri::StreamPodSandboxesRequest>,
    ) -> Answer<Response<Self::StreamPodSandboxesStream>> {
        let pod_sandboxes = self.call("StreamPodSandboxes", request, pod::all).await?.into_inner();
        Ok(in_parts(pod_sandboxes, |pod_sandboxes| cri::StreamPodSandboxesResponse { pod_sandboxes }))
    }

    async fn create_container(
        &self,
        request: Request<cri::CreateContainerRequest>,
    ) -> Answer<Response<cri::CreateContainerResponse>> {
        self.told("CreateContainer", request, |request| container::create(&self.node, request, Default::default())).await
    }

    async fn start_container(&self, request: Request<cri::StartContainerRequest>) -> Answer<Response<cri::StartContainerResponse>> {
        self.call("StartContainer", request, container::start).await
    }

    async fn stop_container(&self, request: Request<cri::StopContainerRequest>) -> Answer<Response<cri::StopContainerResponse>> {
        self.call("StopContainer", request, container::stop).await
    }

    async fn remove_container(
        &self,
        request: Request<cri::RemoveContainerRequest>,
    ) -> Answer<Response<cri::RemoveContainerResponse>> {
        self.call("RemoveContainer", request, container::remove).await
    }

    async fn list_containers(&self, request: Request<cri::ListContainersRequest>) -> Answer<Response<cri::ListContainersResponse>> {
        self.call("ListContainers", request, container::list).await
    }

    async fn stream_containers(
        &self,
        request: Request<cri::StreamContainersRequest>,
    ) -> Answer<Response<Self::StreamContainersStream>> {
        let containers = self.call("StreamContainers", request, container::all).await?.into_inner();
        Ok(in_parts(containers, |containers| cri::StreamContainersResponse { containers }))
    }

    async fn container_status(
        &self,
        request: Request<cri::ContainerStatusRequest>,
    ) -> Answer<Response<cri::ContainerStatusResponse>> {
        self.call("ContainerStatus", request, container::status).await
    }

    async fn update_container_resources(
        &self,
        request: Request<cri::UpdateContainerResourcesRequest>,
    ) -> Answer<Response<cri::UpdateContainerResourcesResponse>> {
        self.call("UpdateContainerResources", request, container::update).await
    }

    async fn reopen_container_log(
        &self,
        request: Request<cri::ReopenContainerLogRequest>,
    ) -> Answer<Response<cri::ReopenContainerLogResponse>> {
        self.call("ReopenContainerLog", request, container::reopen).await
    }

    async fn exec_sync(&self, request: Request<cri::ExecSyncRequest>) -> Answer<Response<cri::ExecSyncResponse>> {
        self.call("ExecSync", request, exec::sync).await
    }

    async fn exec(&self, request: Request<cri::ExecRequest>) -> Answer<Response<cri::ExecResponse>> {
        self.call("Exec", request, exec::exec).await
    }

    async fn attach(&self, request: Request<cri::AttachRequest>) -> Answer<Response<cri::AttachResponse>> {
        self.call("Attach", request, exec::attach).await
    }

    async fn port_forward(&self, request: Request<cri::PortForwardRequest>) -> Answer<Response<cri::PortForwardResponse>> {
        self.call("PortForward", request, exec::forward).await
    }

    async fn container_stats(&self, request: Request<cri::ContainerStatsRequest>) -> Answer<Response<cri::ContainerStatsResponse>> {
        self.call("ContainerStats", request, stats::container).await
    }

    async fn list_container_stats(
        &self,
        request: Request<cri::ListContainerStatsRequest>,
    ) -> Answer<Response<cri::ListContainerStatsResponse>> {
        self.call("ListContainerStats", request, stats::containers).await
    }

    async fn stream_container_stats(
        &self,
        request: Request<cri::StreamContainerStatsRequest>,
    ) -> Answer<Response<Self::StreamContainerStatsStream>> {
        let container_stats = self.call("StreamContainerStats", request, stats::all_containers).await?.into_inner();
        Ok(in_parts(container_stats, |container_stats| cri::StreamContainerStatsResponse { container_stats }))
    }

    async fn pod_sandbox_stats(
        &self,
        request: Request<cri::PodSandboxStatsRequest>,
    ) -> Answer<Response<cri::PodSandboxStatsResponse>> {
        self.call("PodSandboxStats", request, stats::pod).await
    }

    async fn list_pod_sandbox_stats(
        &self,
        request: Request<cri::ListPodSandboxStatsRequest>,
    ) -> Answer<Response<cri::ListPodSandboxStatsResponse>> {
        self.call("ListPodSandboxStats", request, stats::pods).await
    }

    async fn stream_pod_sandbox_stats(
        &self,
        request: Request<cri::StreamPodSandboxStatsRequest>,
    ) -> Answer<Response<Self::StreamPodSandboxStatsStream>> {
        let pod_sandbox_stats = self.call("StreamPodSandboxStats", request, stats::all_pods).await?.into_inner();
        Ok(in_parts(pod_sandbox_stats, |pod_sandbox_stats| cri::StreamPodSandboxStatsResponse { pod_sandbox_stats }))
    }

    async fn update_runtime_config(
        &self,
        request: Request<cri::UpdateRuntimeConfigRequest>,
    ) -> Answer<Response<cri::UpdateRuntimeConfigResponse>> {
        self.call("UpdateRuntimeConfig", request, about::update).await
    }

    async fn status(&self, request: Request<cri::StatusRequest>) -> Answer<Response<cri::StatusResponse>> {
        self.call("Status", request, about::status).await
    }

    async fn checkpoint_container(
        &self,
        request: Request<cri::CheckpointContainerRequest>,
    ) -> Answer<Response<cri::CheckpointContainerResponse>> {
        self.call("CheckpointContainer", request, container::checkpoint).await
    }

    async fn checkpoint_pod(&self, _: Request<cri::CheckpointPodRequest>) -> Answer<Response<cri::CheckpointPodResponse>> {
        Err(Status::unimplemented("CheckpointPod: checkpoints are not served"))
    }

    async fn restore_pod(&self, _: Request<cri::RestorePodRequest>) -> Answer<Response<cri::RestorePodResponse>> {
        Err(Status::unimplemented("RestorePod: checkpoints are not served"))
    }

    async fn get_container_events(&self, _: Request<cri::GetEventsRequest>) -> Answer<Response<Self::GetContainerEventsStream>> {
        Ok(Response::new(events::stream(&self.node, self.stopping.clone())))
    }

    async fn list_metric_descriptors(
        &self,
        request: Request<cri::ListMetricDescriptorsRequest>,
    ) -> Answer<Response<cri::ListMetricDescriptorsResponse>> {
        self.call("ListMetricDescriptors", request, stats::descriptors).await
    }

    async fn list_pod_sandbox_metrics(
        &self,
        request: Request<cri::ListPodSandboxMetricsRequest>,
    ) -> Answer<Response<cri::ListPodSandboxMetricsResponse>> {
        self.call("ListPodSandboxMetrics", request, stats::metrics).await
    }

    async fn stream_pod_sandbox_metrics(
        &self,
        request: Request<cri::StreamPodSandboxMetricsRequest>,
    ) -> Answer<Response<Self::StreamPodSandboxMetricsStream>> {
        let pod_sandbox_metrics = self.call("StreamPodSandboxMetrics", request, stats::all_metrics).await?.into_inner();
        Ok(in_parts(pod_sandbox_metrics, |pod_sandbox_metrics| cri::StreamPodSandboxMetricsResponse { pod_sandbox_metrics }))
    }

    async fn runtime_config(&self, request: Request<cri::RuntimeConfigRequest>) -> Answer<Response<cri::RuntimeConfigResponse>> {
        self.call("RuntimeConfig", request, about::config).await
    }

    async fn update_pod_sandbox_resources(
        &self,
        request: Request<cri::UpdatePodSandboxResourcesRequest>,
    ) -> Answer<Response<cri::UpdatePodSandboxResourcesResponse>> {
        self.call("UpdatePodSandboxResources", request, pod::update).await
    }
}
