//! The number of replicas has one owner at a time, whichever way it is written.

use serde_json::{Value, json};

use super::{JSON, Plane};

const WEB: &str = "/apis/apps/v1/namespaces/default/deployments/web";
const APPLY: &str = "application/apply-patch+yaml";

fn scale(replicas: Value) -> String {
    json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": replicas}})
        .to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_applies_a_scale_owns_the_number() {
    let plane = Plane::start().await;
    let labels = json!({"app": "web"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let spec = json!({"replicas": 2, "selector": {"matchLabels": labels}, "template": template});
    let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}).to_string();
    assert_eq!(plane.ask(&format!("PATCH {WEB}?fieldManager=people"), APPLY, web.clone()).await.code, 201);
    let apply = |more: &str| format!("PATCH {WEB}/scale?fieldManager=scaler{more}");
    let conflict = "conflict with \"people\": .spec.replicas";
    plane.refused(super::MASTER, &apply(""), APPLY, scale(5.into()), (409, conflict)).await;
    plane.refused(super::MASTER, &format!("PATCH {WEB}/scale"), APPLY, scale(5.into()), (422, "fieldManager: Required")).await;
    plane.refused(super::MASTER, &apply(""), APPLY, scale("many".into()), (400, "spec.replicas must be a whole number")).await;
    plane.refused(super::MASTER, &apply(""), APPLY, web.clone(), (400, "must be a Scale")).await;
    let none = format!("PATCH {}/scale?fieldManager=scaler", WEB.replace("/web", "/none"));
    plane.refused(super::MASTER, &none, APPLY, scale(5.into()), (404, "not found")).await;
    let taken = plane.ask(&apply("&force=true"), APPLY, scale(5.into())).await;
    assert_eq!((taken.code, &taken.json()["spec"]["replicas"], &taken.json()["kind"]), (200, &json!(5), &json!("Scale")));
    let object = plane.ask(&format!("GET {WEB}"), "", "").await.json();
    let owners = object["metadata"]["managedFields"].as_array().unwrap().clone();
    let own = owners.iter().find(|owner| owner["manager"] == "scaler").unwrap();
    assert_eq!((&own["subresource"], &own["operation"], &own["apiVersion"]), (&json!("scale"), &json!("Apply"), &json!("apps/v1")));
    assert_eq!(own["fieldsV1"], json!({"f:spec": {"f:replicas": {}}}));
    // whoever applies the whole object meets it there
    let back = "conflict with \"scaler\" with subresource \"scale\": .spec.replicas";
    plane.refused(super::MASTER, &format!("PATCH {WEB}?fieldManager=people"), APPLY, web, (409, back)).await;
    assert_eq!(plane.ask(&apply(""), APPLY, scale(5.into())).await.code, 200, "the same once more");
    let put = plane.ask(&format!("PUT {WEB}/scale"), JSON, scale(1.into())).await;
    assert_eq!((put.code, &put.json()["spec"]["replicas"]), (200, &json!(1)));
}
