//! UpdateContainerResources.

use cri::{UpdateContainerResourcesRequest, UpdateContainerResourcesResponse};
use engine::Change;

use super::{check, find};
use crate::cri::{Answer, check as say, status as code};
use crate::node::Node;

/// Changes limits of a container, running or not yet. What is 0 or empty stays as it is.
pub(in crate::cri) fn update(node: &Node, request: UpdateContainerResourcesRequest) -> Answer<UpdateContainerResourcesResponse> {
    let asked = say::there("linux", request.linux)?;
    say::notes("container", &[&request.annotations])?;
    let resources = check::resources(&asked)?;
    let member = find(node, &request.container_id)?;
    let change = Change { resources, ..Change::default() };
    node.engine().update(member.id(), &change).map_err(|error| code::of(&error))?;
    Ok(UpdateContainerResourcesResponse {})
}
