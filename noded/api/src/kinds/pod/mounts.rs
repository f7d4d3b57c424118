//! Rules for what a container sees of its pod's volumes.

use std::collections::BTreeSet;

use serde_json::json;

use super::container::{SecurityContext, VolumeMount};
use super::volume::Volume;
use crate::errors::{FieldError, FieldErrors};

/// Checks mounts against the names of the pod's volumes. `path` is the list's.
pub(super) fn validate(
    mounts: &[VolumeMount],
    security: Option<&SecurityContext>,
    volumes: &BTreeSet<&str>,
    path: &str,
    errors: &mut FieldErrors,
) {
    let mut places = BTreeSet::new();
    for (at, mount) in mounts.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if !mount.name.is_empty() && !volumes.contains(mount.name.as_str()) {
            errors.push(FieldError::not_found(format!("{path}.name"), &json!(mount.name)));
        }
        if !places.insert(&mount.mount_path) {
            errors.push(FieldError::invalid(format!("{path}.mountPath"), &json!(mount.mount_path), "must be unique".into()));
        }
        descending(&mount.sub_path, format!("{path}.subPath"), errors);
        descending(&mount.sub_path_expr, format!("{path}.subPathExpr"), errors);
        if !mount.sub_path.is_empty() && !mount.sub_path_expr.is_empty() {
            let why = "subPathExpr and subPath are mutually exclusive";
            errors.push(FieldError::invalid(format!("{path}.subPathExpr"), &json!(mount.sub_path_expr), why.into()));
        }
        let privileged = security.is_some_and(|security| security.privileged == Some(true));
        if mount.mount_propagation == "Bidirectional" && !privileged {
            let why = "Bidirectional mount propagation is available only to privileged containers";
            errors.push(FieldError::forbidden(format!("{path}.mountPropagation"), why));
        }
        if matches!(mount.recursive_read_only.as_str(), "Enabled" | "IfPossible") {
            let mut forbidden = |why| errors.push(FieldError::forbidden(format!("{path}.recursiveReadOnly"), why));
            if !mount.read_only {
                forbidden("may only be specified when readOnly is true");
            }
            if !matches!(mount.mount_propagation.as_str(), "" | "None") {
                forbidden("may only be specified when mountPropagation is None or not specified");
            }
        }
    }
}

/// A path that leads down from where it begins.
pub(super) fn descending(text: &str, path: String, errors: &mut FieldErrors) {
    if text.starts_with('/') {
        errors.push(FieldError::invalid(path.clone(), &json!(text), "must be a relative path".into()));
    }
    if text.split('/').any(|part| part == "..") {
        errors.push(FieldError::invalid(path, &json!(text), "must not contain '..'".into()));
    }
}

/// Checks a volume by itself.
pub(super) fn validate_volume(volume: &Volume, path: &str, errors: &mut FieldErrors) {
    if volume.host_path.as_ref().is_some_and(|host| host.path.split('/').any(|part| part == "..")) {
        let value = json!(volume.host_path.as_ref().map(|host| &host.path));
        errors.push(FieldError::invalid(format!("{path}.hostPath.path"), &value, "must not contain '..'".into()));
    }
    if volume.image.as_ref().is_some_and(|image| image.reference.is_empty()) {
        errors.push(FieldError::required(format!("{path}.image.reference"), ""));
    }
    if volume.empty_dir.as_ref().and_then(|empty| empty.size_limit.as_ref()).is_some_and(|limit| limit.is_negative()) {
        let why = "SizeLimit field must be a valid resource quantity";
        errors.push(FieldError::forbidden(format!("{path}.emptyDir.sizeLimit"), why));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn errors(mut mount: Value, privileged: bool) -> Vec<String> {
        mount["name"] = "v".into();
        mount["mountPath"] = "/v".into();
        let (mount, mut errors) = (serde_json::from_value(mount).unwrap(), FieldErrors::new());
        let security = SecurityContext { privileged: Some(privileged), ..SecurityContext::default() };
        validate(&[mount], Some(&security), &BTreeSet::from(["v"]), "m", &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn mounts_that_cannot_be() {
        for (mount, why) in [
            (json!({"subPath": "/a"}), "m[0].subPath: Invalid value: \"/a\": must be a relative path"),
            (json!({"subPath": "a/../b"}), "m[0].subPath: Invalid value: \"a/../b\": must not contain '..'"),
            (json!({"subPathExpr": "../$(A)"}), "m[0].subPathExpr: Invalid value: \"../$(A)\": must not contain '..'"),
            (
                json!({"subPath": "a", "subPathExpr": "b"}),
                "m[0].subPathExpr: Invalid value: \"b\": subPathExpr and subPath are mutually exclusive",
            ),
            (
                json!({"mountPropagation": "Bidirectional"}),
                "m[0].mountPropagation: Forbidden: Bidirectional mount propagation is available only to privileged containers",
            ),
            (
                json!({"recursiveReadOnly": "Enabled"}),
                "m[0].recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
            ),
            (
                json!({"recursiveReadOnly": "IfPossible", "readOnly": true, "mountPropagation": "HostToContainer"}),
                "m[0].recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified",
            ),
        ] {
            assert_eq!(errors(mount.clone(), false), [why], "{mount}");
        }
        for mount in [json!({}), json!({"subPath": "a/b"}), json!({"readOnly": true, "recursiveReadOnly": "Enabled"})] {
            assert_eq!(errors(mount, false), [""; 0]);
        }
        assert_eq!(errors(json!({"mountPropagation": "Bidirectional"}), true), [""; 0]);
    }
}
