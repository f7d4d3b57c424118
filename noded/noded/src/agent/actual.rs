//! What is known of a pod on this node: what the engine says, and what this agent remembers while it lives.

use std::collections::BTreeMap;

use api::kinds::pod::Pod;
use api::meta::Time;
use cri::{ContainerState, ContainerStatus};

use super::pressure::Evicted;
use super::resize::{Limits, Resizing};

/// Nanoseconds since 1970.
pub(super) type Nanos = u64;

pub(super) const SECOND: Nanos = 1_000_000_000;

/// The state of one pod.
#[derive(Debug, Clone, Default)]
pub(super) struct Actual {
    /// Its pods in the engine, newest first: more than one when the first one was lost, by a reboot say.
    pub(super) sandboxes: Vec<Sandbox>,
    /// All its containers, newest first.
    pub(super) containers: Vec<ContainerStatus>,
    /// What is being done right now.
    pub(super) doing: Vec<Action>,
    pub(super) memory: Memory,
}

/// A pod in the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sandbox {
    pub(super) id: String,
    pub(super) attempt: u32,
    pub(super) ready: bool,
    pub(super) ips: Vec<String>,
}

/// What the engine does not know. An agent that is started anew finds it out again.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// Volumes are there until then, when they are looked at again.
    pub(super) volumes: Option<Nanos>,
    /// What stood in the way of the pod as a whole.
    pub(super) problem: Option<Problem>,
    /// Images by container: for which attempt, and what came of it.
    pub(super) images: BTreeMap<String, (u32, Result<(), Problem>)>,
    /// What stood in the way of containers.
    pub(super) problems: BTreeMap<String, Problem>,
    /// How long containers wait before they are started again.
    pub(super) pauses: BTreeMap<String, Pause>,
    /// What probes say, by container id.
    pub(super) health: BTreeMap<String, Health>,
    /// Attempts that there were when the first container that is still known was made.
    pub(super) attempts: BTreeMap<String, u32>,
    /// The pod runs since then.
    pub(super) accepted: Nanos,
    /// It is deleted: since which moment by the API's clock, and until when by this host's.
    pub(super) deleted: Option<(Time, Nanos)>,
    /// It ends with its host, until then at the latest.
    pub(super) shutdown: Option<Nanos>,
    /// It has to go.
    pub(super) evicted: Option<Evicted>,
    /// Its containers get other resources.
    pub(super) resizing: Resizing,
}

impl Memory {
    /// Notes that a pod is deleted. Its grace begins when that is seen here, whatever the API's clock says; one that is deleted again with less time
    /// has that.
    pub(super) fn note_deletion(&mut self, pod: &Pod, now: Nanos) {
        let metadata = &pod.metadata;
        let Some(moment) = metadata.deletion_timestamp.filter(|moment| self.deleted.is_none_or(|(known, _)| known != *moment))
        else {
            return;
        };
        let grace = metadata.deletion_grace_period_seconds.or(pod.spec.termination_grace_period_seconds).unwrap_or(30);
        let until = now.saturating_add(u64::try_from(grace).unwrap_or(0).saturating_mul(SECOND));
        self.deleted = Some((moment, self.deleted.map_or(until, |(_, before)| before.min(until))));
    }
}

/// Something did not work, and is tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) at: Nanos,
    /// When it is tried again.
    pub(super) until: Nanos,
    /// How often it has not worked.
    pub(super) count: u32,
}

impl Problem {
    /// One more failure: 10 s to the next try, then twice as long each time, up to 5 minutes; `first` is the shortest pause.
    pub(super) fn again(before: Option<&Problem>, reason: &str, message: String, first: Nanos, now: Nanos) -> Problem {
        let count = before.map_or(0, |before| before.count) + 1;
        let pause = first.saturating_mul(1 << (count - 1).min(10)).min(LONGEST);
        Problem { reason: reason.to_owned(), message, at: now, until: now + pause, count }
    }
}

/// The longest pause between two tries.
pub(super) const LONGEST: Nanos = 300 * SECOND;

/// The shortest one before a container is started again.
pub(super) const SHORTEST: Nanos = 10 * SECOND;

/// A container that has run so long starts from the beginning.
const FORGIVEN: Nanos = 600 * SECOND;

/// How long a container waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) length: Nanos,
    /// When the container that was replaced had ended.
    pub(super) since: Nanos,
}

/// When a container that has ended at `finished` may be started again; the first time is at once.
pub(super) fn may_start(pause: Option<Pause>, finished: Nanos) -> Nanos {
    match pause {
        Some(Pause { length, since }) if finished.saturating_sub(since) <= FORGIVEN => finished + length,
        _ => finished,
    }
}

