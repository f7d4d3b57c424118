//! ContainerStatus.

use std::collections::BTreeMap;

use cri::{ContainerStatusRequest, ContainerStatusResponse};
use serde_json::json;

use super::{Member, find, view};
use crate::cri::Answer;
use crate::node::Node;

pub(in crate::cri) fn status(node: &Node, request: ContainerStatusRequest) -> Answer<ContainerStatusResponse> {
    let member = find(node, &request.container_id)?;
    let info = if request.verbose { info(node, &member) } else { BTreeMap::new() };
    Ok(ContainerStatusResponse { status: Some(view::status(&member)), info })
}

/// What `crictl inspect` shows beside that, by containerd's names: others than people read `.info.pid` and `.info.runtimeSpec`. How it runs is
/// known while it does; one that ends just now has ended.
fn info(node: &Node, member: &Member) -> BTreeMap<String, String> {
    let record = &member.container.record;
    let pid = match member.container.status {
        engine::Status::Running { pid, .. } | engine::Status::Paused { pid, .. } => pid,
        _ => 0,
    };
    let shown = json!({
        "sandboxID": member.pod, "pid": pid, "removing": false, "runtimeType": "rctr", "config": member.kept.config,
        "runtimeSpec": node.engine().configuration(&member.container).unwrap_or_default(),
        "name": record.name, "args": record.args(), "user": record.user,
    });
    BTreeMap::from([("info".to_owned(), shown.to_string())])
}
