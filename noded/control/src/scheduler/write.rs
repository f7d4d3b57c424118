//! What was decided is written, and told.

use api::kinds::pod::{POD, Pod};
use api::meta::{ObjectMeta, Time};
use api::status::Status;
use serde_json::{Value, json};

use super::{Decision, Preemption};
use crate::controllers::tell;
use crate::events::Happened;
use crate::objects::{Context, DeleteOptions, Objects, Part};
use crate::server::bound;

/// The scheduler's name, in pods and in managed fields.
pub(super) const NAME: &str = "default-scheduler";

fn context() -> Context {
    Context { manager: NAME.into(), ..Default::default() }
}

/// Tells of a pod.
async fn told(objects: &Objects, meta: &ObjectMeta, (level, reason): (&str, &str), message: &str) -> Result<(), Status> {
    let about = json!({"apiVersion": "v1", "kind": "Pod", "namespace": meta.namespace, "name": meta.name, "uid": meta.uid,
        "resourceVersion": meta.resource_version});
    tell(objects, &Happened { about: &about, level, reason, message, component: NAME, host: "" }).await
}

/// Writes what was decided about a pod.
pub(super) async fn write(objects: &Objects, pod: &Pod, decision: &Decision) -> Result<(), Status> {
    match decision {
        Decision::Bind(node) => bind(objects, pod, node).await,
        Decision::Wait(why) => wait(objects, pod, why, "").await,
        Decision::Preempt(preemption) => {
            // whoever starts anew in between finds the room kept
            wait(objects, pod, &preemption.why, &preemption.node).await?;
            push_away(objects, pod, preemption).await
        }
    }
}

async fn bind(objects: &Objects, pod: &Pod, node: &str) -> Result<(), Status> {
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    let change = |now: &Value| {
        if now["metadata"]["uid"] != pod.metadata.uid {
            return Err(Status::conflict(&POD, name, "it is another pod by now"));
        }
        let mut new = bound(now, node)?;
        if let Some(status) = new["status"].as_object_mut() {
            status.shift_remove("nominatedNodeName");
        }
        Ok(new)
    };
    objects.update(&POD, namespace, name, Part::Whole("binding"), &context(), change).await?;
    let message = format!("Successfully assigned {namespace}/{name} to {node}");
    told(objects, &pod.metadata, ("Normal", "Scheduled"), &message).await
}

/// Says why a pod waits, and for which node, if for one.
async fn wait(objects: &Objects, pod: &Pod, why: &str, node: &str) -> Result<(), Status> {
    let (namespace, name) = (&pod.metadata.namespace, &pod.metadata.name);
    let change = |now: &Value| {
        let mut new = now.clone();
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why});
        set_condition(&mut new["status"], condition);
        new["status"]["nominatedNodeName"] = node.into();
        if node.is_empty()
            && let Some(status) = new["status"].as_object_mut()
        {
            status.shift_remove("nominatedNodeName");
        }
        Ok(new)
    };
    objects.update(&POD, namespace, name, Part::Status, &context(), change).await?;
    told(objects, &pod.metadata, ("Warning", "FailedScheduling"), why).await
}

async fn push_away(objects: &Objects, pod: &Pod, preemption: &Preemption) -> Result<(), Status> {
    for key in &preemption.victims {
        let Some(victim) = objects.store().get(key).and_then(|e| serde_json::from_slice::<Pod>(&e.value).ok()) else { continue };
        match end(objects, &victim).await {
            // gone already, or another one by that name: there is room either way, or will be looked for again
            Err(status) if matches!(status.code, 404 | 409) => continue,
            ended => ended?,
        }
        let message = format!("Preempted by pod {} on node {}", pod.metadata.uid, preemption.node);
        told(objects, &victim.metadata, ("Normal", "Preempted"), &message).await?;
    }
    Ok(())
}

/// Tells a pod to end, in the time that it may take, and why.
async fn end(objects: &Objects, victim: &Pod) -> Result<(), Status> {
    let meta = &victim.metadata;
    let change = |now: &Value| {
        if now["metadata"]["uid"] != meta.uid {
            return Err(Status::conflict(&POD, &meta.name, "it is another pod by now"));
        }
        let mut new = now.clone();
        let message = format!("{NAME}: preempting to accommodate a higher priority pod");
        let condition =
            json!({"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": message});
        set_condition(&mut new["status"], condition);
        Ok(new)
    };
    objects.update(&POD, &meta.namespace, &meta.name, Part::Status, &context(), change).await?;
    let options = DeleteOptions { uid: Some(meta.uid.clone()), ..DeleteOptions::default() };
    objects.delete(&POD, &meta.namespace, &meta.name, &options).await.map(drop)
}

/// Puts a condition in the place of the one before; it keeps its time while it says the same.
fn set_condition(status: &mut Value, mut condition: Value) {
    let mut all: Vec<Value> = status["conditions"].as_array().cloned().unwrap_or_default();
    let before = all.iter().find(|c| c["type"] == condition["type"] && c["status"] == condition["status"]);
    let time = before.and_then(|c| c["lastTransitionTime"].as_str()).map_or_else(|| Time::now().to_string(), String::from);
    condition["lastTransitionTime"] = time.into();
    all.retain(|c| c["type"] != condition["type"]);
    all.push(condition);
    status["conditions"] = all.into();
}
