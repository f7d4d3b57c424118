//! Where pods go, and what is said when they go nowhere.

mod plain;
mod preempt;

use api::kinds::node::Node;
use api::kinds::pod::Pod;
use serde_json::{Value, json};

use super::{Decision, Snapshot, schedule};

fn node(name: &str, cpu: &str, more: Value) -> Node {
    let mut value = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "zone": &name[..1]}},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}}});
    api::patch::merge(&mut value, more);
    serde_json::from_value(value).unwrap()
}

fn pod(name: &str, cpu: &str, spec: Value) -> (String, Pod) {
    let mut value = json!({"metadata": {"name": name, "namespace": "d", "uid": name, "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "c", "image": "x", "resources": {"requests": {"cpu": cpu}}}]}});
    api::patch::merge(&mut value["spec"], spec);
    (format!("core/pods/d/{name}"), serde_json::from_value(value).unwrap())
}

fn cluster(nodes: Vec<Node>) -> Snapshot {
    let mut snapshot = Snapshot::default();
    nodes.into_iter().for_each(|n| snapshot.set_node(n));
    snapshot
}

fn places(snapshot: &mut Snapshot, pods: &[(String, Pod)]) -> Vec<String> {
    let shown = |d: Decision| match d {
        Decision::Bind(node) => node,
        // what is said about pushing others away is looked at by itself
        Decision::Wait(why) => why.split(" preemption: ").next().unwrap_or_default().to_owned(),
        Decision::Preempt(p) => format!("{} after {:?}", p.node, p.victims),
    };
    schedule(snapshot, pods).into_iter().map(|(_, d)| shown(d)).collect()
}

#[test]
fn pods_are_spread_and_stop_where_no_room_is() {
    let mut snapshot = cluster(vec![node("a1", "1", json!({})), node("b1", "1", json!({}))]);
    let pods: Vec<_> = (0..5).map(|n| pod(&format!("p{n}"), "500m", json!({}))).collect();
    let mut where_to = places(&mut snapshot, &pods);
    assert_eq!(where_to.pop().unwrap(), "0/2 nodes are available: 2 Insufficient cpu.");
    where_to.sort();
    assert_eq!(where_to, ["a1", "a1", "b1", "b1"]);
    assert!(snapshot.remove_pod("core/pods/d/p0"));
    assert_eq!(places(&mut snapshot, &[pod("q", "500m", json!({}))]).len(), 1);
}

/// Those that were there before count, too.
#[test]
fn pods_of_one_controller_are_spread_from_one_time_to_the_next() {
    let owned = |name: &str| {
        let (key, mut pod) = pod(name, "1m", json!({}));
        let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "r", "controller": true}]);
        pod.metadata.owner_references = serde_json::from_value(owner).unwrap();
        (key, pod)
    };
    let mut snapshot = cluster(vec![node("a1", "4", json!({}))]);
    assert_eq!(places(&mut snapshot, &[owned("p0"), owned("p1"), owned("p2")]), ["a1", "a1", "a1"]);
    snapshot.set_node(node("b1", "4", json!({})));
    snapshot.set_node(node("c1", "4", json!({})));
    let mut next = places(&mut snapshot, &[owned("p3"), owned("p4"), owned("p5"), owned("p6")]);
    next.sort();
    assert_eq!(next, ["b1", "b1", "c1", "c1"]);
    snapshot.remove_node("c1");
    assert!(snapshot.remove_pod("core/pods/d/p0") && snapshot.remove_pod("core/pods/d/p1"));
    assert_eq!(places(&mut snapshot, &[owned("p7")]), ["a1"]);
}

#[test]
fn reasons_are_counted() {
    assert_eq!(places(&mut cluster(vec![]), &[pod("p", "1", json!({}))]), ["no nodes available to schedule pods"]);
    let taint = json!({"spec": {"taints": [{"key": "k", "value": "v", "effect": "NoSchedule"}]}});
    let nodes =
        vec![node("a1", "4", taint), node("b1", "4", json!({"spec": {"unschedulable": true}})), node("c1", "100m", json!({}))];
    assert_eq!(
        places(&mut cluster(nodes.clone()), &[pod("p", "1", json!({}))]),
        ["0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {k: v}, 1 node(s) were unschedulable."]
    );
    let tolerates = json!({"tolerations": [{"key": "k", "operator": "Equal", "value": "v"}]});
    assert_eq!(places(&mut cluster(nodes), &[pod("p", "1", tolerates)]), ["a1"]);
}

