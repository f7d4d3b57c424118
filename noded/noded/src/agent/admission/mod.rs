//! Whether this node takes a pod: asked once, when the pod is seen for the first time.
//!
//! The scheduler has asked the same, but of an older view of the node, and not for pods that name their node themselves. Who is refused has
//! failed for good; its owner makes another one. The words are the kubelet's: programs look for them.

mod preempt;
mod room;
mod sysctls;

use std::sync::Arc;

use api::kinds::node::Node;
use api::kinds::pod::Pod;
use control::scheduler::{collide, ends_pods, ports, requests, selects};

use super::pressure::{Evicted, is_critical};
use super::statics::is_static;
use room::Short;

pub(super) use room::grows;

pub(super) use sysctls::forbidden;

/// What becomes of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    /// It is taken, and these make room for it: their uids.
    InPlaceOf(Vec<String>),
    Refused(Evicted),
    /// By what the node is called, as far as that is known here: it may be called otherwise meanwhile.
    Unwanted(Evicted),
}

const UNWANTED: (&str, &str) = ("NodeAffinity", "node(s) didn't match Pod's node affinity/selector");
const OCCUPIED: (&str, &str) = ("NodePorts", "node(s) didn't have free ports for the requested pod ports");
const TAINTED: (&str, &str) = ("TaintToleration", "node(s) had taints that the pod didn't tolerate");

/// Taints of a node that is not heard: who does not name them bears them for a while.
const BORNE: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];

/// The verdict on a pod beside all `others` that this node has taken and that have not ended.
pub(super) fn verdict(pod: &Pod, others: &[Arc<Pod>], node: &Node) -> Verdict {
    if let Some((reason, message)) = of_another_system(pod) {
        return Verdict::Refused(Evicted::rejected(reason, message));
    }
    let short = room::short(&requests(&pod.spec), others, &node.status.allocatable);
    let wrong = wrong(pod, others, node);
    // Room can be made for a critical pod, and nothing else.
    if is_critical(pod) && wrong.is_empty() && !short.is_empty() {
        return match preempt::victims(pod, others, &short) {
            Ok(victims) => Verdict::InPlaceOf(victims),
            Err(why) => {
                let message = format!("Unexpected error while attempting to recover from admission failure: {why}");
                Verdict::Refused(Evicted::rejected("UnexpectedAdmissionError", &message))
            }
        };
    }
    let first = short.first().filter(|_| !is_critical(pod));
    match (first.map(Short::words), wrong.first()) {
        (Some((reason, message)), _) => Verdict::Refused(Evicted::rejected(&reason, &message)),
        (None, Some(&(name, why))) => {
            let refused = Evicted::rejected(name, &format!("Predicate {name} failed: {why}"));
            if wrong == [UNWANTED] { Verdict::Unwanted(refused) } else { Verdict::Refused(refused) }
        }
        (None, None) => Verdict::Taken,
    }
}

/// A pod for hosts of another kind.
fn of_another_system(pod: &Pod) -> Option<(&'static str, &'static str)> {
    const LABEL: &str = "kubernetes.io/os";
    let is_other = |name: &str| name != "linux";
    if pod.metadata.labels.get(LABEL).is_some_and(|name| is_other(name)) {
        let message = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label";
        return Some(("PodOSSelectorNodeLabelDoesNotMatch", message));
    }
    let named = pod.spec.os.as_ref().is_some_and(|os| is_other(&os.name));
    named.then_some(("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"))
}

