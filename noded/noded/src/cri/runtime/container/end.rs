//! StopContainer and RemoveContainer. Both may be repeated, and a container that is not there is fine.

use std::time::Duration;

use cri::{RemoveContainerRequest, RemoveContainerResponse, StopContainerRequest, StopContainerResponse};
use engine::{Error, Grace};

use super::maybe;
use crate::cri::{Answer, status as code, status::invalid};
use crate::node::Node;

/// Sends the stop signal, and SIGKILL after the timeout in seconds; at once if that is 0.
pub(in crate::cri) fn stop(node: &Node, request: StopContainerRequest) -> Answer<StopContainerResponse> {
    let timeout = u64::try_from(request.timeout).map_err(|_| invalid(format_args!("timeout: {} is negative", request.timeout)))?;
    if let Some(member) = maybe(node, &request.container_id)? {
        match node.engine().stop(member.id(), None, Grace::For(Duration::from_secs(timeout))) {
            Ok(()) | Err(Error::NoSuchContainer(_)) => {}
            Err(error) => return Err(code::of(&error)),
        }
    }
    Ok(StopContainerResponse {})
}

/// Removes a container, running or not.
pub(in crate::cri) fn remove(node: &Node, request: RemoveContainerRequest) -> Answer<RemoveContainerResponse> {
    let Some(member) = maybe(node, &request.container_id)? else { return Ok(RemoveContainerResponse {}) };
    match node.engine().remove(member.id(), true, true) {
        Ok(()) | Err(Error::NoSuchContainer(_)) => {}
        Err(error) => return Err(code::of(&error)),
    }
    node.samples.forget(member.id());
    node.events.of_gone(&member.pod, member.id());
    Ok(RemoveContainerResponse {})
}
