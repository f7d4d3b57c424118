//! Objects by their controller, and who takes in those that have none.

use api::kinds::daemonset::{DAEMON_SET, DaemonSet};
use api::kinds::deployment::{DEPLOYMENT, Deployment};
use api::kinds::pod::{POD, Pod};
use api::kinds::replicaset::{REPLICA_SET, ReplicaSet};
use api::kinds::revision::ControllerRevision;

use super::super::Action;
use super::super::claim::Owner;
use super::super::pods::controller;
use super::{Cache, id};

impl Cache {
    /// Pods whose controller has this uid.
    pub(in super::super) fn pods_of(&self, uid: &str) -> Vec<Pod> {
        self.owned(uid, "Pod").filter_map(|id| self.pods.get(&id)).cloned().collect()
    }

    /// Revisions whose controller has this uid.
    pub(in super::super) fn revisions_of(&self, uid: &str) -> Vec<ControllerRevision> {
        self.owned(uid, "ControllerRevision").filter_map(|id| self.revisions.get(&id)).cloned().collect()
    }

    /// Replica sets whose controller has this uid.
    fn sets_of(&self, uid: &str) -> Vec<ReplicaSet> {
        self.owned(uid, "ReplicaSet").filter_map(|id| self.sets.get(&id)).cloned().collect()
    }

    /// The pods of a controller, and what is to be done for some to be its own, or to be so no more.
    pub(in super::super) fn claimed_pods(&self, owner: &Owner<'_>) -> (Vec<Pod>, Vec<Action>) {
        let strays = self.strays("Pod", &owner.meta.namespace).filter_map(|id| self.pods.get(&id)).cloned();
        claimed(self.pods_of(&owner.meta.uid).into_iter().chain(strays), |pod| owner.claim(&POD, &pod.metadata))
    }

    /// The same for the replica sets of a deployment.
    pub(in super::super) fn claimed_sets(&self, owner: &Owner<'_>) -> (Vec<ReplicaSet>, Vec<Action>) {
        let strays = self.strays("ReplicaSet", &owner.meta.namespace).filter_map(|id| self.sets.get(&id)).cloned();
        claimed(self.sets_of(&owner.meta.uid).into_iter().chain(strays), |set| owner.claim(&REPLICA_SET, &set.metadata))
    }

    fn strays<'a>(&'a self, kind: &'static str, namespace: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
        let first = (kind, namespace.to_owned(), String::new());
        let all = self.orphans.range(first..).take_while(move |(k, n, _)| *k == kind && n == namespace);
        all.map(|(_, namespace, name)| (namespace.clone(), name.clone()))
    }

    fn owned<'a>(&'a self, uid: &'a str, kind: &'a str) -> impl Iterator<Item = (String, String)> + 'a {
        let dependents = self.dependents.get(uid).into_iter().flatten().filter_map(|d| self.known.get(d));
        dependents.filter(move |k| k.kind.kind == kind && controller(&k.meta).is_some_and(|c| c.uid == uid)).map(|k| id(&k.meta))
    }
}

fn claimed<T>(all: impl Iterator<Item = T>, claim: impl Fn(&T) -> (bool, Option<Action>)) -> (Vec<T>, Vec<Action>) {
    let (mut own, mut actions) = (Vec::new(), Vec::new());
    for one in all {
        let (is_own, action) = claim(&one);
        actions.extend(action);
        if is_own {
            own.push(one);
        }
    }
    (own, actions)
}

pub(in super::super) fn set_owner(set: &ReplicaSet) -> Owner<'_> {
    Owner { kind: &REPLICA_SET, meta: &set.metadata, selector: set.spec.selector.as_ref() }
}

pub(in super::super) fn daemon_owner(set: &DaemonSet) -> Owner<'_> {
    Owner { kind: &DAEMON_SET, meta: &set.metadata, selector: set.spec.selector.as_ref() }
}

pub(in super::super) fn deployment_owner(deployment: &Deployment) -> Owner<'_> {
    Owner { kind: &DEPLOYMENT, meta: &deployment.metadata, selector: deployment.spec.selector.as_ref() }
}
