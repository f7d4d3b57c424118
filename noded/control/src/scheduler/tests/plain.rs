//! What the scheduler decides is what looking at every node for every pod would decide, and takes less.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::scheduler::class::class_of;
use crate::scheduler::node::{liking, refusal};
use crate::scheduler::snapshot::Place;
use crate::scheduler::terms::{PodRules, Spaces, Term};
use crate::scheduler::wants::Wants;

/// A cluster that counts whenever it is asked.
struct Plain {
    nodes: Vec<Node>,
    placed: Vec<(String, Pod)>,
    own: HashMap<String, HashMap<usize, i64>>,
}

impl Plain {
    fn count(&self, term: &Term, value: Option<&String>) -> i64 {
        self.count_on(term, value, |_| true)
    }

    fn count_on(&self, term: &Term, value: Option<&String>, counts: impl Fn(&Node) -> bool) -> i64 {
        let about = |pod: &Pod| term.takes(&Spaces::new(), &pod.metadata.namespace, &pod.metadata.labels);
        let is_there = |pod: &Pod| {
            let node = self.nodes.iter().find(|n| n.metadata.name == pod.spec.node_name).unwrap();
            let of_node = node.metadata.labels.get(&term.topology);
            of_node.is_some() && (value.is_none() || of_node == value) && counts(node)
        };
        self.placed.iter().filter(|(_, pod)| about(pod) && is_there(pod)).count() as i64
    }

    /// What a node is worth; nothing where it is out of the question.
    fn worth(&self, pod: &Pod, key: &str, (at, place): (usize, &Place), wants: &Wants) -> Option<i64> {
        let labels = &place.node.metadata.labels;
        if refusal(&pod.spec, &place.node).is_some() || wants.lacks(place, key).is_some() {
            return None;
        }
        let rules = PodRules::of(pod);
        let about = |term: &Term| term.takes(&Spaces::new(), &pod.metadata.namespace, &pod.metadata.labels);
        let here = |term: &Term| labels.get(&term.topology).map(|value| self.count(term, Some(value)));
        let mut worth = wants.score(place, at, liking(&pod.spec, &place.node));
        for term in &rules.near {
            let first = self.count(term, None) == 0 && about(term);
            here(term).filter(|n| *n > 0 || first)?;
        }
        if rules.apart.iter().any(|term| here(term).is_some_and(|n| n > 0)) {
            return None;
        }
        for (_, other) in &self.placed {
            let there = &self.nodes.iter().find(|n| n.metadata.name == other.spec.node_name).unwrap().metadata.labels;
            let same = |t: &Term| labels.contains_key(&t.topology) && labels.get(&t.topology) == there.get(&t.topology);
            if PodRules::of(other).apart.iter().any(|term| about(term) && same(term)) {
                return None;
            }
        }
        for rule in &rules.spread {
            let is_over = |node: &Node| rule.is_over(&pod.spec, node);
            let over = self.nodes.iter().filter(|n| is_over(n));
            let values: std::collections::BTreeSet<&String> =
                over.filter_map(|n| n.metadata.labels.get(&rule.term.topology)).collect();
            let counted = |value: &String| self.count_on(&rule.term, Some(value), is_over);
            let least = values.iter().map(|value| counted(value)).min().unwrap_or(0);
            let least = if (values.len() as i64) < rule.places { 0 } else { least };
            match labels.get(&rule.term.topology).map(counted) {
                n if rule.hard => drop(n.filter(|n| n + i64::from(about(&rule.term)) - least <= rule.skew)?),
                n => worth -= 30 * n.unwrap_or(10),
            }
        }
        let wish = |(term, weight): &(Term, i64)| here(term).unwrap_or(0).min(10) * weight;
        Some(worth + rules.wishes.iter().map(wish).sum::<i64>())
    }

    fn place(&mut self, key: &str, pod: &Pod) -> Option<String> {
        let mut snapshot = cluster(self.nodes.clone());
        self.placed.iter().for_each(|(key, pod)| snapshot.set_pod(key, pod));
        let wants = Wants::new(pod, self.own.get(&class_of(pod)).cloned().unwrap_or_default());
        let worth = |at: usize| self.worth(pod, key, (at, &snapshot.places[at]), &wants);
        let best = (0..self.nodes.len()).filter_map(|at| Some((worth(at)?, std::cmp::Reverse(at)))).max();
        let std::cmp::Reverse(at) = best?.1;
        *self.own.entry(class_of(pod)).or_default().entry(at).or_default() += 1;
        let mut bound = pod.clone();
        bound.spec.node_name.clone_from(&self.nodes[at].metadata.name);
        self.placed.push((key.into(), bound));
        Some(self.nodes[at].metadata.name.clone())
    }
}

/// One rule about pods of an app: which rule, which app, by which label. Spreading over fewer nodes than all has rules of its own.
type Rule = (u8, u8, u8);

