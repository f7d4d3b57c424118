//! What scheduler and controllers do. Nodes are played here: a Node, a lease, and pods that become ready when they are placed.

use std::io::BufRead;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Cluster, rows};
use api::kinds::lease::LEASE;
use api::kinds::node::NODE;
use api::kinds::pod::{POD, Pod};
use control::controllers::Times;
use control::objects::{Context, DeleteOptions, Objects, Part};

/// Plays nodes until it is dropped: renews leases, makes pods run, lets them end.
pub(crate) struct Nodes(tokio::task::JoinHandle<()>, std::sync::Arc<std::sync::Mutex<Vec<String>>>);

impl Drop for Nodes {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Nodes {
    pub(crate) fn start(c: &Cluster, names: &[&str]) -> Self {
        let alive = std::sync::Arc::new(std::sync::Mutex::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()));
        let (objects, playing) = (c.plane.objects.clone(), alive.clone());
        Self(c.runtime().spawn(async move { play(objects, playing).await }), alive)
    }

    fn kill(&self, name: &str) {
        self.1.lock().unwrap().retain(|n| n != name);
    }
}

fn context() -> Context {
    Context { manager: "node".into(), ..Default::default() }
}

async fn play(objects: Objects, alive: std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let first = alive.lock().unwrap().clone();
    for name in first {
        let conditions = json!([{"type": "Ready", "status": "True", "reason": "KubeletReady"}]);
        let node = json!({"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {"capacity": {"cpu": "8", "memory": "8Gi", "pods": "110"}, "conditions": conditions}});
        objects.create(&NODE, "", node, &context()).await.unwrap();
    }
    let beating = async {
        loop {
            let names = alive.lock().unwrap().clone();
            for name in &names {
                beat(&objects, name).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let living = run_pods(&objects, &alive);
    tokio::join!(beating, living);
}

async fn run_pods(objects: &Objects, alive: &std::sync::Mutex<Vec<String>>) {
    loop {
        let names = alive.lock().unwrap().clone();
        for pod in objects.all::<Pod>(&POD, "").into_iter().filter(|p| names.contains(&p.spec.node_name)) {
            live(objects, &pod).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn beat(objects: &Objects, name: &str) {
    let spec = json!({"holderIdentity": name, "leaseDurationSeconds": 5, "renewTime": api::meta::MicroTime::now().to_string()});
    let lease = json!({"metadata": {"name": name}, "spec": spec});
    if objects.create(&LEASE, "kube-node-lease", lease, &context()).await.is_err() {
        let renew = |old: &Value| {
            let mut new = old.clone();
            new["spec"] = spec.clone();
            Ok(new)
        };
        let _ = objects.update(&LEASE, "kube-node-lease", name, Part::Main, &context(), renew).await;
    }
}

async fn live(objects: &Objects, pod: &Pod) {
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    if pod.metadata.deletion_timestamp.is_some() {
        let options = DeleteOptions { grace: Some(0), uid: Some(pod.metadata.uid.clone()), ..Default::default() };
        let _ = objects.delete(&POD, namespace, name, &options).await;
        return;
    }
    let image = &pod.spec.containers[0].image;
    let wanted = match image.as_str() {
        "ends:well" => "Succeeded",
        "ends:badly" => "Failed",
        _ => "Running",
    };
    if pod.status.phase == wanted || image == "never:ready" {
        return;
    }
    let last: u32 = pod.metadata.uid.bytes().map(u32::from).sum();
    let mut status = json!({"phase": wanted, "podIP": format!("10.1.{}.{}", last / 250 % 250, last % 250), "conditions": [{"type": "PodScheduled", "status": "True"}]});
    if wanted == "Running" {
        let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": api::meta::Time::now().to_string()});
        status["conditions"].as_array_mut().unwrap().push(ready);
        status["containerStatuses"] = json!([{"name": pod.spec.containers[0].name, "ready": true, "state": {"running": {}}}]);
    }
    let change = |old: &Value| {
        let mut new = old.clone();
        api::patch::merge(&mut new["status"], status.clone());
        Ok(new)
    };
    let _ = objects.update(&POD, namespace, name, Part::Status, &context(), change).await;
}

/// Asks until the answer is right; fails after a while that no slow machine needs.
#[track_caller]
pub(crate) fn until(c: &Cluster, line: &str, right: impl Fn(&str) -> bool) -> String {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let said = c.run(&line.split(' ').collect::<Vec<_>>());
        if right(&said.out) {
            return said.out;
        }
        assert!(Instant::now() < end, "kubectl {line}: {said:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn three_web_servers() {
    let Some(c) = Cluster::start("three_web_servers") else { return };
    let _nodes = Nodes::start(&c, &["n1", "n2", "n3"]);
    c.ok("create deployment web --image=smlinux/nodeinfo:v1 --replicas=3");
    assert!(c.ok("rollout status deployment web --timeout=60s").contains("deployment \"web\" successfully rolled out"));
    let table = c.ok("get deployment web --no-headers");
    assert_eq!(rows(&table)[0][..4], ["web", "3/3", "3", "3"]);
    let nodes = c.ok("get pods -l app=web -o jsonpath={.items[*].spec.nodeName}");
    assert_eq!(nodes.split(' ').collect::<std::collections::BTreeSet<_>>().len(), 3, "{nodes}");
    c.ok("expose deployment web --port=80 --target-port=8080");
    until(
        &c,
        "get endpointslices -l kubernetes.io/service-name=web -o jsonpath={.items[0].endpoints[*].conditions.ready}",
        |out| out == "true true true",
    );
    c.ok("scale deployment web --replicas=6");
    c.ok("rollout status deployment web --timeout=60s");
    assert_eq!(c.ok("get pods -l app=web -o name").lines().count(), 6);
    let told = c.ok("describe deployment web");
    assert!(told.contains("Available      True    MinimumReplicasAvailable") && told.contains("Scaled up replica set"), "{told}");
    let pod = c.ok("get pods -l app=web -o name").lines().next().unwrap().to_string();
    c.ok(&format!("delete {pod} --wait=false"));
    until(&c, "get deployment web -o jsonpath={.status.readyReplicas}", |out| out == "6");
}

#[test]
fn a_rollout_forth_and_back() {
    let Some(c) = Cluster::start("a_rollout_forth_and_back") else { return };
    let _nodes = Nodes::start(&c, &["n1", "n2"]);
    c.ok("create deployment web --image=x:1 --replicas=4");
    c.ok("rollout status deployment web --timeout=60s");
    // while it rolls, so many serve as must
    let mut watch = c
        .command(&["get", "deployment", "web", "-w", "-o", "jsonpath={.status.availableReplicas}/{.status.replicas}{'\\n'}"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(watch.stdout.take().unwrap()).lines();
    c.ok("set image deployment/web x=x:2");
    c.ok("rollout status deployment web --timeout=60s");
    let pods = c.ok("get pods -o jsonpath={.items[?(@.metadata.deletionTimestamp==\"\")].spec.containers[0].image}");
    assert!(!pods.contains("x:1"), "{pods}");
    watch.kill().unwrap();
    watch.wait().unwrap();
    for line in lines.map_while(Result::ok).filter(|l| l.contains('/')) {
        let (available, all) = line.split_once('/').unwrap();
        assert!(available.parse::<u32>().unwrap_or(0) >= 3 && all.parse::<u32>().unwrap() <= 5, "{line}");
    }
    let history = c.ok("rollout history deployment web");
    assert_eq!(history.lines().filter(|l| l.starts_with(['1', '2'])).count(), 2, "{history}");
    c.ok("rollout undo deployment web");
    c.ok("rollout status deployment web --timeout=60s");
    assert_eq!(c.ok("get deployment web -o jsonpath={.spec.template.spec.containers[0].image}"), "x:1");
    assert!(c.ok("rollout history deployment web").lines().any(|l| l.starts_with('3')));
    c.ok("rollout restart deployment web");
    c.ok("rollout status deployment web --timeout=60s");
    c.ok("rollout pause deployment web");
    c.ok("set image deployment/web x=x:9");
    assert!(c.ok("get pods -o jsonpath={.items[*].spec.containers[0].image}").split(' ').all(|i| i == "x:1"));
    c.ok("rollout resume deployment web");
    c.ok("rollout status deployment web --timeout=60s");
}

#[test]
fn a_rollout_that_cannot() {
    let Some(c) = Cluster::start("a_rollout_that_cannot") else { return };
    let _nodes = Nodes::start(&c, &["n1"]);
    c.ok("create deployment web --image=x:1 --replicas=2");
    c.ok("rollout status deployment web --timeout=60s");
    c.ok("patch deployment web -p={\"spec\":{\"progressDeadlineSeconds\":2}}");
    c.ok("set image deployment/web x=never:ready");
    assert!(c.fails("rollout status deployment web --timeout=60s").contains("exceeded its progress deadline"));
    assert_eq!(c.ok("get deployment web -o jsonpath={.status.availableReplicas}"), "2");
}

#[test]
fn a_node_dies() {
    let Some(c) = Cluster::start_with("a_node_dies", Times::default()) else { return };
    let nodes = Nodes::start(&c, &["n1", "n2", "n3"]);
    c.ok("create deployment web --image=x:1 --replicas=3");
    c.ok("rollout status deployment web --timeout=60s");
    nodes.kill("n2");
    until(&c, "get nodes --no-headers", |out| rows(out).iter().any(|r| r[0] == "n2" && r[1] == "NotReady"));
    let running =
        "get pods -o jsonpath={range.items[?(@.status.phase==\"Running\")]}{.spec.nodeName}/{.metadata.deletionTimestamp},{end}";
    until(&c, running, |out| out.split(',').filter(|p| p.ends_with('/') && !p.starts_with("n2")).count() == 3);
    until(&c, "get deployment web -o jsonpath={.status.readyReplicas}", |out| out == "3");
    let told = c.ok("describe node n2");
    assert!(
        told.contains("node.kubernetes.io/unreachable:NoExecute") && told.contains("Kubelet stopped posting node status"),
        "{told}"
    );
}

#[test]
fn jobs_end_well_or_not() {
    let Some(c) = Cluster::start("jobs_end_well_or_not") else { return };
    let _nodes = Nodes::start(&c, &["n1"]);
    c.ok("create job good --image=ends:well");
    assert!(c.ok("wait --for=condition=complete job/good --timeout=60s").contains("condition met"));
    assert_eq!(rows(&c.ok("get job good --no-headers"))[0][..3], ["good", "Complete", "1/1"]);
    c.ok("create job bad --image=ends:badly");
    c.ok("patch job bad -p={\"spec\":{\"backoffLimit\":0}}");
    assert!(c.ok("wait --for=condition=failed job/bad --timeout=60s").contains("condition met"));
}

#[test]
fn a_daemon_set_on_every_node() {
    let Some(c) = Cluster::start("a_daemon_set_on_every_node") else { return };
    let _nodes = Nodes::start(&c, &["n1", "n2"]);
    let set = |image: &str| {
        format!(
            "apiVersion: apps/v1\nkind: DaemonSet\nmetadata: {{name: d}}\nspec:\n  selector: {{matchLabels: {{a: d}}}}\n  template:\n    metadata: {{labels: {{a: d}}}}\n    spec: {{containers: [{{name: c, image: '{image}'}}]}}\n"
        )
    };
    assert_eq!(c.feed(&["apply", "-f", "-"], &set("x:1")).code, 0);
    assert!(c.ok("rollout status daemonset d --timeout=60s").contains("successfully rolled out"));
    let nodes = c.ok("get pods -o jsonpath={.items[*].spec.nodeName}");
    assert_eq!(nodes.split(' ').collect::<std::collections::BTreeSet<_>>(), ["n1", "n2"].into());
    assert_eq!(c.feed(&["apply", "-f", "-"], &set("x:2")).code, 0);
    c.ok("rollout status daemonset d --timeout=60s");
    until(&c, "get pods -o jsonpath={.items[*].spec.containers[0].image}", |out| out == "x:2 x:2");
}

#[test]
fn owners_and_namespaces_take_what_is_theirs_along() {
    let Some(c) = Cluster::start("owners_and_namespaces_take_what_is_theirs_along") else { return };
    let _nodes = Nodes::start(&c, &["n1"]);
    for (name, cascade) in [("a", "background"), ("b", "foreground"), ("c", "orphan")] {
        c.ok(&format!("create deployment {name} --image=x:1 --replicas=2"));
        c.ok(&format!("rollout status deployment {name} --timeout=60s"));
        c.ok(&format!("delete deployment {name} --cascade={cascade} --timeout=60s"));
        if cascade == "foreground" {
            assert_eq!(c.ok(&format!("get pods,replicasets -l app={name} -o name")), "", "whoever waits for it waits for all");
        }
        let left = if cascade == "orphan" { 2 } else { 0 };
        until(&c, &format!("get pods -l app={name} -o name"), |out| out.lines().count() == left);
    }
    assert_eq!(c.ok("get replicasets -l app=c -o jsonpath={.items[0].metadata.ownerReferences}"), "");
    c.ok("create namespace n");
    until(&c, "-n n get serviceaccount default -o name", |out| out == "serviceaccount/default");
    c.ok("-n n create deployment web --image=x:1");
    c.ok("-n n create configmap m");
    c.ok("-n n rollout status deployment web --timeout=60s");
    c.ok("delete namespace n --timeout=60s");
    assert_eq!(c.ok("get pods,configmaps -n n -o name"), "");
}

#[test]
fn a_pod_that_fits_nowhere_says_why() {
    let Some(c) = Cluster::start("a_pod_that_fits_nowhere_says_why") else { return };
    let _nodes = Nodes::start(&c, &["n1"]);
    c.ok("run big --image=x --overrides={\"spec\":{\"containers\":[{\"name\":\"big\",\"image\":\"x\",\"resources\":{\"requests\":{\"cpu\":\"100\"}}}]}}");
    until(&c, "get pod big -o jsonpath={.status.conditions[0].message}", |out| {
        out.contains("nodes are available: 1 Insufficient cpu.")
    });
    until(&c, "events --for pod/big", |out| out.contains("FailedScheduling"));
    assert!(c.ok("cordon n1").contains("cordoned"));
    c.ok("run small --image=x");
    until(&c, "get pod small -o jsonpath={.status.conditions[0].message}", |out| out.contains("1 node(s) were unschedulable"));
    c.ok("uncordon n1");
    until(&c, "get pod small -o jsonpath={.status.phase}", |out| out == "Running");
    assert!(c.ok("drain n1 --force --delete-emptydir-data --timeout=60s").contains("drained"));
}
