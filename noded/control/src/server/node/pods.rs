//! What pods make of a node's rights.

use api::kinds::node::NODE;
use api::kinds::pod::{POD, Pod};
use api::status::Status;
use serde_json::Value;

use super::super::route::Call;
use super::{entries, owns_pod, refuse, view};
use crate::auth::ISSUER;

/// The mark of a pod that a node runs by itself, from a file.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// Refuses pods that are no mirrors of a node's own, and mirrors that would give the node something.
pub(super) fn check_mirror(call: &Call<'_>, node: &str, object: &Value) -> Result<(), Status> {
    let (meta, spec) = (&object["metadata"], &object["spec"]);
    let name = meta["name"].as_str().unwrap_or("");
    let no = |why: String| refuse(call, name, &why);
    if meta["annotations"].get(MIRROR).is_none() {
        return no(format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"));
    }
    if spec["nodeName"] != node {
        return no(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    // who owns a pod decides what happens to it, and when its owner goes so does it
    let own = || call.server.objects.get(&NODE, "", node).map(|entry| entry.object()["metadata"]["uid"].clone());
    match entries(&meta["ownerReferences"]) {
        [] => {}
        [owner] => {
            let is_own = owner["apiVersion"] == "v1" && owner["kind"] == "Node" && owner["name"] == node;
            let is_plain = owner["controller"] == true && owner["blockOwnerDeletion"] != true;
            if !is_own || !is_plain || own().is_ok_and(|uid| owner["uid"] != uid) {
                return no(format!("node {node:?} can only create pods with an owner reference set to itself"));
            }
        }
        _ => return no(format!("node {node:?} can only create pods with a single owner reference set to itself")),
    }
    let pod = view(object)?;
    let what = if !pod.spec.service_account_name.is_empty() {
        "a service account"
    } else if references(&pod, true).next().is_some() {
        "secrets"
    } else if references(&pod, false).next().is_some() {
        "configmaps"
    } else if pod.spec.volumes.iter().any(|v| v.projected.as_ref().is_some_and(|p| !p.sources.is_empty())) {
        "projected volumes"
    } else if entries(&spec["volumes"]).iter().any(|v| v.get("persistentVolumeClaim").is_some()) {
        "persistentvolumeclaims"
    } else {
        return Ok(());
    };
    no(format!("node {node:?} can not create pods that reference {what}"))
}

/// Whether a pod on the node uses this ConfigMap or Secret.
pub(super) fn use_it(call: &Call<'_>, node: &str, name: &str) -> bool {
    let pods: Vec<Pod> = call.server.objects.all(&POD, &call.target.namespace);
    let secret = call.kind.plural == "secrets";
    pods.iter().filter(|p| p.spec.node_name == node).any(|p| references(p, secret).any(|r| r == name))
}

/// Refuses tokens that a node has no business with: those of other accounts than its pods', or for others than its pods ask for.
pub(in crate::server) fn check_token(call: &Call<'_>, request: &Value) -> Result<(), Status> {
    let Some(node) = call.user.node() else { return Ok(()) };
    let (account, reference) = (&call.target.name, &request["spec"]["boundObjectRef"]);
    let no = |why: &str| Err(Status::forbidden(Some(("", "serviceaccounts")), account, why));
    if reference["kind"] != "Pod" {
        return no("node requested token not bound to a pod");
    }
    if reference["uid"].as_str().unwrap_or("").is_empty() {
        return no("node requested token with a pod binding without a uid");
    }
    let object = call.server.objects.get(&POD, &call.target.namespace, reference["name"].as_str().unwrap_or(""))?.object();
    owns_pod(call, node, &object)?;
    let pod = view(&object)?;
    if pod.spec.service_account_name != *account {
        return no(&format!("no relationship found between node {node:?} and this object"));
    }
    let projected = pod.spec.volumes.iter().filter_map(|v| v.projected.as_ref()).flat_map(|p| &p.sources);
    let wanted: Vec<&str> = projected.filter_map(|s| s.service_account_token.as_ref()).map(|t| t.audience.as_str()).collect();
    let asked = entries(&request["spec"]["audiences"]).iter().map(|a| a.as_str().unwrap_or(""));
    match asked.into_iter().find(|a| !a.is_empty() && *a != ISSUER && !wanted.contains(a)) {
        Some(other) => no(&format!("audience {other:?} not found in pod spec volume")),
        None => Ok(()),
    }
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
    let containers = spec.containers.iter().chain(&spec.init_containers).map(|c| (&c.env, &c.env_from));
    let containers = containers.chain(spec.ephemeral_containers.iter().map(|c| (&c.env, &c.env_from)));
    let env = containers.flat_map(move |(env, env_from)| {
        let single = env.iter().filter_map(move |e| {
            let from = e.value_from.as_ref()?;
            if secret {
                from.secret_key_ref.as_ref().map(|k| k.name.as_str())
            } else {
                from.config_map_key_ref.as_ref().map(|k| k.name.as_str())
            }
        });
        let all = env_from
            .iter()
            .filter_map(move |e| if secret { e.secret_ref.as_ref() } else { e.config_map_ref.as_ref() }.map(|r| r.name.as_str()));
        single.chain(all)
    });
    let pull = spec.image_pull_secrets.iter().filter(move |_| secret).map(|s| s.name.as_str());
    volumes.chain(env).chain(pull)
}
