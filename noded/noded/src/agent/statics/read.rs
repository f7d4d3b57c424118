//! From a manifest to the pod that the node runs by itself.

use std::path::Path;

use api::kinds::pod::Pod;
use serde_json::{Value, json};

/// The pod of a mirror: what a mirror in the API was made of.
pub(in super::super) const MIRROR: &str = "kubernetes.io/config.mirror";
/// Of which manifest the pod was made.
pub(in super::super) const HASH: &str = "kubernetes.io/config.hash";
/// Where the pod comes from.
pub(in super::super) const SOURCE: &str = "kubernetes.io/config.source";

/// What a static pod would need the API for.
const OF_API: [&str; 6] =
    ["secretRef", "configMapRef", "secretKeyRef", "configMapKeyRef", "imagePullSecrets", "serviceAccountName"];
const VOLUMES: [&str; 5] = ["secret", "configMap", "projected", "persistentVolumeClaim", "csi"];

/// The pod that a manifest describes, as the node `node` runs it. `path` is part of what it is: the same text in two files is two pods.
pub(super) fn pod(text: &str, path: &Path, node: &str) -> Result<Value, String> {
    // The first line says what is wrong; the others show the place.
    let wrong = |error: serde_saphyr::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    let mut pod: Value = serde_saphyr::from_str(text).map_err(wrong)?;
    let kind = |field: &str| pod[field].as_str().unwrap_or_default().to_owned();
    if (kind("apiVersion").as_str(), kind("kind").as_str()) != ("v1", "Pod") {
        return Err(format!("it is no Pod of v1 but {:.60?} of {:.60?}", kind("kind"), kind("apiVersion")));
    }
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err("metadata.name: Required value".to_owned());
    }
    let name = format!("{name}-{node}");
    let metadata = json!({
        "name": name,
        "namespace": pod["metadata"]["namespace"].as_str().filter(|name| !name.is_empty()).unwrap_or("default"),
        "labels": pod["metadata"].get("labels").cloned().unwrap_or_else(|| json!({})),
        "annotations": pod["metadata"].get("annotations").cloned().unwrap_or_else(|| json!({})),
    });
    pod["metadata"] = metadata;
    if let Some(spec) = pod["spec"].as_object_mut() {
        spec.insert("nodeName".into(), node.into());
        let all = spec.entry("tolerations").or_insert_with(|| json!([]));
        // No taint drives it away: nobody else could run it.
        if let Some(all) = all.as_array_mut() {
            all.push(json!({ "operator": "Exists", "effect": "NoExecute" }));
        }
    }
    checked(pod, path, node)
}

/// Completes a pod as the API would, refuses what that would, and says what it is.
fn checked(mut pod: Value, path: &Path, node: &str) -> Result<Value, String> {
    api::prepare::complete(&api::kinds::pod::POD, &mut pod);
    if let Some(error) = api::prepare::validate(&api::kinds::pod::POD, &pod, None).first() {
        return Err(error.to_string());
    }
    if let Some(field) = needs_api(&pod["spec"]) {
        return Err(format!("spec: a static pod has nothing of the API, and this one has {field}"));
    }
    if let Some(object) = pod.as_object_mut() {
        object.shift_remove("status");
    }
    let uid = uid(&pod, path, node);
    pod["metadata"]["annotations"][HASH] = uid.as_str().into();
    pod["metadata"]["annotations"][SOURCE] = "file".into();
    pod["metadata"]["uid"] = uid.into();
    serde_json::from_value::<Pod>(pod.clone()).map_err(|error| error.to_string())?;
    Ok(pod)
}

/// A field by which a pod uses an object of the API.
fn needs_api(spec: &Value) -> Option<String> {
    let volumes = spec["volumes"].as_array().into_iter().flatten();
    let volume = volumes.filter_map(Value::as_object).flat_map(|volume| volume.keys()).find(|key| VOLUMES.contains(&key.as_str()));
    volume.cloned().or_else(|| found(spec))
}

fn found(value: &Value) -> Option<String> {
    match value {
        Value::Object(map) => map.iter().find_map(|(key, inner)| match inner {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            _ if OF_API.contains(&key.as_str()) => Some(key.clone()),
            inner => found(inner),
        }),
        Value::Array(list) => list.iter().find_map(found),
        _ => None,
    }
}

/// Another manifest, another file or another node is another pod.
fn uid(pod: &Value, path: &Path, node: &str) -> String {
    let whole = json!([node, path.to_string_lossy(), pod]).to_string();
    let digest = images::Digest::sha256(whole.as_bytes());
    digest.as_str()["sha256:".len()..][..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &str =
        "apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {app: web}}\nspec:\n  containers: [{name: a, image: x}]\n";

    fn of(text: &str) -> Result<Value, String> {
        pod(text, Path::new("/m/web.yaml"), "one")
    }

    #[test]
    fn a_manifest_is_a_pod_of_this_node() {
        let web = of(WEB).unwrap();
        assert_eq!((&web["metadata"]["name"], &web["metadata"]["namespace"]), (&json!("web-one"), &json!("default")));
        assert_eq!((&web["spec"]["nodeName"], &web["metadata"]["labels"]["app"]), (&json!("one"), &json!("web")));
        assert_eq!(web["metadata"]["uid"], web["metadata"]["annotations"][HASH]);
        assert_eq!(web["metadata"]["uid"].as_str().unwrap().len(), 32);
        assert_eq!(web["spec"]["tolerations"][0]["effect"], "NoExecute");
        assert_eq!(of(WEB).unwrap(), web, "the same manifest is the same pod");
        let json = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "x"}]}});
        assert_eq!(of(&json.to_string()).unwrap(), web, "JSON is YAML");
        let others = [
            of(&WEB.replace("image: x", "image: other")),
            pod(WEB, Path::new("/m/b.yaml"), "one"),
            pod(WEB, Path::new("/m/web.yaml"), "two"),
        ];
        assert!(others.into_iter().all(|other| other.unwrap()["metadata"]["uid"] != web["metadata"]["uid"]));
    }

    #[test]
    fn what_is_wrong_is_one_line() {
        let with = |field: &str| format!("{WEB}  {field}\n");
        for (text, why) in [
            ("a: [", ""),
            ("- 1", "it is no Pod of v1"),
            ("kind: Deployment\napiVersion: apps/v1", "\"Deployment\" of \"apps/v1\""),
            ("kind: Pod\napiVersion: v1", "metadata.name: Required value"),
            ("kind: Pod\napiVersion: v1\nmetadata: {name: a}", "spec"),
            (&WEB.replace("image: x", "image: ''"), "spec.containers[0].image: Required value"),
            (&WEB.replace("name: web", "name: W_b"), "metadata.name"),
            (&with("serviceAccountName: me"), "serviceAccountName"),
            (&with("volumes: [{name: v, secret: {secretName: s}}]"), "secret"),
            (&WEB.replace("image: x", "image: x, envFrom: [{configMapRef: {name: m}}]"), "configMapRef"),
        ] {
            let error = of(text).expect_err(text);
            assert!(error.contains(why) && !error.contains('\n') && !error.is_empty(), "{text}: {error}");
        }
    }
}
