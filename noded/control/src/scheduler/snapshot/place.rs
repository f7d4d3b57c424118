//! A node with what is there, and a pod that has a node.

use std::collections::{BTreeMap, BTreeSet};

use api::kinds::node::Node;
use api::kinds::pod::Pod;

use crate::scheduler::demand::{Amounts, Port, kept, ports, requests};
use crate::scheduler::terms::{Term, apart};

/// A node, its room, and what is taken of it.
#[derive(Debug, Clone)]
pub(in crate::scheduler) struct Place {
    pub(in crate::scheduler) node: Node,
    pub(in crate::scheduler) room: Amounts,
    pub(in crate::scheduler) used: Amounts,
    pub(in crate::scheduler) ports: Vec<Port>,
    /// Keys of the pods.
    pub(in crate::scheduler) pods: BTreeSet<String>,
    /// Pods for which others make room here.
    pub(in crate::scheduler) expected: Vec<Expected>,
}

/// A pod that waits for a node until others have left it.
#[derive(Debug, Clone)]
pub(in crate::scheduler) struct Expected {
    pub(super) key: String,
    pub(in crate::scheduler) namespace: String,
    pub(in crate::scheduler) labels: BTreeMap<String, String>,
    /// Whom it keeps away.
    pub(in crate::scheduler) apart: Vec<Term>,
    priority: i32,
    amounts: Amounts,
    ports: Vec<Port>,
}

impl Place {
    pub(super) fn new(node: Node) -> Self {
        let room = Amounts::of(&node.status.allocatable);
        Self { node, room, used: Amounts::default(), ports: Vec::new(), pods: BTreeSet::new(), expected: Vec::new() }
    }

    /// What is kept for pods that are expected, of this priority or above, but for the one with this key.
    pub(in crate::scheduler) fn kept(&self, priority: i32, key: &str) -> impl Iterator<Item = (&Amounts, &[Port])> {
        self.expected.iter().filter(move |e| e.comes_before(priority, key)).map(|e| (&e.amounts, e.ports.as_slice()))
    }
}

impl Expected {
    pub(super) fn new(key: &str, pod: &Pod) -> Self {
        Self {
            key: key.into(),
            namespace: pod.metadata.namespace.clone(),
            labels: pod.metadata.labels.clone(),
            apart: apart(pod),
            priority: pod.spec.priority.unwrap_or(0),
            amounts: requests(&pod.spec),
            ports: ports(&pod.spec),
        }
    }

    /// Whether it is of this priority or above, and not the one with this key.
    pub(super) fn comes_before(&self, priority: i32, key: &str) -> bool {
        self.priority >= priority && self.key != key
    }
}

/// A pod that has a node.
#[derive(Debug, Clone)]
pub(in crate::scheduler) struct Placed {
    pub(super) node: String,
    pub(super) namespace: String,
    pub(super) labels: BTreeMap<String, String>,
    /// The uid of its controller, if it has one.
    pub(super) owner: String,
    amounts: Amounts,
    ports: Vec<Port>,
    pub(super) apart: Vec<Term>,
    pub(in crate::scheduler) priority: i32,
    /// When its node took it on.
    pub(in crate::scheduler) start: Option<jiff::Timestamp>,
    /// It is about to end.
    pub(in crate::scheduler) leaving: bool,
}

impl Placed {
    pub(super) fn new(pod: &Pod) -> Self {
        Self {
            node: pod.spec.node_name.clone(),
            namespace: pod.metadata.namespace.clone(),
            labels: pod.metadata.labels.clone(),
            owner: owner(pod).to_owned(),
            amounts: kept(pod),
            ports: ports(&pod.spec),
            apart: apart(pod),
            priority: pod.spec.priority.unwrap_or(0),
            start: pod.status.start_time.map(|t| t.0),
            leaving: pod.metadata.deletion_timestamp.is_some(),
        }
    }
}

impl Place {
    pub(super) fn count(&mut self, key: &str, pod: &Placed, sign: i64) {
        self.used.add(&pod.amounts, sign);
        if sign > 0 {
            self.ports.extend(pod.ports.iter().cloned());
            self.pods.insert(key.into());
        } else {
            self.ports.retain(|p| !pod.ports.contains(p));
            self.pods.remove(key);
        }
    }
}

/// The uid of a pod's controller; empty without one.
pub(in crate::scheduler) fn owner(pod: &Pod) -> &str {
    pod.metadata.owner_references.iter().find(|o| o.controller == Some(true)).map_or("", |o| &o.uid)
}
