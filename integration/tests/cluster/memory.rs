//! What pods that came and went leave in memory.

use std::fs;

use serde_json::json;

use super::base::Cluster;
use super::pods::script;

integration::tests![churn_leaves_no_memory];

fn churn_leaves_no_memory() {
    let Some(replicas) = std::env::var("CHURN").ok().and_then(|text| text.parse::<u32>().ok()) else {
        integration::skip!("CHURN, the number of replicas, is not set: integration/test --long does")
    };
    let c = Cluster::start();
    let labels = json!({ "app": "churn" });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "terminationGracePeriodSeconds": 0, "containers": [script("a", "sleep 1000")] } });
    let spec = json!({ "replicas": 1, "selector": { "matchLabels": labels }, "template": template });
    c.apply(&json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "churn" }, "spec": spec }));
    let scaled = |to: u32| {
        c.kubectl(&["scale", "deployment", "churn", &format!("--replicas={to}")]).ok();
        c.soon("it has so many", || {
            let pods = c.get(&["pods"], "{range .items[*]}{.status.phase} {end}");
            pods.split(' ').filter(|phase| *phase == "Running").count() == to as usize
                && pods.split_whitespace().count() == to as usize
        });
    };
    scaled(3);
    scaled(0);
    let idle = held(c.pid());
    scaled(replicas);
    let busy = held(c.pid());
    scaled(0);
    // The history that watches may ask for stays: it has a bound of its own.
    let what = format!("of {busy} KiB a part is given back, {idle} KiB before");
    c.soon(&what, || held(c.pid()) * 4 <= busy * 3);
    c.kubectl(&["delete", "deployment", "churn"]).ok();
    c.nothing_left();
}

/// KiB of memory that are a process's own.
fn held(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a number");
    own.trim().trim_end_matches(" kB").parse().expect("a number")
}
