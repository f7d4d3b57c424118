//! Which pods get other resources while they run.

use std::cmp::Reverse;
use std::sync::Arc;

use ::api::kinds::pod::Pod;
use serde_json::Value;

use super::super::admission::grows;
use super::super::resize::{Pending, given, held};
use super::super::statics::SOURCE;
use super::super::worker::Object;
use super::take::is_new;
use super::{Crew, log};

impl Crew {
    /// The pod with the resources that it gets: what it asks for, or what it had when there is no room for that.
    pub(super) fn settle(&self, uid: &str, mut object: Object) -> Object {
        let line = self.workers.get(uid).filter(|line| !line.desired.is_closed());
        let current = line.and_then(|line| line.desired.borrow().as_ref().map(|known| known.pod.spec.clone()));
        let current = match current {
            Some(current) => current,
            None if is_new(&object.pod) => return object,
            None => given(&object.pod),
        };
        let Some(held) = held(&object.pod, &current) else { return object };
        let others: Vec<Arc<Pod>> =
            self.workers.iter().filter(|(other, _)| *other != uid).filter_map(|(_, line)| line.holds()).collect();
        let room = self.shared.own.borrow().status.allocatable.clone();
        let pending = match self.first {
            // Not all are known yet that were here before.
            Some(_) => Some(Pending { reason: "Deferred", message: "the node begins".to_owned() }),
            None => grows(&object.pod, &held, &others, &room),
        };
        if pending.is_some() {
            object.pod = Arc::new(held);
            object.pending = pending;
        }
        object
    }

    /// Tries again what did not fit, the most important pods first.
    pub(super) fn settle_again(&mut self) {
        if self.first.is_some() {
            return;
        }
        let pending = |line: &super::Line| line.desired.borrow().clone().filter(|object| object.pending.is_some());
        let mut all: Vec<_> = self.workers.iter().filter_map(|(uid, line)| Some((uid.clone(), pending(line)?))).collect();
        all.sort_by_key(|(uid, object)| {
            let pod = &object.pod;
            (Reverse(pod.spec.priority.unwrap_or(0)), pod.metadata.creation_timestamp, uid.clone())
        });
        for (uid, before) in all {
            let Some(object) = read(before.raw.clone()) else { continue };
            let object = self.settle(&uid, object);
            if object.pending != before.pending
                && let Some(line) = self.workers.get(&uid)
            {
                line.desired.send_replace(Some(Arc::new(object)));
            }
        }
    }
}

/// A pod as the API has it.
pub(super) fn read(raw: Value) -> Option<Object> {
    match serde_json::from_value::<Pod>(raw.clone()) {
        Ok(mut pod) => {
            // Nobody makes a pod one of the node's own by saying so in the API.
            pod.metadata.annotations.remove(SOURCE);
            Some(Object { raw, pod: Arc::new(pod), pending: None })
        }
        Err(error) => {
            log::failed(&format!("read pod {}", raw["metadata"]["name"]), &error);
            None
        }
    }
}
