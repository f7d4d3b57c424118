//! StartContainer.

use cri::{StartContainerRequest, StartContainerResponse};
use engine::{Error, Kind, StartOptions, Status as State};
use tonic::{Code, Status};

use super::find;
use crate::cri::{Answer, status as code};
use crate::host::chain;
use crate::node::Node;

/// Runs the program of a container. It returns when the program is executed; if it cannot be, the container has ended.
pub(in crate::cri) fn start(node: &Node, request: StartContainerRequest) -> Answer<StartContainerResponse> {
    let member = find(node, &request.container_id)?;
    // How it ended is told until it is removed: the kubelet makes another one, with another attempt.
    if matches!(member.container.status, State::Exited(_)) {
        return Err(Status::failed_precondition(format!("container {} has ended: make another one", member.id())));
    }
    // Without a listener: its output goes to its log.
    match node.engine().start(member.id(), &StartOptions::default()) {
        Ok(_session) => {
            node.events.container(member.id(), cri::ContainerEventType::ContainerStartedEvent);
            Ok(StartContainerResponse {})
        }
        Err(error) => Err(failed(&error)),
    }
}

fn failed(error: &Error) -> Status {
    match error {
        Error::Start { kind: Kind::NotFound | Kind::NotExecutable, .. } => {
            Status::new(Code::InvalidArgument, format!("StartError: {}", chain(error)))
        }
        error => code::of(error),
    }
}
