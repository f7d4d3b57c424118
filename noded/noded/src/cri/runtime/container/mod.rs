//! Containers of pods. One that is in no pod is none of the kubelet's: `rctr` has it.

mod check;
mod checkpoint;
mod create;
mod end;
mod list;
mod log;
mod signal;
mod start;
mod status;
mod update;
mod view;

pub(super) use checkpoint::checkpoint;
pub(in crate::cri) use create::create;
pub(in crate::cri) use end::{remove, stop};
pub(super) use list::{all, list};
pub(super) use log::reopen;
pub(in crate::cri) use start::start;
pub(super) use status::status;
pub(in crate::cri) use update::update;

use std::sync::Arc;

use cri::ContainerStatus;
use engine::{Container, Error, PodMember};
use serde_json::Value;
use tonic::Status;

use super::kept::Kept;
use crate::cri::{Answer, check as say, status as code};
use crate::node::Node;

/// A container of a pod.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) container: Container,
    /// The pod's id.
    pub(super) pod: String,
    pub(super) kept: Kept,
}

impl Member {
    /// `None` for a container that is in no pod.
    pub(in crate::cri::runtime) fn of(mut container: Container) -> Option<Member> {
        // What holds the processes of a pod is the engine's.
        let member = container.record.pod.clone().filter(|member| member.name != engine::POD_INIT)?;
        let kept = Kept::of(&container, &member);
        // In memory once is enough.
        container.record.pod = Some(PodMember { extra: Value::Null, ..member.clone() });
        Some(Member { container, pod: member.pod, kept })
    }

    pub(super) fn id(&self) -> &str {
        &self.container.record.id
    }
}

/// The container of an id, or the beginning of one.
pub(super) fn find(node: &Node, id: &str) -> Answer<Member> {
    maybe(node, id)?.ok_or_else(|| Status::not_found(format!("no such container: {id:.100}")))
}

/// The same; none, if there is none. Names are `rctr`'s way to call a container.
pub(super) fn maybe(node: &Node, id: &str) -> Answer<Option<Member>> {
    say::id("container_id", id)?;
    if !say::is_id(id) {
        return Ok(None);
    }
    match node.engine().container(id) {
        Ok(container) => Ok(Member::of(container)),
        Err(Error::NoSuchContainer(_)) => Ok(None),
        Err(error) => Err(code::of(&error)),
    }
}

/// The containers of a pod.
pub(in crate::cri) fn of_pod(node: &Node, pod: &str) -> Answer<Vec<Arc<Member>>> {
    node.mirror.containers_of(node.engine(), pod).map_err(|error| code::of(&error))
}

/// All about each of them.
pub(in crate::cri) fn statuses(node: &Node, pod: &str) -> Answer<Vec<ContainerStatus>> {
    Ok(of_pod(node, pod)?.iter().map(|member| view::status(member)).collect())
}

/// All containers of all pods, newest first.
pub(super) fn every(node: &Node) -> Answer<Vec<Arc<Member>>> {
    node.mirror.containers(node.engine()).map_err(|error| code::of(&error))
}
