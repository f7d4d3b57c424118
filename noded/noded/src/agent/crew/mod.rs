//! Who works on which pod: those of the API and those of this node's own manifests.

mod follow;
mod resize;
mod take;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ::api::kinds::pod::Pod;
use serde_json::Value;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, oneshot, watch};

use super::effects::Shared;
use super::network::State;
use super::pressure::Evicted;
use super::statics::{self, MIRROR, Mirrors, Static};
use super::worker::{self, Line, Object, Poke};
use crate::host::log;
use take::is_new;

pub(super) use follow::follow;

/// How much of what was heard may wait for the crew.
pub(super) const WAITING: usize = 64;

/// What the crew hears.
#[derive(Debug)]
pub(super) enum Heard {
    /// All pods that there are come now.
    Begin,
    /// A pod is there, or is another one.
    Pod(Value),
    /// One is gone.
    Gone(Value),
    /// Those were all: whoever was not named is not wanted.
    All,
    /// Somebody asks which pods there are.
    Who(oneshot::Sender<Vec<Arc<Pod>>>),
    /// A pod has to go, by its uid.
    Evict(String, Evicted),
}

/// Runs pods for ever. Until the node has addresses for pods, only those run that need none.
pub(super) async fn run(shared: Arc<Shared>, mut heard: mpsc::Receiver<Heard>, mut network: watch::Receiver<State>) {
    let mut events = shared.node.events.listen(&shared.node);
    let (node, name) = (Arc::clone(&shared.node), shared.place.node.clone());
    let found = tokio::task::spawn_blocking(move || (worker::known(&node, &name), node.engine().has_pod_network())).await;
    let (found, addresses) = found.unwrap_or_default();
    let mut crew = Crew::new(Arc::clone(&shared), found, addresses);
    let mut statics = shared.statics.subscribe();
    crew.statics().await;
    loop {
        tokio::select! {
            happened = events.recv() => crew.poke(happened),
            heard = heard.recv() => match heard {
                Some(heard) => crew.hear(heard).await,
                None => return,
            },
            changed = statics.changed() => match changed {
                Ok(()) => crew.statics().await,
                Err(_) => return,
            },
            there = is_there(&mut network), if !crew.addresses => {
                if !there {
                    return;
                }
                crew.addresses = true;
                crew.statics().await;
            }
        }
        crew.workers.retain(|_, line| !line.desired.is_closed());
        crew.settle_again();
        if crew.own.iter().any(|uid| !crew.workers.contains_key(uid)) {
            crew.statics().await;
        }
    }
}

struct Crew {
    shared: Arc<Shared>,
    /// Workers by uid.
    workers: HashMap<String, Line>,
    /// What the engine has of pods that nobody works on yet.
    known: HashMap<String, Vec<String>>,
    /// Static pods that are worked on.
    own: HashSet<String>,
    /// The node has addresses for pods.
    addresses: bool,
    /// What was named since the beginning of a watch, until all was.
    first: Option<First>,
}

/// What there is when a watch begins.
#[derive(Default)]
struct First {
    pods: HashSet<String>,
    mirrors: Mirrors,
    /// New pods, by uid: which of them are taken depends on those that are there already.
    new: HashMap<String, Object>,
}

impl Crew {
    fn new(shared: Arc<Shared>, found: Vec<worker::Known>, addresses: bool) -> Crew {
        let own = found.iter().filter(|known| known.is_static).map(|known| known.uid.clone()).collect();
        let mut known: HashMap<String, Vec<String>> = HashMap::new();
        for one in found {
            known.entry(one.uid).or_default().push(one.sandbox);
        }
        Crew { shared, workers: HashMap::new(), known, own, addresses, first: None }
    }

    async fn hear(&mut self, heard: Heard) {
        match heard {
            Heard::Begin => self.first = Some(Default::default()),
            Heard::Pod(object) if is_mirror(&object) => self.mirror(object).await,
            Heard::Pod(object) => {
                let uid = uid(&object);
                if let Some(first) = &mut self.first {
                    first.pods.insert(uid.clone());
                }
                self.desire(uid, object).await;
            }
            Heard::Gone(object) if is_mirror(&object) => {
                self.shared.mirrors.send_if_modified(|all| {
                    let all = all.as_mut();
                    all.is_some_and(|all| all.remove(&statics::key(&object)).is_some())
                });
            }
            Heard::Gone(object) => self.lost(&uid(&object)),
            Heard::Who(asks) => drop(asks.send(self.pods())),
            Heard::Evict(uid, why) => {
                if let Some(line) = self.workers.get(&uid) {
                    let _ = line.poke.send(Poke::Evict(why));
                }
            }
            Heard::All => {
                let First { pods: seen, mirrors, new } = self.first.take().unwrap_or_default();
                self.shared.mirrors.send_replace(Some(mirrors));
                let others = self.workers.keys().chain(self.known.keys());
                let others: HashSet<String> =
                    others.filter(|uid| !seen.contains(*uid) && !self.own.contains(*uid)).cloned().collect();
                others.iter().for_each(|uid| self.lost(uid));
                let mut new: Vec<(String, Object)> = new.into_iter().collect();
                new.sort_by_key(|(uid, object)| (object.pod.metadata.creation_timestamp, uid.clone()));
                for (uid, object) in new {
                    self.want(uid, object).await;
                }
            }
        }
    }

