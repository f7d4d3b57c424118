//! Pods speak to the API by a service account: its token, the authority's certificate and the namespace are put into every container, unless
//! the pod or the account does not want that.

use api::kinds::config::SERVICE_ACCOUNT;
use api::status::Status;
use serde_json::{Value, json};

use super::{Objects, called, text};
use crate::random;

/// The ConfigMap with the authority's certificate, which every namespace has.
pub const ROOT: &str = "kube-root-ca.crt";

/// Where containers find it.
const PLACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Names of containers' lists.
const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

impl Objects {
    /// The authority's certificate, if pods are to be told.
    pub(crate) fn root(&self) -> Option<&str> {
        Some(self.settings.root.as_str()).filter(|root| !root.is_empty())
    }

    /// Gives a new pod its account, and the volume with the account's token.
    pub(super) fn identify(&self, namespace: &str, pod: &mut Value) -> Result<(), Status> {
        // What a node runs by itself has no account.
        if pod["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some() || !pod["spec"].is_object() {
            return Ok(());
        }
        let name = match text(pod, "/spec/serviceAccountName") {
            "" => "default".to_owned(),
            name => name.to_owned(),
        };
        pod["spec"]["serviceAccountName"] = name.as_str().into();
        pod["spec"]["serviceAccount"] = name.as_str().into();
        let account = match self.get(&SERVICE_ACCOUNT, namespace, &name) {
            Ok(account) => account.object(),
            // That of a namespace that has just been made comes in a moment.
            Err(_) if name == "default" => Value::Null,
            Err(status) => {
                let why = format!("error looking up service account {namespace}/{name}: {}", status.message);
                return Err(Status::forbidden(Some(("", "pods")), called(pod), &why));
            }
        };
        let own = pod["spec"]["imagePullSecrets"].as_array().is_some_and(|all| !all.is_empty());
        if let (false, Some(secrets)) = (own, account["imagePullSecrets"].as_array().filter(|all| !all.is_empty())) {
            pod["spec"]["imagePullSecrets"] = secrets.clone().into();
        }
        let wanted = [&pod["spec"], &account].into_iter().find_map(|of| of["automountServiceAccountToken"].as_bool());
        if self.root().is_some() && wanted.unwrap_or(true) {
            mount(pod, &format!("kube-api-access-{}", random::letters(5)));
        }
        Ok(())
    }
}

/// Mounts the account's files wherever a container has nothing else at that place.
fn mount(pod: &mut Value, volume: &str) {
    let mut is_used = false;
    for list in LISTS {
        for container in pod["spec"].get_mut(list).and_then(Value::as_array_mut).into_iter().flatten().filter(|c| c.is_object()) {
            let mounts = container["volumeMounts"].as_array();
            if mounts.is_some_and(|all| all.iter().any(|mount| mount["mountPath"] == PLACE)) {
                continue;
            }
            let mount = json!({"name": volume, "mountPath": PLACE, "readOnly": true});
            push(&mut container["volumeMounts"], mount);
            is_used = true;
        }
    }
    if is_used {
        let sources = json!([
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": ROOT, "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]);
        push(&mut pod["spec"]["volumes"], json!({"name": volume, "projected": {"defaultMode": 420, "sources": sources}}));
    }
}

fn push(list: &mut Value, item: Value) {
    match list.as_array_mut() {
        Some(list) => list.push(item),
        None => *list = json!([item]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_accounts_secrets_are_for_pods_that_name_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = std::sync::Arc::new(crate::store::EmbeddedStore::open(folder.path()).unwrap());
        let objects = Objects::new(store, Default::default());
        crate::bootstrap::first_objects(&objects).await.unwrap();
        let account = json!({"metadata": {"name": "a"}, "imagePullSecrets": [{"name": "s"}]});
        objects.create(&SERVICE_ACCOUNT, "default", account, &Default::default()).await.unwrap();
        let secrets = |spec: Value| {
            let mut pod = json!({"spec": spec});
            objects.identify("default", &mut pod).unwrap();
            pod["spec"]["imagePullSecrets"].clone()
        };
        assert_eq!(secrets(json!({"serviceAccountName": "a"})), json!([{"name": "s"}]));
        assert_eq!(secrets(json!({"serviceAccountName": "a", "imagePullSecrets": [{"name": "own"}]})), json!([{"name": "own"}]));
        assert_eq!(secrets(json!({})), Value::Null);
    }

    #[test]
    fn files_are_put_where_nothing_else_is() {
        let mut pod = json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "volumeMounts": [{"name": "v", "mountPath": PLACE}]}],
            "initContainers": [{"name": "c", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}});
        mount(&mut pod, "x");
        let mounts = |place: &str| pod.pointer(place).and_then(Value::as_array).map_or(0, Vec::len);
        let all = ["/spec/containers/0/volumeMounts", "/spec/containers/1/volumeMounts", "/spec/initContainers/0/volumeMounts"];
        assert_eq!((all.map(mounts), mounts("/spec/volumes")), ([1, 1, 2], 1));
        let mut own = json!({"spec": {"containers": [{"name": "b", "volumeMounts": [{"name": "v", "mountPath": PLACE}]}]}});
        let before = own.clone();
        mount(&mut own, "x");
        assert_eq!(own, before);
    }
}
