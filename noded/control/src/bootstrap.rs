//! What every cluster has from its first start: namespaces, accounts, roles, classes of importance, the API's own service.

use std::net::Ipv4Addr;

use api::kinds::Kind;
use api::kinds::config::{CONFIG_MAP, SERVICE_ACCOUNT};
use api::kinds::endpoints::{ENDPOINT_SLICE, ENDPOINTS};
use api::kinds::namespace::NAMESPACE;
use api::kinds::priority::{PRIORITY_CLASS, SYSTEM};
use api::kinds::service::SERVICE;
use api::patch::merge;
use api::status::Status;
use serde_json::{Value, json};

use crate::auth::{Mended, default_roles, mended};
use crate::objects::{Context, DeleteOptions, Objects, Part, ROOT};

/// The API's own service, and what belongs to it.
const API: &str = "kubernetes";

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes what is missing; what is there stays as people have changed it. Roles and bindings of an earlier version get what this one adds.
///
/// # Errors
/// What the store or the rules refuse.
pub async fn first_objects(objects: &Objects) -> Result<(), Status> {
    for name in NAMESPACES {
        ensure(objects, &NAMESPACE, "", json!({"metadata": {"name": name}})).await?;
    }
    for name in NAMESPACES {
        ensure(objects, &SERVICE_ACCOUNT, name, json!({"metadata": {"name": "default"}})).await?;
        if let Some(root) = objects.root() {
            ensure(objects, &CONFIG_MAP, name, json!({"metadata": {"name": ROOT}, "data": {"ca.crt": root}})).await?;
        }
    }
    for (kind, object) in default_roles() {
        mend(objects, kind, object).await?;
    }
    for (name, value, description) in SYSTEM {
        ensure(objects, &PRIORITY_CLASS, "", json!({"metadata": {"name": name}, "value": value, "description": description}))
            .await?;
    }
    let (base, _) = objects.service_range();
    let first = Ipv4Addr::from(u32::from(base) + 1).to_string();
    let spec = json!({"clusterIP": first, "ports": [{"name": "https", "port": 443, "targetPort": 6443}]});
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    ensure(objects, &SERVICE, "default", json!({"metadata": {"name": "kubernetes", "labels": labels}, "spec": spec})).await
}

/// Says where the service `kubernetes` leads: to these servers, if others can reach any.
///
/// # Errors
/// What the store or the rules refuse.
pub async fn reachable(objects: &Objects, addresses: &[Ipv4Addr], port: u16) -> Result<(), Status> {
    if addresses.is_empty() {
        return Ok(());
    }
    let endpoints: Vec<_> = addresses.iter().map(|ip| json!({"addresses": [ip], "conditions": {"ready": true}})).collect();
    let all: Vec<_> = addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let meta = json!({"name": API, "labels": {"kubernetes.io/service-name": API}});
    let slice = json!({"metadata": meta, "addressType": "IPv4", "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        "endpoints": endpoints});
    let ports = json!([{"name": "https", "port": port, "protocol": "TCP"}]);
    let subsets = json!([{"addresses": all, "ports": ports}]);
    put(objects, &ENDPOINT_SLICE, slice, &["endpoints", "ports"]).await?;
    put(objects, &ENDPOINTS, json!({"metadata": {"name": API}, "subsets": subsets}), &["subsets"]).await?;
    let target = json!([{"name": "https", "port": 443, "targetPort": port, "protocol": "TCP"}]);
    change(objects, &SERVICE, &[("spec", json!({"ports": target}))]).await
}

/// Makes an object of the API's service, or puts these fields of it right.
async fn put(objects: &Objects, kind: &'static Kind, object: Value, fields: &[&str]) -> Result<(), Status> {
    if objects.get(kind, "default", API).is_err() {
        return ensure(objects, kind, "default", object).await;
    }
    let fields: Vec<_> = fields.iter().map(|field| (*field, object[*field].clone())).collect();
    change(objects, kind, &fields).await
}

async fn change(objects: &Objects, kind: &'static Kind, fields: &[(&str, Value)]) -> Result<(), Status> {
    let changed = |old: &Value| {
        let mut new = old.clone();
        for (field, value) in fields {
            merge(&mut new[*field], value.clone());
        }
        Ok(new)
    };
    objects.update(kind, "default", API, Part::Main, &context(), changed).await.map(drop)
}

fn context() -> Context {
    Context { manager: "noded".into(), ..Default::default() }
}

/// Makes a default role or binding, or adds what it lacks.
async fn mend(objects: &Objects, kind: &'static Kind, object: Value) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or("").to_string();
    match objects.get(kind, "", &name).map(|entry| mended(&object, &entry.object())) {
        Ok(Mended::Same) => return Ok(()),
        Ok(Mended::Anew) => match objects.delete(kind, "", &name, &DeleteOptions::default()).await {
            Err(status) if status.code != 404 => return Err(status),
            _ => {}
        },
        Ok(Mended::Changed(_)) => {
            let change = |old: &Value| match mended(&object, old) {
                Mended::Changed(new) => Ok(new),
                Mended::Same | Mended::Anew => Ok(old.clone()),
            };
            return objects.update(kind, "", &name, Part::Main, &context(), change).await.map(drop);
        }
        Err(_) => {}
    }
    ensure(objects, kind, "", object).await
}

async fn ensure(objects: &Objects, kind: &'static Kind, namespace: &str, object: Value) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or("").to_string();
    if objects.get(kind, namespace, &name).is_ok() {
        return Ok(());
    }
    match objects.create(kind, namespace, object, &context()).await {
        Err(status) if status.reason == "AlreadyExists" => Ok(()),
        made => made.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use api::kinds::rbac::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING};

    use super::*;
    use crate::store::EmbeddedStore;

    /// A cluster that an earlier version has made, in which people have done this and that.
    #[tokio::test]
    async fn roles_of_an_earlier_version_are_mended() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::new(Arc::new(EmbeddedStore::open(folder.path()).unwrap()), Default::default());
        let own = json!({"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["get"]});
        let role = |name: &str, more: Value| {
            let mut object = json!({"metadata": {"name": name}, "rules": [own]});
            merge(&mut object, more);
            object
        };
        let kept = json!({"metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}});
        for object in [role("system:basic-user", json!({})), role("edit", kept)] {
            objects.create(&CLUSTER_ROLE, "", object, &context()).await.unwrap();
        }
        let other = json!({"metadata": {"name": "system:node"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
        objects.create(&CLUSTER_ROLE_BINDING, "", other, &context()).await.unwrap();
        first_objects(&objects).await.unwrap();
        let get = |kind, name: &str| objects.get(kind, "", name).unwrap().object();
        let basic = get(&CLUSTER_ROLE, "system:basic-user");
        assert!(basic["rules"][0] == own && basic["rules"].to_string().contains("selfsubjectreviews"), "{basic}");
        assert_eq!(get(&CLUSTER_ROLE, "edit")["rules"], json!([own]));
        assert_eq!(get(&CLUSTER_ROLE_BINDING, "system:node")["roleRef"]["name"], "system:node");
        let revision = objects.store().revision();
        first_objects(&objects).await.unwrap();
        assert_eq!(objects.store().revision(), revision, "whoever starts again writes nothing");
    }
}
