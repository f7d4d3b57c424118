//! Everything by uid, with its owners and dependents, and what has no controller.

use api::kinds::Kind;
use api::meta::ObjectMeta;

use super::super::garbage::Known;
use super::super::pods::controller;
use super::owned::{daemon_owner, deployment_owner, set_owner};
use super::{Cache, Named, Work, id};

impl Cache {
    /// Notes whose an object is, and lets those look at it whom that concerns.
    pub(super) fn index(&mut self, kind: &'static Kind, before: Option<ObjectMeta>, after: Option<ObjectMeta>) {
        if let Some(old) = before {
            for owner in &old.owner_references {
                if let Some(list) = self.dependents.get_mut(&owner.uid) {
                    list.remove(&old.uid);
                    if list.is_empty() {
                        self.dependents.remove(&owner.uid);
                    }
                }
                self.dirty.insert(Work::Garbage(owner.uid.clone()));
            }
            if after.is_none() {
                self.known.remove(&old.uid);
                if let Some(list) = self.inside.get_mut(&old.namespace) {
                    list.remove(&old.uid);
                }
                if self.namespaces.get(&old.namespace).is_some_and(|n| n.metadata.deletion_timestamp.is_some()) {
                    self.dirty.insert(Work::Namespace(old.namespace.clone()));
                }
                self.dirty.extend(self.dependents.get(&old.uid).into_iter().flatten().cloned().map(Work::Garbage));
            }
        }
        let Some(new) = after else { return };
        for owner in &new.owner_references {
            self.dependents.entry(owner.uid.clone()).or_default().insert(new.uid.clone());
        }
        if !new.owner_references.is_empty() || new.deletion_timestamp.is_some() {
            self.dirty.insert(Work::Garbage(new.uid.clone()));
            if new.deletion_timestamp.is_some() {
                self.dirty.extend(self.dependents.get(&new.uid).into_iter().flatten().cloned().map(Work::Garbage));
            }
        }
        if !new.namespace.is_empty() {
            self.inside.entry(new.namespace.clone()).or_default().insert(new.uid.clone());
            if self.namespaces.get(&new.namespace).is_some_and(|n| n.metadata.deletion_timestamp.is_some()) {
                self.dirty.insert(Work::Namespace(new.namespace.clone()));
            }
        }
        self.known.insert(new.uid.clone(), Known { kind, meta: new });
    }

    /// Notes whether an object has no controller, and lets those look at it whose selector chooses it.
    pub(super) fn orphan(&mut self, kind: &'static Kind, meta: &ObjectMeta, is_there: bool) {
        let (namespace, name) = id(meta);
        let key = (kind.kind, namespace.clone(), name);
        if !is_there || controller(meta).is_some() {
            self.orphans.remove(&key);
            return;
        }
        self.orphans.insert(key);
        if kind.kind == "Pod" {
            let sets = here(&self.sets, &namespace).filter(|(_, s)| set_owner(s).chooses(meta));
            self.dirty.extend(sets.map(|((space, name), _)| Work::ReplicaSet(space.clone(), name.clone())));
            let daemons = here(&self.daemons, &namespace).filter(|(_, s)| daemon_owner(s).chooses(meta));
            self.dirty.extend(daemons.map(|((space, name), _)| Work::DaemonSet(space.clone(), name.clone())));
        } else {
            let deployments = here(&self.deployments, &namespace).filter(|(_, d)| deployment_owner(d).chooses(meta));
            self.dirty.extend(deployments.map(|((space, name), _)| Work::Deployment(space.clone(), name.clone())));
        }
    }
}

/// Those of a namespace.
fn here<'a, T>(map: &'a Named<T>, namespace: &'a str) -> impl Iterator<Item = (&'a (String, String), &'a T)> {
    map.range((namespace.to_owned(), String::new())..).take_while(move |((n, _), _)| n == namespace)
}
