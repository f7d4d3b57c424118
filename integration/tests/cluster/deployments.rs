//! "Three web servers": the rest is the cluster's job.

use serde_json::json;

use super::base::{BUSYBOX, Cluster, WEB, ask};

integration::tests![three_web_servers];

fn three_web_servers() {
    let c = Cluster::start();
    let container = json!({ "name": "web", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", WEB] });
    let labels = json!({ "app": "web" });
    let template =
        json!({ "metadata": { "labels": labels }, "spec": { "terminationGracePeriodSeconds": 2, "containers": [container] } });
    c.apply(&json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": { "replicas": 3, "selector": { "matchLabels": labels }, "template": template } }));
    let run = |count: usize| {
        c.soon(&format!("{count} run"), || {
            c.addresses("app=web").len() == count
                && c.get(&["pods", "-l", "app=web"], "{.items[*].metadata.name}").split(' ').count() == count
        });
    };
    run(3);
    for address in c.addresses("app=web") {
        c.soon("it answers", || ask(&address, 8080).is_some_and(|name| name.starts_with("web-")));
    }
    c.kubectl(&["rollout", "status", "deployment", "web", "--timeout=60s"]).ok();
    c.kubectl(&["scale", "deployment", "web", "--replicas=5"]).ok();
    run(5);
    c.kubectl(&["scale", "deployment", "web", "--replicas=1"]).ok();
    run(1);
    let name = c.get(&["pods", "-l", "app=web"], "{.items[0].metadata.name}");
    c.env.rctr(["kill", &c.container(&name)]).ok();
    c.soon("it is started again", || c.get(&["pod", &name], "{.status.containerStatuses[0].restartCount}") == "1");
    c.kubectl(&["delete", "deployment", "web"]).ok();
    c.soon("all are gone", || c.get(&["pods"], "{.items[*].metadata.name}").is_empty());
    c.nothing_left();
}
