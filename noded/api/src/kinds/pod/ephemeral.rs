//! Containers that are added to a pod for looking into it: rules, and what they are beside others.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::container::{Container, EphemeralContainer};
use super::{PodSpec, mounts};
use crate::errors::{FieldError, FieldErrors};

impl EphemeralContainer {
    /// The same as a container of its own, which is run once.
    pub fn container(&self) -> Container {
        Container {
            name: self.name.clone(),
            image: self.image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            command: self.command.clone(),
            args: self.args.clone(),
            working_dir: self.working_dir.clone(),
            env: self.env.clone(),
            env_from: self.env_from.clone(),
            volume_mounts: self.volume_mounts.clone(),
            security_context: self.security_context.clone(),
            stdin: self.stdin,
            stdin_once: self.stdin_once,
            tty: self.tty,
            termination_message_path: self.termination_message_path.clone(),
            termination_message_policy: self.termination_message_policy.clone(),
            ..Container::default()
        }
    }
}

pub(super) fn validate(spec: &PodSpec, volumes: &BTreeSet<&str>, path: &str, errors: &mut FieldErrors) {
    let others: BTreeSet<&str> = spec.containers.iter().chain(&spec.init_containers).map(|other| other.name.as_str()).collect();
    let mut names = others.clone();
    for (at, container) in spec.ephemeral_containers.iter().enumerate() {
        let path = format!("{path}.ephemeralContainers[{at}]");
        if !names.insert(&container.name) {
            errors.push(FieldError::duplicate(format!("{path}.name"), &json!(container.name)));
        }
        if container.image.is_empty() {
            errors.push(FieldError::required(format!("{path}.image"), ""));
        }
        let target = container.target_container_name.as_str();
        if !target.is_empty() && !others.contains(target) {
            errors.push(FieldError::not_found(format!("{path}.targetContainerName"), &json!(target)));
        }
        let mut forbidden = |field: String| errors.push(FieldError::forbidden(field, "cannot be set for an Ephemeral Container"));
        if container.resources.as_ref().is_some_and(|of| !of.limits.is_empty() || !of.requests.is_empty()) {
            forbidden(format!("{path}.resources"));
        }
        for (at, mount) in container.volume_mounts.iter().enumerate() {
            for (field, part) in [("subPath", &mount.sub_path), ("subPathExpr", &mount.sub_path_expr)] {
                if !part.is_empty() {
                    forbidden(format!("{path}.volumeMounts[{at}].{field}"));
                }
            }
        }
        let security = container.security_context.as_ref();
        mounts::validate(&container.volume_mounts, security, volumes, &format!("{path}.volumeMounts"), errors);
    }
}

/// Checks what is to become of a pod's list: those that are there stay as they are, and pods of a node's own get none.
pub fn validate_added(new: &Value, old: &Value, errors: &mut FieldErrors) {
    let list = |pod: &Value| pod["spec"]["ephemeralContainers"].as_array().cloned().unwrap_or_default();
    if old["metadata"]["annotations"].get("kubernetes.io/config.mirror").is_some() {
        errors.push(FieldError::forbidden("spec.ephemeralContainers", "static pods do not support ephemeral containers"));
    }
    let new = list(new);
    for was in list(old) {
        let why = match new.iter().find(|is| is["name"] == was["name"]) {
            Some(is) if *is == was => continue,
            Some(_) => "changed",
            None => "removed",
        };
        let why = format!("existing ephemeral containers {} may not be {why}", was["name"]);
        errors.push(FieldError::forbidden("spec.ephemeralContainers", &why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare;

    fn pod(ephemeral: Value) -> Value {
        let spec =
            json!({"containers": [{"name": "app", "image": "x"}], "volumes": [{"name": "v"}], "ephemeralContainers": ephemeral});
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "d"}, "spec": spec})
    }

    fn errors(container: Value) -> Vec<String> {
        let mut pod = pod(json!([container]));
        prepare::complete(&super::super::POD, &mut pod);
        prepare::validate(&super::super::POD, &pod, None).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_an_ephemeral_container_may_be() {
        assert_eq!(errors(json!({"name": "d", "image": "x", "targetContainerName": "app"})), [""; 0]);
        let path = "spec.ephemeralContainers[0]";
        for (container, why) in [
            (json!({"name": "app", "image": "x"}), "name: Duplicate value: \"app\""),
            (json!({"name": "d"}), "image: Required value"),
            (json!({"name": "d", "image": "x", "targetContainerName": "no"}), "targetContainerName: Not found: \"no\""),
            (
                json!({"name": "d", "image": "x", "resources": {"limits": {"cpu": "1"}}}),
                "resources: Forbidden: cannot be set for an Ephemeral Container",
            ),
            (
                json!({"name": "d", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "a"}]}),
                "volumeMounts[0].subPath: Forbidden: cannot be set for an Ephemeral Container",
            ),
        ] {
            assert_eq!(errors(container.clone()), [format!("{path}.{why}")], "{container}");
        }
    }

    #[test]
    fn they_are_only_added() {
        let added = |new: Value, old: Value| {
            let mut errors = FieldErrors::new();
            validate_added(&pod(new), &old, &mut errors);
            errors.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let (a, b) = (json!({"name": "a", "image": "x"}), json!({"name": "b", "image": "x"}));
        assert_eq!(added(json!([a, b]), pod(json!([a]))), [""; 0]);
        let path = "spec.ephemeralContainers: Forbidden";
        assert_eq!(added(json!([b]), pod(json!([a]))), [format!("{path}: existing ephemeral containers \"a\" may not be removed")]);
        let other = json!({"name": "a", "image": "y"});
        assert_eq!(
            added(json!([other]), pod(json!([a]))),
            [format!("{path}: existing ephemeral containers \"a\" may not be changed")]
        );
        let mut mirror = pod(json!([]));
        mirror["metadata"]["annotations"] = json!({"kubernetes.io/config.mirror": "x"});
        assert_eq!(added(json!([a]), mirror), [format!("{path}: static pods do not support ephemeral containers")]);
    }
}
