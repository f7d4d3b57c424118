//! Deployments: replica sets, the newest one growing while the older ones shrink.

use std::collections::BTreeMap;
use std::time::Duration;

use api::kinds::deployment::{DEPLOYMENT, Deployment, DeploymentCondition};
use api::kinds::pod::PodTemplateSpec;
use api::kinds::replicaset::{REPLICA_SET, ReplicaSet};
use api::meta::Time;
use serde_json::{Value, json};

use super::Action;
use super::pods::{hash, owner, reference};

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

    /// The number was changed while several sets have pods.
    fn is_scaled(&self) -> bool {
        let noted =
            |s: &&ReplicaSet| s.metadata.annotations.get("deployment.kubernetes.io/desired-replicas").and_then(|n| n.parse().ok());
        let mut with_pods = self.old.iter().copied().chain(self.new).filter(|s| size(s) > 0).peekable();
        with_pods.peek().is_some() && with_pods.any(|s| noted(&s).is_some_and(|n: i32| n != self.desired()))
    }

    /// Gives each set its share of a new number; the newest one gets what is left.
    fn spread(&mut self) {
        let all: Vec<&ReplicaSet> = self.old.iter().copied().chain(self.new).collect();
        let with_pods: Vec<&ReplicaSet> = all.iter().copied().filter(|s| size(s) > 0).collect();
        let (surge, _) = self.limits();
        if let [only] = with_pods[..] {
            self.scale(only, self.desired());
            return self.note(&with_pods);
        }
        let allowed = if self.desired() > 0 && !self.recreates() { self.desired() + surge } else { self.desired() };
        let total = self.total();
        let mut left = allowed - total;
        let mut shares: Vec<(&ReplicaSet, i32)> = Vec::new();
        for set in &with_pods {
            let share = i64::from(size(set)) * i64::from(allowed - total) / i64::from(total.max(1));
            let share = i32::try_from(share).unwrap_or(0);
            left -= share;
            shares.push((set, size(set) + share));
        }
        if let Some((_, biggest)) =
            shares.iter_mut().max_by_key(|(s, n)| (self.new.is_some_and(|w| w.metadata.uid == s.metadata.uid), *n))
        {
            *biggest += left;
        }
        for (set, wanted) in shares {
            self.scale(set, wanted.max(0));
        }
        self.note(&with_pods);
    }

    /// Notes for which number the sets were last sized.
    fn note(&mut self, sets: &[&ReplicaSet]) {
        let annotations = self.annotations();
        let notes: BTreeMap<_, _> = annotations.iter().filter(|(k, _)| k.starts_with("deployment.kubernetes.io/")).collect();
        for set in sets {
            let patch = json!({"metadata": {"annotations": notes}});
            self.actions.push(Action::Patch(&REPLICA_SET, set.metadata.namespace.clone(), set.metadata.name.clone(), patch));
        }
    }

    /// One step from the old sets to the new one.
    fn roll(&mut self, old_pods: usize) {
        let (surge, away) = self.limits();
        let desired = self.desired();
        if self.recreates() {
            for set in self.old.clone() {
                self.scale(set, 0);
            }
            if let Some(new) = self.new.filter(|_| old_pods == 0) {
                self.scale(new, desired);
            }
            return;
        }
        if let Some(new) = self.new {
            let room = desired + surge - self.total();
            let wanted = if size(new) > desired { desired } else { (size(new) + room.max(0)).min(desired) };
            self.scale(new, wanted);
        }
        // as large as it is by now: what was just added does not serve yet
        let now = |s: &ReplicaSet| self.sizes.get(s.metadata.name.as_str()).copied().unwrap_or(0);
        let (new_size, new_available) = self.new.map_or((0, 0), |n| (now(n), n.status.available_replicas));
        let mut spare = self.total() - (desired - away) - (new_size - new_available).max(0);
        // pods that do not serve go first, then those that may be missed
        for unhealthy_only in [true, false] {
            for set in self.old.clone() {
                let now = self.sizes.get(set.metadata.name.as_str()).copied().unwrap_or(0);
                let most = if unhealthy_only { (now - set.status.available_replicas).max(0) } else { now };
                let fewer = most.min(spare);
                if fewer > 0 {
                    spare -= fewer;
                    self.scale(set, now - fewer);
                }
            }
            let available: i32 = self.old.iter().map(|s| s.status.available_replicas).sum::<i32>() + new_available;
            if unhealthy_only {
                spare = spare.min(available - (desired - away));
            }
        }
    }

    fn scale(&mut self, set: &'a ReplicaSet, wanted: i32) {
        let name = set.metadata.name.as_str();
        let before = self.sizes.insert(name, wanted).unwrap_or(0);
        if before != wanted {
            // an earlier step of this round may have asked for another size
            self.actions.retain(|a| !matches!(a, Action::Patch(_, _, n, p) if n == name && p["spec"].get("replicas").is_some()));
            let patch = json!({"spec": {"replicas": wanted}});
            self.actions.push(Action::Patch(&REPLICA_SET, set.metadata.namespace.clone(), name.into(), patch));
            self.tell_scaled(name, before, wanted);
        }
    }

    fn tell_scaled(&mut self, set: &str, from: i32, to: i32) {
        let about = reference("apps/v1", "Deployment", &self.deployment.metadata);
        let way = if to >= from { "up" } else { "down" };
        self.actions.push(Action::Tell(
            about,
            "Normal",
            "ScalingReplicaSet",
            format!("Scaled {way} replica set {set} from {from} to {to}"),
        ));
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

    fn status(&mut self, now: jiff::Timestamp) {
        let all: Vec<&ReplicaSet> = self.old.iter().copied().chain(self.new).collect();
        let sum = |of: fn(&ReplicaSet) -> i32| all.iter().map(|s| of(s)).sum::<i32>();
        let mut status = self.deployment.status.clone();
        status.observed_generation = Some(self.deployment.metadata.generation);
        status.replicas = sum(|s| s.status.replicas.unwrap_or(0));
        status.updated_replicas = self.new.map_or(0, |s| s.status.replicas.unwrap_or(0));
        status.ready_replicas = sum(|s| s.status.ready_replicas);
        status.available_replicas = sum(|s| s.status.available_replicas);
        status.unavailable_replicas = (sum(size).max(self.desired()) - status.available_replicas).max(0);
        let (_, away) = self.limits();
        let available = status.available_replicas >= self.desired() - away;
        let words = if available {
            ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.".to_string())
        } else {
            ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.".to_string())
        };
        set_condition(&mut status.conditions, "Available", words, now);
        if let Some(words) = self.progress(&status, now) {
            set_condition(&mut status.conditions, "Progressing", words, now);
        }
        if status != self.deployment.status {
            let mut patch = serde_json::to_value(&status).unwrap_or_default();
            for field in ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"] {
                // what has become nothing must be said, or a merge keeps what it was
                if patch.get(field).is_none() {
                    patch[field] = Value::Null;
                }
            }
            self.actions.push(Action::Status(&DEPLOYMENT, self.deployment.metadata.namespace.clone(), self.name().into(), patch));
        }
    }

    /// How the change goes on: True while it moves, False when it has not moved for too long.
    fn progress(
        &mut self,
        status: &api::kinds::deployment::DeploymentStatus,
        now: jiff::Timestamp,
    ) -> Option<(&'static str, &'static str, String)> {
        let was = &self.deployment.status;
        let current = was.conditions.iter().find(|c| c.kind == "Progressing");
        let name = self.new.map(|s| s.metadata.name.as_str());
        let set = name.map_or_else(|| format!("Deployment {:?}", self.name()), |n| format!("ReplicaSet {n:?}"));
        if self.deployment.spec.paused {
            return Some(("Unknown", "DeploymentPaused", "Deployment is paused".into()));
        }
        if self.made {
            return Some(("True", "NewReplicaSetCreated", "Created new replica set".into()));
        }
        let complete = status.updated_replicas == self.desired()
            && status.replicas == self.desired()
            && status.available_replicas == self.desired();
        if complete && name.is_some() {
            return Some(("True", "NewReplicaSetAvailable", format!("{set} has successfully progressed.")));
        }
        let old = |s: &api::kinds::deployment::DeploymentStatus| s.replicas - s.updated_replicas;
        let moved = status.updated_replicas > was.updated_replicas
            || old(status) < old(was)
            || status.ready_replicas > was.ready_replicas
            || status.available_replicas > was.available_replicas
            || current.is_none_or(|c| c.reason == "DeploymentPaused" || c.reason == "NewReplicaSetAvailable" && !complete);
        if moved {
            return Some(("True", "ReplicaSetUpdated", format!("{set} is progressing.")));
        }
        let deadline = i64::from(self.deployment.spec.progress_deadline_seconds?);
        let since = current?.last_update_time?.seconds_until(now);
        if current?.status == "True" && current?.reason != "NewReplicaSetAvailable" && since < deadline {
            self.actions.push(Action::After(Duration::from_secs((deadline - since).unsigned_abs())));
        } else if current?.status == "True" && since >= deadline {
            return Some(("False", "ProgressDeadlineExceeded", format!("{set} has timed out progressing.")));
        }
        None
    }
}

