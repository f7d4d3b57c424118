//! What controllers tell of what they did, in the words and names that people know from Kubernetes.

use api::meta::ObjectMeta;
use api::status::Status;
use serde_json::{Value, json};

use super::pods::controller;

/// Who tells of an object of a kind.
pub(super) fn component(kind: &str) -> &'static str {
    match kind {
        "Deployment" => "deployment-controller",
        "ReplicaSet" => "replicaset-controller",
        "DaemonSet" => "daemonset-controller",
        "Job" => "job-controller",
        "Node" => "node-controller",
        "Pod" => "taint-eviction-controller",
        _ => "noded",
    }
}

/// What is told of a pod that was made, or could not be: about its controller, how important it is, one word, the words. Nothing for one
/// without a controller.
pub(super) fn of_pod(
    meta: &Value,
    namespace: &str,
    made: &Result<String, Status>,
) -> Option<(Value, &'static str, &'static str, String)> {
    let meta: ObjectMeta = api::kinds::view(meta).ok()?;
    let owner = controller(&meta)?;
    let about =
        json!({"apiVersion": owner.api_version, "kind": owner.kind, "namespace": namespace, "name": owner.name, "uid": owner.uid});
    let (level, reason, words) = match made {
        Ok(name) => ("Normal", "SuccessfulCreate", format!("Created pod: {name}")),
        Err(status) => ("Warning", "FailedCreate", format!("Error creating: {}", status.message)),
    };
    Some((about, level, reason, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_told_of_to_its_controller() {
        let owner = json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": true});
        let pod = json!({"generateName": "r-", "ownerReferences": [owner]});
        let (about, _, reason, words) = of_pod(&pod, "d", &Ok("r-x".into())).unwrap();
        assert_eq!((&about["name"], &about["namespace"]), (&json!("r"), &json!("d")));
        assert_eq!((reason, words.as_str()), ("SuccessfulCreate", "Created pod: r-x"));
        let (_, level, reason, words) = of_pod(&pod, "d", &Err(Status::bad_request("no"))).unwrap();
        assert_eq!((level, reason, words.as_str()), ("Warning", "FailedCreate", "Error creating: no"));
        assert!(of_pod(&json!({}), "d", &Ok("x".into())).is_none());
    }
}
