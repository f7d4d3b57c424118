//! A pod gets other resources while it runs (KEP-1287): what may change, and how.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::PodSpec;
use super::container::Container;
use crate::errors::{FieldError, FieldErrors};
use crate::kinds::view;

/// The resources that change while a container runs.
pub const RESIZED: [&str; 2] = ["cpu", "memory"];

/// Lists of containers that may be resized.
const LISTS: [&str; 2] = ["containers", "initContainers"];

/// Checks the rules of a container for its changes.
pub(super) fn validate_policies(container: &Container, spec: &PodSpec, path: &str, errors: &mut FieldErrors) {
    let mut seen = BTreeSet::new();
    for (at, policy) in container.resize_policy.iter().enumerate() {
        let path = format!("{path}.resizePolicy");
        if !seen.insert(&policy.resource_name) {
            errors.push(FieldError::duplicate(format!("{path}[{at}]"), &json!(policy.resource_name)));
        }
        if spec.restart_policy == "Never" && policy.restart_policy == "RestartContainer" {
            let why = "must be 'NotRequired' when `restartPolicy` is 'Never'";
            errors.push(FieldError::invalid(path, &json!(policy.restart_policy), why.into()));
        }
    }
}

/// Checks what is to become of a pod's resources. All else of `new` is not looked at, but for the order of its containers.
pub fn validate_resized(new: &Value, old: &Value, errors: &mut FieldErrors) {
    if old["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some() {
        errors.push(FieldError::forbidden("", "static pods cannot be resized"));
        return;
    }
    let (Ok(new), Ok(old)) = (view::<PodSpec>(&new["spec"]), view::<PodSpec>(&old["spec"])) else { return };
    if old.qos_class() != new.qos_class() {
        let why = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid("spec", &json!(new.qos_class()), why.into()));
    }
    let lists = [(&new.containers, &old.containers), (&new.init_containers, &old.init_containers)];
    for (name, (new, old)) in LISTS.into_iter().zip(lists) {
        if !new.iter().map(|one| &one.name).eq(old.iter().map(|one| &one.name)) {
            errors
                .push(FieldError::forbidden(format!("spec.{name}"), &format!("{name} may not be renamed or reordered on resize")));
            continue;
        }
        for (at, (new, old)) in new.iter().zip(old).enumerate() {
            validate_container(new, old, &format!("spec.{name}[{at}].resources"), name == "initContainers", errors);
        }
    }
}

fn validate_container(new: &Container, old: &Container, path: &str, init: bool, errors: &mut FieldErrors) {
    let (of, was) = (new.resources.clone().unwrap_or_default(), old.resources.clone().unwrap_or_default());
    if init && old.restart_policy != "Always" && of != was {
        errors.push(FieldError::forbidden(path, "resources of init containers that end cannot be resized"));
        return;
    }
    let mut others = of.claims != was.claims;
    for (list, word, new, old) in
        [("limits", "limits", &of.limits, &was.limits), ("requests", "requests", &of.requests, &was.requests)]
    {
        if RESIZED.iter().any(|name| old.contains_key(*name) && !new.contains_key(*name)) {
            errors.push(FieldError::forbidden(format!("{path}.{list}"), &format!("resource {word} cannot be removed")));
        }
        let names = new.keys().chain(old.keys()).filter(|name| !RESIZED.contains(&name.as_str()));
        others |= names.into_iter().any(|name| new.get(name) != old.get(name));
    }
    if others {
        errors.push(FieldError::forbidden(path, "only cpu and memory resources are mutable"));
    }
}

/// Takes the resources of `from`, and nothing else.
pub fn take_resources(into: &mut Value, from: &Value) {
    for list in LISTS {
        let Some(all) = into["spec"].get_mut(list).and_then(Value::as_array_mut) else { continue };
        for (at, container) in all.iter_mut().enumerate() {
            super::rules::copy(container, &from["spec"][list][at], "resources");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare;

    fn pod(containers: Value) -> Value {
        let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d"}, "spec": {"containers": containers}});
        prepare::complete(&super::super::POD, &mut pod);
        pod
    }

    fn one(resources: Value) -> Value {
        pod(json!([{"name": "a", "image": "x", "resources": resources}]))
    }

    fn said(new: &Value, old: &Value) -> Vec<String> {
        let mut errors = FieldErrors::new();
        validate_resized(new, old, &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn more_and_less_of_what_was_asked_for() {
        let old = one(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2"}}));
        let new = one(json!({"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "3Gi"}}));
        assert_eq!(said(&new, &old), Vec::<String>::new());
        let mut taken = old.clone();
        take_resources(&mut taken, &new);
        assert_eq!(taken, new);
    }

    #[test]
    fn what_may_not_change_is_named() {
        let old = one(json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "example.com/card": "1"}}));
        for (resources, why) in [
            (
                json!({"limits": {"cpu": "2", "memory": "1Gi", "example.com/card": "1"}, "requests": {"cpu": "2", "memory": "1Gi"}}),
                "spec: Invalid value: \"Guaranteed\": Pod QOS Class may not change as a result of resizing",
            ),
            (
                json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"example.com/card": "1"}}),
                "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed",
            ),
            (
                json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2", "example.com/card": "1"}}),
                "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed",
            ),
            (
                json!({"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "example.com/card": "2"}}),
                "spec.containers[0].resources: Forbidden: only cpu and memory resources are mutable",
            ),
        ] {
            assert_eq!(said(&one(resources.clone()), &old), [why], "{resources}");
        }
        let two = |first: &str, second: &str| pod(json!([{"name": first, "image": "x"}, {"name": second, "image": "x"}]));
        let why = "spec.containers: Forbidden: containers may not be renamed or reordered on resize";
        assert_eq!(said(&two("b", "a"), &two("a", "b")), [why]);
        let mut own = old.clone();
        own["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        assert_eq!(said(&own, &own), [": Forbidden: static pods cannot be resized"]);
    }

    #[test]
    fn rules_for_changes_are_checked() {
        let errors = |policies: Value, restart: &str| {
            let mut pod = pod(json!([{"name": "a", "image": "x", "resizePolicy": policies}]));
            pod["spec"]["restartPolicy"] = restart.into();
            prepare::validate(&super::super::POD, &pod, None).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let restart = json!([{"resourceName": "memory", "restartPolicy": "RestartContainer"}]);
        assert_eq!(errors(restart.clone(), "Always"), Vec::<String>::new());
        assert_eq!(
            errors(restart, "Never"),
            [
                "spec.containers[0].resizePolicy: Invalid value: \"RestartContainer\": must be 'NotRequired' when `restartPolicy` is 'Never'"
            ]
        );
        let cpu = json!({"resourceName": "cpu", "restartPolicy": "NotRequired"});
        assert_eq!(errors(json!([cpu, cpu]), "Always"), ["spec.containers[0].resizePolicy[1]: Duplicate value: \"cpu\""]);
        let disk = json!([{"resourceName": "disk", "restartPolicy": "NotRequired"}]);
        assert_eq!(
            errors(disk, "Always"),
            ["spec.containers[0].resizePolicy[0].resourceName: Unsupported value: \"disk\": supported values: \"cpu\", \"memory\""]
        );
    }
}
