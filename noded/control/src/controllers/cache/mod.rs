//! What the controllers know of the cluster: typed, and found by owner.

mod index;
mod owned;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use api::kinds::daemonset::DaemonSet;
use api::kinds::deployment::Deployment;
use api::kinds::endpoints::{EndpointSlice, Endpoints};
use api::kinds::job::Job;
use api::kinds::lease::Lease;
use api::kinds::namespace::Namespace;
use api::kinds::node::Node;
use api::kinds::pod::{POD, Pod};
use api::kinds::replicaset::{REPLICA_SET, ReplicaSet};
use api::kinds::revision::ControllerRevision;
use api::kinds::service::Service;
use api::kinds::{KINDS, Kind};
use api::meta::ObjectMeta;
use serde::Deserialize;

use super::garbage::Known;
use super::pods::controller;
use super::ranges;
use crate::store::Entry;

pub(super) use owned::{daemon_owner, deployment_owner, set_owner};

/// One object to look at: which controller, namespace, name (for garbage: the uid).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Work {
    ReplicaSet(String, String),
    Deployment(String, String),
    DaemonSet(String, String),
    Job(String, String),
    Service(String, String),
    Namespace(String),
    Node(String),
    /// Which node has which addresses for its pods: of all at once, for no two may get the same.
    Ranges,
    Garbage(String),
}

type Named<T> = BTreeMap<(String, String), T>;

/// The typed cluster.
#[derive(Default)]
pub(super) struct Cache {
    pub(super) pods: Named<Pod>,
    pub(super) sets: Named<ReplicaSet>,
    pub(super) deployments: Named<Deployment>,
    pub(super) daemons: Named<DaemonSet>,
    pub(super) revisions: Named<ControllerRevision>,
    pub(super) jobs: Named<Job>,
    pub(super) services: Named<Service>,
    pub(super) slices: Named<EndpointSlice>,
    pub(super) endpoints: Named<Endpoints>,
    pub(super) nodes: BTreeMap<String, Node>,
    pub(super) namespaces: BTreeMap<String, Namespace>,
    /// When each node was last heard of, by our own clock.
    pub(super) heard: HashMap<String, Instant>,
    renewals: HashMap<String, String>,
    /// Pods and replica sets without a controller: kind, namespace, name.
    orphans: BTreeSet<(&'static str, String, String)>,
    /// Everything, by uid.
    pub(super) known: HashMap<String, Known>,
    /// Uids of dependents by their owners' uids.
    pub(super) dependents: HashMap<String, BTreeSet<String>>,
    /// Uids by namespace.
    pub(super) inside: BTreeMap<String, BTreeSet<String>>,
    /// What is to be looked at.
    pub(super) dirty: BTreeSet<Work>,
}

#[derive(Deserialize)]
struct Bare {
    metadata: ObjectMeta,
}

/// Kinds that change all the time and own nothing.
fn is_followed(kind: &Kind) -> bool {
    kind.is_kept() && !matches!(kind.kind, "Event")
}

/// The kinds that the controllers watch.
pub(super) fn kinds() -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().copied().filter(|k| is_followed(k))
}

fn id(meta: &ObjectMeta) -> (String, String) {
    (meta.namespace.clone(), meta.name.clone())
}

/// Puts an object into its map or takes it out; gives back what was there.
fn replace<T: serde::de::DeserializeOwned>(map: &mut Named<T>, meta: &ObjectMeta, entry: Option<&Entry>) -> Option<T> {
    match entry.and_then(|e| serde_json::from_slice(&e.value).ok()) {
        Some(object) => map.insert(id(meta), object),
        None => map.remove(&id(meta)),
    }
}

impl Cache {
    /// Takes in a change: what an object was, what it is.
    pub(super) fn take(&mut self, kind: &'static Kind, before: Option<&Entry>, after: Option<&Entry>) {
        let meta = |e: &Entry| serde_json::from_slice::<Bare>(&e.value).ok().map(|b| b.metadata);
        let Some(shown) = after.or(before).and_then(meta) else { return };
        if kind.kind == "Lease" {
            return self.renewed(&shown, after);
        }
        self.index(kind, before.and_then(meta), after.is_some().then(|| shown.clone()));
        let (namespace, name) = id(&shown);
        match kind.kind {
            "Pod" => self.pod(&shown, after),
            "ReplicaSet" => {
                replace(&mut self.sets, &shown, after);
                self.dirty.insert(Work::ReplicaSet(namespace.clone(), name));
                self.orphan(&REPLICA_SET, &shown, after.is_some());
                if let Some(owner) = controller(&shown).filter(|o| o.kind == "Deployment") {
                    self.dirty.insert(Work::Deployment(namespace, owner.name.clone()));
                }
            }
            "Deployment" => {
                replace(&mut self.deployments, &shown, after);
                self.dirty.insert(Work::Deployment(namespace, name));
            }
            "DaemonSet" => {
                replace(&mut self.daemons, &shown, after);
                self.dirty.insert(Work::DaemonSet(namespace, name));
            }
            "ControllerRevision" => {
                replace(&mut self.revisions, &shown, after);
                if let Some(owner) = controller(&shown).filter(|o| o.kind == "DaemonSet") {
                    self.dirty.insert(Work::DaemonSet(namespace, owner.name.clone()));
                }
            }
            "Job" => {
                replace(&mut self.jobs, &shown, after);
                self.dirty.insert(Work::Job(namespace, name));
            }
            "Service" => {
                replace(&mut self.services, &shown, after);
                self.dirty.insert(Work::Service(namespace, name));
            }
            "EndpointSlice" => {
                replace(&mut self.slices, &shown, after);
                if let Some(service) = shown.labels.get("kubernetes.io/service-name") {
                    self.dirty.insert(Work::Service(namespace, service.clone()));
                }
            }
            "Endpoints" => {
                replace(&mut self.endpoints, &shown, after);
                self.dirty.insert(Work::Service(namespace, name));
            }
            "Node" => self.node(&shown, after),
            "Namespace" => {
                match after.and_then(|e| serde_json::from_slice(&e.value).ok()) {
                    Some(object) => drop(self.namespaces.insert(name.clone(), object)),
                    None => drop(self.namespaces.remove(&name)),
                }
                self.dirty.insert(Work::Namespace(name));
            }
            _ => {}
        }
    }

