//! A node that reports nonsense: it is refused in words, and nothing of it is kept.

use serde_json::{Value, json};

use super::{JSON, MASTER, Plane};

const NODE: &str = "token-of-n1";
const MERGE: &str = "application/merge-patch+json";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_reports_nonsense() {
    let plane = Plane::start().await;
    let node = json!({"metadata": {"name": "n1"}, "status": {"capacity": {"cpu": "4", "memory": "8Gi", "pods": "110"}}});
    assert_eq!(plane.ask_as(NODE, "POST /api/v1/nodes", JSON, node.to_string()).await.code, 201);
    let pods = "/api/v1/namespaces/default/pods";
    let pod = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n1", "containers": [{"name": "c", "image": "x"}]}});
    assert_eq!(plane.ask(&format!("POST {pods}"), JSON, pod.to_string()).await.code, 201);
    let (own, its) = ("PATCH /api/v1/nodes/n1/status".to_owned(), format!("PATCH {pods}/p/status"));
    let container = |more: Value| {
        let mut status = json!({"name": "c", "image": "x", "imageID": "", "ready": true, "restartCount": 0});
        api::patch::merge(&mut status, more);
        json!({"containerStatuses": [status]})
    };
    for (what, status, code, words) in [
        (
            &own,
            json!({"capacity": {"cpu": "-1"}}),
            422,
            "status.capacity[cpu]: Invalid value: \"-1\": must be greater than or equal to 0",
        ),
        (&own, json!({"allocatable": {"memory": "-8Gi"}}), 422, "status.allocatable[memory]"),
        (&own, json!({"capacity": {"cpu": "lots"}}), 400, "quantities must match the regular expression"),
        (&own, json!({"capacity": ["cpu"]}), 400, "cannot unmarshal array"),
        (&own, json!({"conditions": "Ready"}), 400, "cannot unmarshal string into Go struct field NodeStatus.status.conditions"),
        (&own, json!({"conditions": [{"type": "Ready"}]}), 422, "status.conditions[0].status: Required value"),
        (
            &own,
            json!({"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "yesterday"}]}),
            400,
            "parsing time \"yesterday\"",
        ),
        (&own, json!({"addresses": [{"type": "InternalIP"}]}), 422, "status.addresses[0].address: Required value"),
        (&own, json!({"images": [{"names": ["x".repeat(3 << 20)]}]}), 413, "Request entity too large"),
        (&its, json!({"podIP": "nonsense"}), 422, "status.podIP: Invalid value: \"nonsense\": must be a valid IP address"),
        (&its, json!({"podIPs": [{"ip": "10.0.0.256"}]}), 422, "status.podIPs[0].ip: Invalid value"),
        (&its, json!({"hostIP": "here"}), 422, "status.hostIP: Invalid value"),
        (&its, json!({"phase": "Sleeping"}), 422, "status.phase: Unsupported value: \"Sleeping\""),
        (&its, json!({"conditions": {"Ready": true}}), 400, "cannot unmarshal object"),
        (&its, container(json!({"restartCount": -1})), 422, "must be greater than or equal to 0"),
        (&its, container(json!({"restartCount": 99999999999_u64})), 400, "of type int32"),
        (&its, container(json!({"state": "fine"})), 400, "cannot unmarshal string"),
        (&its, json!({"message": "x".repeat(3 << 20)}), 413, "Request entity too large"),
    ] {
        plane.refused(NODE, what, MERGE, json!({"status": status}).to_string(), (code, words)).await;
    }
    // what a status brings along is not heard
    let more = json!({"metadata": {"labels": {"a": "b"}, "finalizers": ["x/y"]}, "spec": {"nodeName": "n2", "containers": []},
        "status": {"phase": "Running", "podIP": "10.244.0.7"}});
    assert_eq!(plane.ask_as(NODE, &its, MERGE, more.to_string()).await.code, 200);
    let now = plane.ask_as(MASTER, &format!("GET {pods}/p"), "", "").await.json();
    assert_eq!((&now["status"]["phase"], &now["status"]["podIP"]), (&json!("Running"), &json!("10.244.0.7")));
    assert_eq!(
        (&now["spec"]["nodeName"], now["metadata"].get("labels"), now["metadata"].get("finalizers")),
        (&json!("n1"), None, None)
    );
    let now = plane.ask_as(MASTER, "GET /api/v1/nodes/n1", "", "").await.json();
    assert_eq!(now["status"]["capacity"], node["status"]["capacity"]);
}