/// What no room helps against.
fn wrong(pod: &Pod, others: &[Arc<Pod>], node: &Node) -> Vec<(&'static str, &'static str)> {
    let mut wrong = Vec::new();
    if !selects(&pod.spec, node) {
        wrong.push(UNWANTED);
    }
    let own = ports(&pod.spec);
    let taken = || others.iter().flat_map(|other| ports(&other.spec));
    if !own.is_empty() && taken().any(|taken| own.iter().any(|port| collide(port, &taken))) {
        wrong.push(OCCUPIED);
    }
    if !is_static(pod) && ends_pods(&pod.spec, node).any(|taint| !BORNE.contains(&taint.key.as_str())) {
        wrong.push(TAINTED);
    }
    wrong
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::statics::SOURCE;
    use super::*;

    fn node() -> Node {
        serde_json::from_value(json!({
            "metadata": { "name": "n", "labels": { "disk": "fast" } },
            "status": { "allocatable": { "cpu": "2", "memory": "1Gi", "ephemeral-storage": "10Gi", "pods": "4", "example.com/card": "1" } },
        }))
        .unwrap()
    }

    fn pod(name: &str, priority: i32, requests: &Value) -> Arc<Pod> {
        let container = json!({ "name": "a", "resources": { "requests": requests, "limits": {} } });
        let spec = json!({ "priority": priority, "containers": [container] });
        Arc::new(serde_json::from_value(json!({ "metadata": { "name": name, "uid": name }, "spec": spec })).unwrap())
    }

    fn with(change: impl Fn(&mut Pod)) -> Pod {
        let mut pod = Pod::clone(&pod("p", 0, &json!({})));
        change(&mut pod);
        pod
    }

    fn said(verdict: Verdict) -> (String, String) {
        match verdict {
            Verdict::Refused(why) | Verdict::Unwanted(why) => (why.reason.clone(), why.told().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    const CRITICAL: i32 = 2_000_001_000;

    #[test]
    fn what_is_short_is_named_with_its_numbers() {
        let others = [pod("b", 0, &json!({ "cpu": "1500m", "memory": "1000Mi", "example.com/card": "1" }))];
        for (requests, reason, message) in [
            (json!({ "cpu": "501m" }), "OutOfcpu", "cpu, requested: 501, used: 1500, capacity: 2000"),
            (json!({ "memory": "25Mi" }), "OutOfmemory", "memory, requested: 26214400, used: 1048576000, capacity: 1073741824"),
            (
                json!({ "ephemeral-storage": "11Gi" }),
                "OutOfephemeral-storage",
                "ephemeral-storage, requested: 11811160064, used: 0, ",
            ),
            (json!({ "example.com/card": "1" }), "OutOfexample.com/card", "example.com/card, requested: 1, used: 1, capacity: 1"),
            (json!({ "hugepages-2Mi": "2Mi" }), "OutOfhugepages-2Mi", "hugepages-2Mi, requested: 2097152, used: 0, capacity: 0"),
        ] {
            let (is, why) = said(verdict(&pod("p", 0, &requests), &others, &node()));
            assert_eq!(is, reason);
            assert!(why.starts_with(&format!("Node didn't have enough resource: {message}")), "{why}");
        }
        assert_eq!(verdict(&pod("p", 0, &json!({ "cpu": "500m", "memory": "24Mi" })), &others, &node()), Verdict::Taken);
        // What no node tells of is the cluster's, not the node's.
        assert_eq!(verdict(&pod("p", 0, &json!({ "example.com/other": "1" })), &others, &node()), Verdict::Taken);
        let four: Vec<Arc<Pod>> = ["a", "b", "c", "d"].map(|name| pod(name, 0, &json!({}))).into();
        let (reason, why) = said(verdict(&pod("p", 0, &json!({})), &four, &node()));
        assert_eq!(
            (reason.as_str(), why.as_str()),
            ("OutOfpods", "Node didn't have enough resource: pods, requested: 1, used: 4, capacity: 4")
        );
    }

    #[test]
    fn a_pod_that_asks_for_another_node_is_refused() {
        let selector = |value: &'static str| with(move |pod| drop(pod.spec.node_selector.insert("disk".into(), value.into())));
        assert_eq!(verdict(&selector("fast"), &[], &node()), Verdict::Taken);
        let unwanted = verdict(&selector("slow"), &[], &node());
        assert!(matches!(unwanted, Verdict::Unwanted(_)));
        let message = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
        assert_eq!(said(unwanted), ("NodeAffinity".to_owned(), message.to_owned()));
        let other = with(|pod| pod.spec.os = Some(serde_json::from_value(json!({ "name": "windows" })).unwrap()));
        assert_eq!(said(verdict(&other, &[], &node())).0, "PodOSNotSupported");
        let labelled = with(|pod| drop(pod.metadata.labels.insert("kubernetes.io/os".into(), "windows".into())));
        assert_eq!(said(verdict(&labelled, &[], &node())).0, "PodOSSelectorNodeLabelDoesNotMatch");
    }

    #[test]
    fn one_host_port_has_one_pod() {
        let on = |address: &str| {
            let ports = json!([{ "containerPort": 80, "hostPort": 8080, "hostIP": address, "protocol": "TCP" }]);
            with(|pod| pod.spec.containers[0].ports = serde_json::from_value(ports.clone()).unwrap())
        };
        let others = [Arc::new(on("192.0.2.1"))];
        assert_eq!(said(verdict(&on(""), &others, &node())).0, "NodePorts");
        assert_eq!(verdict(&on("192.0.2.2"), &others, &node()), Verdict::Taken);
        // No room that is made helps a critical pod.
        let mut critical = on("192.0.2.1");
        critical.spec.priority = Some(CRITICAL);
        assert_eq!(said(verdict(&critical, &others, &node())).0, "NodePorts");
    }

    #[test]
    fn taints_that_end_pods_keep_them_away() {
        let tainted = |key: &str, effect: &str| {
            let mut node = node();
            node.spec.taints = serde_json::from_value(json!([{ "key": key, "effect": effect }])).unwrap();
            node
        };
        let plain = with(|_| {});
        assert_eq!(said(verdict(&plain, &[], &tainted("mine", "NoExecute"))).0, "TaintToleration");
        assert_eq!(verdict(&plain, &[], &tainted("mine", "NoSchedule")), Verdict::Taken, "it is here, however it came");
        assert_eq!(verdict(&plain, &[], &tainted(BORNE[1], "NoExecute")), Verdict::Taken);
        let own = with(|pod| drop(pod.metadata.annotations.insert(SOURCE.into(), "file".into())));
        assert_eq!(verdict(&own, &[], &tainted("mine", "NoExecute")), Verdict::Taken);
        let bears = with(|pod| pod.spec.tolerations = serde_json::from_value(json!([{ "operator": "Exists" }])).unwrap());
        assert_eq!(verdict(&bears, &[], &tainted("mine", "NoExecute")), Verdict::Taken);
    }

    #[test]
    fn others_make_room_for_a_critical_pod() {
        let cpu = |amount: &str| json!({ "cpu": amount });
        let others = [pod("small", 0, &cpu("400m")), pod("great", 0, &cpu("1500m")), pod("nothing", 0, &json!({}))];
        let critical = |amount: &str| verdict(&pod("p", CRITICAL, &cpu(amount)), &others, &node());
        assert_eq!(critical("100m"), Verdict::Taken);
        assert_eq!(critical("500m"), Verdict::InPlaceOf(vec!["small".to_owned()]));
        assert_eq!(critical("600m"), Verdict::InPlaceOf(vec!["great".to_owned()]), "one rather than two");
        assert_eq!(critical("2"), Verdict::InPlaceOf(vec!["great".to_owned(), "small".to_owned()]));
        let (reason, why) = said(critical("2100m"));
        assert_eq!(reason, "UnexpectedAdmissionError");
        assert!(why.ends_with("no set of running pods found to reclaim resources: [(res: cpu, q: 100), ]"), "{why}");
        // A static pod is one of the node's own, and the cluster's own pods stay.
        let mut own = Pod::clone(&pod("p", 0, &cpu("2")));
        own.metadata.annotations.insert(SOURCE.into(), "file".into());
        let stays = [pod("theirs", CRITICAL, &cpu("1"))];
        assert_eq!(said(verdict(&own, &stays, &node())).0, "UnexpectedAdmissionError");
        let four: Vec<Arc<Pod>> = ["a", "b", "c", "d"].map(|name| pod(name, 0, &json!({}))).into();
        assert_eq!(verdict(&own, &four, &node()), Verdict::InPlaceOf(vec!["a".to_owned()]), "a place is room, too");
    }

    #[test]
    fn who_asked_for_most_care_goes_last() {
        let both = json!({ "cpu": "1", "memory": "1Mi" });
        let mut sure = Pod::clone(&pod("sure", 0, &both));
        sure.spec.containers[0].resources.as_mut().unwrap().limits = serde_json::from_value(both.clone()).unwrap();
        let others = [Arc::new(sure), pod("b", 0, &json!({ "cpu": "700m" })), pod("c", 0, &json!({ "cpu": "300m" }))];
        let critical = verdict(&pod("p", CRITICAL, &json!({ "cpu": "1" })), &others, &node());
        assert_eq!(critical, Verdict::InPlaceOf(vec!["b".to_owned(), "c".to_owned()]));
    }
}