fn shaped(number: usize, (app, cpu, rules): (u8, u8, Vec<Rule>)) -> (String, Pod) {
    let mut spec = json!({"topologySpreadConstraints": [], "affinity": {}});
    if app == 2 {
        spec["nodeSelector"] = json!({"disk": "fast"});
    }
    let list = |spec: &mut Value, kind: &str, when: &str, item: Value| match &mut spec["affinity"][kind][when] {
        Value::Array(all) => all.push(item),
        empty => *empty = json!([item]),
    };
    let (hard, soft) = ("requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution");
    for (kind, app, key) in rules {
        let (key, selector) =
            (["zone", "kubernetes.io/hostname"][usize::from(key)], json!({"matchLabels": {"app": format!("a{app}")}}));
        let term = json!({"labelSelector": selector, "topologyKey": key});
        let mut spread = json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector});
        match kind {
            0 => list(&mut spec, "podAffinity", hard, term),
            1 => list(&mut spec, "podAntiAffinity", hard, term),
            2 => list(&mut spec, "podAffinity", soft, json!({"weight": 40, "podAffinityTerm": term})),
            3 => list(&mut spec, "podAntiAffinity", soft, json!({"weight": 25, "podAffinityTerm": term})),
            _ => {
                match kind {
                    4 => spread["whenUnsatisfiable"] = "ScheduleAnyway".into(),
                    6 => spread["minDomains"] = 4.into(),
                    7 => spread["nodeTaintsPolicy"] = "Honor".into(),
                    8 => spread["nodeAffinityPolicy"] = "Ignore".into(),
                    _ => {}
                }
                spec["topologySpreadConstraints"].as_array_mut().unwrap().push(spread);
            }
        }
    }
    let (key, mut pod) = pod(&format!("p{number:03}"), &format!("{cpu}00m"), spec);
    pod.metadata.labels = [("app".to_string(), format!("a{app}"))].into();
    (key, pod)
}

fn nodes(shapes: Vec<(u8, u8, u8)>) -> Vec<Node> {
    let node = |(number, (zone, cpu, kind)): (usize, (u8, u8, u8))| {
        let zone = if zone == 3 { Value::Null } else { format!("z{zone}").into() };
        let disk = if kind == 1 { "slow" } else { "fast" };
        let taints = if kind == 2 { json!([{"key": "kept", "effect": "NoSchedule"}]) } else { json!([]) };
        let more = json!({"metadata": {"labels": {"zone": zone, "disk": disk}}, "spec": {"taints": taints}});
        node(&format!("n{number}"), &cpu.to_string(), more)
    };
    shapes.into_iter().enumerate().map(node).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn every_pod_goes_where_a_look_at_all_nodes_sends_it(
        shapes in prop::collection::vec((0u8..4, 1u8..5, 0u8..5), 1..10),
        pods in prop::collection::vec((0u8..3, 1u8..12, prop::collection::vec((0u8..9, 0u8..3, 0u8..2), 0..3)), 1..25),
        batch in 1usize..25,
    ) {
        let nodes = nodes(shapes);
        let mut snapshot = cluster(nodes.clone());
        let pods: Vec<_> = pods.into_iter().enumerate().map(|(number, shape)| shaped(number, shape)).collect();
        let mut plain = Plain { nodes, placed: Vec::new(), own: HashMap::new() };
        for batch in pods.chunks(batch) {
            plain.own.clear();
            let expected: Vec<Option<String>> = batch.iter().map(|(key, pod)| plain.place(key, pod)).collect();
            let decided = schedule(&mut snapshot, batch).into_iter();
            let decided: Vec<Option<String>> = decided.map(|(_, d)| if let Decision::Bind(node) = d { Some(node) } else { None }).collect();
            prop_assert_eq!(decided, expected);
        }
    }
}

/// How many looks it takes to place pods of ten deployments on 500 nodes in ten zones.
fn looks_for_each(kind: u8, key: u8) -> u64 {
    const PODS: usize = 1000;
    let nodes = (0..500)
        .map(|n| node(&format!("n{n}"), "16", json!({"metadata": {"labels": {"zone": format!("z{}", n % 10), "disk": "fast"}}})));
    let mut snapshot = cluster(nodes.collect());
    let shape = |number: usize| {
        let app = u8::try_from(number % 10).unwrap();
        (app, 1, vec![(kind, app, key)])
    };
    let pods: Vec<_> = (0..PODS).map(|number| shaped(number, shape(number))).collect();
    let placed = schedule(&mut snapshot, &pods).iter().filter(|(_, d)| matches!(d, Decision::Bind(_))).count();
    assert_eq!(placed, PODS);
    snapshot.looks / PODS as u64
}

/// The measure is the number of looks, not time: it was 500 for each pod when every node was looked at.
#[test]
fn a_pod_with_rules_about_zones_takes_few_looks() {
    for kind in 0..9 {
        if kind != 1 {
            let looks = looks_for_each(kind, 0);
            assert!(looks < 40, "rule {kind}: {looks} looks a pod");
        }
    }
    let apart = looks_for_each(1, 1);
    assert!(apart < 20, "anti-affinity by host: {apart} looks a pod");
}
