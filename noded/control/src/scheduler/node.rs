//! What depends on one node and one pod alone: selectors, affinity, taints.

use std::collections::BTreeMap;

use api::kinds::node::Node;
use api::kinds::pod::PodSpec;
use api::kinds::pod::placement::{NodeSelectorRequirement, NodeSelectorTerm, Taint, Toleration};

const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Whether a node may run such a pod, whatever runs there already.
pub fn fits_node(spec: &PodSpec, node: &Node) -> bool {
    refusal(spec, node).is_none()
}

/// Whether a pod that runs on a node already may stay there: taints that only keep new ones away do not matter.
pub fn stays_on_node(spec: &PodSpec, node: &Node) -> bool {
    selects(spec, node) && ends_pods(spec, node).next().is_none()
}

/// Why a node may not run such a pod.
pub(super) fn refusal(spec: &PodSpec, node: &Node) -> Option<String> {
    if node.metadata.deletion_timestamp.is_some() {
        return Some("node(s) were unschedulable".into());
    }
    if is_closed(spec, node) {
        return Some("node(s) were unschedulable".into());
    }
    if let Some(taint) = unborne(spec, node) {
        return Some(format!("node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value));
    }
    (!selects(spec, node)).then(|| "node(s) didn't match Pod's node affinity/selector".into())
}

/// It takes no new pods, and this one does not bear that.
fn is_closed(spec: &PodSpec, node: &Node) -> bool {
    let taint = || Taint { key: UNSCHEDULABLE.into(), effect: "NoSchedule".into(), ..Default::default() };
    node.spec.unschedulable && !bears(&spec.tolerations, &taint())
}

/// The first taint that keeps such a pod away.
fn unborne<'a>(spec: &PodSpec, node: &'a Node) -> Option<&'a Taint> {
    node.spec.taints.iter().filter(|t| t.effect != "PreferNoSchedule").find(|t| !bears(&spec.tolerations, t))
}

/// Taints of a node that end such a pod where it runs.
pub fn ends_pods<'a>(spec: &'a PodSpec, node: &'a Node) -> impl Iterator<Item = &'a Taint> {
    node.spec.taints.iter().filter(move |t| t.effect == "NoExecute" && !bears(&spec.tolerations, t))
}

/// Whether such a pod bears all that keeps pods away from a node.
pub(super) fn borne(spec: &PodSpec, node: &Node) -> bool {
    !is_closed(spec, node) && unborne(spec, node).is_none()
}

/// Whether a node is one that such a pod asks for, by selector and required affinity.
pub fn selects(spec: &PodSpec, node: &Node) -> bool {
    let labels = &node.metadata.labels;
    let selected = spec.node_selector.iter().all(|(k, v)| labels.get(k) == Some(v));
    let required = spec.affinity.as_ref().and_then(|a| a.node_affinity.as_ref()?.required.as_ref());
    let wanted = required.is_none_or(|r| r.terms.iter().any(|t| term(t, labels, &node.metadata.name)));
    selected && wanted
}

/// How much a pod would like to be there, beside what the node has free.
pub(super) fn liking(spec: &PodSpec, node: &Node) -> i64 {
    let preferred = spec.affinity.iter().flat_map(|a| &a.node_affinity).flat_map(|n| &n.preferred);
    let wishes: i64 =
        preferred.filter(|p| term(&p.preference, &node.metadata.labels, &node.metadata.name)).map(|p| i64::from(p.weight)).sum();
    let soft = node.spec.taints.iter().filter(|t| t.effect == "PreferNoSchedule" && !bears(&spec.tolerations, t)).count();
    let has = |image: &str| {
        node.status.images.iter().find(|i| i.names.iter().any(|n| n == image || n.strip_suffix(":latest") == Some(image)))
    };
    let bytes: i64 = spec.containers.iter().filter_map(|c| has(&c.image)).map(|i| i.size_bytes).sum();
    // up to a gigabyte that need not be fetched
    let images = (bytes / (10 << 20)).clamp(0, 100);
    2 * wishes - 100 * i64::try_from(soft).unwrap_or(0) + images
}

fn bears(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|t| {
        let effect = t.effect.is_empty() || t.effect == taint.effect;
        let key = t.key.is_empty() && t.operator == "Exists" || t.key == taint.key;
        effect && key && (t.operator == "Exists" || t.value == taint.value)
    })
}

fn term(term: &NodeSelectorTerm, labels: &BTreeMap<String, String>, name: &str) -> bool {
    let any = !(term.match_expressions.is_empty() && term.match_fields.is_empty());
    let fields = term.match_fields.iter().all(|r| r.key == "metadata.name" && rule(r, Some(name)));
    any && fields && term.match_expressions.iter().all(|r| rule(r, labels.get(&r.key).map(String::as_str)))
}

fn rule(rule: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let listed = |v: &str| rule.values.iter().any(|w| w == v);
    let number = |text: Option<&str>| text.and_then(|t| t.parse::<i64>().ok());
    let bound = number(rule.values.first().map(String::as_str));
    match rule.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => value.is_none_or(|v| !listed(v)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number(value).zip(bound).is_some_and(|(v, b)| v > b),
        "Lt" => number(value).zip(bound).is_some_and(|(v, b)| v < b),
        _ => false,
    }
}
