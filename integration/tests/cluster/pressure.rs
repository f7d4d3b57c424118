//! A node that runs out of disk, and pods that take more than they may.

use std::fs;

use integration::catalog::WEB as OTHER;
use serde_json::json;

use super::base::{BUSYBOX, Cluster, NODE};
use super::pods::{phase, pod, script};

integration::tests![a_node_looks_after_its_disk];

fn a_node_looks_after_its_disk() {
    let mut c = Cluster::start();
    let why = |c: &Cluster, name: &str| c.get(&["pod", name], "{.status.reason}: {.status.message}");
    let mut big = script("a", "head -c 3000000 /dev/zero >/v/f; sleep 1000");
    big["volumeMounts"] = json!([{ "name": "v", "mountPath": "/v" }]);
    let volumes = json!([{ "name": "v", "emptyDir": { "sizeLimit": "1Mi" } }]);
    c.apply(&pod("big", &json!({ "containers": [big], "volumes": volumes })));
    c.apply(&pod("plain", &json!({ "containers": [script("a", "sleep 1000")] })));
    c.soon("the one that takes too much goes", || phase(&c, "big") == "Failed");
    assert_eq!(why(&c, "big"), "Evicted: Usage of EmptyDir volume \"v\" exceeds the limit \"1Mi\".");
    c.soon("the other one runs", || phase(&c, "plain") == "Running");

    // From now on all of the disk should be free.
    c.env.rctr(["pull", OTHER]).ok();
    c.kill();
    let file = c.env.path("noded.toml");
    let text = fs::read_to_string(&file).expect("noded.toml");
    fs::write(&file, text.replace("reserve_disk = 0", "reserve_disk = 100")).expect("noded.toml");
    c.begin();
    let condition = |c: &Cluster| c.get(&["node", NODE], "{.status.conditions[?(@.type=='DiskPressure')].reason}");
    c.soon("the node says so", || condition(&c) == "KubeletHasDiskPressure");
    c.soon("new pods are kept away", || c.get(&["node", NODE], "{.spec.taints[*].key}").contains("disk-pressure"));
    c.soon("the unused image goes", || !c.env.rctr(["images"]).stdout.contains("web"));
    assert!(c.env.rctr(["images"]).stdout.contains("busybox"), "one that is used stays: {BUSYBOX}");
    c.soon("a pod goes", || phase(&c, "plain") == "Failed");
    let said = why(&c, "plain");
    assert!(said.starts_with("Evicted: The node was low on resource: ephemeral-storage. Threshold quantity: "), "{said}");
    let disrupted = "{.status.conditions[?(@.type=='DisruptionTarget')].reason}";
    assert_eq!(c.get(&["pod", "plain"], disrupted), "TerminationByKubelet");
    c.apply(&pod("late", &json!({ "containers": [script("a", "sleep 1000")] })));
    c.soon("one that comes all the same is refused", || phase(&c, "late") == "Failed");
    assert_eq!(why(&c, "late"), "Evicted: Pod was rejected: The node had condition: [DiskPressure].");
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}
