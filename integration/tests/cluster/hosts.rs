//! Two control-plane hosts over one etcd: either is asked, one leads, and each of them, and etcd, may die.

use integration::lab::{BUSYBOX, Lab, Plane};
use integration::output::Output;
use serde_json::json;

integration::tests![hosts_share_an_etcd_and_replace_each_other];

/// Which host leads, by the first part of its lease.
fn leader(lab: &Lab) -> String {
    let holder = lab.get(&["lease", "-n", "kube-system", "noded-control-plane"], "{.spec.holderIdentity}");
    holder.split('_').next().unwrap_or_default().to_owned()
}

fn second(lab: &Lab) -> &Plane {
    lab.second.as_ref().expect("a second host")
}

fn at_both(lab: &Lab, args: &[&str]) -> [Output; 2] {
    [lab.kubectl(args), lab.kubectl_at(second(lab), args)]
}

#[track_caller]
fn ready(lab: &Lab, count: usize) {
    lab.soon(&format!("{count} are ready"), || {
        let pods = lab.pods("app=web");
        pods.len() == count && pods.iter().all(|pod| pod.ready)
    });
}

fn hosts_share_an_etcd_and_replace_each_other() {
    let mut lab = Lab::start_with_hosts(&[1, 1], "");
    let labels = json!({ "app": "web" });
    let script = "echo hello; trap 'exit 0' TERM; while :; do sleep 0.1; done";
    let container = json!({ "name": "web", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script] });
    lab.apply(&json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" }, "spec": { "replicas": 2,
        "selector": { "matchLabels": labels }, "template": { "metadata": { "labels": labels },
            "spec": { "terminationGracePeriodSeconds": 1, "containers": [container] } } } }));
    ready(&lab, 2);
    either_is_asked(&lab);
    a_host_dies(&mut lab);
    etcd_dies(&mut lab);
    a_host_is_stopped_in_order(&mut lab);
}

/// What is written at one is read at the other at once, and each reaches every node.
fn either_is_asked(lab: &Lab) {
    for number in 0..5 {
        let name = format!("map{number}");
        lab.kubectl_at(second(lab), &["create", "configmap", &name, "--from-literal=a=b"]).ok();
        lab.kubectl(&["delete", "configmap", &name]).ok();
        lab.kubectl_at(second(lab), &["get", "configmap", &name]).code(1).complains(&["not found"]);
    }
    for pod in lab.pods("app=web") {
        lab.soon("both hosts reach it", || at_both(lab, &["exec", &pod.name, "--", "true"]).iter().all(|said| said.code == 0));
        for said in at_both(lab, &["logs", &pod.name]) {
            said.ok().says("hello\n");
        }
    }
    for said in at_both(lab, &["get", "lease", "-n", "kube-system", "-o", "name"]) {
        let text = said.ok().stdout.clone();
        for name in ["noded-control-plane", "apiserver-10.66.0.1", "apiserver-10.66.1.1"] {
            assert!(text.contains(name), "{text}");
        }
    }
    let invited = lab.kubectl(&["get", "endpointslice", "kubernetes", "-o", "jsonpath={.endpoints[*].addresses[*]}"]);
    invited.ok().says("10.66.0.1 10.66.1.1");
}

/// The one that leads is killed: the other one leads, nodes ask it, and the service forgets the dead one.
fn a_host_dies(lab: &mut Lab) {
    assert_eq!(leader(lab), "10.66.0.1", "the first one led from the beginning");
    lab.plane.kill();
    std::mem::swap(&mut lab.plane, lab.second.as_mut().expect("a second host"));
    lab.kubectl(&["scale", "deployment", "web", "--replicas=4"]).ok();
    ready(lab, 4);
    assert_eq!(leader(lab), "10.66.1.1");
    let listed = |lab: &Lab| lab.get(&["endpoints", "kubernetes"], "{.subsets[*].addresses[*].ip}");
    lab.soon("the dead one is not listed", || listed(lab) == "10.66.1.1");
    assert_eq!(lab.ready().len(), 2, "no node was missed");
    let pod = &lab.pods("app=web")[0].name;
    lab.kubectl(&["exec", pod, "--", "true"]).ok();
    // it comes back, and does not lead
    lab.second.as_mut().expect("the first host").begin();
    lab.soon("it is back", || lab.kubectl_at(second(lab), &["get", "nodes"]).code == 0);
    lab.soon("both are listed", || listed(lab) == "10.66.0.1 10.66.1.1");
    assert_eq!(leader(lab), "10.66.1.1");
    let pod = pod.clone();
    lab.soon("it reaches nodes again", || lab.kubectl_at(second(lab), &["logs", &pod]).code == 0);
}

/// etcd is killed and comes back: nobody has lost anything, and nothing was started twice.
fn etcd_dies(lab: &mut Lab) {
    let before = lab.pods("app=web");
    lab.etcd.as_mut().expect("an etcd").kill();
    let refused = lab.kubectl(&["create", "configmap", "lost", "--from-literal=a=b"]);
    refused.code(1).complains(&["etcd http://127.0.0.1:2379"]);
    lab.etcd.as_mut().expect("an etcd").begin();
    lab.soon("it answers", || lab.kubectl(&["get", "nodes"]).code == 0);
    lab.soon("nodes are ready", || lab.ready().len() == 2);
    lab.kubectl(&["scale", "deployment", "web", "--replicas=5"]).ok();
    ready(lab, 5);
    let after = lab.pods("app=web");
    let kept = before.iter().filter(|pod| after.iter().any(|other| other.uid == pod.uid)).count();
    assert_eq!(kept, before.len(), "pods that nothing had happened to are others now:\n{before:?}\n{after:?}");
}

/// Whoever ends in order gives the lease away.
fn a_host_is_stopped_in_order(lab: &mut Lab) {
    let leads = leader(lab);
    if leads == "10.66.1.1" {
        std::mem::swap(&mut lab.plane, lab.second.as_mut().expect("a second host"));
    }
    lab.second.as_mut().expect("the leader").end();
    lab.soon("the other one leads", || ["10.66.0.1", "10.66.1.1"].into_iter().any(|host| host != leads && host == leader(lab)));
    lab.kubectl(&["scale", "deployment", "web", "--replicas=1"]).ok();
    ready(lab, 1);
}
