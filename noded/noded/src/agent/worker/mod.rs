//! One pod, from its first sight to its end: look, decide, act, tell.

mod look;
mod notes;
mod tells;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::kinds::pod::Pod;
use api::kinds::pod::container::Container;
use api::kinds::pod::status::PodStatus;
use cri::ContainerState as Is;
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::actual::{Action, Actual, Health, LONGEST, Memory, Nanos, SECOND};
use super::effects::{self, Case, Done, Failure, Shared};
use super::next::{next, outcome};
use super::pressure::Evicted;
use super::probe::{self, Finding, Target};
use super::resize::Pending;
use super::shutdown::{Alive, Phase, class};
use super::tell::{self, Told};

pub(super) use look::{Known, address, known, sandboxes};

/// A pod as the API has it. That of a static pod is its mirror, if there is one yet.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) raw: Value,
    /// With the resources that this node gives it.
    pub(super) pod: Arc<Pod>,
    /// Why it does not have all that it asks for.
    pub(super) pending: Option<Pending>,
}

impl Object {
    /// Its uid in the API; empty for a static pod that the API does not show.
    fn uid(&self) -> &str {
        self.raw["metadata"]["uid"].as_str().unwrap_or_default()
    }
}

/// What a worker hears.
#[derive(Debug, Clone)]
pub(super) struct Line {
    /// The pod as it is desired; none when the API does not know it.
    pub(super) desired: watch::Sender<Option<Arc<Object>>>,
    pub(super) poke: mpsc::UnboundedSender<Poke>,
    /// The pod takes room on the node: it has not ended for good.
    holds: Arc<AtomicBool>,
    /// It makes room for another one.
    pub(super) leaves: bool,
}

impl Line {
    /// The pod, if it takes room on the node that others do not have.
    pub(super) fn holds(&self) -> Option<Arc<Pod>> {
        let holds = self.holds.load(Ordering::Relaxed) && !self.leaves;
        holds.then(|| self.desired.borrow().as_ref().map(|object| Arc::clone(&object.pod))).flatten()
    }
}

/// What else there is to hear.
#[derive(Debug, Clone)]
pub(super) enum Poke {
    /// Something has happened to one of its containers.
    Look,
    /// The pod has to go.
    Evict(Evicted),
}

/// Starts a worker for a pod, and for what the engine has of it already, newest first. One that is `refused` has nothing, and fails.
pub(super) fn start(
    shared: &Arc<Shared>,
    uid: &str,
    object: Option<Arc<Object>>,
    sandboxes: Vec<String>,
    refused: Option<Evicted>,
) -> Line {
    let (desired, receiver) = watch::channel(object);
    let (poke, pokes) = mpsc::unbounded_channel();
    let holds = Arc::new(AtomicBool::new(refused.is_none()));
    let mut worker = Worker::new(Arc::clone(shared), uid.to_owned(), receiver, sandboxes, Arc::clone(&holds));
    if let Some(refused) = refused {
        worker.event("Warning", &refused.reason, refused.told());
        worker.memory.evicted = Some(refused);
    }
    tokio::spawn(worker.run(pokes));
    Line { desired, poke, holds, leaves: false }
}

struct Worker {
    shared: Arc<Shared>,
    uid: String,
    desired: watch::Receiver<Option<Arc<Object>>>,
    sandboxes: Vec<String>,
    memory: Memory,
    doing: Vec<Action>,
    /// Last words, by container.
    words: BTreeMap<String, String>,
    /// Tasks that probe, by container.
    probes: HashMap<String, JoinHandle<()>>,
    told: Told,
    /// What was told last, and of which object by its uid: that of a static pod may be made anew.
    said: PodStatus,
    about: String,
    phase: watch::Receiver<Phase>,
    /// As long as something of the pod runs.
    alive: Option<Alive>,
    holds: Arc<AtomicBool>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.probes.values().for_each(JoinHandle::abort);
    }
}

type Results = (Action, Result<Done, Failure>);

impl Worker {
    fn new(
        shared: Arc<Shared>,
        uid: String,
        desired: watch::Receiver<Option<Arc<Object>>>,
        sandboxes: Vec<String>,
        holds: Arc<AtomicBool>,
    ) -> Worker {
        let object = desired.borrow().clone();
        let said = object.as_ref().map(|object| object.pod.status.clone()).unwrap_or_default();
        let mut memory = Memory { accepted: engine::now(), ..Memory::default() };
        if let Some(start) = said.start_time {
            memory.accepted = u64::try_from(start.0.as_nanosecond()).unwrap_or(memory.accepted);
        }
        for old in said.container_statuses.iter().chain(&said.init_container_statuses) {
            // Its containers may be gone, but they were there.
            if !old.container_id.is_empty() {
                memory.attempts.insert(old.name.clone(), u32::try_from(old.restart_count).unwrap_or(0) + 1);
            }
            let id = old.container_id.trim_start_matches("rctr://").to_owned();
            memory.health.insert(id, Health { started: old.started == Some(true), ready: old.ready, failed: None });
        }
        let told = tell::start(&shared.api, shared.shutdown.unsaid());
        let about = object.as_ref().map(|object| object.uid().to_owned()).unwrap_or_default();
        let (phase, doing, probes, words) = (shared.shutdown.phase(), Vec::new(), HashMap::new(), BTreeMap::new());
        Worker { words, about, shared, uid, desired, sandboxes, memory, doing, probes, told, said, phase, alive: None, holds }
    }

