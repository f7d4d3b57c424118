//! What Kubernetes has and no node here does: it is refused by its name, not taken and forgotten.

use super::PodSpec;
use super::container::{Container, ResourceRequirements, SecurityContext};
use crate::errors::{FieldError, FieldErrors};

const CLAIMS: &str = "claims of devices are not supported by this cluster";
const VOLUME: &str = "this kind of volume is not supported by this cluster";
/// Kinds of volumes that there are, and the name of each.
const DONE: [&str; 8] = ["name", "configMap", "downwardAPI", "emptyDir", "hostPath", "image", "projected", "secret"];
const SELINUX: &str = "labels of SELinux are not supported by this cluster";

/// Finds fields of a pod that nothing would come of.
pub(super) fn validate(spec: &PodSpec, path: &str, errors: &mut FieldErrors) {
    let mut refuse = |is_there: bool, field: &str, why: &str| {
        if is_there {
            errors.push(FieldError::forbidden(format!("{path}.{field}"), why));
        }
    };
    let overhead = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
    refuse(!spec.overhead.is_empty(), "overhead", overhead);
    refuse(!spec.resource_claims.is_empty(), "resourceClaims", CLAIMS);
    let resources = "resources of a pod as a whole are not supported by this cluster: they are those of its containers";
    refuse(spec.resources.as_ref().is_some_and(is_set), "resources", resources);
    let security = spec.security_context.clone().unwrap_or_default();
    refuse(security.se_linux_options.is_some(), "securityContext.seLinuxOptions", SELINUX);
    refuse(!security.se_linux_change_policy.is_empty(), "securityContext.seLinuxChangePolicy", SELINUX);
    for (at, volume) in spec.volumes.iter().enumerate() {
        // Whoever left out a kind that is not known here would get an empty folder in its place.
        let fields = serde_json::to_value(volume).unwrap_or_default();
        for field in fields.as_object().into_iter().flat_map(|fields| fields.keys()) {
            refuse(!DONE.contains(&field.as_str()), &format!("volumes[{at}].{field}"), VOLUME);
        }
        for (source, all) in volume.projected.iter().flat_map(|projected| projected.sources.iter().enumerate()) {
            let field = |name: &str| format!("volumes[{at}].projected.sources[{source}].{name}");
            refuse(all.cluster_trust_bundle.is_some(), &field("clusterTrustBundle"), VOLUME);
            refuse(all.pod_certificate.is_some(), &field("podCertificate"), VOLUME);
        }
    }
    for (list, name) in [(&spec.init_containers, "initContainers"), (&spec.containers, "containers")] {
        for (at, container) in list.iter().enumerate() {
            of_container(container, &mut |is_there, field, why| refuse(is_there, &format!("{name}[{at}].{field}"), why));
        }
    }
    for (at, added) in spec.ephemeral_containers.iter().enumerate() {
        let is_there = has_label(added.security_context.as_ref());
        refuse(is_there, &format!("ephemeralContainers[{at}].securityContext.seLinuxOptions"), SELINUX);
    }
}

fn is_set(of: &ResourceRequirements) -> bool {
    !of.limits.is_empty() || !of.requests.is_empty() || !of.claims.is_empty()
}

fn has_label(security: Option<&SecurityContext>) -> bool {
    security.is_some_and(|security| security.se_linux_options.is_some())
}

fn of_container(container: &Container, refuse: &mut dyn FnMut(bool, &str, &str)) {
    let claims = container.resources.as_ref().is_some_and(|of| !of.claims.is_empty());
    refuse(claims, "resources.claims", CLAIMS);
    refuse(!container.volume_devices.is_empty(), "volumeDevices", "block devices are not supported by this cluster");
    refuse(has_label(container.security_context.as_ref()), "securityContext.seLinuxOptions", SELINUX);
    let Some(lifecycle) = &container.lifecycle else { return };
    for (hook, name) in [(&lifecycle.post_start, "postStart"), (&lifecycle.pre_stop, "preStop")] {
        let is_there = hook.as_ref().is_some_and(|hook| hook.tcp_socket.is_some());
        refuse(is_there, &format!("lifecycle.{name}.tcpSocket"), "it is not done at a container's start and end");
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn errors(mut spec: Value) -> Vec<String> {
        if spec.get("containers").is_none() {
            spec["containers"] = json!([{"name": "a", "image": "i"}]);
        }
        let mut errors = FieldErrors::new();
        validate(&serde_json::from_value(spec).unwrap(), "spec", &mut errors);
        errors.iter().map(|error| error.field.clone()).collect()
    }

    #[test]
    fn each_is_named() {
        let container = |fields: Value| {
            let mut container = json!({"name": "a", "image": "i"});
            container.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            json!({"containers": [container]})
        };
        for (spec, field) in [
            (json!({"overhead": {"cpu": "1m"}}), "overhead"),
            (json!({"resourceClaims": [{"name": "c"}]}), "resourceClaims"),
            (json!({"resources": {"limits": {"cpu": "1"}}}), "resources"),
            (json!({"securityContext": {"seLinuxOptions": {"level": "s0"}}}), "securityContext.seLinuxOptions"),
            (json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "c"}}]}), "volumes[0].persistentVolumeClaim"),
            (json!({"volumes": [{"name": "u"}, {"name": "v", "nfs": {"server": "s", "path": "/"}}]}), "volumes[1].nfs"),
            (json!({"volumes": [{"name": "v", "csi": {"driver": "d"}}]}), "volumes[0].csi"),
            (json!({"volumes": [{"name": "v", "ephemeral": {}}]}), "volumes[0].ephemeral"),
            (json!({"volumes": [{"name": "v", "gcePersistentDisk": {"pdName": "d"}}]}), "volumes[0].gcePersistentDisk"),
            (json!({"volumes": [{"name": "v", "iscsi": {}}]}), "volumes[0].iscsi"),
            (
                json!({"volumes": [{"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"path": "p"}}]}}]}),
                "volumes[0].projected.sources[0].clusterTrustBundle",
            ),
            (container(json!({"resources": {"claims": [{"name": "c"}]}})), "containers[0].resources.claims"),
            (container(json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/x"}]})), "containers[0].volumeDevices"),
            (container(json!({"securityContext": {"seLinuxOptions": {}}})), "containers[0].securityContext.seLinuxOptions"),
            (container(json!({"lifecycle": {"preStop": {"tcpSocket": {"port": 1}}}})), "containers[0].lifecycle.preStop.tcpSocket"),
        ] {
            assert_eq!(errors(spec.clone()), [format!("spec.{field}")], "{spec}");
        }
        assert_eq!(errors(json!({"resources": {}, "securityContext": {}})), [""; 0]);
        let volumes = json!([{"name": "a", "configMap": {"name": "m"}}, {"name": "b", "emptyDir": {}}, {"name": "c", "hostPath": {"path": "/"}},
            {"name": "d", "image": {"reference": "i"}}, {"name": "e", "projected": {"sources": [{"secret": {"name": "s"}}]}},
            {"name": "f", "secret": {"secretName": "s"}}, {"name": "g", "downwardAPI": {}}]);
        assert_eq!(errors(json!({"volumes": volumes})), [""; 0]);
    }
}
