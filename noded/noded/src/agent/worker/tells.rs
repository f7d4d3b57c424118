//! What is said of a pod.

use api::kinds::pod::Pod;
use api::kinds::pod::status::{ContainerStatus, PodStatus};

use super::super::actual::{Action, Actual, Nanos};
use super::super::{status, tell};
use super::{Object, Worker};

impl Worker {
    /// Says that a container is about to end, and why.
    pub(super) fn announce(&self, pod: Option<&Pod>, action: &Action, actual: &Actual) {
        let (Some(pod), Action::Stop { container, id, .. }) = (pod, action) else { return };
        let message = match actual.health(id).filter(|health| health.failed.is_some()) {
            Some(health) => {
                let all = pod.spec.containers.iter().chain(&pod.spec.init_containers);
                let starts = !health.started && all.filter(|spec| spec.name == *container).any(|spec| spec.startup_probe.is_some());
                let probe = if starts { "startup" } else { "liveness" };
                format!("Container {container} failed {probe} probe, will be restarted")
            }
            None => format!("Stopping container {container}"),
        };
        tell::event_of(&self.shared, pod, container, "Normal", "Killing", &message);
    }

    /// Says of each container that from now on it waits longer and longer.
    fn backs_off(&self, pod: &Pod, new: &PodStatus) {
        for one in all(new) {
            let (name, reason) = (&one.name, waits(one));
            if all(&self.said).any(|old| old.name == *name && waits(old) == reason) {
                continue;
            }
            let (level, message) = match reason {
                "CrashLoopBackOff" => {
                    let of = &pod.metadata;
                    let place = format!("{}_{}({})", of.name, of.namespace, of.uid);
                    ("Warning", format!("Back-off restarting failed container {name} in pod {place}"))
                }
                "ImagePullBackOff" => ("Normal", format!("Back-off pulling image {:?}", one.image)),
                _ => continue,
            };
            tell::event_of(&self.shared, pod, name, level, "BackOff", &message);
        }
    }

    /// Says that resources change, or why they do not.
    fn resizes(&self, pod: &Pod, new: &PodStatus) {
        let of = |status: &PodStatus, kind: &str| status.conditions.iter().find(|condition| condition.kind == kind).cloned();
        let event = |level: &str, reason: &str, message: &str| tell::event(&self.shared, pod, level, reason, message);
        let before = of(&self.said, status::PENDING).map(|condition| condition.reason);
        if let Some(waits) = of(new, status::PENDING).filter(|waits| before.as_ref() != Some(&waits.reason)) {
            event("Warning", &format!("Resize{}", waits.reason), &waits.message);
        }
        match (of(&self.said, status::IN_PROGRESS), of(new, status::IN_PROGRESS)) {
            (None, Some(_)) => event("Normal", "ResizeStarted", "Pod resize started"),
            (Some(_), None) => event("Normal", "ResizeCompleted", "Pod resize completed"),
            _ => {}
        }
    }

    /// Tells the API what is new.
    pub(super) fn tell(&mut self, object: &Object, actual: &Actual, now: Nanos) {
        let new = status::status(&object.pod, &self.before(&object.pod), actual, &self.shared.place.host, now);
        // What is being made now is more in a moment.
        if new == self.said && object.pod.status == self.said
            || status::is_in_the_making(actual) && !self.said.phase.is_empty() && self.said.start_time.is_some()
        {
            return;
        }
        if new != self.said || object.uid() != self.about {
            self.backs_off(&object.pod, &new);
            self.resizes(&object.pod, &new);
            self.said = new.clone();
            self.about = object.uid().to_owned();
            if !self.about.is_empty() {
                self.told.status(&object.raw, &new);
            }
        }
    }

    /// What was said, with what others have said meanwhile.
    fn before(&self, pod: &Pod) -> PodStatus {
        let mut before = self.said.clone();
        for condition in &pod.status.conditions {
            if !before.conditions.iter().any(|known| known.kind == condition.kind) {
                before.conditions.push(condition.clone());
            }
        }
        before.nominated_node_name.clone_from(&pod.status.nominated_node_name);
        before
    }

    pub(super) fn event(&self, kind: &str, reason: &str, message: &str) {
        if let Some(object) = &*self.desired.borrow() {
            tell::event(&self.shared, &object.pod, kind, reason, message);
        }
    }
}

fn all(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    status.init_container_statuses.iter().chain(&status.container_statuses)
}

/// What a container waits for.
fn waits(status: &ContainerStatus) -> &str {
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    waiting.map_or("", |waiting| &waiting.reason)
}
