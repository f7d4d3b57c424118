//! How many pods the scheduler places in a second, on one core: `integration/bench schedule`.
//!
//! ```text
//! schedule [--quick]
//! ```
//!
//! Decisions alone (a snapshot of nodes that are not there, batches as the loop has them), and the whole way: pods written to a store on
//! disk, watched, placed, bound and told of, all in this process.

#![allow(clippy::print_stdout, reason = "a program that prints")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use api::kinds::node::{NODE, Node};
use api::kinds::pod::{POD, Pod};
use control::objects::{Context, Objects, Settings};
use control::scheduler::{Decision, Snapshot, schedule};
use control::store::EmbeddedStore;
use serde_json::{Value, json};

/// As many as the loop places in one round.
const BATCH: usize = 2000;
/// Deployments that the pods belong to.
const OWNERS: usize = 100;

/// Published figures of other schedulers, to read beside ours: another machine, another way to count.
const PUBLISHED: &str = "\
published, 5 000 nodes, pods per second (kube-scheduler's own CI thresholds, with an API server in the process): basic 680 to 810,
node affinity 220, anti-affinity 60, affinity 35; clusters of 5 000 real nodes 100 to 150; Nomad 1 500 (two million containers on 6 100 hosts)";

/// What the pods ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    AntiAffinity,
    Affinity,
    Spread,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Shape::Plain => "plain",
            Shape::AntiAffinity => "anti-affinity by host",
            Shape::Affinity => "affinity by zone",
            Shape::Spread => "spread over zones",
        }
    }

    /// So many pods for so many nodes: with anti-affinity each node takes one of each deployment.
    fn pods(self, nodes: usize, quick: bool) -> usize {
        let most = match self {
            Shape::Plain | Shape::Affinity | Shape::Spread => 20_000,
            Shape::AntiAffinity => 10_000,
        };
        (nodes * 20).min(if quick { most / 10 } else { most })
    }

    fn spec(self, owner: usize) -> Value {
        let selector = json!({ "matchLabels": { "app": format!("d{owner}") } });
        let mut spec = json!({ "containers": [{ "name": "c", "image": "web:1",
            "resources": { "requests": { "cpu": "100m", "memory": "100Mi" } } }] });
        let term = |key: &str| json!([{ "labelSelector": selector, "topologyKey": key }]);
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        match self {
            Shape::Plain => {}
            Shape::AntiAffinity => spec["affinity"] = json!({ "podAntiAffinity": { required: term("kubernetes.io/hostname") } }),
            Shape::Affinity => spec["affinity"] = json!({ "podAffinity": { required: term("topology.kubernetes.io/zone") } }),
            Shape::Spread => {
                spec["topologySpreadConstraints"] = json!([{ "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector }]);
            }
        }
        spec
    }
}

fn node(number: usize) -> Value {
    json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": format!("n{number}"), "labels": {
        "kubernetes.io/hostname": format!("n{number}"), "topology.kubernetes.io/zone": format!("z{}", number % 10) } },
        "status": { "allocatable": { "cpu": "16", "memory": "64Gi", "pods": "110" } } })
}

fn pod(shape: Shape, number: usize) -> Value {
    let owner = number % OWNERS;
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": format!("p{number}"), "namespace": "default", "uid": format!("u{number}"),
        "labels": { "app": format!("d{owner}") },
        "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("d{owner}"), "uid": format!("d{owner}"),
            "controller": true }] }, "spec": shape.spec(owner) })
}

/// Pods a second, decided.
fn decide(shape: Shape, nodes: usize, count: usize) -> f64 {
    let mut snapshot = Snapshot::default();
    (0..nodes).for_each(|n| snapshot.set_node(read::<Node>(node(n))));
    let pods: Vec<(String, Pod)> = (0..count).map(|n| (format!("core/pods/default/p{n}"), read(pod(shape, n)))).collect();
    let (mut placed, begin) = (0, Instant::now());
    for batch in pods.chunks(BATCH) {
        let decisions = schedule(&mut snapshot, batch);
        placed += decisions.iter().filter(|(_, decision)| matches!(decision, Decision::Bind(_))).count();
    }
    let time = begin.elapsed();
    assert_eq!(placed, count, "{} on {nodes} nodes", shape.name());
    count as f64 / time.as_secs_f64()
}

fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
}

/// Pods a second, from the first written to the last bound.
async fn whole(nodes: usize, count: usize) -> f64 {
    let folder = tempfile::Builder::new().prefix("bench-schedule-").tempdir_in("/var/tmp").expect("a folder");
    let store = Arc::new(EmbeddedStore::open(folder.path()).expect("a store"));
    let objects = Objects::new(store, Settings::default());
    control::bootstrap::first_objects(&objects).await.expect("first objects");
    for number in 0..nodes {
        objects.create(&NODE, "", node(number), &Context::default()).await.expect("a node");
    }
    let scheduler = tokio::spawn(control::scheduler::run(objects.clone()));
    let begin = Instant::now();
    let created = (0..count).map(|number| {
        let objects = objects.clone();
        tokio::spawn(async move { objects.create(&POD, "default", pod(Shape::Plain, number), &Context::default()).await.map(drop) })
    });
    for created in created.collect::<Vec<_>>() {
        created.await.expect("a task").expect("a pod");
    }
    let is_bound = |objects: &Objects| objects.all::<Pod>(&POD, "default").iter().all(|pod| !pod.spec.node_name.is_empty());
    while !is_bound(&objects) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let time = begin.elapsed();
    scheduler.abort();
    count as f64 / time.as_secs_f64()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let quick = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--quick"] => true,
        _ => panic!("usage: schedule [--quick]"),
    };
    let mut rows: Vec<(String, f64, usize)> = Vec::new();
    for shape in [Shape::Plain, Shape::AntiAffinity, Shape::Affinity, Shape::Spread] {
        for nodes in [100, 1_000, 5_000] {
            let count = shape.pods(nodes, quick);
            rows.push((format!("{}, {nodes} nodes", shape.name()), decide(shape, nodes, count), count));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a thread");
    let count = if quick { 500 } else { 5_000 };
    rows.push(("written, placed and bound, 1000 nodes".to_owned(), runtime.block_on(whole(1_000, count)), count));
    let width = rows.iter().map(|(title, ..)| title.len()).max().unwrap_or(0);
    println!("{:width$}  {:>10}  pods", "", "pods/s");
    for (title, rate, count) in &rows {
        println!("{title:width$}  {rate:>10.0}  {count}");
    }
    println!("\n{PUBLISHED}\n");
    for (title, rate, count) in rows {
        println!("{}", json!({ "bench": "schedule", "row": title, "ours_pods_per_s": rate.round(), "runs": 1, "pods": count }));
    }
}
