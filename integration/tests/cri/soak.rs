//! Pods that come and go, as many as in days of a busy node.

use std::fs;

use cri::{ListContainersRequest, ListPodSandboxRequest};

use super::asking::*;
use super::images::pull;
use super::node::Node;

integration::tests![churn_leaves_nothing_behind];

/// KiB that the daemon's own memory may grow by, whatever the number of pods: what allocators and threads keep.
const GROWTH: u64 = 4 << 10;

/// Pods that come and go before anything is counted: caches and threads are there by then.
const WARM: usize = 20;

/// What the daemon holds: KiB of memory of its own, and descriptors.
fn held(n: &Node) -> (u64, usize) {
    // Lists are where it lets go of what others have removed.
    n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: None }));
    n.ok(n.containers().list_containers(ListContainersRequest { filter: None }));
    let status = fs::read_to_string(format!("/proc/{}/status", n.pid())).expect("a status");
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a number");
    let own = own.trim().trim_end_matches(" kB").parse().expect("a number");
    (own, fs::read_dir(format!("/proc/{}/fd", n.pid())).expect("descriptors").count())
}

fn churn(n: &Node, number: usize) {
    let config = pod_config(n, &format!("churn-{number}"));
    let pod = run(n, &config);
    let id = create(n, &pod, &super::asking::config("main", "exec sleep 1000"), &config);
    start(n, &id);
    assert_eq!(says(n, &id, "echo here"), "here");
    stop(n, &id, 0);
    remove_pod(n, &pod);
}

fn churn_leaves_nothing_behind() {
    let Some(rounds) = std::env::var("SOAK").ok().and_then(|text| text.parse::<usize>().ok()) else {
        integration::skip!("SOAK, the number of pods, is not set: integration/test --long does")
    };
    let n = Node::own("");
    pull(&n, BUSYBOX);
    (0..WARM).for_each(|number| churn(&n, number));
    let (memory, descriptors) = held(&n);
    (WARM..WARM + rounds).for_each(|number| churn(&n, number));
    let (after, open) = held(&n);
    assert!(after < memory + GROWTH, "its own memory has grown from {memory} to {after} KiB by {rounds} pods");
    assert_eq!(open, descriptors, "descriptors stay the same by {rounds} pods");
    n.env.nothing_left_soon();
}
