//! Who makes room for whom.

use super::*;
use crate::scheduler::Preemption;

/// A pod that runs on a node, of a priority, since a time.
fn running(snapshot: &mut Snapshot, name: &str, on: &str, (cpu, priority, start): (&str, i32, &str)) {
    let (key, mut pod) = pod(name, cpu, json!({"priority": priority, "nodeName": on}));
    pod.status.start_time = Some(api::meta::Time::parse(start).unwrap());
    snapshot.set_pod(&key, &pod);
}

const EARLY: &str = "2026-01-01T00:00:00Z";
const LATE: &str = "2026-01-01T01:00:00Z";

fn important(name: &str, cpu: &str, more: Value) -> (String, Pod) {
    let mut spec = json!({"priority": 1000, "preemptionPolicy": "PreemptLowerPriority"});
    api::patch::merge(&mut spec, more);
    pod(name, cpu, spec)
}

fn decide(snapshot: &mut Snapshot, pod: &(String, Pod)) -> Decision {
    schedule(snapshot, std::slice::from_ref(pod)).remove(0).1
}

#[track_caller]
fn preempts(snapshot: &mut Snapshot, pod: &(String, Pod)) -> (String, Vec<String>) {
    match decide(snapshot, pod) {
        Decision::Preempt(Preemption { node, mut victims, .. }) => {
            victims.iter_mut().for_each(|key| *key = key.rsplit('/').next().unwrap().to_owned());
            victims.sort();
            (node, victims)
        }
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn waits(snapshot: &mut Snapshot, pod: &(String, Pod)) -> String {
    match decide(snapshot, pod) {
        Decision::Wait(why) => why,
        other => panic!("{other:?}"),
    }
}

fn chosen(node: &str, victims: &[&str]) -> (String, Vec<String>) {
    (node.into(), victims.iter().map(ToString::to_string).collect())
}

#[test]
fn no_more_go_than_must_and_the_least_important_ones() {
    let mut snapshot = cluster(vec![node("a1", "4", json!({}))]);
    for (name, cpu, priority) in [("low", "1", 1), ("mid", "1", 5), ("big", "2", 3)] {
        running(&mut snapshot, name, "a1", (cpu, priority, EARLY));
    }
    let before = format!("{:?}", snapshot.clone().places);
    assert_eq!(preempts(&mut snapshot.clone(), &important("p", "1", json!({}))), chosen("a1", &["low"]));
    assert_eq!(preempts(&mut snapshot.clone(), &important("p", "2", json!({}))), chosen("a1", &["big"]));
    assert_eq!(preempts(&mut snapshot.clone(), &important("p", "3", json!({}))), chosen("a1", &["big", "low"]));
    assert_eq!(preempts(&mut snapshot.clone(), &important("p", "4", json!({}))), chosen("a1", &["big", "low", "mid"]));
    let why = waits(&mut snapshot, &important("p", "5", json!({})));
    assert!(why.ends_with("preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."), "{why}");
    assert_eq!(format!("{:?}", snapshot.places), before, "who only thinks about it changes nothing");
}

#[test]
fn the_node_whose_victims_cost_least() {
    type Pods = &'static [(&'static str, &'static str, i32, &'static str)];
    let cases: [(Pods, &str, &[&str]); 4] = [
        // the most important victim counts first
        (&[("a", "a1", 9, EARLY), ("b", "b1", 3, EARLY)], "b1", &["b"]),
        // then how many there are
        (&[("a", "a1", 3, EARLY), ("a'", "a1", 3, EARLY), ("b", "b1", 3, EARLY)], "b1", &["b"]),
        // then the sum: one of 3 and one of 1 are less than two of 3
        (&[("a", "a1", 3, EARLY), ("a'", "a1", 3, EARLY), ("b", "b1", 3, EARLY), ("b'", "b1", 1, EARLY)], "b1", &["b", "b'"]),
        // then who has run for the shortest time
        (&[("a", "a1", 3, EARLY), ("b", "b1", 3, LATE)], "b1", &["b"]),
    ];
    for (pods, on, victims) in cases {
        let mut snapshot = cluster(vec![node("a1", "2", json!({})), node("b1", "2", json!({}))]);
        for (name, on, priority, start) in pods {
            let alone = pods.iter().filter(|p| p.1 == *on).count() == 1;
            running(&mut snapshot, name, on, (if alone { "2" } else { "1" }, *priority, start));
        }
        assert_eq!(preempts(&mut snapshot, &important("p", "2", json!({}))), chosen(on, victims), "{pods:?}");
    }
}