    /// Those that are to run.
    fn pods(&self) -> Vec<Arc<Pod>> {
        let all = self.workers.values().filter_map(|line| line.desired.borrow().as_ref().map(|object| Arc::clone(&object.pod)));
        let ended = |pod: &Pod| matches!(pod.status.phase.as_str(), "Succeeded" | "Failed");
        all.filter(|pod| pod.metadata.deletion_timestamp.is_none() && !ended(pod)).collect()
    }

    async fn desire(&mut self, uid: String, raw: Value) {
        let Some(object) = resize::read(raw) else { return };
        if let Some(first) = &mut self.first {
            first.new.remove(&uid);
            if is_new(&object.pod) && !self.workers.contains_key(&uid) && !self.known.contains_key(&uid) {
                first.new.insert(uid, object);
                return;
            }
        }
        let object = self.settle(&uid, object);
        self.want(uid, object).await;
    }

    async fn want(&mut self, uid: String, object: Object) {
        match self.workers.get(&uid) {
            Some(line) if !line.desired.is_closed() => drop(line.desired.send_replace(Some(Arc::new(object)))),
            _ => {
                let sandboxes = self.known.remove(&uid).unwrap_or_default();
                let refused = if sandboxes.is_empty() && is_new(&object.pod) { self.refusal(&object.pod).await } else { None };
                let line = worker::start(&self.shared, &uid, Some(Arc::new(object)), sandboxes, refused);
                self.workers.insert(uid, line);
            }
        }
    }

    /// Nobody wants this pod any more.
    fn lost(&mut self, uid: &str) {
        if let Some(first) = &mut self.first {
            first.new.remove(uid);
        }
        match self.workers.get(uid) {
            Some(line) => drop(line.desired.send_replace(None)),
            None => {
                if let Some(sandboxes) = self.known.remove(uid) {
                    self.workers.insert(uid.to_owned(), worker::start(&self.shared, uid, None, sandboxes, None));
                }
            }
        }
    }

    /// What the API has to show a static pod has changed.
    async fn mirror(&mut self, mirror: Value) {
        let key = statics::key(&mirror);
        if let Some(first) = &mut self.first {
            first.mirrors.insert(key.clone(), mirror.clone());
        }
        self.shared.mirrors.send_if_modified(|all| all.as_mut().map(|all| all.insert(key, mirror.clone())).is_some());
        let shown = statics::shows(&self.shared.statics.borrow(), &mirror);
        let one = shown.and_then(|uid| self.shared.statics.borrow().get(&uid).cloned());
        if let Some(one) = one.filter(|one| self.own.contains(&one.pod.metadata.uid)) {
            self.want(one.pod.metadata.uid.clone(), Object { raw: mirror, pod: one.pod, pending: None }).await;
        }
    }

    /// The manifests say something else.
    async fn statics(&mut self) {
        let wanted = self.shared.statics.borrow().clone();
        let gone: Vec<String> = self.own.iter().filter(|uid| !wanted.contains_key(*uid)).cloned().collect();
        for uid in gone {
            self.own.remove(&uid);
            self.lost(&uid);
        }
        for (uid, Static { raw, pod }) in wanted {
            // One that is taken away and comes again may find its worker ending what there was.
            let is_worked_on = self.own.contains(&uid) && self.workers.contains_key(&uid);
            if !is_worked_on && (self.addresses || pod.spec.host_network) {
                let mirror = self.mirror_of(&raw);
                self.own.insert(uid.clone());
                self.want(uid, Object { raw: mirror.unwrap_or_default(), pod, pending: None }).await;
            }
        }
    }

    /// What the API has to show a static pod as it is now.
    fn mirror_of(&self, raw: &Value) -> Option<Value> {
        let mirror = self.shared.mirrors.borrow().as_ref().and_then(|all| all.get(&statics::key(raw)).cloned());
        mirror.filter(|mirror| statics::shows(&self.shared.statics.borrow(), mirror).is_some())
    }

    /// Something has happened to a container: its worker looks. Whoever has missed something has all of them look.
    fn poke(&self, happened: Result<crate::events::Happened, RecvError>) {
        use cri::ContainerEventType::{ContainerDeletedEvent, ContainerStoppedEvent};
        match happened {
            Ok(event) if matches!(event.kind, ContainerStoppedEvent | ContainerDeletedEvent) => {
                let engine = self.shared.node.engine();
                let pod = event.pod.or_else(|| Some(engine.container(&event.id).ok()?.record.pod?.pod));
                let uid = pod.and_then(|id| engine.pod(&id).ok()).map(|pod| pod.record.request.uid);
                if let Some(line) = uid.and_then(|uid| self.workers.get(&uid)) {
                    let _ = line.poke.send(Poke::Look);
                }
            }
            Ok(_) => {}
            Err(_) => {
                for line in self.workers.values() {
                    let _ = line.poke.send(Poke::Look);
                }
            }
        }
    }
}

/// Waits for the pod network; answers whether anybody makes it.
async fn is_there(network: &mut watch::Receiver<State>) -> bool {
    network.wait_for(|state| *state != State::Waiting).await.is_ok()
}

fn is_mirror(object: &Value) -> bool {
    object["metadata"]["annotations"].get(MIRROR).is_some()
}

fn uid(object: &Value) -> String {
    object["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
}
