//! Events of containers and pods: what this daemon does, and what monitors write down.
//!
//! ```text
//! calls ────────────────┐
//! RUN/events ─ reader ──┴─▶ broadcast ─▶ each GetContainerEvents
//! ```
//!
//! The reader runs only while somebody listens, and an end is told by the monitor alone, after its record is there: exit code and want of
//! memory are known then.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use cri::ContainerEventType;
use engine::{EventOptions, Pod};
use tokio::sync::broadcast;

use crate::host::log;
use crate::node::Node;

/// Events that wait for a slow listener. One that is slower yet is told that it has missed some.
const WAITING: usize = 1024;

/// Something that has happened.
#[derive(Debug, Clone)]
pub(crate) struct Happened {
    /// The container, or the pod itself.
    pub(crate) id: String,
    pub(crate) kind: ContainerEventType,
    pub(crate) nanos: u64,
    /// The pod of a container; of a pod that is gone its last view.
    pub(crate) pod: Option<String>,
    pub(crate) gone: Option<Arc<Pod>>,
}

/// Where events go.
#[derive(Debug)]
pub(crate) struct Events {
    sender: broadcast::Sender<Happened>,
    reading: Mutex<bool>,
}

impl Default for Events {
    fn default() -> Self {
        Events { sender: broadcast::Sender::new(WAITING), reading: Mutex::new(false) }
    }
}

impl Events {
    /// Something has happened to a pod.
    pub(crate) fn pod(&self, id: &str, kind: ContainerEventType) {
        self.say(Happened { id: id.to_owned(), kind, nanos: engine::now(), pod: Some(id.to_owned()), gone: None });
    }

    /// A pod was removed.
    pub(crate) fn gone(&self, pod: &Pod) {
        let id = pod.record.id.clone();
        let kind = ContainerEventType::ContainerDeletedEvent;
        self.say(Happened { pod: Some(id.clone()), id, kind, nanos: engine::now(), gone: Some(Arc::new(pod.clone())) });
    }

    /// A container was made or started.
    pub(crate) fn container(&self, id: &str, kind: ContainerEventType) {
        self.say(Happened { id: id.to_owned(), kind, nanos: engine::now(), pod: None, gone: None });
    }

    /// A container of a pod was removed.
    pub(crate) fn of_gone(&self, pod: &str, id: &str) {
        let kind = ContainerEventType::ContainerDeletedEvent;
        self.say(Happened { id: id.to_owned(), kind, nanos: engine::now(), pod: Some(pod.to_owned()), gone: None });
    }

    fn say(&self, happened: Happened) {
        // Nobody has to listen.
        let _ = self.sender.send(happened);
    }

    /// What happens from now on.
    pub(crate) fn listen(&self, node: &Arc<Node>) -> broadcast::Receiver<Happened> {
        let receiver = self.sender.subscribe();
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        if !*reading {
            *reading = true;
            let (node, since) = (Arc::downgrade(node), engine::now());
            std::thread::spawn(move || read(&node, since));
        }
        receiver
    }

    /// Whether somebody listens; if not, the reader ends with this answer.
    fn goes_on(&self) -> bool {
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        *reading = self.sender.receiver_count() > 0;
        *reading
    }
}

/// How often the reader looks whether somebody still listens, in nanoseconds.
const LOOK: u64 = 10_000_000_000;

/// Reads what monitors write, until nobody listens or the daemon ends.
fn read(node: &Weak<Node>, mut since: u64) {
    loop {
        let Some(node) = node.upgrade() else { return };
        if !node.events.goes_on() {
            return;
        }
        let until = engine::now() + LOOK;
        match node.engine().events(EventOptions { since: Some(since), until: Some(until) }) {
            Ok(events) => {
                events.filter_map(Result::ok).for_each(|event| told(&node, &event.kind, &event.action, event.actor.id, event.nanos))
            }
            Err(error) => {
                log::failed("listen to monitors", &error);
                std::thread::sleep(std::time::Duration::from_nanos(LOOK));
            }
        }
        since = until + 1;
    }
}

/// Only ends are news: the rest is told by whoever does it.
fn told(node: &Node, kind: &str, action: &str, id: String, nanos: u64) {
    if kind == "container" && action == "die" {
        let kind = ContainerEventType::ContainerStoppedEvent;
        node.events.say(Happened { id, kind, nanos, pod: None, gone: None });
    }
}
