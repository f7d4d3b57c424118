//! The loop: what is pending is placed, what was placed is written.

use std::collections::BTreeMap;
use std::time::Duration;

use api::kinds::node::{NODE, Node};
use api::kinds::pod::{POD, Pod};
use api::meta::Time;
use api::status::Status;
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{Decision, Snapshot, schedule};
use crate::controllers::tell;
use crate::objects::{Context, Objects, Part, prefix};
use crate::server::bound;
use crate::store::{Entry, Watch};

/// So many pods are placed in one round.
const BATCH: usize = 2000;
/// Pods that fit nowhere are tried again after this, should nothing have happened.
const AGAIN: Duration = Duration::from_secs(30);
const NAME: &str = "default-scheduler";

struct Scheduler {
    objects: Objects,
    snapshot: Snapshot,
    /// Pods without a node, and what was last said about each.
    pending: BTreeMap<String, (Pod, Option<String>)>,
    nodes: Watch,
    pods: Watch,
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
        let (nodes, pods) = (store.list(&prefix(&NODE, ""), None).ok()?, store.list(&prefix(&POD, ""), None).ok()?);
        let mut this = Self {
            objects: objects.clone(),
            snapshot: Snapshot::default(),
            pending: BTreeMap::new(),
            nodes: store.watch(&prefix(&NODE, ""), nodes.revision).ok()?,
            pods: store.watch(&prefix(&POD, ""), pods.revision).ok()?,
            stirred: true,
        };
        nodes.entries.iter().for_each(|e| this.node(&e.key, Some(e)));
        pods.entries.iter().for_each(|e| this.pod(&e.key, Some(e)));
        Some(this)
    }

    fn node(&mut self, key: &str, entry: Option<&Entry>) {
        self.stirred = true;
        match entry.and_then(|e| serde_json::from_slice::<Node>(&e.value).ok()) {
            Some(node) => self.snapshot.set_node(node),
            None => self.snapshot.remove_node(key.rsplit('/').next().unwrap_or("")),
        }
    }

    fn pod(&mut self, key: &str, entry: Option<&Entry>) {
        let pod = entry.and_then(|e| serde_json::from_slice::<Pod>(&e.value).ok()).filter(|p| !p.is_done());
        let Some(pod) = pod else {
            self.pending.remove(key);
            self.stirred |= self.snapshot.remove_pod(key);
            return;
        };
        if !pod.spec.node_name.is_empty() {
            self.pending.remove(key);
            self.snapshot.set_pod(key, &pod);
            return;
        }
        let ours =
            pod.spec.scheduler_name == NAME && pod.spec.scheduling_gates.is_empty() && pod.metadata.deletion_timestamp.is_none();
        if ours {
            let said = self.pending.get(key).and_then(|(_, said)| said.clone());
            self.pending.insert(key.into(), (pod, said));
        } else {
            self.pending.remove(key);
        }
    }

    /// Reads what has happened, places what is pending, writes it. An error: the history was too short, begin anew.
    async fn round(&mut self) -> Result<(), crate::store::Gone> {
        self.read()?;
        let is_new = |said: &Option<String>| said.is_none();
        let batch: Vec<(String, Pod)> = self
            .pending
            .iter()
            .filter(|(_, (_, said))| self.stirred || is_new(said))
            .take(BATCH)
            .map(|(key, (pod, _))| (key.clone(), pod.clone()))
            .collect();
        self.stirred = false;
        if batch.is_empty() {
            tokio::select! {
                events = self.nodes.next() => for event in events? {
                    let entry = event.after.clone().or_else(|| event.before.clone());
                    if let Some(entry) = entry { self.node(&entry.key, event.after.as_deref()) }
                },
                events = self.pods.next() => for event in events? {
                    let entry = event.after.clone().or_else(|| event.before.clone());
                    if let Some(entry) = entry { self.pod(&entry.key, event.after.as_deref()) }
                },
                () = tokio::time::sleep(AGAIN), if !self.pending.is_empty() => self.stirred = true,
            }
            return Ok(());
        }
        let decisions = schedule(&mut self.snapshot, &batch);
        self.write(decisions).await;
        Ok(())
    }

    fn read(&mut self) -> Result<(), crate::store::Gone> {
        loop {
            let (nodes, pods) = (self.nodes.ready()?, self.pods.ready()?);
            if nodes.is_empty() && pods.is_empty() {
                return Ok(());
            }
            for event in nodes {
                if let Some(entry) = event.after.as_ref().or(event.before.as_ref()) {
                    self.node(&entry.key, event.after.as_deref());
                }
            }
            for event in pods {
                if let Some(entry) = event.after.as_ref().or(event.before.as_ref()) {
                    self.pod(&entry.key, event.after.as_deref());
                }
            }
        }
    }

    async fn write(&mut self, decisions: Vec<(String, Decision)>) {
        let objects = &self.objects;
        let doing = decisions.into_iter().filter_map(|(key, decision)| {
            let (pod, said) = self.pending.get(&key)?;
            // what was said already is not said again
            if let Decision::Wait(why) = &decision
                && said.as_ref() == Some(why)
            {
                return None;
            }
            Some((key, pod.clone(), decision))
        });
        let doing: Vec<_> = doing.collect();
        let outcomes: Vec<(String, Pod, Decision, Result<(), Status>)> = futures_util::stream::iter(doing)
            .map(|(key, pod, decision)| async move {
                let outcome = write(objects, &pod, &decision).await;
                (key, pod, decision, outcome)
            })
            .buffer_unordered(256)
            .collect()
            .await;
        for (key, _, decision, outcome) in outcomes {
            match (decision, outcome) {
                (Decision::Bind(_), Ok(())) => drop(self.pending.remove(&key)),
                (Decision::Bind(_), Err(_)) => {
                    // it has gone or changed meanwhile: the watch says how
                    self.snapshot.remove_pod(&key);
                    self.stirred = true;
                }
                (Decision::Wait(why), _) => {
                    if let Some((_, said)) = self.pending.get_mut(&key) {
                        *said = Some(why);
                    }
                }
            }
        }
    }
}

async fn write(objects: &Objects, pod: &Pod, decision: &Decision) -> Result<(), Status> {
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    let context = Context { manager: NAME.into(), ..Default::default() };
    let about = json!({"apiVersion": "v1", "kind": "Pod", "namespace": namespace, "name": name, "uid": pod.metadata.uid, "resourceVersion": pod.metadata.resource_version});
    match decision {
        Decision::Bind(node) => {
            let same = |now: &Value| now["metadata"]["uid"] == pod.metadata.uid;
            let moved = || Status::conflict(&POD, name, "it is another pod by now");
            objects
                .update(&POD, namespace, name, Part::Whole("binding"), &context, |now| {
                    if same(now) { bound(now, node) } else { Err(moved()) }
                })
                .await?;
            tell(objects, about, "Normal", "Scheduled", format!("Successfully assigned {namespace}/{name} to {node}")).await
        }
        Decision::Wait(why) => {
            objects
                .update(&POD, namespace, name, Part::Status, &context, |now| {
                    let mut new = now.clone();
                    let mut conditions: Vec<Value> = now["status"]["conditions"].as_array().cloned().unwrap_or_default();
                    conditions.retain(|c| c["type"] != "PodScheduled");
                    let time = Time::now().to_string();
                    conditions.push(json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why, "lastTransitionTime": time}));
                    new["status"]["conditions"] = conditions.into();
                    Ok(new)
                })
                .await?;
            tell(objects, about, "Warning", "FailedScheduling", why.clone()).await
        }
    }
}
