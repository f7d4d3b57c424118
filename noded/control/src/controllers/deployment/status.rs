//! What a deployment says of itself: numbers, and the conditions by which `kubectl rollout` and `kubectl wait` go.

use std::time::Duration;

use api::kinds::deployment::{DEPLOYMENT, DeploymentCondition, DeploymentStatus};
use api::kinds::replicaset::ReplicaSet;
use api::meta::Time;
use serde_json::Value;

use super::super::Action;
use super::super::replicaset::FAILURE;
use super::{Plan, size};

impl Plan<'_> {
    /// Notes how far it is.
    pub(super) fn status(&mut self, now: jiff::Timestamp) {
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
        let failure = self.new.into_iter().chain(self.old.iter().copied()).flat_map(|set| &set.status.conditions);
        match failure.into_iter().find(|c| c.kind == FAILURE) {
            Some(c) => {
                set_condition(&mut status.conditions, FAILURE, (c.status.as_str(), c.reason.as_str(), c.message.clone()), now)
            }
            None => status.conditions.retain(|c| c.kind != FAILURE),
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
    fn progress(&mut self, status: &DeploymentStatus, now: jiff::Timestamp) -> Option<(&'static str, &'static str, String)> {
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
        let old = |s: &DeploymentStatus| s.replicas - s.updated_replicas;
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