#[test]
fn nobody_goes_where_it_does_not_help_or_is_not_wanted() {
    let selector = json!({"nodeSelector": {"zone": "b"}});
    let mut snapshot = cluster(vec![node("a1", "2", json!({})), node("b1", "2", json!({}))]);
    running(&mut snapshot, "low", "a1", ("2", 1, EARLY));
    running(&mut snapshot, "peer", "b1", ("2", 1000, EARLY));
    let why = waits(&mut snapshot, &important("p", "2", selector));
    let reasons = "1 No preemption victims found for incoming pod, 1 Preemption is not helpful for scheduling.";
    assert!(why.ends_with(&format!(" preemption: 0/2 nodes are available: {reasons}")), "{why}");
    let why = waits(&mut snapshot, &important("p", "2", json!({"preemptionPolicy": "Never"})));
    assert!(why.ends_with(" preemption: not eligible due to preemptionPolicy=Never."), "{why}");
    // one that is more important keeps this one away: to push others away from there is of no use
    let apart = json!({"priority": 2000, "nodeName": "a1", "affinity": {"podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [term("kubernetes.io/hostname")]}}});
    let (key, guard) = pod("guard", "0", apart);
    snapshot.set_pod(&key, &guard);
    waits(&mut snapshot, &important("p", "2", json!({})));
}

/// The room that others make is not given away, but to one that is more important still.
#[test]
fn room_is_kept_for_whom_it_was_made() {
    let mut snapshot = cluster(vec![node("a1", "2", json!({}))]);
    running(&mut snapshot, "one", "a1", ("1", 1, EARLY));
    running(&mut snapshot, "two", "a1", ("1", 1, EARLY));
    let waiting = important("p", "2", json!({}));
    assert_eq!(preempts(&mut snapshot, &waiting), chosen("a1", &["one", "two"]));
    assert_eq!(preempts(&mut snapshot, &waiting), chosen("a1", &[]), "nobody is told twice");
    snapshot.remove_pod("core/pods/d/one");
    assert!(waits(&mut snapshot.clone(), &pod("small", "1", json!({"priority": 1}))).contains("1 Insufficient cpu"));
    let more = decide(&mut snapshot.clone(), &pod("more", "1", json!({"priority": 2000})));
    assert_eq!(more, Decision::Bind("a1".into()));
    snapshot.remove_pod("core/pods/d/two");
    assert_eq!(decide(&mut snapshot, &waiting), Decision::Bind("a1".into()));
    assert!(snapshot.places[0].expected.is_empty());
}

/// The second of two does not count on the room that the first one gets.
#[test]
fn two_at_once_push_different_pods_away() {
    let mut snapshot = cluster(vec![node("a1", "2", json!({})), node("b1", "2", json!({}))]);
    running(&mut snapshot, "one", "a1", ("2", 1, EARLY));
    running(&mut snapshot, "two", "b1", ("2", 1, EARLY));
    let both = [important("p", "2", json!({})), important("q", "2", json!({})), important("r", "2", json!({}))];
    let decisions = schedule(&mut snapshot, &both);
    let nodes: Vec<&str> =
        decisions.iter().filter_map(|(_, d)| if let Decision::Preempt(p) = d { Some(p.node.as_str()) } else { None }).collect();
    assert_eq!(nodes, ["a1", "b1"]);
    assert!(matches!(decisions[2].1, Decision::Wait(_)), "{decisions:?}");
}

/// Whoever is as important, or less, does not take a place to which the one that is expected could then not go.
#[test]
fn rules_of_whom_is_expected_hold_already() {
    let one = |name: &str, more: Value| {
        let (key, mut pod) = important(name, "100m", more);
        pod.metadata.labels.insert("app".into(), name.into());
        (key, pod)
    };
    let apart = |from: &str, topology: &str| {
        let rule = json!({"labelSelector": {"matchLabels": {"app": from}}, "topologyKey": topology});
        json!({"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [rule]}}})
    };
    // one waits for a1, which is full; a2 is in the same zone, and empty
    let waiting = |rules: Value| {
        let mut snapshot = cluster(vec![node("a1", "4", json!({})), node("a2", "4", json!({}))]);
        running(&mut snapshot, "low", "a1", ("4", 1, EARLY));
        let mut selector = json!({"nodeSelector": {"kubernetes.io/hostname": "a1"}});
        api::patch::merge(&mut selector, rules);
        assert_eq!(preempts(&mut snapshot, &one("waits", selector)), chosen("a1", &["low"]));
        snapshot.remove_pod("core/pods/d/low");
        snapshot
    };
    let asks = |snapshot: &Snapshot, pod: (String, Pod)| decide(&mut snapshot.clone(), &pod);
    let bound = |on: &str| Decision::Bind(on.into());
    let why = |snapshot: &Snapshot, pod| waits(&mut snapshot.clone(), &pod);
    // by its own rule
    let guarded = waiting(apart("other", "zone"));
    assert!(why(&guarded, one("other", json!({}))).contains("2 node(s) didn't satisfy existing pods anti-affinity rules"));
    assert!(matches!(asks(&guarded, one("third", json!({}))), Decision::Bind(_)));
    let host = waiting(apart("other", "kubernetes.io/hostname"));
    assert_eq!(asks(&host, one("other", json!({}))), bound("a2"));
    // by the rule of the one that comes
    let plain = waiting(json!({}));
    assert_eq!(asks(&plain, one("other", apart("waits", "kubernetes.io/hostname"))), bound("a2"));
    assert!(why(&plain, one("other", apart("waits", "zone"))).contains("2 node(s) didn't match pod anti-affinity rules"));
    // who is more important does not ask, nor does the one that is expected
    let (key, mut more) = one("other", json!({}));
    more.spec.priority = Some(2000);
    assert!(matches!(asks(&guarded, (key, more)), Decision::Bind(_)));
    let selector = json!({"nodeSelector": {"kubernetes.io/hostname": "a1"}});
    assert_eq!(asks(&guarded, one("waits", selector)), bound("a1"));
}

#[test]
fn whom_is_expected_counts_where_pods_are_spread() {
    let even = json!({"topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}}}]});
    let mut snapshot = cluster(vec![node("a1", "4", json!({})), node("a2", "4", json!({})), node("b1", "1", json!({}))]);
    running(&mut snapshot, "low", "a1", ("4", 1, EARLY));
    running(&mut snapshot, "small", "b1", ("1", 1000, EARLY));
    // one of the app is in zone b, which is full, and one is expected in zone a: one more there is no more than one too many
    let selector = json!({"nodeSelector": {"kubernetes.io/hostname": "a1"}});
    assert_eq!(preempts(&mut snapshot, &important("waits", "1", selector)), chosen("a1", &["low"]));
    snapshot.remove_pod("core/pods/d/low");
    let first = important("first", "1", even.clone());
    assert!(matches!(decide(&mut snapshot.clone(), &first), Decision::Bind(_)));
    // with one more in zone a there would be two more than in zone b
    let (key, mut there) = pod("there", "1", json!({"nodeName": "a2"}));
    there.spec.priority = Some(1000);
    snapshot.set_pod(&key, &there);
    assert!(waits(&mut snapshot.clone(), &first).contains("2 node(s) didn't match pod topology spread constraints"));
    snapshot.dismiss("core/pods/d/waits");
    assert!(matches!(decide(&mut snapshot, &first), Decision::Bind(_)));
}
