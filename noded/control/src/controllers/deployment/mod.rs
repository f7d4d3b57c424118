//! Deployments: replica sets, the newest one growing while the older ones shrink.

mod roll;
mod status;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use api::kinds::deployment::{DEPLOYMENT, Deployment};
use api::kinds::pod::PodTemplateSpec;
use api::kinds::replicaset::{REPLICA_SET, ReplicaSet};
use serde_json::json;

use super::Action;
use super::pods::{hash, owner};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HASH: &str = "pod-template-hash";

/// What is to be done for a deployment whose own sets are `sets`; `old_pods` says how many pods older sets still have, going ones too.
pub fn next(deployment: &Deployment, sets: &[ReplicaSet], old_pods: usize, now: jiff::Timestamp) -> Vec<Action> {
    let mut plan = Plan::new(deployment, sets);
    if deployment.metadata.deletion_timestamp.is_none() {
        if plan.new.is_none() && !deployment.spec.paused && !plan.waits_for_old(old_pods) {
            plan.make();
        }
        plan.revise();
        if plan.is_scaled() {
            plan.spread();
        } else if !deployment.spec.paused {
            plan.roll(old_pods);
        }
        plan.clean();
    }
    plan.status(now);
    plan.actions
}

/// Whether a set is of the template that the deployment has now.
pub fn is_newest(deployment: &Deployment, set: &ReplicaSet) -> bool {
    bare(&set.spec.template) == bare(&deployment.spec.template)
}

struct Plan<'a> {
    deployment: &'a Deployment,
    new: Option<&'a ReplicaSet>,
    old: Vec<&'a ReplicaSet>,
    /// The number of replicas of each set, as it will be.
    sizes: BTreeMap<&'a str, i32>,
    made: bool,
    actions: Vec<Action>,
}

fn size(set: &ReplicaSet) -> i32 {
    set.spec.replicas.unwrap_or(0)
}

/// A template without the label that tells sets apart.
fn bare(template: &PodTemplateSpec) -> PodTemplateSpec {
    let mut template = template.clone();
    template.metadata.labels.remove(HASH);
    template
}

fn revision(annotations: &BTreeMap<String, String>) -> i64 {
    annotations.get(REVISION).and_then(|r| r.parse().ok()).unwrap_or(0)
}

impl<'a> Plan<'a> {
    fn new(deployment: &'a Deployment, sets: &'a [ReplicaSet]) -> Self {
        let wanted = bare(&deployment.spec.template);
        let mut all: Vec<&ReplicaSet> = sets.iter().filter(|s| s.metadata.deletion_timestamp.is_none()).collect();
        all.sort_by_key(|s| (s.metadata.creation_timestamp, &s.metadata.name));
        let new = all.iter().copied().find(|s| bare(&s.spec.template) == wanted);
        let old = all.iter().copied().filter(|s| new.is_none_or(|n| n.metadata.uid != s.metadata.uid)).collect();
        let sizes = all.iter().map(|s| (s.metadata.name.as_str(), size(s))).collect();
        Self { deployment, new, old, sizes, made: false, actions: Vec::new() }
    }

    fn desired(&self) -> i32 {
        self.deployment.spec.replicas.unwrap_or(1)
    }

    fn recreates(&self) -> bool {
        self.deployment.spec.strategy.type_ == "Recreate"
    }

    fn waits_for_old(&self, old_pods: usize) -> bool {
        self.recreates() && old_pods > 0
    }

    /// Surge and unavailable; both cannot be nothing.
    fn limits(&self) -> (i32, i32) {
        if self.recreates() {
            return (0, self.desired());
        }
        let rolling = self.deployment.spec.strategy.rolling_update.clone().unwrap_or_default();
        let surge = rolling.max_surge.and_then(|s| s.of(self.desired(), true)).unwrap_or(0).max(0);
        let away = rolling.max_unavailable.and_then(|s| s.of(self.desired(), false)).unwrap_or(0).max(0);
        (surge, if surge == 0 && away == 0 { 1 } else { away.min(self.desired()) })
    }

