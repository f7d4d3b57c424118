//! Clusters of several nodes, and what happens to them.

use std::fs;
use std::path::Path;

use integration::lab::{BUSYBOX, Client, Lab, PodSeen};
use serde_json::{Value, json};

integration::tests![pods_of_all_nodes_reach_each_other, nodes_are_lost_and_found, slow_links_are_no_lost_nodes];

/// A web server that says who asks, and asks others when it is told to.
const WEB: &str = r#"mkdir -p /w/cgi-bin; echo up >/w/index.html
printf '%s\n' '#!/bin/sh' 'echo; echo $REMOTE_ADDR' >/w/cgi-bin/who
printf '%s\n' '#!/bin/sh' 'echo; printf "GET /cgi-bin/who HTTP/1.0\r\n\r\n" | nc -w 5 $QUERY_STRING 8080 | tail -n 1' >/w/cgi-bin/ask
chmod +x /w/cgi-bin/*; httpd -p 8080 -h /w; trap 'exit 0' TERM; while :; do sleep 0.1; done"#;

fn workload(kind: &str, name: &str, replicas: Option<u32>) -> Value {
    let container = json!({ "name": "web", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", WEB],
        "readinessProbe": { "httpGet": { "port": 8080 }, "periodSeconds": 1 } });
    let labels = json!({ "app": name });
    let mut object = json!({ "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name }, "spec": {
        "selector": { "matchLabels": labels },
        "template": { "metadata": { "labels": labels }, "spec": { "terminationGracePeriodSeconds": 1, "containers": [container] } } } });
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = replicas.into();
    }
    object
}

/// Asks a pod from the node that it runs on.
fn ask(lab: &Lab, pod: &PodSeen, what: &str) -> String {
    let number = lab.nodes[pod.node.as_str()].number;
    let mut command = lab.wires.command(&lab.env, number, "curl");
    command.args(["-s", "-m", "10", &format!("http://{}:8080/cgi-bin/{what}", pod.address)]);
    integration::env::Running::start(command).finish().stdout.trim().to_owned()
}

/// The pods of a label, once there are so many that take requests, and no others.
#[track_caller]
fn ready(lab: &Lab, label: &str, count: usize) -> Vec<PodSeen> {
    let mut pods = Vec::new();
    lab.soon(&format!("{count} of {label} are ready"), || {
        pods = lab.pods(label);
        pods.len() == count && pods.iter().all(|pod| pod.ready)
    });
    pods
}

/// Two nodes on one segment and one behind a router: by routes and by VXLAN, in all directions.
fn pods_of_all_nodes_reach_each_other() {
    let mut lab = Lab::start(&[1, 1, 2], "");
    lab.apply(&workload("DaemonSet", "each", None));
    let pods = ready(&lab, "app=each", 3);
    let ranges = lab.get(&["nodes"], "{.items[*].spec.podCIDR}");
    assert_eq!(ranges.split(' ').collect::<std::collections::BTreeSet<_>>().len(), 3, "{ranges}");
    for from in &pods {
        for to in &pods {
            // The server has IPv6 sockets, too.
            let whole = format!("[::ffff:{}]", from.address);
            lab.soon(&format!("{} answers {}", to.node, from.node), || ask(&lab, from, &format!("ask?{}", to.address)) == whole);
        }
    }
    let routes = lab.node("one").routes();
    let by = |device: &str| routes.lines().filter(|line| line.starts_with("10.77.") && line.contains(device)).count();
    assert_eq!((by(" via 10.66.1.12 dev eth0"), by("dev rctr0-vx")), (1, 1), "{routes}");
    // Whoever is no node of the cluster is kept out.
    let mut stranger = lab.wires.command(&lab.env, 0, "sh");
    let pod = &pods[0];
    let node = lab.wires.address(lab.nodes[pod.node.as_str()].number);
    stranger.args(["-c", &format!("ip route add {}/32 via {node}; curl -s -m 1 http://{}:8080/", pod.address, pod.address)]);
    assert_ne!(integration::env::Running::start(stranger).finish().code, 0);
    // A node that leaves takes its routes with it.
    let gone = lab.get(&["node", "two"], "{.spec.podCIDR}");
    lab.node("two").power_off();
    lab.kubectl(&["delete", "node", "two"]).ok();
    lab.soon("the route to it is gone", || {
        !lab.nodes["one"].routes().contains(&gone) && !lab.nodes["three"].routes().contains(&gone)
    });
}

/// One cluster lives through all of it, while somebody keeps asking a pod on a node that nothing happens to.
fn nodes_are_lost_and_found() {
    let mut lab = Lab::start(&[1, 1, 1, 2], "");
    lab.apply(&workload("Deployment", "web", Some(3)));
    let pods = ready(&lab, "app=web", 3);
    let safe = pods.iter().find(|pod| pod.node == "one").unwrap_or(&pods[0]).clone();
    let client = Client::ask(&lab.env, &lab.wires, lab.nodes[safe.node.as_str()].number, &format!("{}:8080", safe.address));
    // And another one asks whoever is behind the service.
    lab.kubectl(&["expose", "deployment", "web", "--port=80", "--target-port=8080"]).ok();
    let door = format!("{}:80", lab.get(&["service", "web"], "{.spec.clusterIP}"));
    let all = Client::ask(&lab.env, &lab.wires, lab.nodes[safe.node.as_str()].number, &door);
    lab.soon("the service answers", || all.count().0 > 0);
    let before = all.count().1;
    let others: Vec<&'static str> = lab.nodes.keys().copied().filter(|name| *name != safe.node).collect();
    shuts_down(&mut lab, &safe.node);
    let pods = ready(&lab, "app=web", 3);
    dies(&mut lab, others.iter().find(|name| pods.iter().any(|pod| pod.node == **name)).expect("a node with a pod"));
    is_cut_off(&mut lab, &safe);
    is_given_up(&lab);
    let (_, missed) = all.count();
    let heard = all.count().0;
    lab.soon("the service answers", || all.count().0 > heard);
    the_control_plane_dies(&mut lab);
    the_disk_is_full(&mut lab);
    let (heard, lost) = all.count();
    // Until a node is missed, questions go to its pods, and each one waits for a second.
    assert!(
        missed - before < 60 && lost == missed,
        "{before}, then {missed}, then {lost} answers of the service lost, {heard} heard"
    );
    let (answers, lost) = client.count();
    assert!(answers > 10 && lost == 0, "{answers} answers, {lost} lost, of a pod to which nothing has happened");
}

/// A node announces that it goes down: its work is done by others before it does, and those on whom others depend end last.
fn shuts_down(lab: &mut Lab, safe: &str) {
    let victim = *lab.nodes.keys().find(|name| **name != safe).expect("another node");
    let pod = |name: &str, class: &str| {
        let script = "trap 'exit 0' TERM; while :; do sleep 0.1; done";
        let container =
            json!({ "name": "main", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script] });
        json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": { "app": "ends" } },
            "spec": { "nodeName": victim, "priorityClassName": class, "restartPolicy": "OnFailure", "containers": [container] } })
    };
    for (name, class) in [("first", ""), ("last", "system-node-critical")] {
        lab.apply(&pod(name, class));
    }
    ready(lab, "app=ends", 2);
    lab.soon("it holds a lock", || lab.nodes[victim].logind().locks() == 1);
    lab.nodes[victim].logind().announce(true);
    lab.soon("it is let go", || lab.nodes[victim].logind().locks() == 0);
    // By then all is done, and told.
    let seen = lab.get(&["pods", "-l", "app=ends"], "{range .items[*]}{.metadata.name}={.status.phase},{.status.reason} {end}");
    assert_eq!(seen, "first=Failed,Terminated last=Failed,Terminated");
    let target = r#"{.status.conditions[?(@.type=="DisruptionTarget")].reason}"#;
    assert_eq!(lab.get(&["pod", "first"], target), "TerminationByKubelet");
    let ended = |name: &str| lab.get(&["pod", name], "{.status.containerStatuses[0].state.terminated.finishedAt}");
    assert!(ended("first") <= ended("last") && !ended("last").is_empty());
    let condition = r#"{.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}"#;
    assert_eq!(lab.get(&["node", victim], condition), "False node is shutting down");
    lab.soon("its work is done by others", || {
        let pods = lab.pods("app=web");
        pods.len() == 3 && pods.iter().all(|pod| pod.node != victim && pod.ready)
    });
    // Somebody has changed their mind.
    lab.nodes[victim].logind().announce(false);
    lab.soon("it is ready again", || lab.ready().contains(&victim.to_owned()));
    lab.soon("it holds another lock", || lab.nodes[victim].logind().locks() == 1);
    lab.kubectl(&["delete", "pods", "-l", "app=ends"]).ok();
}

/// A node loses power: others take its work over, and when it is back nothing is there twice.
fn dies(lab: &mut Lab, victim: &str) {
    lab.node(victim).power_off();
    lab.soon("it counts as lost", || !lab.ready().contains(&victim.to_owned()));
    lab.soon("its work is done by others", || {
        let pods = lab.pods("app=web");
        pods.iter().filter(|pod| pod.node != victim && pod.ready).count() == 3
    });
    let events = lab.get(&["events"], "{range .items[*]}{.reason} {end}");
    assert!(events.contains("NodeNotReady") && events.contains("TaintManagerEviction"), "{events}");
    lab.node(victim).power_on();
    lab.soon("it is back", || lab.ready().contains(&victim.to_owned()));
    lab.soon("what it had run is gone", || lab.nodes[victim].pods().is_empty());
    ready(lab, "app=web", 3);
}

/// A node is cut off: it goes on by itself, and when it is back its old pods go.
fn is_cut_off(lab: &mut Lab, safe: &PodSeen) {
    let pods = ready(lab, "app=web", 3);
    let victim = pods.iter().find(|pod| pod.node != safe.node).expect("a pod elsewhere").clone();
    let number = lab.nodes[victim.node.as_str()].number;
    lab.wires.cut(number);
    lab.soon("its work is done by others", || {
        let pods = lab.pods("app=web");
        pods.iter().filter(|pod| pod.node != victim.node && pod.ready).count() == 3
    });
    assert!(!lab.nodes[victim.node.as_str()].pods().is_empty(), "a node that hears nothing goes on");
    lab.wires.mend(number);
    lab.soon("it is back", || lab.ready().contains(&victim.node));
    lab.soon("its old pods are gone", || {
        let here = lab.pods("app=web").iter().filter(|pod| pod.node == victim.node).count();
        lab.nodes[victim.node.as_str()].pods().len() == here
            && !lab.get(&["pods"], "{.items[*].metadata.uid}").contains(&victim.uid)
    });
    ready(lab, "app=web", 3);
}

/// The control plane says that a node is not heard, which has not noticed any of it: the node says that it lives.
fn is_given_up(lab: &Lab) {
    let seen = lab.kubectl(&["get", "node", "four", "-o", "json"]);
    let mut node = seen.ok().json();
    for condition in node["status"]["conditions"].as_array_mut().expect("conditions") {
        condition["status"] = "Unknown".into();
    }
    let file = lab.env.path("given-up");
    fs::write(&file, node.to_string()).expect("a file");
    lab.kubectl(&["replace", "--raw", "/api/v1/nodes/four/status", "-f", &file.display().to_string()]).ok();
    lab.soon("it is ready", || lab.ready().len() == 4);
}

/// The control plane dies: pods do not notice, and the next one goes on where it was.
fn the_control_plane_dies(lab: &mut Lab) {
    let before = ready(lab, "app=web", 3);
    lab.plane.kill();
    lab.plane.begin();
    lab.soon("the API answers", || lab.kubectl(&["get", "--raw", "/readyz"]).code == 0);
    lab.kubectl(&["scale", "deployment", "web", "--replicas=4"]).ok();
    let after = ready(lab, "app=web", 4);
    assert!(before.iter().all(|pod| after.contains(pod)), "{before:?}\n{after:?}");
    let restarts = lab.get(&["pods"], "{.items[*].status.containerStatuses[*].restartCount}");
    assert_eq!(restarts, "0 0 0 0");
}

/// The control plane's disk is full: who writes is told, who reads is served, and nothing is lost.
fn the_disk_is_full(lab: &mut Lab) {
    let filler = lab.plane.fill();
    let large = "x".repeat(900_000);
    let file = lab.env.path("large");
    fs::write(&file, large).expect("a file");
    let from = format!("--from-file=k={}", file.display());
    let mut refused = String::new();
    for number in 0..64 {
        let output = lab.kubectl(&["create", "configmap", &format!("m{number}"), &from]);
        if output.code != 0 {
            refused = output.stderr;
            break;
        }
    }
    assert!(refused.contains("No space left on device") || refused.contains("ENOSPC"), "{refused:?}");
    assert_eq!(lab.kubectl(&["get", "deployment", "web"]).code, 0);
    fs::remove_file(filler).expect("the filler");
    lab.soon("it takes writes again", || lab.kubectl(&["create", "configmap", "after", "--from-literal=a=b"]).code == 0);
    lab.plane.kill();
    lab.plane.begin();
    lab.soon("the API answers", || lab.kubectl(&["get", "--raw", "/readyz"]).code == 0);
    assert_eq!(lab.get(&["configmap", "after"], "{.data.a}"), "b");
    ready(lab, "app=web", 4);
}

/// A node whose packets are late, and of which some are lost, is a node all the same.
fn slow_links_are_no_lost_nodes() {
    for what in ["/dev/net/tun", "/usr/bin/python3"] {
        if !Path::new(what).exists() {
            integration::skip!("there is no {what}");
        }
    }
    let mut lab = Lab::start(&[1, 2], "");
    lab.wires.lossy(2, 10);
    lab.wires.delay(&lab.env, 2, 100);
    lab.apply(&workload("Deployment", "slow", Some(2)));
    let pods = ready(&lab, "app=slow", 2);
    assert_eq!(lab.ready().len(), 2);
    let far = pods.iter().find(|pod| pod.node == "two").expect("one of two on each node");
    let mut command = lab.wires.command(&lab.env, 1, "curl");
    command.args(["-s", "-o", "/dev/null", "-w", "%{time_connect}", &format!("http://{}:8080/", far.address)]);
    let time: f64 = integration::env::Running::start(command).finish().ok().text().parse().expect("seconds");
    assert!(time >= 0.2, "the link is late: {time}");

    // One that hears all and says nothing is lost, and found again.
    lab.wires.lossy(2, 100);
    lab.soon("it is missed", || lab.ready() == ["one"]);
    lab.wires.lossy(2, 0);
    lab.soon("it is back", || lab.ready().len() == 2);
}
