//! Pods from their beginning to their end.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, anyhow, ensure};
use cri::{
    ContainerConfig, ContainerMetadata, CreateContainerRequest, ExecSyncRequest, ImageSpec, LinuxContainerConfig,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, ListContainersRequest, ListPodSandboxRequest, NamespaceMode,
    NamespaceOption, PodSandbox, PodSandboxConfig, PodSandboxMetadata, RemovePodSandboxRequest, RunPodSandboxRequest,
    StartContainerRequest, StopPodSandboxRequest,
};
use tokio::task::JoinSet;
use tonic::{Response, Status};

use super::server::{Client, Server};

/// A running pod with its container.
#[derive(Debug)]
pub(super) struct Pod {
    id: String,
    container: String,
}

/// Waits for a call, and says which one has failed.
async fn done<T>(name: &str, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T> {
    call.await.map(Response::into_inner).map_err(|status| anyhow!("{name}: {:?}: {}", status.code(), status.message()))
}

async fn begin(mut client: Client, config: PodSandboxConfig, container: ContainerConfig) -> Result<Pod> {
    let request = RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    let id = done("RunPodSandbox", client.run_pod_sandbox(request)).await?.pod_sandbox_id;
    let request = CreateContainerRequest { pod_sandbox_id: id.clone(), config: Some(container), sandbox_config: Some(config) };
    let container = done("CreateContainer", client.create_container(request)).await?.container_id;
    done("StartContainer", client.start_container(StartContainerRequest { container_id: container.clone() })).await?;
    Ok(Pod { id, container })
}

async fn end(mut client: Client, id: String) -> Result<()> {
    done("StopPodSandbox", client.stop_pod_sandbox(StopPodSandboxRequest { pod_sandbox_id: id.clone() })).await?;
    done("RemovePodSandbox", client.remove_pod_sandbox(RemovePodSandboxRequest { pod_sandbox_id: id })).await?;
    Ok(())
}

async fn exec(mut client: Client, container_id: String, program: &[&str]) -> Result<()> {
    let cmd = program.iter().map(ToString::to_string).collect();
    let answer = done("ExecSync", client.exec_sync(ExecSyncRequest { container_id, cmd, timeout: 60 })).await?;
    ensure!(answer.exit_code == 0, "{program:?} ended with {}", answer.exit_code);
    Ok(())
}

/// Does all of it, `hands` at a time. The first error counts, after what was under way is done.
async fn all<T: Send + 'static>(work: Vec<impl Future<Output = Result<T>> + Send + 'static>, hands: usize) -> Result<Vec<T>> {
    let (mut under_way, mut results) = (JoinSet::new(), Vec::new());
    for one in work {
        if under_way.len() >= hands {
            results.extend(under_way.join_next().await);
        }
        under_way.spawn(one);
    }
    results.extend(under_way.join_all().await.into_iter().map(Ok));
    results.into_iter().map(|joined| joined?).collect()
}

impl Server {
    /// Starts `count` pods, `hands` at a time.
    pub(super) fn grow(&self, count: usize, hands: usize) -> Result<Vec<Pod>> {
        let work = (0..count).map(|_| begin(self.client(), self.pod(), self.container())).collect();
        self.wait(all(work, hands))
    }

    /// Stops and removes pods, `hands` at a time.
    pub(super) fn end(&self, pods: Vec<Pod>, hands: usize) -> Result<()> {
        let work = pods.into_iter().map(|pod| end(self.client(), pod.id)).collect();
        self.wait(all(work, hands)).map(drop)
    }

    /// The same for all that there are.
    pub(super) fn remove_all(&self) -> Result<()> {
        let pods = self.pods()?;
        let work = pods.into_iter().map(|pod| end(self.client(), pod.id)).collect();
        self.wait(all(work, super::CROWD)).map(drop)
    }

    /// Runs a program in the container, which has to succeed.
    pub(super) fn exec(&self, pod: &Pod, program: &[&str]) -> Result<()> {
        self.wait(exec(self.client(), pod.container.clone(), program))
    }

    /// The same in each of these, `hands` at a time.
    pub(super) fn exec_in_all(&self, pods: &[Pod], program: &'static [&'static str], hands: usize) -> Result<()> {
        let work = pods.iter().map(|pod| exec(self.client(), pod.container.clone(), program)).collect();
        self.wait(all(work, hands)).map(drop)
    }

    fn pods(&self) -> Result<Vec<PodSandbox>> {
        let request = ListPodSandboxRequest { filter: None };
        Ok(self.wait(async { done("ListPodSandbox", self.client().list_pod_sandbox(request)).await })?.items)
    }

    /// All pods, which have to be so many.
    pub(super) fn list_pods(&self, count: usize) -> Result<()> {
        let items = self.pods()?;
        ensure!(items.len() == count, "ListPodSandbox tells of {} pods and not {count}", items.len());
        Ok(())
    }

    /// All containers, which have to be so many.
    pub(super) fn list_containers(&self, count: usize) -> Result<()> {
        let request = ListContainersRequest { filter: None };
        let items = self.wait(async { done("ListContainers", self.client().list_containers(request)).await })?.containers;
        ensure!(items.len() == count, "ListContainers tells of {} containers and not {count}", items.len());
        Ok(())
    }

    /// A pod with a name that no other has had.
    fn pod(&self) -> PodSandboxConfig {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("bench-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let metadata =
            PodSandboxMetadata { name: name.clone(), uid: format!("uid-{name}"), namespace: "bench".to_owned(), attempt: 0 };
        PodSandboxConfig {
            metadata: Some(metadata),
            log_directory: self.place.folder.join("logs").join(&name).display().to_string(),
            labels: [("app".to_owned(), name.clone())].into(),
            hostname: name,
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/{}", self.place.cgroup),
                ..LinuxPodSandboxConfig::default()
            }),
            ..PodSandboxConfig::default()
        }
    }

    /// What sleeps.
    fn container(&self) -> ContainerConfig {
        let pid = NamespaceOption { pid: NamespaceMode::Container.into(), ..NamespaceOption::default() };
        let security = LinuxContainerSecurityContext { namespace_options: Some(pid), ..LinuxContainerSecurityContext::default() };
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: "main".to_owned(), attempt: 0 }),
            image: Some(ImageSpec { image: self.image.clone(), ..ImageSpec::default() }),
            command: ["sleep", "1000000"].map(str::to_owned).to_vec(),
            log_path: "main.log".to_owned(),
            linux: Some(LinuxContainerConfig { security_context: Some(security), resources: None }),
            ..ContainerConfig::default()
        }
    }
}
