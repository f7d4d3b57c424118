//! Whose is what, and going back.

use super::cluster::{Nodes, until};
use super::{Cluster, rows};

#[test]
fn pods_are_let_go_and_taken_in() {
    let Some(c) = Cluster::start("pods_are_let_go_and_taken_in") else { return };
    let _nodes = Nodes::start(&c, &["n1"]);
    c.ok("create deployment web --image=x:1 --replicas=2");
    c.ok("rollout status deployment web --timeout=60s");
    let owner = |what: &str| c.ok(&format!("get {what} -o jsonpath={{.metadata.ownerReferences[*].kind}}"));
    // one that is relabelled is let go, and replaced; relabelled again it is taken in, and there is one too many
    let pod = c.ok("get pods -l app=web -o name").lines().next().unwrap().to_string();
    c.ok(&format!("label {pod} app=debug --overwrite"));
    until(&c, &format!("get {pod} -o jsonpath={{.metadata.ownerReferences}}"), |out| out.is_empty());
    until(&c, "get pods -l app=web -o name", |out| out.lines().count() == 2);
    assert_eq!(c.ok(&format!("get {pod} -o jsonpath={{.status.phase}}")), "Running");
    c.ok(&format!("label {pod} app=web --overwrite"));
    until(&c, "get pods -l app=web -o name", |out| out.lines().count() == 2);
    // a replica set that lost its deployment is found by the next one
    let set = c.ok("get replicasets -l app=web -o name");
    c.ok("delete deployment web --cascade=orphan --timeout=60s");
    until(&c, &format!("get {set} -o jsonpath={{.metadata.ownerReferences}}"), |out| out.is_empty());
    c.ok("create deployment web --image=x:1 --replicas=2");
    until(&c, &format!("get {set} -o jsonpath={{.metadata.ownerReferences[*].kind}}"), |out| out == "Deployment");
    c.ok("rollout status deployment web --timeout=60s");
    assert_eq!(c.ok("get replicasets -l app=web -o name"), set);
    assert_eq!(owner(&set), "Deployment");
}

#[test]
fn a_daemon_set_goes_back() {
    let Some(c) = Cluster::start("a_daemon_set_goes_back") else { return };
    let _nodes = Nodes::start(&c, &["n1"]);
    let set = |image: &str| {
        format!(
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: d, annotations: {{kubernetes.io/change-cause: to {image}}}}}\nspec:\n  selector: {{matchLabels: {{a: d}}}}\n  template:\n    metadata: {{labels: {{a: d}}}}\n    spec: {{containers: [{{name: c, image: '{image}'}}]}}\n"
        )
    };
    for image in ["x:1", "x:2"] {
        assert_eq!(c.feed(&["apply", "-f", "-"], &set(image)).code, 0);
        c.ok("rollout status daemonset d --timeout=60s");
    }
    let history = until(&c, "rollout history daemonset d", |out| out.lines().any(|l| l.starts_with('2')));
    assert!(history.contains("to x:1") && history.contains("to x:2"), "{history}");
    c.ok("rollout undo daemonset d");
    c.ok("rollout status daemonset d --timeout=60s");
    assert_eq!(c.ok("get daemonset d -o jsonpath={.spec.template.spec.containers[0].image}"), "x:1");
    let history = until(&c, "rollout history daemonset d", |out| out.lines().any(|l| l.starts_with('3')));
    assert!(!history.lines().any(|l| l.starts_with('1')), "the first one is the third one now: {history}");
    let shown = c.ok("rollout history daemonset d --revision=2");
    assert!(shown.contains("x:2"), "{shown}");
    let table = c.ok("get controllerrevisions --no-headers");
    assert!(rows(&table).iter().all(|row| row[1] == "daemonset.apps/d"), "{table}");
    c.ok("delete daemonset d");
    until(&c, "get controllerrevisions -o name", |out| out.is_empty());
}
