//! One pod, from its first sight to its end: look, decide, act, tell.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use api::kinds::pod::Pod;
use api::kinds::pod::container::Container;
use api::kinds::pod::status::PodStatus;
use cri::{ContainerState, ContainerStatus};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::actual::{Action, Actual, Health, LONGEST, Memory, Nanos, Problem, SECOND, SHORTEST, Sandbox, name_of};
use super::effects::{self, Case, Done, Failure, Shared};
use super::next::{STUCK, next, outcome};
use super::pressure::{Evicted, is_critical};
use super::probe::{self, Finding, Target};
use super::shutdown::{Alive, Phase, class};
use super::statics::SOURCE;
use super::tell::{self, Told};
use super::{last_words, status, wanted};
use crate::cri::local;
use crate::node::Node;

/// A pod as the API has it. That of a static pod is its mirror, if there is one yet.
#[derive(Debug)]
pub(super) struct Object {
    pub(super) raw: Value,
    pub(super) pod: Arc<Pod>,
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
}

/// What else there is to hear.
#[derive(Debug, Clone)]
pub(super) enum Poke {
    /// Something has happened to one of its containers.
    Look,
    /// The pod has to go.
    Evict(Evicted),
}

/// Starts a worker for a pod, and for what the engine has of it already, newest first.
pub(super) fn start(shared: &Arc<Shared>, uid: &str, object: Option<Arc<Object>>, sandboxes: Vec<String>) -> Line {
    let (desired, receiver) = watch::channel(object);
    let (poke, pokes) = mpsc::unbounded_channel();
    let worker = Worker::new(Arc::clone(shared), uid.to_owned(), receiver, sandboxes);
    tokio::spawn(worker.run(pokes));
    Line { desired, poke }
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
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.probes.values().for_each(JoinHandle::abort);
    }
}

type Results = (Action, Result<Done, Failure>);

impl Worker {
    fn new(shared: Arc<Shared>, uid: String, desired: watch::Receiver<Option<Arc<Object>>>, sandboxes: Vec<String>) -> Worker {
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
        if let Some(object) = object.as_ref().filter(|object| sandboxes.is_empty() && !is_critical(&object.pod)) {
            let why = shared.pressure.borrow().refuses(wanted::qos(&object.pod) == "BestEffort");
            memory.evicted = why.map(|message| Evicted { message, by_node: false });
        }
        let told = tell::start(&shared.api, shared.shutdown.unsaid());
        let about = object.as_ref().map(|object| object.uid().to_owned()).unwrap_or_default();
        let (phase, doing, probes, words) = (shared.shutdown.phase(), Vec::new(), HashMap::new(), BTreeMap::new());
        Worker { words, about, shared, uid, desired, sandboxes, memory, doing, probes, told, said, phase, alive: None }
    }

