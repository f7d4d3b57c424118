//! What happened, told once.

use super::Cluster;
use super::cluster::{Nodes, until};

#[test]
fn equal_events_are_counted() {
    let Some(c) = Cluster::start("equal_events_are_counted") else { return };
    let _nodes = Nodes::start(&c, &["n1"]);
    c.ok("create deployment web --image=x:1");
    c.ok("rollout status deployment web --timeout=60s");
    let pods = |count: usize| {
        until(&c, "get pods -l app=web -o name", |out| out.lines().count() == count);
    };
    for count in [2, 1, 2, 1] {
        c.ok(&format!("scale deployment web --replicas={count}"));
        pods(count);
    }
    let counts = "get events --field-selector=involvedObject.kind=Deployment,reason=ScalingReplicaSet -o jsonpath={range.items[*]}{.count}:{.message},{end}";
    let told = until(&c, counts, |out| out.matches("2:Scaled").count() == 2);
    assert!(told.contains("from 1 to 2") && told.contains("from 2 to 1"), "{told}");
    assert!(c.ok("describe deployment web").contains("(x2 over"), "kubectl shows how often");
}
