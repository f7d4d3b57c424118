//! What the API is told of pods: their status, and events. Nobody waits for it; the newest status counts.

use std::sync::Arc;
use std::time::Duration;

use api::kinds::pod::Pod;
use api::kinds::pod::container::Container;
use api::kinds::pod::status::PodStatus;
use control::events::{Correlator, Happened};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use super::api::{Api, Refused};
use super::effects::Shared;
use super::register::unversioned;
use super::shutdown::Unsaid;
use crate::host::retry::Retry;

/// Where the statuses of one pod go.
#[derive(Debug)]
pub(super) struct Told(watch::Sender<Option<Value>>, Arc<Unsaid>);

impl Told {
    /// The pod has this status from now on.
    pub(super) fn status(&self, raw: &Value, status: &PodStatus) {
        let mut object = raw.clone();
        object["status"] = serde_json::to_value(status).unwrap_or_default();
        for list in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
            for one in object["status"][list].as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                // Zeros are said, too: programs that look for these fields expect them.
                for (field, zero) in
                    [("ready", json!(false)), ("restartCount", json!(0)), ("image", json!("")), ("imageID", json!(""))]
                {
                    one.entry(field).or_insert(zero);
                }
            }
        }
        unversioned(&mut object);
        self.1.is(true);
        self.0.send_replace(Some(object));
    }
}

/// Writes statuses one after another, until whoever says them is gone and the last one is written.
pub(super) fn start(api: &Api, unsaid: Unsaid) -> Told {
    let (sender, mut receiver) = watch::channel(None::<Value>);
    let (api, unsaid) = (api.clone(), Arc::new(unsaid));
    let told = Told(sender, Arc::clone(&unsaid));
    tokio::spawn(async move {
        while receiver.changed().await.is_ok() {
            let mut retry = Retry::new(Duration::from_secs(10));
            loop {
                let Some(object) = receiver.borrow_and_update().clone() else { break };
                match write(&api, &object).await {
                    Ok(()) => break,
                    Err(error) if error.is_missing() || error.is_conflict() => break,
                    Err(error) => {
                        let pause = retry.failed(&format!("write the status of pod {}", object["metadata"]["name"]), &error);
                        tokio::select! {
                            () = tokio::time::sleep(pause) => {}
                            changed = receiver.changed() => if changed.is_err() { return },
                        }
                    }
                }
            }
            // One that came meanwhile is written next.
            unsaid.is(receiver.has_changed().unwrap_or(false));
        }
    });
    told
}

async fn write(api: &Api, object: &Value) -> Result<(), Refused> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
    let path = format!("/api/v1/namespaces/{}/pods/{}/status", text("namespace"), text("name"));
    api.put(&path, object).await.map(drop)
}

/// Writes an event about the node.
pub(super) fn event_of_node(shared: &Shared, kind: &str, reason: &str, message: &str) {
    let name = &shared.place.node;
    let about = json!({ "apiVersion": "v1", "kind": "Node", "name": name, "uid": name });
    write_event(shared, &about, [kind, reason, message]);
}

/// Writes an event about a pod.
pub(super) fn event(shared: &Shared, pod: &Pod, kind: &str, reason: &str, message: &str) {
    write_event(shared, &about(pod), [kind, reason, message]);
}

/// Writes an event about a container of a pod.
pub(super) fn event_of(shared: &Shared, pod: &Pod, container: &str, kind: &str, reason: &str, message: &str) {
    let lists =
        [("initContainers", named(&pod.spec.init_containers, container)), ("containers", named(&pod.spec.containers, container))];
    let list = lists.into_iter().find_map(|(list, is)| is.then_some(list)).unwrap_or("ephemeralContainers");
    let mut about = about(pod);
    about["fieldPath"] = format!("spec.{list}{{{container}}}").into();
    write_event(shared, &about, [kind, reason, message]);
}

fn named(list: &[Container], name: &str) -> bool {
    list.iter().any(|container| container.name == name)
}

fn about(pod: &Pod) -> Value {
    let metadata = &pod.metadata;
    json!({ "apiVersion": "v1", "kind": "Pod", "name": metadata.name, "namespace": metadata.namespace, "uid": metadata.uid })
}

/// So many events wait for the API; more are forgotten.
const WAITING: usize = 1000;

/// Events on their way to the API: one after another, as whatever else is asked there matters more.
#[derive(Debug)]
pub(super) struct Events {
    known: Correlator,
    queue: mpsc::Sender<Event>,
}

#[derive(Debug)]
struct Event {
    object: Value,
    /// The change of an equal one that was told before.
    again: Option<Value>,
}

impl Events {
    pub(super) fn new(api: &Api) -> Events {
        let (queue, mut waiting) = mpsc::channel(WAITING);
        let api = api.clone();
        tokio::spawn(async move {
            let mut retry = Retry::new(Duration::ZERO);
            while let Some(event) = waiting.recv().await {
                match written(&api, &event).await {
                    // Who tells of what ends with its namespace is too late.
                    Err(Refused::Status { code: 403, message }) if message.contains("being terminated") => {}
                    // the next one is tried at once: nobody waits for these
                    Err(error) if !error.is_missing() => drop(retry.failed("write an event", &error)),
                    _ => retry.works(),
                }
            }
        });
        Events { known: Correlator::default(), queue }
    }
}

async fn written(api: &Api, event: &Event) -> Result<(), Refused> {
    let text = |field: &str| event.object["metadata"][field].as_str().unwrap_or_default();
    let path = format!("/api/v1/namespaces/{}/events", text("namespace"));
    let Some(patch) = &event.again else { return api.create(&path, &event.object).await.map(drop) };
    match api.patch(&format!("{path}/{}", text("name")), patch).await {
        // One that is told again may have been forgotten meanwhile.
        Err(error) if error.is_missing() => api.create(&path, &event.object).await.map(drop),
        patched => patched.map(drop),
    }
}

/// A new one, or an equal one again.
fn write_event(shared: &Shared, about: &Value, [level, reason, message]: [&str; 3]) {
    let message = message.chars().take(1000).collect::<String>();
    let (host, component) = (shared.place.node.as_str(), "noded");
    let happened = Happened { about, level, reason, message: &message, component, host };
    let Some(told) = shared.events.known.tell(&happened, jiff::Timestamp::now()) else { return };
    let again = (told.count > 1).then(|| told.patch());
    let _ = shared.events.queue.try_send(Event { object: told.object(&happened), again });
}
