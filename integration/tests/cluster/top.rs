//! What nodes and pods use, as a stock `kubectl top` shows it.

use serde_json::{Value, json};

use super::base::{BUSYBOX, Cluster, NODE};

integration::tests![top];

fn top() {
    let c = Cluster::start();
    // one that works, and one that only has memory
    let busy = json!({ "name": "busy", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", "while :; do :; done"],
        "resources": { "limits": { "cpu": "200m" } } });
    let hold = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); while :; do sleep 1; done";
    let fat = json!({ "name": "fat", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", hold] });
    let spec = json!({ "terminationGracePeriodSeconds": 0, "containers": [busy, fat] });
    c.apply(&json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "labels": { "app": "p" } }, "spec": spec }));
    c.soon("it runs", || c.get(&["pod", "p"], "{.status.phase}") == "Running");
    let row = |args: &[&str], first: &str| -> Vec<String> {
        let said = c.kubectl(&[&["top"], args].concat()).stdout;
        let found = said.lines().find(|line| line.split_whitespace().any(|word| word == first));
        found.map(|line| line.split_whitespace().map(str::to_owned).collect()).unwrap_or_default()
    };
    let number = |text: &str, unit: &str| text.strip_suffix(unit).and_then(|n| n.parse::<u64>().ok()).unwrap_or_default();
    c.soon("a container that works is seen to work", || {
        let words = row(&["pods", "--containers", "-l", "app=p"], "busy");
        words.len() == 4 && (50..400).contains(&number(&words[2], "m"))
    });
    c.soon("memory is seen", || {
        let words = row(&["pods", "--containers", "p"], "fat");
        words.len() == 4 && number(&words[2], "m") < 50 && (19..80).contains(&number(&words[3], "Mi"))
    });
    let node = row(&["nodes"], NODE);
    assert!(node.len() == 5 && number(&node[1], "m") > 0 && number(&node[3], "Mi") > 0 && node[4].ends_with('%'), "{node:?}");
    // times are honest: the window is between two readings, and not long ago
    let raw = c.kubectl(&["get", "--raw", "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods/p"]).stdout;
    let metrics: Value = serde_json::from_str(&raw).unwrap_or_else(|error| panic!("{error}: {raw}"));
    let seconds = metrics["window"].as_str().and_then(|w| w.strip_suffix('s')).and_then(|w| w.parse::<f64>().ok());
    assert!(seconds.is_some_and(|s| (1.0..61.0).contains(&s)), "{metrics}");
    let table = c.kubectl(&["get", "pods.metrics.k8s.io", "p"]).stdout;
    assert!(table.starts_with("NAME   CPU") && table.contains("WINDOW"), "{table}");
    let missing = c.kubectl(&["get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes/nowhere"]);
    assert!(missing.stderr.contains("not found"), "{missing}");
    c.kubectl(&["delete", "pod", "p"]).ok();
}