    fn total(&self) -> i32 {
        self.sizes.values().sum()
    }

    fn name(&self) -> &'a str {
        &self.deployment.metadata.name
    }

    /// The set of the newest template comes to be.
    fn make(&mut self) {
        let meta = &self.deployment.metadata;
        let hash = hash(&bare(&self.deployment.spec.template), self.deployment.status.collision_count.unwrap_or(0));
        let mut template = self.deployment.spec.template.clone();
        template.metadata.labels.insert(HASH.into(), hash.clone());
        let mut selector = self.deployment.spec.selector.clone().unwrap_or_default();
        selector.match_labels.insert(HASH.into(), hash.clone());
        let room = self.desired() + self.limits().0 - self.total();
        let size = room.clamp(0, self.desired());
        let name = format!("{}-{hash}", meta.name);
        let mut annotations = self.annotations();
        annotations.insert(REVISION.into(), (self.newest_old() + 1).to_string());
        let set = json!({
            "metadata": {"name": name, "labels": template.metadata.labels, "annotations": annotations, "ownerReferences": [owner("apps/v1", "Deployment", meta)]},
            "spec": {"replicas": size, "minReadySeconds": self.deployment.spec.min_ready_seconds, "selector": selector, "template": template},
        });
        self.actions.push(Action::Create(&REPLICA_SET, meta.namespace.clone(), set));
        self.tell_scaled(&name, 0, size);
        self.made = true;
    }

    /// What a set carries of its deployment's notes.
    fn annotations(&self) -> BTreeMap<String, String> {
        let mut notes = self.deployment.metadata.annotations.clone();
        notes.retain(|k, _| {
            !matches!(k.as_str(), "kubectl.kubernetes.io/last-applied-configuration" | "deprecated.deployment.rollback.to")
                && !k.starts_with("deployment.kubernetes.io/")
        });
        let (surge, _) = self.limits();
        notes.insert("deployment.kubernetes.io/desired-replicas".into(), self.desired().to_string());
        notes.insert("deployment.kubernetes.io/max-replicas".into(), (self.desired() + surge).to_string());
        notes
    }

    fn newest_old(&self) -> i64 {
        self.old.iter().map(|s| revision(&s.metadata.annotations)).max().unwrap_or(0)
    }

    /// A set that has become the newest again gets the newest revision; the deployment shows it.
    fn revise(&mut self) {
        let current = match self.new {
            Some(set) => {
                let own = revision(&set.metadata.annotations);
                let next = if own > self.newest_old() { own } else { self.newest_old() + 1 };
                let mut wanted = self.annotations();
                wanted.insert(REVISION.into(), next.to_string());
                if wanted.iter().any(|(k, v)| set.metadata.annotations.get(k) != Some(v)) {
                    let patch = json!({"metadata": {"annotations": wanted}, "spec": {"minReadySeconds": self.deployment.spec.min_ready_seconds}});
                    self.actions.push(Action::Patch(
                        &REPLICA_SET,
                        set.metadata.namespace.clone(),
                        set.metadata.name.clone(),
                        patch,
                    ));
                }
                next
            }
            None if self.made => self.newest_old() + 1,
            None => return,
        };
        if revision(&self.deployment.metadata.annotations) != current {
            let patch = json!({"metadata": {"annotations": {REVISION: current.to_string()}}});
            self.actions.push(Action::Patch(&DEPLOYMENT, self.deployment.metadata.namespace.clone(), self.name().into(), patch));
        }
    }

    /// Former templates beyond the limit go.
    fn clean(&mut self) {
        let kept = usize::try_from(self.deployment.spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
        let mut idle: Vec<&ReplicaSet> =
            self.old.iter().copied().filter(|s| size(s) == 0 && s.status.replicas.unwrap_or(0) == 0).collect();
        idle.sort_by_key(|s| revision(&s.metadata.annotations));
        for set in idle.iter().take(idle.len().saturating_sub(kept)) {
            let meta = &set.metadata;
            self.actions.push(Action::Delete(&REPLICA_SET, meta.namespace.clone(), meta.name.clone(), meta.uid.clone()));
        }
    }
}
