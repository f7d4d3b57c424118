//! What every cluster has from its first start: namespaces, accounts, roles, the API's own service.

use api::kinds::Kind;
use api::kinds::config::SERVICE_ACCOUNT;
use api::kinds::namespace::NAMESPACE;
use api::kinds::service::SERVICE;
use api::status::Status;
use serde_json::{Value, json};

use crate::auth::default_roles;
use crate::objects::{Context, Objects};

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Makes what is missing; what is there stays as people have changed it.
///
/// # Errors
/// What the store or the rules refuse.
pub async fn first_objects(objects: &Objects) -> Result<(), Status> {
    for name in NAMESPACES {
        ensure(objects, &NAMESPACE, "", json!({"metadata": {"name": name}})).await?;
    }
    for name in NAMESPACES {
        ensure(objects, &SERVICE_ACCOUNT, name, json!({"metadata": {"name": "default"}})).await?;
    }
    for (kind, object) in default_roles() {
        ensure(objects, kind, "", object).await?;
    }
    let (base, _) = objects.service_range();
    let first = std::net::Ipv4Addr::from(u32::from(base) + 1).to_string();
    let spec = json!({"clusterIP": first, "ports": [{"name": "https", "port": 443, "targetPort": 6443}]});
    let labels = json!({"component": "apiserver", "provider": "kubernetes"});
    ensure(objects, &SERVICE, "default", json!({"metadata": {"name": "kubernetes", "labels": labels}, "spec": spec})).await
}

async fn ensure(objects: &Objects, kind: &'static Kind, namespace: &str, object: Value) -> Result<(), Status> {
    let name = object["metadata"]["name"].as_str().unwrap_or("").to_string();
    if objects.get(kind, namespace, &name).is_ok() {
        return Ok(());
    }
    let context = Context { manager: "noded".into(), ..Default::default() };
    match objects.create(kind, namespace, object, &context).await {
        Err(status) if status.reason == "AlreadyExists" => Ok(()),
        made => made.map(drop),
    }
}
