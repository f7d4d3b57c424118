//! How large each set is to be: a new number is shared out, a new template grows while the others shrink.

use std::collections::BTreeMap;

use api::kinds::replicaset::{REPLICA_SET, ReplicaSet};
use serde_json::json;

use super::super::Action;
use super::super::pods::reference;
use super::{Plan, size};

impl<'a> Plan<'a> {
    /// The number was changed while several sets have pods.
    pub(super) fn is_scaled(&self) -> bool {
        let noted =
            |s: &&ReplicaSet| s.metadata.annotations.get("deployment.kubernetes.io/desired-replicas").and_then(|n| n.parse().ok());
        let mut with_pods = self.old.iter().copied().chain(self.new).filter(|s| size(s) > 0).peekable();
        with_pods.peek().is_some() && with_pods.any(|s| noted(&s).is_some_and(|n: i32| n != self.desired()))
    }

    /// Gives each set its share of a new number; the newest one gets what is left.
    pub(super) fn spread(&mut self) {
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
    pub(super) fn roll(&mut self, old_pods: usize) {
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

    pub(super) fn tell_scaled(&mut self, set: &str, from: i32, to: i32) {
        let about = reference("apps/v1", "Deployment", &self.deployment.metadata);
        let way = if to >= from { "up" } else { "down" };
        self.actions.push(Action::Tell(
            about,
            "Normal",
            "ScalingReplicaSet",
            format!("Scaled {way} replica set {set} from {from} to {to}"),
        ));
    }
}
