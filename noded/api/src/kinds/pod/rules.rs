//! Defaults and rules of pods that need more than one field.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::errors::{FieldError, FieldErrors};
use crate::kinds::view;

use super::container::Container;
use super::{PodSpec, actions, ephemeral, mounts, refused, resize, resolving, security};

pub(super) fn defaults(pod: &mut Value) {
    default_spec(&mut pod["spec"]);
    let class = view::<PodSpec>(&pod["spec"]).map_or("BestEffort", |spec| spec.qos_class());
    let status = &mut pod["status"];
    for (field, value) in [("phase", "Pending"), ("qosClass", class)] {
        if status.get(field).is_none() {
            status[field] = value.into();
        }
    }
}

/// Fills in what a template of pods leaves out.
pub fn default_template(template: &mut Value) {
    default_spec(&mut template["spec"]);
}

fn default_spec(spec: &mut Value) {
    let Value::Object(spec) = spec else { return };
    mirror(spec, "serviceAccountName", "serviceAccount");
    let on_host = spec.get("hostNetwork") == Some(&Value::Bool(true));
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        for container in spec.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            default_container(container, on_host);
        }
    }
    for volume in spec.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
        if volume.keys().all(|k| k == "name") {
            volume.insert("emptyDir".into(), json!({}));
        }
        if let Some(Value::Object(image)) = volume.get_mut("image") {
            default_pull(image, "pullPolicy", "reference");
        }
    }
}

/// The account has two names; what is written in one appears in the other.
fn mirror(spec: &mut Map<String, Value>, name: &str, former: &str) {
    let text = |key: &str| spec.get(key).and_then(Value::as_str).filter(|t| !t.is_empty()).map(String::from);
    if let Some(account) = text(name).or_else(|| text(former)) {
        spec.insert(name.into(), account.clone().into());
        spec.insert(former.into(), account.into());
    }
}

fn default_container(container: &mut Value, on_host: bool) {
    let Value::Object(map) = container else { return };
    default_pull(map, "imagePullPolicy", "image");
    for port in map.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if on_host && port.get("hostPort").is_none() {
            port["hostPort"] = port["containerPort"].clone();
        }
    }
    if let Some(Value::Object(resources)) = map.get_mut("resources")
        && let Some(Value::Object(limits)) = resources.get("limits").cloned()
        && let Value::Object(requests) = resources.entry("requests").or_insert_with(|| json!({}))
    {
        for (name, amount) in limits {
            requests.entry(name).or_insert(amount);
        }
    }
}

fn default_pull(map: &mut Map<String, Value>, policy: &str, image: &str) {
    if map.get(policy).and_then(Value::as_str).is_none_or(str::is_empty) {
        let image = map.get(image).and_then(Value::as_str).unwrap_or("");
        map.insert(policy.into(), if is_latest(image) { "Always" } else { "IfNotPresent" }.into());
    }
}

/// No tag, or the tag `latest`, and no digest.
fn is_latest(image: &str) -> bool {
    if image.contains('@') {
        return false;
    }
    match image.rsplit('/').next().unwrap_or(image).split_once(':') {
        None => true,
        Some((_, tag)) => tag == "latest",
    }
}

pub(super) fn validate(pod: &Value, errors: &mut FieldErrors) {
    if let Ok(spec) = view::<PodSpec>(&pod["spec"]) {
        validate_spec(&spec, "spec", errors);
    }
}

/// Checks the pods that a controller would make.
pub fn validate_template(template: &Value, path: &str, allowed_policies: &[&str], errors: &mut FieldErrors) {
    let Ok(spec) = view::<PodSpec>(&template["spec"]) else { return };
    if spec.containers.is_empty() {
        errors.push(FieldError::required(format!("{path}.spec.containers"), ""));
    }
    validate_spec(&spec, &format!("{path}.spec"), errors);
    if !allowed_policies.contains(&spec.restart_policy.as_str()) {
        errors.push(FieldError::unsupported(format!("{path}.spec.restartPolicy"), &spec.restart_policy, allowed_policies));
    }
}