    fn pod(&mut self, meta: &ObjectMeta, after: Option<&Entry>) {
        let before = replace(&mut self.pods, meta, after);
        let (namespace, _) = id(meta);
        self.orphan(&POD, meta, after.is_some());
        let former = before.as_ref().and_then(|p| controller(&p.metadata));
        for owner in [former, controller(meta)].into_iter().flatten() {
            let name = owner.name.clone();
            match owner.kind.as_str() {
                "ReplicaSet" => drop(self.dirty.insert(Work::ReplicaSet(namespace.clone(), name))),
                "DaemonSet" => drop(self.dirty.insert(Work::DaemonSet(namespace.clone(), name))),
                "Job" => drop(self.dirty.insert(Work::Job(namespace.clone(), name))),
                _ => {}
            }
            // a deployment that recreates waits for the last old pod
            if after.is_none()
                && let Some(deployment) =
                    self.sets.get(&(namespace.clone(), owner.name.clone())).and_then(|s| controller(&s.metadata))
            {
                self.dirty.insert(Work::Deployment(namespace.clone(), deployment.name.clone()));
            }
        }
        let now = self.pods.get(&id(meta));
        if let Some(node) = now
            .map(|p| p.spec.node_name.clone())
            .filter(|n| !n.is_empty() && before.as_ref().is_none_or(|b| b.spec.node_name != *n))
        {
            self.dirty.insert(Work::Node(node));
        }
        let labels = [before.as_ref(), now].into_iter().flatten().map(|p| &p.metadata.labels);
        let touched: Vec<String> = labels
            .flat_map(|labels| {
                let here = self.services.range((namespace.clone(), String::new())..).take_while(|((n, _), _)| *n == namespace);
                here.filter(|(_, s)| !s.spec.selector.is_empty() && s.spec.selector.iter().all(|(k, v)| labels.get(k) == Some(v)))
                    .map(|((_, name), _)| name.clone())
            })
            .collect();
        self.dirty.extend(touched.into_iter().map(|name| Work::Service(namespace.clone(), name)));
    }

    fn node(&mut self, meta: &ObjectMeta, after: Option<&Entry>) {
        let name = meta.name.clone();
        let beat = |n: &Node| n.status.conditions.iter().filter_map(|c| c.last_heartbeat_time).max();
        match after.and_then(|e| serde_json::from_slice::<Node>(&e.value).ok()) {
            Some(node) => {
                let before = self.nodes.insert(name.clone(), node);
                if before.is_none() || before.as_ref().and_then(beat) != self.nodes.get(&name).and_then(beat) {
                    self.heard.insert(name.clone(), Instant::now());
                }
            }
            None => {
                self.nodes.remove(&name);
                self.heard.remove(&name);
            }
        }
        if self.nodes.get(&name).is_none_or(|n| n.spec.pod_cidr.is_empty() || !n.metadata.annotations.contains_key(ranges::CLUSTER))
        {
            self.dirty.insert(Work::Ranges);
        }
        self.dirty.insert(Work::Node(name));
        self.dirty.extend(self.daemons.keys().map(|(namespace, name)| Work::DaemonSet(namespace.clone(), name.clone())));
    }

    /// A node's lease says that the node lives; its own time is not believed, only that it changes.
    fn renewed(&mut self, meta: &ObjectMeta, after: Option<&Entry>) {
        if meta.namespace != "kube-node-lease" {
            return;
        }
        let renewal = after
            .and_then(|e| serde_json::from_slice::<Lease>(&e.value).ok())
            .and_then(|l| l.spec.renew_time)
            .map(|t| t.to_string());
        if let Some(renewal) = renewal
            && self.renewals.insert(meta.name.clone(), renewal.clone()) != Some(renewal)
        {
            let was_silent = self.heard.insert(meta.name.clone(), Instant::now());
            // only a node that was taken for lost needs a look at once: the others have their turn
            if was_silent.is_none_or(|at| at.elapsed().as_secs() >= 2) {
                self.dirty.insert(Work::Node(meta.name.clone()));
            }
        }
    }
}
