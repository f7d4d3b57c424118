//! What nodes may do beyond their role: only what concerns themselves and the pods that run on them.

use api::kinds::pod::{POD, Pod};
use api::status::Status;
use serde_json::Value;

use super::route::Call;

/// Refuses what a node has no business with.
pub(super) fn check(call: &Call<'_>, verb: &str) -> Result<(), Status> {
    let Some(node) = call.user.node() else { return Ok(()) };
    let target = &call.target;
    let refuse = |why: String| Err(Status::forbidden(Some((call.kind.group, call.kind.plural)), &target.name, &why));
    let is_write = !matches!(verb, "get" | "list" | "watch");
    match call.kind.plural {
        "nodes" if is_write && verb != "create" && target.name != node => {
            refuse(format!("node {node:?} is not allowed to modify node {:?}", target.name))
        }
        "leases" if is_write && (target.namespace != "kube-node-lease" || !target.name.is_empty() && target.name != node) => {
            refuse(format!("can only access node lease with the same name as the requesting node {node:?}"))
        }
        "pods" if is_write && verb != "create" || !target.part.is_empty() && call.kind.plural == "pods" => {
            let pod = call.server.objects.get(&POD, &target.namespace, &target.name)?.object();
            owns_pod(call, &pod)
        }
        "secrets" | "configmaps" => {
            let name = if target.name.is_empty() { named(call.query.text("fieldSelector")) } else { Some(target.name.as_str()) };
            match name {
                Some(name) if !is_write && uses(call, node, name) => Ok(()),
                _ => refuse(format!("no relationship found between node {node:?} and this object")),
            }
        }
        _ => Ok(()),
    }
}

/// Refuses objects that a node has no business to make.
pub(super) fn check_new(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    let Some(node) = call.user.node() else { return Ok(()) };
    let name = object["metadata"]["name"].as_str().unwrap_or("");
    let is_mirror = object["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some();
    let fits = match call.kind.plural {
        "nodes" | "leases" => name == node,
        "pods" => is_mirror && object["spec"]["nodeName"] == node,
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        Err(Status::forbidden(Some((call.kind.group, call.kind.plural)), name, &format!("node {node:?} may not make it")))
    }
}

/// A node's pods are those that it runs.
pub(super) fn owns_pod(call: &Call<'_>, pod: &Value) -> Result<(), Status> {
    match call.user.node() {
        Some(node) if pod["spec"]["nodeName"] != node => {
            let name = pod["metadata"]["name"].as_str().unwrap_or("");
            Err(Status::forbidden(
                Some(("", "pods")),
                name,
                &format!("node {node:?} can only act on pods with spec.nodeName set to itself"),
            ))
        }
        _ => Ok(()),
    }
}

fn named(selector: &str) -> Option<&str> {
    selector.split(',').find_map(|s| s.strip_prefix("metadata.name="))
}

/// Whether a pod on the node uses this ConfigMap or Secret.
fn uses(call: &Call<'_>, node: &str, name: &str) -> bool {
    let pods: Vec<Pod> = call.server.objects.all(&POD, &call.target.namespace);
    let secret = call.kind.plural == "secrets";
    pods.iter().filter(|p| p.spec.node_name == node).any(|p| references(p, secret).any(|r| r == name))
}

/// Names of all Secrets, or ConfigMaps, that a pod names.
fn references(pod: &Pod, secret: bool) -> impl Iterator<Item = &str> {
    let spec = &pod.spec;
    let volumes = spec.volumes.iter().flat_map(move |v| {
        let own =
            if secret { v.secret.as_ref().map(|s| s.secret_name.as_str()) } else { v.config_map.as_ref().map(|c| c.name.as_str()) };
        let projected = v.projected.iter().flat_map(|p| &p.sources);
        own.into_iter().chain(
            projected.filter_map(move |s| if secret { s.secret.as_ref() } else { s.config_map.as_ref() }.map(|k| k.name.as_str())),
        )
    });
    let containers = spec.containers.iter().chain(&spec.init_containers);
    let env = containers.flat_map(move |c| {
        let single = c.env.iter().filter_map(move |e| {
            let from = e.value_from.as_ref()?;
            if secret {
                from.secret_key_ref.as_ref().map(|k| k.name.as_str())
            } else {
                from.config_map_key_ref.as_ref().map(|k| k.name.as_str())
            }
        });
        let all = c
            .env_from
            .iter()
            .filter_map(move |e| if secret { e.secret_ref.as_ref() } else { e.config_map_ref.as_ref() }.map(|r| r.name.as_str()));
        single.chain(all)
    });
    let pull = spec.image_pull_secrets.iter().filter(move |_| secret).map(|s| s.name.as_str());
    volumes.chain(env).chain(pull)
}