fn validate_spec(spec: &PodSpec, path: &str, errors: &mut FieldErrors) {
    let volumes: BTreeSet<&str> = spec.volumes.iter().map(|v| v.name.as_str()).collect();
    unique(spec.volumes.iter().map(|v| &v.name), &format!("{path}.volumes"), errors);
    for (at, volume) in spec.volumes.iter().enumerate() {
        let sources = view::<Map<String, Value>>(&serde_json::to_value(volume).unwrap_or_default())
            .unwrap_or_default()
            .len()
            .saturating_sub(1);
        if sources > 1 {
            errors.push(FieldError::forbidden(format!("{path}.volumes[{at}]"), "may not specify more than 1 volume type"));
        }
        mounts::validate_volume(volume, &format!("{path}.volumes[{at}]"), errors);
    }
    ephemeral::validate(spec, &volumes, path, errors);
    refused::validate(spec, path, errors);
    resolving::validate(spec, path, errors);
    security::validate(spec, path, errors);
    unique(spec.init_containers.iter().chain(&spec.containers).map(|c| &c.name), &format!("{path}.containers"), errors);
    for (list, name) in [(&spec.init_containers, "initContainers"), (&spec.containers, "containers")] {
        for (at, container) in list.iter().enumerate() {
            validate_container(container, &volumes, &format!("{path}.{name}[{at}]"), errors);
            let grace = spec.termination_grace_period_seconds.unwrap_or(30);
            actions::validate(container, grace, &format!("{path}.{name}[{at}]"), errors);
            resize::validate_policies(container, spec, &format!("{path}.{name}[{at}]"), errors);
            if name == "initContainers" && !matches!(container.restart_policy.as_str(), "" | "Always") {
                let field = format!("{path}.{name}[{at}].restartPolicy");
                errors.push(FieldError::unsupported(field, &container.restart_policy, &["Always"]));
            }
            if name == "containers" && !container.restart_policy.is_empty() {
                errors.push(FieldError::forbidden(
                    format!("{path}.{name}[{at}].restartPolicy"),
                    "may not be set for non-init containers",
                ));
            }
        }
    }
    for (at, toleration) in spec.tolerations.iter().enumerate() {
        if toleration.key.is_empty() && toleration.operator != "Exists" {
            let why = "operator must be Exists when `key` is empty, which means \"match all values and all keys\"";
            errors.push(FieldError::invalid(format!("{path}.tolerations[{at}].operator"), &json!(toleration.operator), why.into()));
        }
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a String>, path: &str, errors: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (at, name) in names.enumerate() {
        if !name.is_empty() && !seen.insert(name) {
            errors.push(FieldError::duplicate(format!("{path}[{at}].name"), &json!(name)));
        }
    }
}

fn validate_container(container: &Container, volumes: &BTreeSet<&str>, path: &str, errors: &mut FieldErrors) {
    if container.image.is_empty() {
        errors.push(FieldError::required(format!("{path}.image"), ""));
    } else if container.image.trim() != container.image {
        errors.push(FieldError::invalid(
            format!("{path}.image"),
            &json!(container.image),
            "must not have leading or trailing whitespace".into(),
        ));
    }
    let security = container.security_context.as_ref();
    mounts::validate(&container.volume_mounts, security, volumes, &format!("{path}.volumeMounts"), errors);
    for (at, variable) in container.env.iter().enumerate() {
        if !variable.value.is_empty() && variable.value_from.is_some() {
            errors.push(FieldError::invalid(
                format!("{path}.env[{at}].valueFrom"),
                &json!(""),
                "may not be specified when `value` is not empty".into(),
            ));
        }
    }
    let resources = container.resources.clone().unwrap_or_default();
    for (list, amounts) in [("limits", &resources.limits), ("requests", &resources.requests)] {
        for (name, amount) in amounts.iter().filter(|(_, a)| a.is_negative()) {
            errors.push(FieldError::invalid(
                format!("{path}.resources.{list}[{name}]"),
                &json!(amount),
                "must be greater than or equal to 0".into(),
            ));
        }
    }
    for (name, request) in &resources.requests {
        if let Some(limit) = resources.limits.get(name)
            && request.exceeds(limit)
        {
            let why = format!("must be less than or equal to {name} limit of {}", limit.0);
            errors.push(FieldError::invalid(format!("{path}.resources.requests"), &json!(request), why));
        }
    }
}

pub(super) fn validate_update(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let (mut new_spec, old_spec) = (new["spec"].clone(), &old["spec"]);
    for list in ["containers", "initContainers"] {
        for at in 0..new_spec[list].as_array().map_or(0, Vec::len) {
            if let Some(was) = old_spec[list].get(at) {
                copy(&mut new_spec[list][at], was, "image");
            }
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "terminationGracePeriodSeconds"] {
        // gates only ever go, which is checked where they are written
        copy(&mut new_spec, old_spec, field);
    }
    let added_only = old_spec["tolerations"].as_array().is_none_or(|old| {
        let new = new_spec["tolerations"].as_array().map_or(&[][..], Vec::as_slice);
        old.iter().all(|t| new.contains(t))
    });
    if added_only {
        copy(&mut new_spec, old_spec, "tolerations");
    }
    if new_spec != *old_spec {
        let why = "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
                   `spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
        errors.push(FieldError::forbidden("spec", why));
    }
}

/// The field of `to` becomes that of `from`, also where that has none.
pub(super) fn copy(to: &mut Value, from: &Value, field: &str) {
    let Value::Object(map) = to else { return };
    match from.get(field) {
        Some(value) => drop(map.insert(field.into(), value.clone())),
        None => drop(map.shift_remove(field)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare;

    fn pod(container: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "default"}, "spec": {"containers": [container]}})
    }

    fn errors(mut object: Value) -> Vec<String> {
        prepare::complete(&super::super::POD, &mut object);
        prepare::validate(&super::super::POD, &object, None).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn defaults_follow_from_what_is_there() {
        let mut object = pod(json!({"name": "a", "image": "reg:5000/x", "resources": {"limits": {"cpu": "1"}}}));
        prepare::complete(&super::super::POD, &mut object);
        let container = &object["spec"]["containers"][0];
        assert_eq!((&container["imagePullPolicy"], &container["resources"]["requests"]["cpu"]), (&json!("Always"), &json!("1")));
        assert_eq!((&object["status"]["qosClass"], &object["spec"]["dnsPolicy"]), (&json!("Burstable"), &json!("ClusterFirst")));
        let mut object = pod(json!({"name": "a", "image": "x:1"}));
        prepare::complete(&super::super::POD, &mut object);
        assert_eq!(object["spec"]["containers"][0]["imagePullPolicy"], "IfNotPresent");
    }

    #[test]
    fn what_is_wrong_is_said_as_upstream_says_it() {
        assert_eq!(errors(pod(json!({"name": "a"}))), ["spec.containers[0].image: Required value"]);
        assert_eq!(
            errors(pod(json!({"name": "a", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}))),
            ["spec.containers[0].volumeMounts[0].name: Not found: \"v\""]
        );
        assert_eq!(
            errors(pod(json!({"name": "a", "image": "x", "imagePullPolicy": "No"}))),
            [
                "spec.containers[0].imagePullPolicy: Unsupported value: \"No\": supported values: \"Always\", \"IfNotPresent\", \"Never\""
            ]
        );
        assert_eq!(
            errors(pod(json!({"name": "a", "image": "x", "resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}))),
            ["spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"]
        );
        let mut empty = pod(json!({}));
        empty["spec"]["containers"] = json!([]);
        assert_eq!(errors(empty), ["spec.containers: Required value"]);
    }

    #[test]
    fn only_a_few_fields_of_a_running_pod_change() {
        let mut old = pod(json!({"name": "a", "image": "x:1"}));
        prepare::complete(&super::super::POD, &mut old);
        let mut new = old.clone();
        new["spec"]["containers"][0]["image"] = "x:2".into();
        let changed = |new: &Value| prepare::validate(&super::super::POD, new, Some(&old)).len();
        assert_eq!(changed(&new), 0);
        new["spec"]["containers"][0]["command"] = json!(["sh"]);
        assert_eq!(changed(&new), 1);
        for (field, value) in [("nodeName", json!("other")), ("ephemeralContainers", json!([{"name": "d", "image": "x"}]))] {
            let mut new = old.clone();
            new["spec"][field] = value;
            assert_eq!(changed(&new), 1, "{field} is set by another way");
        }
    }
}
