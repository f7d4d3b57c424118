//! The runtime service.

mod about;

use cri::runtime_service_server::RuntimeService;
use tonic::{Request, Response, Status};

use super::stream::Answers;
use super::{Answer, Calls};

fn pods_come_later() -> Status {
    Status::unimplemented("this version has images only")
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

    async fn run_pod_sandbox(&self, _: Request<cri::RunPodSandboxRequest>) -> Answer<Response<cri::RunPodSandboxResponse>> {
        Err(pods_come_later())
    }

    async fn stop_pod_sandbox(&self, _: Request<cri::StopPodSandboxRequest>) -> Answer<Response<cri::StopPodSandboxResponse>> {
        Err(pods_come_later())
    }

    async fn remove_pod_sandbox(
        &self,
        _: Request<cri::RemovePodSandboxRequest>,
    ) -> Answer<Response<cri::RemovePodSandboxResponse>> {
        Err(pods_come_later())
    }

    async fn pod_sandbox_status(
        &self,
        _: Request<cri::PodSandboxStatusRequest>,
    ) -> Answer<Response<cri::PodSandboxStatusResponse>> {
        Err(pods_come_later())
    }

    async fn list_pod_sandbox(&self, _: Request<cri::ListPodSandboxRequest>) -> Answer<Response<cri::ListPodSandboxResponse>> {
        Err(pods_come_later())
    }

    async fn stream_pod_sandboxes(
        &self,
        _: Request<cri::StreamPodSandboxesRequest>,
    ) -> Answer<Response<Self::StreamPodSandboxesStream>> {
        Err(pods_come_later())
    }

    async fn create_container(&self, _: Request<cri::CreateContainerRequest>) -> Answer<Response<cri::CreateContainerResponse>> {
        Err(pods_come_later())
    }

    async fn start_container(&self, _: Request<cri::StartContainerRequest>) -> Answer<Response<cri::StartContainerResponse>> {
        Err(pods_come_later())
    }

    async fn stop_container(&self, _: Request<cri::StopContainerRequest>) -> Answer<Response<cri::StopContainerResponse>> {
        Err(pods_come_later())
    }

    async fn remove_container(&self, _: Request<cri::RemoveContainerRequest>) -> Answer<Response<cri::RemoveContainerResponse>> {
        Err(pods_come_later())
    }

    async fn list_containers(&self, _: Request<cri::ListContainersRequest>) -> Answer<Response<cri::ListContainersResponse>> {
        Err(pods_come_later())
    }

    async fn stream_containers(&self, _: Request<cri::StreamContainersRequest>) -> Answer<Response<Self::StreamContainersStream>> {
        Err(pods_come_later())
    }

    async fn container_status(&self, _: Request<cri::ContainerStatusRequest>) -> Answer<Response<cri::ContainerStatusResponse>> {
        Err(pods_come_later())
    }

    async fn update_container_resources(
        &self,
        _: Request<cri::UpdateContainerResourcesRequest>,
    ) -> Answer<Response<cri::UpdateContainerResourcesResponse>> {
        Err(pods_come_later())
    }

    async fn reopen_container_log(
        &self,
        _: Request<cri::ReopenContainerLogRequest>,
    ) -> Answer<Response<cri::ReopenContainerLogResponse>> {
        Err(pods_come_later())
    }

    async fn exec_sync(&self, _: Request<cri::ExecSyncRequest>) -> Answer<Response<cri::ExecSyncResponse>> {
        Err(pods_come_later())
    }

    async fn exec(&self, _: Request<cri::ExecRequest>) -> Answer<Response<cri::ExecResponse>> {
        Err(pods_come_later())
    }

    async fn attach(&self, _: Request<cri::AttachRequest>) -> Answer<Response<cri::AttachResponse>> {
        Err(pods_come_later())
    }

    async fn port_forward(&self, _: Request<cri::PortForwardRequest>) -> Answer<Response<cri::PortForwardResponse>> {
        Err(pods_come_later())
    }

    async fn container_stats(&self, _: Request<cri::ContainerStatsRequest>) -> Answer<Response<cri::ContainerStatsResponse>> {
        Err(pods_come_later())
    }

    async fn list_container_stats(
        &self,
        _: Request<cri::ListContainerStatsRequest>,
    ) -> Answer<Response<cri::ListContainerStatsResponse>> {
        Err(pods_come_later())
    }

    async fn stream_container_stats(
        &self,
        _: Request<cri::StreamContainerStatsRequest>,
    ) -> Answer<Response<Self::StreamContainerStatsStream>> {
        Err(pods_come_later())
    }

    async fn pod_sandbox_stats(&self, _: Request<cri::PodSandboxStatsRequest>) -> Answer<Response<cri::PodSandboxStatsResponse>> {
        Err(pods_come_later())
    }

    async fn list_pod_sandbox_stats(
        &self,
        _: Request<cri::ListPodSandboxStatsRequest>,
    ) -> Answer<Response<cri::ListPodSandboxStatsResponse>> {
        Err(pods_come_later())
    }

    async fn stream_pod_sandbox_stats(
        &self,
        _: Request<cri::StreamPodSandboxStatsRequest>,
    ) -> Answer<Response<Self::StreamPodSandboxStatsStream>> {
        Err(pods_come_later())
    }

    async fn update_runtime_config(
        &self,
        _: Request<cri::UpdateRuntimeConfigRequest>,
    ) -> Answer<Response<cri::UpdateRuntimeConfigResponse>> {
        Err(pods_come_later())
    }

    async fn status(&self, request: Request<cri::StatusRequest>) -> Answer<Response<cri::StatusResponse>> {
        self.call("Status", request, about::status).await
    }

    async fn checkpoint_container(
        &self,
        _: Request<cri::CheckpointContainerRequest>,
    ) -> Answer<Response<cri::CheckpointContainerResponse>> {
        Err(pods_come_later())
    }

    async fn checkpoint_pod(&self, _: Request<cri::CheckpointPodRequest>) -> Answer<Response<cri::CheckpointPodResponse>> {
        Err(pods_come_later())
    }

    async fn restore_pod(&self, _: Request<cri::RestorePodRequest>) -> Answer<Response<cri::RestorePodResponse>> {
        Err(pods_come_later())
    }

    async fn get_container_events(&self, _: Request<cri::GetEventsRequest>) -> Answer<Response<Self::GetContainerEventsStream>> {
        Err(pods_come_later())
    }

    async fn list_metric_descriptors(
        &self,
        _: Request<cri::ListMetricDescriptorsRequest>,
    ) -> Answer<Response<cri::ListMetricDescriptorsResponse>> {
        Err(pods_come_later())
    }

    async fn list_pod_sandbox_metrics(
        &self,
        _: Request<cri::ListPodSandboxMetricsRequest>,
    ) -> Answer<Response<cri::ListPodSandboxMetricsResponse>> {
        Err(pods_come_later())
    }

    async fn stream_pod_sandbox_metrics(
        &self,
        _: Request<cri::StreamPodSandboxMetricsRequest>,
    ) -> Answer<Response<Self::StreamPodSandboxMetricsStream>> {
        Err(pods_come_later())
    }

    async fn runtime_config(&self, request: Request<cri::RuntimeConfigRequest>) -> Answer<Response<cri::RuntimeConfigResponse>> {
        self.call("RuntimeConfig", request, about::config).await
    }

    async fn update_pod_sandbox_resources(
        &self,
        _: Request<cri::UpdatePodSandboxResourcesRequest>,
    ) -> Answer<Response<cri::UpdatePodSandboxResourcesResponse>> {
        Err(pods_come_later())
    }
}