    async fn run(mut self, mut pokes: mpsc::UnboundedReceiver<Poke>) {
        let (results, mut done) = mpsc::unbounded_channel::<Results>();
        let (found, mut findings) = mpsc::unbounded_channel();
        loop {
            let object = self.desired.borrow_and_update().clone();
            let pod = object.as_ref().map(|object| Arc::clone(&object.pod));
            let mut actual = self.look().await;
            let now = engine::now();
            if let Some(pod) = &pod {
                self.memory.note_deletion(pod, now);
                actual.memory.deleted = self.memory.deleted;
                self.memory.resizing.pending = object.as_ref().and_then(|object| object.pending.clone());
                self.memory.note_restarts(pod, &actual, now);
                actual.memory.resizing = self.memory.resizing.clone();
            }
            self.end_with_the_host(pod.as_deref(), &mut actual, now);
            let next = next(pod.as_deref(), &actual, now);
            if let Some(object) = &object {
                self.probe(&object.pod, &actual, &found);
                self.tell(object, &actual, now);
            }
            for action in next.actions {
                self.announce(pod.as_deref(), &action, &actual);
                self.doing.push(action.clone());
                let (shared, case) = (Arc::clone(&self.shared), Case::new(&self.uid, pod.clone(), &actual));
                let results = results.clone();
                tokio::spawn(async move {
                    let result = effects::act(&shared, &case, &action).await;
                    let _ = results.send((action, result));
                });
            }
            let wait = next.wake.map_or(LONGEST, |wake| wake.saturating_sub(now)).min(LONGEST);
            tokio::select! {
                changed = self.desired.changed() => if changed.is_err() { return },
                Ok(()) = self.phase.changed() => {}
                poke = pokes.recv() => {
                    self.poked(poke);
                    while let Ok(poke) = pokes.try_recv() {
                        self.poked(Some(poke));
                    }
                }
                Some((action, result)) = done.recv() => {
                    if self.note(action, result) {
                        return;
                    }
                    while let Ok((action, result)) = done.try_recv() {
                        if self.note(action, result) {
                            return;
                        }
                    }
                }
                Some((id, finding)) = findings.recv() => self.found(id, finding),
                () = tokio::time::sleep(Duration::from_nanos(wait + SECOND / 1000)) => {}
            }
        }
    }

    /// Notes whether the pod runs, and whether it is its turn to end with the host.
    fn end_with_the_host(&mut self, pod: Option<&Pod>, actual: &mut Actual, now: Nanos) {
        let class = class(pod);
        let runs = !actual.doing.is_empty() || actual.sandboxes.iter().any(|sandbox| sandbox.ready);
        match &mut self.alive {
            Some(alive) if runs => alive.belongs_to(class),
            alive => *alive = runs.then(|| self.shared.shutdown.alive(class)),
        }
        let goes_on = pod.is_some_and(|pod| outcome(pod, actual, now).is_none());
        // Others count it until its end is told, or until it is gone: so long nobody else has its place.
        let is_there = pod.is_some_and(|pod| pod.metadata.deletion_timestamp.is_none()) || is_busy(actual);
        self.holds.store(goes_on && is_there, Ordering::Relaxed);
        // What has ended by itself stays what it is.
        let ends = self.phase.borrow_and_update().end_of(class);
        if actual.memory.shutdown.is_none() && ends.is_some() && goes_on {
            self.memory.shutdown = ends;
            actual.memory.shutdown = ends;
        }
    }

    fn poked(&mut self, poke: Option<Poke>) {
        if let Some(Poke::Evict(evicted)) = poke
            && self.memory.evicted.is_none()
        {
            self.event("Warning", &evicted.reason, &evicted.message);
            self.memory.evicted = Some(evicted);
        }
    }

    /// Probes what runs, and nothing else.
    fn probe(&mut self, pod: &Pod, actual: &Actual, found: &mpsc::UnboundedSender<(String, Finding)>) {
        let runs = |id: &str| actual.running().any(|seen| seen.id == id);
        self.probes.retain(|id, task| {
            let runs = runs(id);
            if !runs {
                task.abort();
            }
            runs
        });
        self.memory.health.retain(|id, _| actual.containers.iter().any(|seen| seen.id == *id));
        let ip = actual.sandbox().and_then(|sandbox| sandbox.ips.first().cloned());
        let ip = if pod.spec.host_network { self.shared.place.host.clone() } else { ip.unwrap_or_default() };
        let specs = pod.spec.containers.iter().chain(&pod.spec.init_containers);
        for spec in specs.filter(|spec| probe::has_any(spec)) {
            let Some(seen) = actual.newest(&spec.name).filter(|seen| seen.state() == Is::ContainerRunning) else {
                continue;
            };
            if self.probes.contains_key(&seen.id) {
                continue;
            }
            let target =
                Target { node: Arc::clone(&self.shared.node), id: seen.id.clone(), spec: Container::clone(spec), ip: ip.clone() };
            self.probes.insert(seen.id.clone(), tokio::spawn(probe::run(target, found.clone())));
        }
    }

    fn found(&mut self, id: String, finding: Finding) {
        let health = self.memory.health.entry(id).or_default();
        let event = match finding {
            Finding::Started => {
                health.started = true;
                return;
            }
            Finding::Ready => {
                health.ready = true;
                return;
            }
            Finding::Unready(why) => {
                health.ready = false;
                why
            }
            Finding::Failed(why, grace) => {
                (health.failed, health.ready) = (Some((engine::now(), grace)), false);
                why
            }
        };
        self.event("Warning", "Unhealthy", &event);
    }
}

/// Whether something of the pod runs, or is about to.
fn is_busy(actual: &Actual) -> bool {
    actual.doing.iter().any(|doing| *doing != Action::Forget) || actual.sandboxes.iter().any(|sandbox| sandbox.ready)
}