    async fn run(mut self, mut pokes: mpsc::UnboundedReceiver<Poke>) {
        let (results, mut done) = mpsc::unbounded_channel::<Results>();
        let (found, mut findings) = mpsc::unbounded_channel();
        loop {
            let object = self.desired.borrow_and_update().clone();
            let pod = object.as_ref().map(|object| Arc::clone(&object.pod));
            let mut actual = self.look().await;
            let now = engine::now();
            self.end_with_the_host(pod.as_deref(), &mut actual, now);
            let next = next(pod.as_deref(), &actual, now);
            if let Some(object) = &object {
                self.probe(&object.pod, &actual, &found);
                self.tell(object, &actual, now);
            }
            for action in next.actions {
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
        match runs {
            true if self.alive.is_none() => self.alive = Some(Alive::new(&self.shared, class)),
            true => {}
            false => self.alive = None,
        }
        // What has ended by itself stays what it is.
        let ends = self.phase.borrow_and_update().end_of(class);
        if actual.memory.shutdown.is_none() && ends.is_some() && pod.is_some_and(|pod| outcome(pod, actual, now).is_none()) {
            self.memory.shutdown = ends;
            actual.memory.shutdown = ends;
        }
    }

    fn poked(&mut self, poke: Option<Poke>) {
        if let Some(Poke::Evict(evicted)) = poke
            && self.memory.evicted.is_none()
        {
            self.event("Warning", "Evicted", &evicted.message);
            self.memory.evicted = Some(evicted);
        }
    }

    /// What is there.
    async fn look(&mut self) -> Actual {
        let (shared, ids, mut words) = (Arc::clone(&self.shared), self.sandboxes.clone(), std::mem::take(&mut self.words));
        let pod = self.desired.borrow().as_ref().map(|object| Arc::clone(&object.pod));
        let looked = tokio::task::spawn_blocking(move || {
            let (sandboxes, containers): (Vec<_>, Vec<_>) = ids.iter().filter_map(|id| see(&shared.node, id)).unzip();
            let containers: Vec<ContainerStatus> = containers.into_iter().flatten().collect();
            words.retain(|id, _| containers.iter().any(|seen| seen.id == *id));
            if let Some(pod) = &pod {
                let new = last_words::all((&shared.node, &shared.place, pod), &containers, &words);
                words.extend(new);
            }
            (sandboxes, containers, words)
        });
        let (sandboxes, mut containers, words) = looked.await.unwrap_or_default();
        self.words = words;
        self.sandboxes = sandboxes.iter().map(|sandbox: &Sandbox| sandbox.id.clone()).collect();
        for container in &mut containers {
            let words = self.words.get(&container.id).map_or("", String::as_str);
            container.message = last_words::joined(&container.message, words);
            let attempt = container.metadata.as_ref().map_or(0, |metadata| metadata.attempt) + 1;
            let known = self.memory.attempts.entry(name_of(container).to_owned()).or_insert(attempt);
            *known = (*known).max(attempt);
        }
        Actual { sandboxes, containers, doing: self.doing.clone(), memory: self.memory.clone() }
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
            let Some(seen) = actual.newest(&spec.name).filter(|seen| seen.state() == ContainerState::ContainerRunning) else {
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
            Finding::Ready(ready) => {
                health.ready = ready;
                return;
            }
            Finding::Failed(why, grace) => {
                (health.failed, health.ready) = (Some((engine::now(), grace)), false);
                why
            }
        };
        self.event("Warning", "Unhealthy", &event);
    }

    /// Tells the API what is new.
    fn tell(&mut self, object: &Object, actual: &Actual, now: Nanos) {
        let new = status::status(&object.pod, &self.before(&object.pod), actual, &self.shared.place.host, now);
        // What is being made now is more in a moment.
        if new == self.said && object.pod.status == self.said
            || status::is_in_the_making(actual) && !self.said.phase.is_empty() && self.said.start_time.is_some()
        {
            return;
        }
        if new != self.said || object.uid() != self.about {
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

    fn event(&self, kind: &str, reason: &str, message: &str) {
        if let Some(object) = &*self.desired.borrow() {
            tell::event(&self.shared, &object.pod, kind, reason, message);
        }
    }

    /// Remembers what came of an action. Answers whether nothing is left of the pod.
    fn note(&mut self, action: Action, result: Result<Done, Failure>) -> bool {
        self.doing.retain(|doing| *doing != action);
        let now = engine::now();
        if let Err((reason, message)) = &result {
            self.event("Warning", event_of(reason), message);
        }
        match (&action, result) {
            (Action::Forget, Ok(_)) => return true,
            (Action::Volumes, Ok(Done::Volumes(until))) => {
                self.memory.volumes = Some(until);
                self.memory.problem = None;
            }
            // What is there already stays as it is for now.
            (Action::Volumes, Err(_)) if self.memory.volumes.is_some() => self.memory.volumes = Some(now + 10 * SECOND),
            (Action::Sandbox { .. }, Ok(Done::Sandbox(id))) => {
                self.sandboxes.insert(0, id);
                self.memory.problem = None;
            }
            (Action::Volumes | Action::Sandbox { .. }, Err((reason, message))) => self.trouble(reason, message, now),
            (Action::Pull { container, attempt }, result) => {
                let before = self.memory.images.get(container).and_then(|(_, result)| result.as_ref().err());
                let result = result.map(drop);
                let result = result.map_err(|(reason, message)| Problem::again(before, reason, message, SHORTEST, now));
                self.memory.images.insert(container.clone(), (*attempt, result));
            }
            (Action::Start { container, pause, .. }, result) => {
                if let Some(pause) = pause {
                    self.memory.pauses.insert(container.clone(), *pause);
                }
                match result {
                    Ok(_) => drop(self.memory.problems.remove(container)),
                    Err((reason, message)) => {
                        let problem = Problem::again(self.memory.problems.get(container), reason, message, SHORTEST, now);
                        self.memory.problems.insert(container.clone(), problem);
                    }
                }
            }
            (_, Err((_, message))) => self.trouble(STUCK, message, now),
            (_, Ok(_)) => {}
        }
        false
    }

    fn trouble(&mut self, reason: &str, message: String, now: Nanos) {
        self.memory.problem = Some(Problem::again(self.memory.problem.as_ref(), reason, message, SECOND, now));
    }
}

/// Events have words of their own for what containers say in their state.
fn event_of(reason: &str) -> &str {
    match reason {
        "FailedMount" | "FailedCreatePodSandBox" | "FailedKillPod" => reason,
        "PostStartHookError" => "FailedPostStartHook",
        "InvalidImageName" => "InspectFailed",
        _ => "Failed",
    }
}

/// A pod in the engine with its containers; none if it is gone.
fn see(node: &Node, id: &str) -> Option<(Sandbox, Vec<ContainerStatus>)> {
    let pod = node.engine().pod(id).ok()?;
    let containers = local::containers(node, &pod).unwrap_or_default();
    let ips = pod.network.iter().flat_map(|network| &network.networks).flat_map(|end| end.addresses());
    let ips = ips.map(|ip| ip.to_string()).collect();
    Some((Sandbox { id: pod.record.id, attempt: pod.record.request.attempt, ready: pod.ready, ips }, containers))
}

/// What the engine has of a pod of this agent, newest first.
pub(super) fn sandboxes(node: &Node, name: &str, uid: &str) -> Vec<engine::Pod> {
    let all = node.engine().pods().unwrap_or_default().into_iter();
    let is_own = |pod: &engine::Pod| pod.record.request.labels.get(wanted::NODE).is_some_and(|node| node == name);
    all.filter(|pod| pod.record.request.uid == uid && is_own(pod)).collect()
}

/// A pod of this agent that the engine has.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) uid: String,
    /// Its id in the engine.
    pub(super) sandbox: String,
    /// It came from a manifest of this host.
    pub(super) is_static: bool,
}

/// All of them, newest first.
pub(super) fn known(node: &Node, name: &str) -> Vec<Known> {
    let all = node.engine().pods().unwrap_or_default().into_iter().map(|pod| (pod.record.id, pod.record.request));
    let own = all.filter(|(_, request)| request.labels.get(wanted::NODE).is_some_and(|node| node == name));
    let is_static = |request: &engine::PodRequest| request.annotations.get(SOURCE).is_some_and(|source| source == "file");
    own.map(|(sandbox, request)| Known { is_static: is_static(&request), uid: request.uid, sandbox }).collect()
}
