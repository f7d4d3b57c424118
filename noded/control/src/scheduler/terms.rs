//! Rules about other pods, and how many of them are where.

use std::collections::{BTreeMap, HashMap};

use api::kinds::pod::Pod;
use api::kinds::pod::volume::PodAffinityTerm;
use api::meta::LabelSelector;
use api::selector::{LabelRules, rules};

/// Which pods, and what is one place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Term {
    /// Pods of these namespaces; none: of all.
    namespaces: Option<Vec<String>>,
    labels: LabelRules,
    pub(super) topology: String,
}

/// How many pods of a term are in each place.
#[derive(Debug, Clone)]
pub(super) struct Counter {
    pub(super) term: Term,
    pub(super) places: HashMap<String, i64>,
}

impl Term {
    pub(super) fn affinity(pod: &Pod, term: &PodAffinityTerm) -> Self {
        let own = vec![pod.metadata.namespace.clone()];
        let namespaces = match (&term.namespace_selector, term.namespaces.is_empty()) {
            // an empty selector is all namespaces; one with rules would need the namespaces' labels: it counts as all, on the safe side
            (Some(_), _) => None,
            (None, true) => Some(own),
            (None, false) => Some(term.namespaces.clone()),
        };
        let mut labels = term.label_selector.as_ref().map_or_else(nothing, rules);
        let value = |key: &String| pod.metadata.labels.get(key).cloned();
        for key in &term.match_label_keys {
            if let Some(value) = value(key) {
                labels.0.push(api::selector::LabelRule::In(key.clone(), vec![value]));
            }
        }
        for key in &term.mismatch_label_keys {
            if let Some(value) = value(key) {
                labels.0.push(api::selector::LabelRule::NotIn(key.clone(), vec![value]));
            }
        }
        Self { namespaces, labels, topology: term.topology_key.clone() }
    }

    pub(super) fn spread(pod: &Pod, selector: Option<&LabelSelector>, keys: &[String], topology: &str) -> Self {
        let mut labels = selector.map_or_else(nothing, rules);
        for (key, value) in keys.iter().filter_map(|k| Some((k, pod.metadata.labels.get(k)?))) {
            labels.0.push(api::selector::LabelRule::In(key.clone(), vec![value.clone()]));
        }
        Self { namespaces: Some(vec![pod.metadata.namespace.clone()]), labels, topology: topology.into() }
    }

    pub(super) fn takes(&self, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        self.namespaces.as_ref().is_none_or(|n| n.iter().any(|n| n == namespace)) && self.labels.allow(labels)
    }
}

/// No selector selects no pod.
fn nothing() -> LabelRules {
    LabelRules(vec![api::selector::LabelRule::In(String::new(), Vec::new())])
}

/// The rules of a pod about others.
#[derive(Debug, Clone, Default)]
pub(super) struct PodRules {
    pub(super) near: Vec<Term>,
    pub(super) apart: Vec<Term>,
    /// Term, greatest difference, whether it must be kept, the least number of places.
    pub(super) spread: Vec<(Term, i64, bool, i64)>,
    /// Term, weight; below zero for apart.
    pub(super) wishes: Vec<(Term, i64)>,
}

impl PodRules {
    pub(super) fn of(pod: &Pod) -> Self {
        let mut all = Self::default();
        let affinity = pod.spec.affinity.clone().unwrap_or_default();
        for (list, sign) in [(affinity.pod_affinity, 1), (affinity.pod_anti_affinity, -1)] {
            let Some(list) = list else { continue };
            let hard = list.required.iter().map(|t| Term::affinity(pod, t));
            if sign > 0 {
                all.near.extend(hard)
            } else {
                all.apart.extend(hard)
            }
            all.wishes.extend(list.preferred.iter().map(|w| (Term::affinity(pod, &w.term), sign * i64::from(w.weight))));
        }
        for rule in &pod.spec.topology_spread_constraints {
            let term = Term::spread(pod, rule.label_selector.as_ref(), &rule.match_label_keys, &rule.topology_key);
            let least = i64::from(rule.min_domains.unwrap_or(1));
            all.spread.push((term, i64::from(rule.max_skew), rule.when_unsatisfiable != "ScheduleAnyway", least));
        }
        all
    }

    /// Nothing is asked of other pods, but that some are not there.
    pub(super) fn keep_away_only(&self) -> bool {
        self.near.is_empty() && self.spread.is_empty() && self.wishes.is_empty()
    }
}