#[test]
fn selectors_and_affinity_choose_nodes() {
    let nodes = || vec![node("a1", "4", json!({"metadata": {"labels": {"disk": "ssd", "rank": "5"}}})), node("b1", "4", json!({}))];
    assert_eq!(places(&mut cluster(nodes()), &[pod("p", "1", json!({"nodeSelector": {"disk": "ssd"}}))]), ["a1"]);
    let required = |rule: Value| json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [rule]}}}});
    let gt = required(json!({"matchExpressions": [{"key": "rank", "operator": "Gt", "values": ["4"]}]}));
    assert_eq!(places(&mut cluster(nodes()), &[pod("p", "1", gt)]), ["a1"]);
    let named = required(json!({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b1"]}]}));
    assert_eq!(places(&mut cluster(nodes()), &[pod("p", "1", named)]), ["b1"]);
    let preference = json!({"weight": 100, "preference": {"matchExpressions": [{"key": "disk", "operator": "DoesNotExist"}]}});
    let prefers = json!({"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [preference]}}});
    assert_eq!(places(&mut cluster(nodes()), &[pod("p", "1", prefers)]), ["b1"]);
}

fn term(topology: &str) -> Value {
    json!({"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": topology})
}

#[test]
fn pods_keep_apart_and_guard_their_place() {
    let apart = json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("kubernetes.io/hostname")]}}});
    let mut snapshot = cluster(vec![node("a1", "4", json!({})), node("a2", "4", json!({}))]);
    let pods: Vec<_> = (0..3).map(|n| pod(&format!("p{n}"), "1", apart.clone())).collect();
    let where_to = places(&mut snapshot, &pods);
    assert_ne!(where_to[0], where_to[1]);
    assert_eq!(where_to[2], "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules.");
    // one without rules of its own is kept away by theirs
    assert_eq!(
        places(&mut snapshot, &[pod("q", "1", json!({}))]),
        ["0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules."]
    );
    snapshot.remove_pod("core/pods/d/p0");
    assert_eq!(places(&mut snapshot, &[pod("q", "1", json!({}))]), [where_to[0].clone()]);
}

#[test]
fn pods_come_together() {
    let near = json!({"affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term("zone")]}}});
    let mut snapshot = cluster(vec![node("a1", "4", json!({})), node("b1", "4", json!({})), node("a2", "4", json!({}))]);
    let pods: Vec<_> = (0..4).map(|n| pod(&format!("p{n}"), "1", near.clone())).collect();
    let where_to = places(&mut snapshot, &pods);
    assert!(where_to.iter().all(|n| n[..1] == where_to[0][..1]), "{where_to:?}");
}

/// By default a node that the pod does not ask for is no place, and one whose taint it does not bear is.
#[test]
fn spreading_is_over_the_nodes_that_the_rule_says() {
    let taint = json!({"spec": {"taints": [{"key": "kept", "effect": "NoSchedule"}]}});
    let placed = |kept: &str, policies: Value| {
        let away = node("b1", "4", if kept == "taints" { taint.clone() } else { json!({}) });
        let mut rule = json!({"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}});
        api::patch::merge(&mut rule, policies);
        let spec = json!({"nodeSelector": if kept == "taints" { json!({}) } else { json!({"zone": "a"}) }, "topologySpreadConstraints": [rule]});
        let pods: Vec<_> = (0..2).map(|number| pod(&format!("p{number}"), "1", spec.clone())).collect();
        let places = places(&mut cluster(vec![node("a1", "4", json!({})), away]), &pods);
        places.iter().filter(|place| *place == "a1").count()
    };
    assert_eq!(placed("taints", json!({})), 1, "the tainted node is an empty place");
    assert_eq!(placed("taints", json!({"nodeTaintsPolicy": "Honor"})), 2);
    assert_eq!(placed("selector", json!({})), 2);
    assert_eq!(placed("selector", json!({"nodeAffinityPolicy": "Ignore"})), 1);
}

#[test]
fn spreading_keeps_the_difference() {
    let even = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {"matchLabels": {"app": "web"}}}]});
    let mut snapshot = cluster(vec![node("a1", "8", json!({})), node("a2", "8", json!({})), node("b1", "2", json!({}))]);
    let pods: Vec<_> = (0..6).map(|n| pod(&format!("p{n}"), "1", even.clone())).collect();
    let where_to = places(&mut snapshot, &pods);
    assert_eq!(where_to.iter().filter(|n| n.starts_with('b')).count(), 2);
    assert_eq!(where_to.iter().filter(|n| n.starts_with('a')).count(), 3);
    assert!(where_to[5].contains("1 Insufficient cpu, 2 node(s) didn't match pod topology spread constraints"), "{}", where_to[5]);
}

#[test]
fn host_ports_are_given_once() {
    let ports =
        json!({"containers": [{"name": "c", "image": "x", "ports": [{"containerPort": 80, "hostPort": 80, "protocol": "TCP"}]}]});
    let mut snapshot = cluster(vec![node("a1", "4", json!({}))]);
    let where_to = places(&mut snapshot, &[pod("p", "1", ports.clone()), pod("q", "1", ports)]);
    assert_eq!(where_to, ["a1", "0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports."]);
}

/// Not a matter of speed alone: the heap must not lose nodes.
#[test]
fn many_pods_fill_many_nodes_whole() {
    let mut snapshot = cluster((0..200).map(|n| node(&format!("n{n}"), "10", json!({}))).collect());
    let pods: Vec<_> = (0..2000).map(|n| pod(&format!("p{n}"), "1", json!({}))).collect();
    let where_to = places(&mut snapshot, &pods);
    let mut counts = std::collections::BTreeMap::new();
    where_to.iter().for_each(|n| *counts.entry(n.clone()).or_insert(0) += 1);
    assert!(counts.len() == 200 && counts.values().all(|c| *c == 10), "{counts:?}");
}
