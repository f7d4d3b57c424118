//! Labels that a node may not give itself: pods are steered by them, secrets follow.

use std::collections::BTreeSet;

use serde_json::Value;

/// Labels of Kubernetes' own that tell what only the node knows.
const OWN: [&str; 11] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

/// Labels that differ and are not the node's to say.
pub(super) fn forbidden(new: &Value, old: &Value) -> BTreeSet<String> {
    let keys = |labels: &Value| labels.as_object().map(|map| map.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let all = keys(new).into_iter().chain(keys(old));
    all.filter(|key| new.get(key.as_str()) != old.get(key.as_str()) && is_forbidden(key)).collect()
}

fn is_forbidden(key: &str) -> bool {
    let Some((domain, _)) = key.split_once('/') else { return false };
    let below = |base: &str| domain == base || domain.strip_suffix(base).is_some_and(|rest| rest.ends_with('.'));
    if below("node-restriction.kubernetes.io") {
        return true;
    }
    let is_kubernetes = below("kubernetes.io") || below("k8s.io");
    let is_own = OWN.contains(&key) || below("kubelet.kubernetes.io") || below("node.kubernetes.io");
    is_kubernetes && !is_own
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_by_which_pods_are_steered_are_not_the_nodes_to_say() {
        for label in [
            "node-restriction.kubernetes.io/fips",
            "example.com.node-restriction.kubernetes.io/fips",
            "node-role.kubernetes.io/control-plane",
            "kubernetes.io/whatever",
            "x.k8s.io/y",
        ] {
            assert!(is_forbidden(label), "{label}");
        }
        for label in ["app", "example.com/x", "node.kubernetes.io/x", "a.kubelet.kubernetes.io/x", "mykubernetes.io/x"] {
            assert!(!is_forbidden(label), "{label}");
        }
        assert!(OWN.iter().all(|label| !is_forbidden(label)));
    }

    #[test]
    fn what_stays_is_nobodys_doing() {
        let (fips, other) = ("node-restriction.kubernetes.io/fips", "kubernetes.io/os");
        let old = json!({fips: "yes", other: "linux"});
        assert!(forbidden(&json!({fips: "yes", "a": "b"}), &old).is_empty());
        assert_eq!(forbidden(&json!({fips: "no"}), &old).len(), 1);
        assert_eq!(forbidden(&Value::Null, &old).len(), 1);
    }
}
