//! RunPodSandbox.

use std::sync::Arc;

use cri::{PodSandboxConfig, RunPodSandboxRequest, RunPodSandboxResponse};
use engine::{Error, Pod, PodRequest};
use tonic::Status;

use super::{check, maybe};
use crate::cri::local::BeyondPod;
use crate::cri::runtime::{kept, selinux};
use crate::cri::{Answer, check as say, status as code};
use crate::node::Node;

/// Makes a pod. A kubelet that has lost patience asks again for the same: it gets the same pod.
pub(in crate::cri) async fn run(
    node: &Arc<Node>,
    request: RunPodSandboxRequest,
    beyond: BeyondPod,
) -> Answer<RunPodSandboxResponse> {
    let config = say::there("config", request.config)?;
    let wanted = check::request(&config, &request.runtime_handler, &node.config().cri.handlers, beyond)?;
    let context = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    selinux::refuse(context.and_then(|context| context.selinux_options.as_ref()), false)?;
    let key = identity(&wanted);
    let own = Arc::clone(node);
    let pod_sandbox_id = node.pods.join(&key, move || made(&own, &config, &wanted)).await?;
    Ok(RunPodSandboxResponse { pod_sandbox_id })
}

/// What tells pods apart.
fn identity(request: &PodRequest) -> String {
    format!("{}\n{}\n{}\n{}", request.namespace, request.name, request.uid, request.attempt)
}

fn made(node: &Node, config: &PodSandboxConfig, wanted: &PodRequest) -> Answer<String> {
    match node.engine().run_pod(wanted) {
        Ok(pod) => {
            node.events.pod(&pod.record.id, cri::ContainerEventType::ContainerCreatedEvent);
            node.events.pod(&pod.record.id, cri::ContainerEventType::ContainerStartedEvent);
            Ok(pod.record.id)
        }
        Err(Error::PodExists { name, id }) => match maybe(node, &id)? {
            Some(pod) => found(config, wanted, &pod),
            // It has been removed meanwhile.
            None => Err(Status::aborted(format!("pod {name} was just removed: ask again"))),
        },
        Err(error) => Err(code::of(&error)),
    }
}

/// A pod that is there is the one that is wanted, if it is what is asked for.
fn found(config: &PodSandboxConfig, wanted: &PodRequest, pod: &Pod) -> Answer<String> {
    let id = &pod.record.id;
    let exists = |why: &str| Status::already_exists(format!("pod {} exists already as {id}, {why}: remove it first", wanted.name));
    if !pod.ready {
        return Err(exists("and is not ready"));
    }
    if kept::pod(pod) != *config || pod.record.request.handler != wanted.handler {
        return Err(exists("with another configuration"));
    }
    Ok(id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::PodRecord;

    #[test]
    fn only_the_same_pod_is_joined() {
        let config = PodSandboxConfig { hostname: "h".to_owned(), ..PodSandboxConfig::default() };
        let wanted = PodRequest { name: "a".to_owned(), extra: kept::of_pod(&config), ..PodRequest::default() };
        let pod =
            |ready| Pod { record: PodRecord { id: "7".to_owned(), created: 0, request: wanted.clone() }, ready, network: None };
        assert_eq!(found(&config, &wanted, &pod(true)).unwrap(), "7");
        let message = |config: &PodSandboxConfig, wanted: &PodRequest, pod: &Pod| {
            found(config, wanted, pod).unwrap_err().message().to_owned()
        };
        assert!(message(&config, &wanted, &pod(false)).contains("not ready"));
        assert!(message(&PodSandboxConfig::default(), &wanted, &pod(true)).contains("another configuration"));
        let handler = PodRequest { handler: "x".to_owned(), ..wanted.clone() };
        assert!(message(&config, &handler, &pod(true)).contains("another configuration"));
    }
}