/// The pause after the next end.
pub(super) fn next_pause(pause: Option<Pause>, finished: Nanos) -> Pause {
    let length = match pause {
        Some(Pause { length, since }) if finished.saturating_sub(since) <= FORGIVEN => (length * 2).min(LONGEST),
        _ => SHORTEST,
    };
    Pause { length, since: finished }
}

/// What probes say of a container that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) started: bool,
    pub(super) ready: bool,
    /// It is to be restarted since then, with so many seconds to end.
    pub(super) failed: Option<(Nanos, Option<i64>)>,
}

/// What is to be done. Equal ones are the same work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Make files and folders.
    Volumes,
    /// Make the pod in the engine.
    Sandbox { attempt: u32 },
    /// See that the image is there.
    Pull { container: String, attempt: u32 },
    /// Make and start a container; with the pause after its next end.
    Start { container: String, attempt: u32, pause: Option<Pause> },
    /// Give a container that runs the resources that it is to have.
    Resize { container: String, id: String, limits: Limits },
    /// End a container, by force at `until`.
    Stop { container: String, id: String, until: Nanos },
    /// Forget one that has ended.
    Remove { id: String },
    /// End the pod in the engine: its containers have ended.
    StopSandbox { id: String },
    /// Remove it with its containers.
    RemoveSandbox { id: String },
    /// Remove its files, and tell the API that nothing is left.
    Forget,
}

impl Actual {
    /// The pod in the engine that counts.
    pub(super) fn sandbox(&self) -> Option<&Sandbox> {
        self.sandboxes.first()
    }

    /// The newest container of a name.
    pub(super) fn newest(&self, name: &str) -> Option<&ContainerStatus> {
        self.all(name).next()
    }

    /// All containers of a name, newest first.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &ContainerStatus> {
        self.containers.iter().filter(move |container| name_of(container) == name)
    }

    /// Those that run.
    pub(super) fn running(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.containers.iter().filter(|container| container.state() == ContainerState::ContainerRunning)
    }

    /// What probes say of a container.
    pub(super) fn health(&self, id: &str) -> Option<&Health> {
        self.memory.health.get(id)
    }
}

/// The name of a container in its pod.
pub(super) fn name_of(container: &ContainerStatus) -> &str {
    container.metadata.as_ref().map_or("", |metadata| &metadata.name)
}

/// How many containers of its name there were before.
pub(super) fn attempt_of(container: &ContainerStatus) -> u32 {
    container.metadata.as_ref().map_or(0, |metadata| metadata.attempt)
}

/// When it ended.
pub(super) fn finished(container: &ContainerStatus) -> Nanos {
    u64::try_from(container.finished_at).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes_and_are_forgiven() {
        let mut pause = None;
        let mut lengths = Vec::new();
        let mut finished = 1000 * SECOND;
        for _ in 0..8 {
            lengths.push((may_start(pause, finished) - finished) / SECOND);
            pause = Some(next_pause(pause, finished));
            finished += 400 * SECOND;
        }
        assert_eq!(lengths, [0, 10, 20, 40, 80, 160, 300, 300]);
        finished += 300 * SECOND;
        assert_eq!(may_start(pause, finished), finished);
        assert_eq!(next_pause(pause, finished).length, SHORTEST);
    }

    #[test]
    fn the_grace_of_a_deleted_pod_is_counted_by_this_hosts_clock() {
        let deleted = |moment: &str, grace: i64| -> Pod {
            let metadata = serde_json::json!({ "deletionTimestamp": moment, "deletionGracePeriodSeconds": grace });
            serde_json::from_value(serde_json::json!({ "metadata": metadata })).unwrap()
        };
        let mut memory = Memory::default();
        let mut until = |pod: &Pod, now: u64| {
            memory.note_deletion(pod, now * SECOND);
            memory.deleted.map(|(_, until)| until / SECOND)
        };
        assert_eq!(until(&Pod::default(), 1), None);
        // The API's clock is far away.
        let first = deleted("2026-01-01T00:00:30Z", 30);
        assert_eq!((until(&first, 100), until(&first, 110)), (Some(130), Some(130)));
        assert_eq!(until(&deleted("2026-01-01T00:00:20Z", 2), 115), Some(117));
        assert_eq!(until(&deleted("2026-01-01T00:00:50Z", 60), 116), Some(117), "nobody gets more");
    }

    #[test]
    fn problems_are_tried_again_later_and_later() {
        let first = Problem::again(None, "r", String::new(), SHORTEST, 0);
        let second = Problem::again(Some(&first), "r", String::new(), SHORTEST, first.until);
        assert_eq!((first.until, second.until), (10 * SECOND, 30 * SECOND));
        let many = Problem { count: 50, ..second };
        assert_eq!(Problem::again(Some(&many), "r", String::new(), SHORTEST, 0).until, LONGEST);
    }
}
