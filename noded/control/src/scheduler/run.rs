//! The loop: what is pending is placed, what was placed is written.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::kinds::Kind;
use api::kinds::namespace::{NAMESPACE, Namespace};
use api::kinds::node::{NODE, Node};
use api::kinds::pod::{POD, Pod};
use futures_util::StreamExt;

use super::write::{NAME, write};
use super::{Decision, Snapshot, schedule};
use crate::objects::{Objects, prefix};
use crate::store::{Entry, Event, Gone, Watch};

/// So many pods are placed in one round.
const BATCH: usize = 2000;
/// Pods that fit nowhere are tried again after this, should nothing have happened.
const AGAIN: Duration = Duration::from_secs(30);

/// A pod without a node.
struct Pending {
    pod: Pod,
    /// What was last said about it.
    said: Option<Decision>,
    /// It is to be looked at.
    due: bool,
}

struct Scheduler {
    objects: Objects,
    snapshot: Snapshot,
    pending: BTreeMap<String, Pending>,
    watches: [(&'static Kind, Watch); 3],
    /// Something has happened that may make room.
    stirred: bool,
}

/// Places pods until it is dropped.
pub async fn run(objects: Objects) {
    loop {
        let Some(mut scheduler) = Scheduler::begin(&objects) else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        while scheduler.round().await.is_ok() {}
    }
}

impl Scheduler {
    fn begin(objects: &Objects) -> Option<Self> {
        let store = objects.store();
        let begun = |kind: &'static Kind| {
            let list = store.list(&prefix(kind, ""), None).ok()?;
            let watch = store.watch(&prefix(kind, ""), list.revision).ok()?;
            Some((list.entries, (kind, watch)))
        };
        let [(spaces, a), (nodes, b), (pods, c)] = [begun(&NAMESPACE)?, begun(&NODE)?, begun(&POD)?];
        let mut this = Self {
            objects: objects.clone(),
            snapshot: Snapshot::default(),
            pending: BTreeMap::new(),
            watches: [a, b, c],
            stirred: true,
        };
        for (kind, entries) in [(&NAMESPACE, spaces), (&NODE, nodes), (&POD, pods)] {
            entries.iter().for_each(|e| this.take(kind, &e.key, Some(e)));
        }
        Some(this)
    }

    fn take(&mut self, kind: &Kind, key: &str, entry: Option<&Entry>) {
        match kind.kind {
            "Namespace" => {
                let labels = entry.and_then(|e| serde_json::from_slice::<Namespace>(&e.value).ok()).map(|n| n.metadata.labels);
                self.snapshot.set_namespace(name(key), labels.unwrap_or_default());
            }
            "Node" => {
                self.stirred = true;
                match entry.and_then(|e| serde_json::from_slice::<Node>(&e.value).ok()) {
                    Some(node) => self.snapshot.set_node(node),
                    None => self.snapshot.remove_node(name(key)),
                }
            }
            _ => self.pod(key, entry),
        }
    }

    fn pod(&mut self, key: &str, entry: Option<&Entry>) {
        let pod = entry.and_then(|e| serde_json::from_slice::<Pod>(&e.value).ok()).filter(|p| !p.is_done());
        let is_placed = pod.as_ref().is_some_and(|p| !p.spec.node_name.is_empty());
        let is_ours = |p: &Pod| {
            p.spec.scheduler_name == NAME && p.spec.scheduling_gates.is_empty() && p.metadata.deletion_timestamp.is_none()
        };
        match pod {
            Some(pod) if is_placed => {
                self.forget(key);
                self.snapshot.set_pod(key, &pod);
            }
            Some(pod) if is_ours(&pod) => {
                let before = self.pending.remove(key);
                // room that was kept for it before this process began is kept on
                if before.is_none() && !pod.status.nominated_node_name.is_empty() {
                    self.snapshot.expect(key, &pod, &pod.status.nominated_node_name);
                }
                let (said, due) = before.map_or((None, true), |b| (b.said, b.due));
                self.pending.insert(key.into(), Pending { pod, said, due });
            }
            _ => {
                self.forget(key);
                self.stirred |= self.snapshot.remove_pod(key);
            }
        }
    }

    /// A pod waits no more.
    fn forget(&mut self, key: &str) {
        self.pending.remove(key);
        self.stirred |= self.snapshot.dismiss(key);
    }

    /// Reads what has happened, places what is pending, writes it. An error: the history was too short, begin anew.
    async fn round(&mut self) -> Result<(), Gone> {
        self.read()?;
        if std::mem::take(&mut self.stirred) {
            self.pending.values_mut().for_each(|p| p.due = true);
        }
        let batch = self.batch();
        if batch.is_empty() {
            return self.wait().await;
        }
        let decisions = schedule(&mut self.snapshot, &batch);
        self.write(decisions).await;
        Ok(())
    }

    /// Pods to look at, the most important ones.
    fn batch(&mut self) -> Vec<(String, Pod)> {
        let mut due: Vec<(&String, &mut Pending)> = self.pending.iter_mut().filter(|(_, p)| p.due).collect();
        due.sort_by_key(|(_, p)| Reverse(p.pod.spec.priority.unwrap_or(0)));
        due.truncate(BATCH);
        due.iter_mut().for_each(|(_, p)| p.due = false);
        due.into_iter().map(|(key, p)| (key.clone(), p.pod.clone())).collect()
    }

    /// Waits until something happens.
    async fn wait(&mut self) -> Result<(), Gone> {
        let [(_, spaces), (_, nodes), (_, pods)] = &mut self.watches;
        let (kind, events) = tokio::select! {
            events = spaces.next() => (&NAMESPACE, events?),
            events = nodes.next() => (&NODE, events?),
            events = pods.next() => (&POD, events?),
            () = tokio::time::sleep(AGAIN), if !self.pending.is_empty() => {
                self.stirred = true;
                return Ok(());
            }
        };
        self.happened(kind, &events);
        Ok(())
    }

    fn happened(&mut self, kind: &Kind, events: &[Arc<Event>]) {
        for event in events {
            if let Some(entry) = event.after.as_ref().or(event.before.as_ref()) {
                self.take(kind, &entry.key, event.after.as_deref());
            }
        }
    }

    fn read(&mut self) -> Result<(), Gone> {
        loop {
            let mut found = Vec::new();
            for (kind, watch) in &mut self.watches {
                found.push((*kind, watch.ready()?));
            }
            if found.iter().all(|(_, events)| events.is_empty()) {
                return Ok(());
            }
            found.iter().for_each(|(kind, events)| self.happened(kind, events));
        }
    }

    async fn write(&mut self, decisions: Vec<(String, Decision)>) {
        let (objects, pending) = (&self.objects, &self.pending);
        let doing = decisions.into_iter().filter_map(|(key, decision)| {
            let Pending { pod, said, .. } = pending.get(&key)?;
            let is_said = said.as_ref().is_some_and(|said| said.tells(&decision));
            (!is_said).then(|| (key, pod.clone(), decision))
        });
        let doing: Vec<_> = doing.collect();
        let outcomes: Vec<(String, Decision, bool)> = futures_util::stream::iter(doing)
            .map(|(key, pod, decision)| async move {
                let outcome = write(objects, &pod, &decision).await;
                (key, decision, outcome.is_ok())
            })
            .buffer_unordered(256)
            .collect()
            .await;
        for (key, decision, is_written) in outcomes {
            match decision {
                Decision::Bind(node) if is_written => {
                    let waited_for = self.pending.remove(&key).map(|p| p.pod.status.nominated_node_name).unwrap_or_default();
                    // nobody keeps room for it at the other node any more
                    self.stirred |= !waited_for.is_empty() && waited_for != node;
                }
                Decision::Bind(_) => {
                    // it has gone or changed meanwhile: the watch says how
                    self.snapshot.remove_pod(&key);
                    self.stirred = true;
                }
                Decision::Preempt(preemption) if !is_written => {
                    preemption.victims.iter().for_each(|victim| self.snapshot.leaves(victim, false));
                    self.snapshot.dismiss(&key);
                }
                decision => {
                    if let Some(pending) = self.pending.get_mut(&key) {
                        pending.said = Some(decision);
                    }
                }
            }
        }
    }
}

/// The name at the end of a key.
fn name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or("")
}
