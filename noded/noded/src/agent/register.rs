//! The node's own objects: Node and Lease.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::api::{Api, Refused};
use super::connection::Heart;
use super::host::Facts;
use super::images;
use super::network::State;
use super::pressure::Pressure;
use super::shutdown::Phase;
use crate::host::log::{self, Level, say};
use crate::host::retry::Retry;
use crate::node::Node;

/// How often the status is written again when nothing has changed.
const AGAIN: Duration = Duration::from_secs(300);

/// How soon after the last time it tells of images that came.
const IMAGES: Duration = Duration::from_secs(10);

/// Says that the node is there, until it is known.
pub(super) async fn register(api: &Api, facts: &Facts) {
    let mut retry = Retry::new(Duration::from_secs(10));
    while let Err(error) = written(api, facts).await {
        tokio::time::sleep(retry.failed(&format!("register node {} at {}", facts.name, api.address()), &error)).await;
    }
    say(Level::Info, &format!("node {} has joined {}", facts.name, api.address()), &[]);
}

/// Makes the Node object, or brings its status up to date.
async fn written(api: &Api, facts: &Facts) -> Result<(), Refused> {
    let now = seconds();
    match api.create("/api/v1/nodes", &facts.object(&now)).await {
        Err(error) if error.is_conflict() => {}
        made => return made.map(drop),
    }
    let path = format!("/api/v1/nodes/{}", facts.name);
    let mut node = api.get(&path).await?;
    node["status"] = facts.status(&node, &now);
    unversioned(&mut node);
    api.put(&format!("{path}/status"), &node).await.map(drop)
}

/// How often the lease is renewed while somebody listens to the node's heart: as often as a kubelet does it.
const LEASE: Duration = Duration::from_secs(10);

/// Renews the node's lease again and again, and its status now and then. Where nobody listens to its heart the lease says in its place that the
/// node lives.
pub(super) async fn heartbeat(
    api: Api,
    mut facts: Facts,
    (mut network, mut phase, mut pressure): (watch::Receiver<State>, watch::Receiver<Phase>, watch::Receiver<Pressure>),
    (heart, every): (Heart, Duration),
    given_up: Arc<Notify>,
    (node, pulled): (Arc<Node>, Arc<Notify>),
) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut said = tokio::time::Instant::now();
    let (mut lost, mut has_new_images) = (false, false);
    let mut last: Option<tokio::time::Instant> = None;
    loop {
        // A host that goes down says so at once, and one that was given up that it lives: nobody else says that it is ready.
        let turned = tokio::select! {
            _ = ticks.tick() => false,
            () = given_up.notified() => true,
            () = pulled.notified() => {
                has_new_images = true;
                continue;
            }
            Ok(()) = phase.changed() => {
                let is_down = phase.borrow_and_update().is_down();
                std::mem::replace(&mut facts.is_down, is_down) != is_down
            }
        };
        let is_new = network.has_changed().unwrap_or(false) || pressure.has_changed().unwrap_or(false);
        let shows_images = has_new_images && said.elapsed() >= IMAGES;
        let is_quiet = !(lost || turned || is_new || shows_images);
        if is_quiet && heart.is_heard() && last.is_some_and(|last| last.elapsed() + every / 2 < LEASE) {
            continue;
        }
        last = Some(tokio::time::Instant::now());
        // where another can be asked, there is no time to wait until the node is missed
        let (server, others) = (api.address(), api.servers().all().len() > 1);
        let patience = every.max(Duration::from_secs(if others { 2 } else { 5 }));
        let renewed = tokio::time::timeout(patience, renew(&api, &facts.name)).await;
        let renewed = renewed.unwrap_or_else(|_| {
            api.servers().leave(&server);
            Err(Refused::Away("no answer".to_owned()))
        });
        match renewed {
            Ok(()) => {
                let changed = network.has_changed().unwrap_or(false) || pressure.has_changed().unwrap_or(false);
                if changed {
                    facts.network = network.borrow_and_update().clone();
                    facts.pressure = *pressure.borrow_and_update();
                }
                // Whoever was silent may have been given up.
                if lost || changed || turned || shows_images || said.elapsed() >= AGAIN {
                    said = tokio::time::Instant::now();
                    has_new_images = false;
                    facts.images = images::told(&node).await;
                    if let Err(error) = written(&api, &facts).await {
                        log::failed("write the node's status", &error);
                    }
                }
                lost = false;
            }
            Err(error) if !lost => {
                lost = true;
                log::failed("renew the node's lease", &error);
            }
            Err(_) => {}
        }
    }
}

const LEASES: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";

async fn renew(api: &Api, name: &str) -> Result<(), Refused> {
    let lease = lease(name, &Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string());
    match api.put(&format!("{LEASES}/{name}"), &lease).await {
        Err(error) if error.is_missing() => api.create(LEASES, &lease).await.map(drop),
        renewed => renewed.map(drop),
    }
}

fn lease(name: &str, now: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": { "name": name, "namespace": "kube-node-lease" },
        "spec": { "holderIdentity": name, "leaseDurationSeconds": LEASE.as_secs() * 4, "renewTime": now },
    })
}

/// Now, as objects have it.
pub(super) fn seconds() -> String {
    api::meta::Time::now().to_string()
}

/// Whoever writes a part that only they write needs no version.
pub(super) fn unversioned(object: &mut Value) {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("resourceVersion");
        metadata.shift_remove("managedFields");
    }
}
