//! ReopenContainerLog.

use cri::{ReopenContainerLogRequest, ReopenContainerLogResponse};

use super::find;
use crate::cri::{Answer, status as code};
use crate::node::Node;

/// The kubelet has renamed the file of the log: its path gets a new one. Of a container that does not run none is made.
pub(in crate::cri) fn reopen(node: &Node, request: ReopenContainerLogRequest) -> Answer<ReopenContainerLogResponse> {
    let member = find(node, &request.container_id)?;
    node.engine().reopen_log(member.id()).map_err(|error| code::of(&error))?;
    Ok(ReopenContainerLogResponse {})
}
