//! Why a container has no log.

use api::kinds::pod::Pod;
use api::kinds::pod::status::ContainerStatus;
use api::status::Status;

/// What the client is told when the node has no such container, by what is known of the pod; in the words of the kubelet.
pub fn no_logs(pod: &Pod, container: &str, previous: bool) -> Status {
    let name = &pod.metadata.name;
    let status = &pod.status;
    let all = status.container_statuses.iter().chain(&status.init_container_statuses).chain(&status.ephemeral_container_statuses);
    let Some(found) = all.into_iter().find(|s| s.name == container) else {
        return Status::bad_request(format!("container {container:?} in pod {name:?} is not available"));
    };
    if previous {
        return Status::bad_request(format!("previous terminated container {container:?} in pod {name:?} not found"));
    }
    let so = match waiting(found) {
        Some("ErrImagePull") => "waiting to start: image can't be pulled",
        Some("ImagePullBackOff") => "waiting to start: trying and failing to pull image",
        Some(reason) => &format!("waiting to start: {reason}"),
        None if found.state.as_ref().is_some_and(|s| s.terminated.is_some()) => "terminated",
        None => "waiting to start - no logs yet",
    };
    Status::bad_request(format!("container {container:?} in pod {name:?} is {so}"))
}

fn waiting(status: &ContainerStatus) -> Option<&str> {
    status.state.as_ref()?.waiting.as_ref().map(|w| w.reason.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_state_says_why() {
        let told = |state: serde_json::Value, previous| {
            let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]},
                "status": {"containerStatuses": [{"name": "c", "state": state}]}});
            no_logs(&serde_json::from_value(pod).unwrap(), "c", previous).message
        };
        let waits = |reason: &str| told(json!({"waiting": {"reason": reason}}), false);
        assert_eq!(waits("ContainerCreating"), "container \"c\" in pod \"p\" is waiting to start: ContainerCreating");
        assert_eq!(waits("ErrImagePull"), "container \"c\" in pod \"p\" is waiting to start: image can't be pulled");
        assert_eq!(waits("ImagePullBackOff"), "container \"c\" in pod \"p\" is waiting to start: trying and failing to pull image");
        assert_eq!(told(json!({"running": {}}), true), "previous terminated container \"c\" in pod \"p\" not found");
        assert_eq!(told(json!({"terminated": {}}), false), "container \"c\" in pod \"p\" is terminated");
        assert_eq!(told(json!(null), false), "container \"c\" in pod \"p\" is waiting to start - no logs yet");
        assert_eq!(no_logs(&Pod::default(), "c", false).message, "container \"c\" in pod \"\" is not available");
    }
}