/// Writes a condition; its times change only with it.
fn set_condition(
    all: &mut Vec<DeploymentCondition>,
    kind: &str,
    (status, reason, message): (&str, &str, String),
    now: jiff::Timestamp,
) {
    let now = Some(Time(now));
    match all.iter_mut().find(|c| c.kind == kind) {
        Some(c) => {
            let progresses = reason == "ReplicaSetUpdated";
            if c.status == status && c.reason == reason && c.message == message && !progresses {
                return;
            }
            if c.status != status {
                c.last_transition_time = now;
            }
            (c.status, c.reason, c.message, c.last_update_time) = (status.into(), reason.into(), message, now);
        }
        None => all.push(DeploymentCondition {
            kind: kind.into(),
            status: status.into(),
            reason: reason.into(),
            message,
            last_transition_time: now,
            last_update_time: now,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(replicas: i32, image: &str, strategy: Value) -> Deployment {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": image}]}});
        let spec = json!({"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "strategy": strategy, "template": template, "progressDeadlineSeconds": 600});
        serde_json::from_value(json!({"metadata": {"name": "d", "namespace": "n", "uid": "u"}, "spec": spec})).unwrap()
    }

    fn rolling(surge: i32, away: i32) -> Value {
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": away}})
    }

    /// The sets as the store would have them after these actions.
    fn perform(sets: &mut Vec<ReplicaSet>, actions: &[Action]) {
        for action in actions {
            match action {
                Action::Create(_, _, set) => {
                    let mut set: ReplicaSet = serde_json::from_value(set.clone()).unwrap();
                    set.metadata.uid.clone_from(&set.metadata.name);
                    sets.push(set);
                }
                Action::Patch(kind, _, name, patch) if kind.kind == "ReplicaSet" => {
                    let set = sets.iter_mut().find(|s| s.metadata.name == *name).unwrap();
                    let mut value = serde_json::to_value(&set).unwrap();
                    api::patch::merge(&mut value, patch.clone());
                    *set = serde_json::from_value(value).unwrap();
                }
                Action::Delete(_, _, name, _) => sets.retain(|s| s.metadata.name != *name),
                _ => {}
            }
        }
    }

    /// Pods go at once and come when they are let.
    fn settle(sets: &mut [ReplicaSet], ready: i32) {
        let mut left = ready;
        for set in sets {
            let size = size(set);
            set.status.replicas = Some(size);
            let more = (size - set.status.available_replicas).clamp(0, left);
            left -= more;
            set.status.available_replicas = (set.status.available_replicas + more).min(size);
            set.status.ready_replicas = set.status.available_replicas;
        }
    }

    fn available(sets: &[ReplicaSet]) -> i32 {
        // what a set has beyond its size goes at once
        sets.iter().map(|s| s.status.available_replicas.min(size(s))).sum()
    }

    fn step(d: &Deployment, sets: &mut Vec<ReplicaSet>) {
        let actions = next(d, sets, 0, jiff::Timestamp::UNIX_EPOCH);
        perform(sets, &actions);
    }

    proptest::proptest! {
        /// Through a whole change there are never too many pods and never too few that serve, however slowly they come.
        #[test]
        fn the_limits_hold_at_every_step(replicas in 1i32..9, surge in 0i32..4, away in 0i32..4, ready in proptest::collection::vec(0i32..4, 60)) {
            let mut sets = Vec::new();
            step(&deployment(replicas, "x:1", rolling(surge, away)), &mut sets);
            settle(&mut sets, 100);
            let d = deployment(replicas, "x:2", rolling(surge, away));
            let away = if surge == 0 && away == 0 { 1 } else { away };
            for ready in ready.into_iter().chain([100; 20]) {
                step(&d, &mut sets);
                let total: i32 = sets.iter().map(size).sum();
                proptest::prop_assert!(total <= replicas + surge, "{total} pods");
                proptest::prop_assert!(available(&sets) >= replicas - away, "{} available", available(&sets));
                settle(&mut sets, ready);
            }
            let newest: Vec<i32> = sets.iter().filter(|s| is_newest(&d, s)).map(size).collect();
            proptest::prop_assert_eq!(newest, vec![replicas]);
            proptest::prop_assert_eq!(sets.iter().map(size).sum::<i32>(), replicas);
        }
    }

    #[test]
    fn recreating_waits_for_the_last_old_pod() {
        let recreate = json!({"type": "Recreate"});
        let mut sets = Vec::new();
        step(&deployment(2, "x:1", recreate.clone()), &mut sets);
        settle(&mut sets, 2);
        let d = deployment(2, "x:2", recreate);
        let actions = next(&d, &sets, 2, jiff::Timestamp::UNIX_EPOCH);
        perform(&mut sets, &actions);
        assert_eq!(sets.iter().map(size).collect::<Vec<_>>(), [0]);
        step(&d, &mut sets);
        assert_eq!(sets.iter().map(size).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn a_paused_one_is_scaled_but_not_changed() {
        let mut sets = Vec::new();
        step(&deployment(2, "x:1", rolling(1, 0)), &mut sets);
        settle(&mut sets, 2);
        let mut d = deployment(5, "x:2", rolling(1, 0));
        d.spec.paused = true;
        step(&d, &mut sets);
        assert_eq!(sets.iter().map(size).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn going_back_makes_an_old_set_the_newest_revision() {
        let mut sets = Vec::new();
        for image in ["x:1", "x:2", "x:1"] {
            let d = deployment(1, image, rolling(1, 0));
            for _ in 0..4 {
                step(&d, &mut sets);
                settle(&mut sets, 9);
            }
        }
        let revisions: Vec<i64> = sets.iter().map(|s| revision(&s.metadata.annotations)).collect();
        assert_eq!(revisions, [3, 2]);
    }
}
