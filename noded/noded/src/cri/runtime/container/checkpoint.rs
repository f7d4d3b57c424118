//! CheckpointContainer.

use std::path::PathBuf;

use cri::{CheckpointContainerRequest, CheckpointContainerResponse};
use engine::CheckpointRequest;
use tonic::Status;

use super::find;
use crate::cri::{Answer, check as say, status as code, status::invalid};
use crate::node::Node;

/// Writes what a container has in memory and in its files to an archive; it runs on. criu does it in its own time: one that is killed takes the
/// processes that it looks at with it.
pub(in crate::cri) fn checkpoint(node: &Node, request: CheckpointContainerRequest) -> Answer<CheckpointContainerResponse> {
    if request.timeout < 0 {
        return Err(invalid(format_args!("timeout: {} is negative", request.timeout)));
    }
    let archive = say::absolute("location", &request.location)?;
    let member = find(node, &request.container_id)?;
    let criu =
        program().ok_or_else(|| Status::failed_precondition("CheckpointContainer: there is no program criu on this host"))?;
    let request = CheckpointRequest { criu, archive };
    node.engine().checkpoint(member.id(), &request).map_err(|error| code::of(&error))?;
    Ok(CheckpointContainerResponse {})
}

/// criu, by the daemon's own PATH.
fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("criu")).find(|program| program.is_file())
}
