//! Pods.

mod check;
mod end;
mod list;
mod run;
mod status;
pub(super) mod view;

pub(in crate::cri) use end::{remove, stop};
pub(super) use list::{all, list};
pub(in crate::cri) use run::run;
pub(super) use status::{status, update};

use std::sync::Arc;

use cri::PodSandbox;
use engine::{Error, Pod};

use crate::cri::{Answer, check as say, status as code};
use crate::node::Node;

/// A pod, and how lists show it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(super) pod: Pod,
    item: PodSandbox,
}

impl Seen {
    pub(super) fn new(pod: Pod) -> Seen {
        Seen { item: view::item(&pod), pod }
    }
}

/// All pods, newest first.
pub(super) fn every(node: &Node) -> Answer<Vec<Arc<Seen>>> {
    node.mirror.pods(node.engine()).map_err(|error| code::of(&error))
}

/// The pod of an id or the beginning of one.
pub(super) fn find(node: &Node, id: &str) -> Answer<Pod> {
    say::id("pod_sandbox_id", id)?;
    node.engine().pod(id).map_err(|error| code::of(&error))
}

/// The same; none, if there is none.
pub(super) fn maybe(node: &Node, id: &str) -> Answer<Option<Pod>> {
    match node.engine().pod(id) {
        Ok(pod) => Ok(Some(pod)),
        Err(Error::NoSuchPod(_)) => Ok(None),
        Err(error) => Err(code::of(&error)),
    }
}
