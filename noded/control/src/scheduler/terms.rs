//! Rules about other pods.

use std::collections::{BTreeMap, HashMap};

use api::kinds::node::Node;
use api::kinds::pod::volume::PodAffinityTerm;
use api::kinds::pod::{Pod, PodSpec};
use api::meta::LabelSelector;
use api::selector::{LabelRule, LabelRules, rules};

use super::node::{borne, selects};

/// The labels of namespaces, by name.
pub(super) type Spaces = HashMap<String, BTreeMap<String, String>>;

/// Which pods, and what is one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    /// Pods of these namespaces.
    namespaces: Vec<String>,
    /// And of those with such labels; rules that ask for nothing take all.
    spaces: Option<LabelRules>,
    labels: LabelRules,
    pub(super) topology: String,
}

impl Term {
    pub(super) fn affinity(pod: &Pod, term: &PodAffinityTerm) -> Self {
        let spaces = term.namespace_selector.as_ref().map(rules);
        let own = term.namespaces.is_empty() && spaces.is_none();
        let namespaces = if own { vec![pod.metadata.namespace.clone()] } else { term.namespaces.clone() };
        let mut labels = term.label_selector.as_ref().map_or_else(nothing, rules);
        let value = |key: &String| pod.metadata.labels.get(key).cloned();
        for key in &term.match_label_keys {
            if let Some(value) = value(key) {
                labels.0.push(LabelRule::In(key.clone(), vec![value]));
            }
        }
        for key in &term.mismatch_label_keys {
            if let Some(value) = value(key) {
                labels.0.push(LabelRule::NotIn(key.clone(), vec![value]));
            }
        }
        Self { namespaces, spaces, labels, topology: term.topology_key.clone() }
    }

    pub(super) fn spread(pod: &Pod, selector: Option<&LabelSelector>, keys: &[String], topology: &str) -> Self {
        let mut labels = selector.map_or_else(nothing, rules);
        for (key, value) in keys.iter().filter_map(|k| Some((k, pod.metadata.labels.get(k)?))) {
            labels.0.push(LabelRule::In(key.clone(), vec![value.clone()]));
        }
        Self { namespaces: vec![pod.metadata.namespace.clone()], spaces: None, labels, topology: topology.into() }
    }

    /// Whether it is about pods of this namespace with these labels.
    pub(super) fn takes(&self, all: &Spaces, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        let none = BTreeMap::new();
        let selected = || self.spaces.as_ref().is_some_and(|rules| rules.allow(all.get(namespace).unwrap_or(&none)));
        (self.namespaces.iter().any(|n| n == namespace) || selected()) && self.labels.allow(labels)
    }

    /// What it is about depends on the labels of namespaces.
    pub(super) fn looks_at_spaces(&self) -> bool {
        self.spaces.as_ref().is_some_and(|rules| !rules.0.is_empty())
    }
}

/// No selector selects no pod.
fn nothing() -> LabelRules {
    LabelRules(vec![LabelRule::In(String::new(), Vec::new())])
}

/// A rule about how evenly pods are spread.
#[derive(Debug, Clone)]
pub(super) struct Spread {
    pub(super) term: Term,
    /// The greatest difference.
    pub(super) skew: i64,
    /// It must be kept.
    pub(super) hard: bool,
    /// With fewer places than this the least crowded one counts as empty.
    pub(super) places: i64,
    /// Nodes that the pod does not ask for are no places of it, nor are pods on them counted.
    affinity: bool,
    /// The same of nodes whose taints it does not bear.
    taints: bool,
}

impl Spread {
    /// Whether a node is one of those over which such a pod is spread.
    pub(super) fn is_over(&self, spec: &PodSpec, node: &Node) -> bool {
        (!self.affinity || selects(spec, node)) && (!self.taints || borne(spec, node))
    }
}

/// The rules of a pod about others.
#[derive(Debug, Clone, Default)]
pub(super) struct PodRules {
    pub(super) near: Vec<Term>,
    pub(super) apart: Vec<Term>,
    pub(super) spread: Vec<Spread>,
    /// Term, weight; below zero for apart.
    pub(super) wishes: Vec<(Term, i64)>,
}

impl PodRules {
    pub(super) fn of(pod: &Pod) -> Self {
        let mut all = Self { apart: apart(pod), ..Self::default() };
        if let Some(affinity) = &pod.spec.affinity {
            let near = affinity.pod_affinity.iter().flat_map(|a| &a.required);
            all.near.extend(near.map(|t| Term::affinity(pod, t)));
            for (list, sign) in [(&affinity.pod_affinity, 1), (&affinity.pod_anti_affinity, -1)] {
                let preferred = list.iter().flat_map(|a| &a.preferred);
                all.wishes.extend(preferred.map(|w| (Term::affinity(pod, &w.term), sign * i64::from(w.weight))));
            }
        }
        for rule in &pod.spec.topology_spread_constraints {
            let term = Term::spread(pod, rule.label_selector.as_ref(), &rule.match_label_keys, &rule.topology_key);
            let (skew, places) = (i64::from(rule.max_skew), i64::from(rule.min_domains.unwrap_or(1)));
            let (affinity, taints) = (rule.node_affinity_policy != "Ignore", rule.node_taints_policy == "Honor");
            all.spread.push(Spread { term, skew, hard: rule.when_unsatisfiable != "ScheduleAnyway", places, affinity, taints });
        }
        all
    }
}

/// Which pods must not be where this one is.
pub(super) fn apart(pod: &Pod) -> Vec<Term> {
    let rules = pod.spec.affinity.iter().filter_map(|a| a.pod_anti_affinity.as_ref());
    rules.flat_map(|a| &a.required).map(|term| Term::affinity(pod, term)).collect()
}
