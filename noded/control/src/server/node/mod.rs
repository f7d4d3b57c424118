//! What nodes may do beyond their role: only what concerns themselves and the pods that run on them. The rules are those of Kubernetes' node
//! authorizer and NodeRestriction: a node that somebody has broken into must not get at the others.
//!
//! | what | a node may |
//! |---|---|
//! | its Node | make it, write its status, change labels that are its own to say: never taints, owners, labels by which pods are steered |
//! | its Lease | all |
//! | pods | read, end and write the status of those on it; make mirrors of its own static pods, which get nothing from the API |
//! | Secrets, ConfigMaps | read those that pods on it use, by name |
//! | tokens | get those of its pods' accounts, bound to the pod, for those that the pod asks them for |

mod labels;
mod pods;

use api::kinds::pod::{POD, Pod};
use api::selector::FieldSelector;
use api::status::Status;
use serde_json::Value;

use super::route::Call;

pub(super) use pods::check_token;

/// A refusal in words for the one who asks.
fn refuse<T>(call: &Call<'_>, name: &str, why: &str) -> Result<T, Status> {
    Err(Status::forbidden(Some((call.kind.group, call.kind.plural)), name, why))
}

/// Refuses what a node has no business with.
pub(super) fn check(call: &Call<'_>, verb: &str) -> Result<(), Status> {
    let Some(node) = call.user.node() else {
        // whoever has the rights of nodes says which one it is
        let nameless = call.user.groups.iter().any(|g| g == "system:nodes");
        return if nameless { refuse(call, &call.target.name, "could not determine node from user") } else { Ok(()) };
    };
    let target = &call.target;
    let is_write = !matches!(verb, "get" | "list" | "watch");
    match (call.kind.group, call.kind.plural) {
        ("", "nodes") if is_write && verb != "create" && target.name != node => {
            refuse(call, &target.name, &format!("node {node:?} is not allowed to modify node {:?}", target.name))
        }
        ("coordination.k8s.io", "leases") if target.namespace != "kube-node-lease" || verb != "create" && target.name != node => {
            let why = format!("can only access node lease with the same name as the requesting node {node:?}");
            refuse(call, &target.name, &why)
        }
        ("", "pods") => pods(call, node, verb),
        ("", "secrets" | "configmaps") => {
            let selected = FieldSelector::parse(call.query.text("fieldSelector"), call.kind).unwrap_or_default();
            let name = if target.name.is_empty() { selected.wanted("metadata.name") } else { Some(target.name.as_str()) };
            match name {
                Some(name) if !is_write && pods::use_it(call, node, name) => Ok(()),
                _ => refuse(call, &target.name, &format!("no relationship found between node {node:?} and this object")),
            }
        }
        _ => Ok(()),
    }
}

fn pods(call: &Call<'_>, node: &str, verb: &str) -> Result<(), Status> {
    let target = &call.target;
    match verb {
        "create" if target.part.is_empty() => Ok(()),
        "list" | "watch" if target.name.is_empty() => {
            let selected = FieldSelector::parse(call.query.text("fieldSelector"), call.kind).unwrap_or_default();
            if selected.wanted("spec.nodeName") == Some(node) {
                return Ok(());
            }
            let why = "can only list/watch pods with spec.nodeName field selector";
            refuse(call, "", &format!("{why}: node {node:?} sees its own alone"))
        }
        "update" | "patch" if target.part.is_empty() => {
            refuse(call, &target.name, &format!("node {node:?} can only update status of its pods"))
        }
        "deletecollection" => refuse(call, "", &format!("node {node:?} deletes pods one by one")),
        _ => {
            let pod = call.server.objects.get(&POD, &target.namespace, &target.name)?.object();
            owns_pod(call, node, &pod)
        }
    }
}

/// Refuses objects that a node has no business to make.
pub(super) fn check_new(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    let Some(node) = call.user.node() else { return Ok(()) };
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    match (call.kind.group, call.kind.plural) {
        ("", "nodes") if name != node => refuse(call, name, &format!("node {node:?} is not allowed to create node {name:?}")),
        ("", "nodes") => check_node(call, node, object, &Value::Null),
        ("coordination.k8s.io", "leases") if name != node => {
            let why = format!("can only access node lease with the same name as the requesting node {node:?}");
            refuse(call, name, &why)
        }
        ("", "pods") => pods::check_mirror(call, node, object),
        _ => Ok(()),
    }
}

/// Refuses changes of objects that a node may otherwise write.
pub(super) fn check_change(call: &Call<'_>, old: &Value, new: &Value) -> Result<(), Status> {
    match call.user.node() {
        // a status is written without all the rest
        Some(node) if call.kind.group.is_empty() && call.kind.plural == "nodes" && call.target.part.is_empty() => {
            check_node(call, node, new, old)
        }
        _ => Ok(()),
    }
}

fn check_node(call: &Call<'_>, node: &str, new: &Value, old: &Value) -> Result<(), Status> {
    let forbidden = labels::forbidden(&new["metadata"]["labels"], &old["metadata"]["labels"]);
    if !forbidden.is_empty() {
        let verb = if old.is_null() { "set" } else { "modify" };
        let listed: Vec<&str> = forbidden.iter().map(String::as_str).collect();
        return refuse(call, node, &format!("is not allowed to {verb} the following labels: {}", listed.join(", ")));
    }
    let (owners, owned) = (&new["metadata"]["ownerReferences"], &old["metadata"]["ownerReferences"]);
    if entries(owners) != entries(owned) {
        return refuse(call, node, &format!("node {node:?} is not allowed to modify ownerReferences"));
    }
    // a new node may come with taints, which keep pods away: it is the taking away that would steer them
    if !old.is_null() && entries(&new["spec"]["taints"]) != entries(&old["spec"]["taints"]) {
        return refuse(call, node, &format!("node {node:?} is not allowed to modify taints"));
    }
    Ok(())
}

/// A list that is not there is an empty one.
fn entries(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}

/// A node's pods are those that it runs.
fn owns_pod(call: &Call<'_>, node: &str, pod: &Value) -> Result<(), Status> {
    if pod["spec"]["nodeName"] == node {
        return Ok(());
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or("");
    let why = format!("node {node:?} can only act on pods with spec.nodeName set to itself");
    if call.target.part == "eviction" {
        return refuse(call, name, &format!("node {node:?} can only evict pods with spec.nodeName set to itself"));
    }
    refuse(call, name, &why)
}

/// A typed view of a pod.
fn view(pod: &Value) -> Result<Pod, Status> {
    api::kinds::view(pod).map_err(|error| Status::bad_request(error.to_string()))
}
