//! The node agent: runs the pods that the API has put on this node.
//!
//! ```text
//! API ──watch spec.nodeName──▶ mod.rs ──▶ a worker for each pod:
//!                                         look (engine) ─▶ next() ─▶ effects (the node's own CRI calls) ─▶ look …
//!                                                     └──▶ status() ─▶ tell ──▶ API
//! monitors ──events──▶ mod.rs ──poke──┘      probe.rs ──findings──┘
//! register.rs: Node and Lease          services/: where addresses and names of services lead
//!                                      network/: the ways to other nodes' pods
//! identity.rs: key and certificate      connection/: logs, exec, attach, port-forward for the API server
//! shutdown/: pods end before the host does
//! ```
//!
//! | file | what |
//! |---|---|
//! | `next/` | what to do: a pure function of what is desired, what is, and the time |
//! | `status.rs` | what to tell: another one |
//! | `wanted/` | from a pod of the API to what CRI calls take: pure, too |
//! | `effects.rs` `volumes.rs` `fetch.rs` `probe.rs` | what touches the host and the API |
//!
//! The agent holds no truth: a new one finds its pods in the engine by their uid. Pods live on without it.

mod actual;
pub(crate) mod api;
mod connection;
mod effects;
mod fetch;
mod host;
mod identity;
pub(crate) mod kubeconfig;
pub(crate) mod network;
mod next;
pub(crate) mod plane;
mod probe;
mod register;
pub(crate) mod services;
mod shutdown;
mod status;
mod tell;
mod volumes;
mod wanted;
mod worker;

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use ::api::kinds::pod::Pod;
use anyhow::{Context as _, Result};
use control::ControlPlane;
use control::certs::Authority;
use serde_json::Value;

use crate::cli::RunArgs;
use crate::host::log;
use crate::node::Node;
use api::Refused;
use effects::Shared;
use host::Facts;
use identity::Identity;
use wanted::Place;
use worker::{Line, Object};

/// The agent, and the control plane if it is in this process, too. They end when it is dropped; pods live on.
pub(crate) struct Agent {
    _plane: Option<ControlPlane>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Starts what the command line asks for.
pub(crate) async fn start(node: &Arc<Node>, args: &RunArgs) -> Result<Option<Agent>> {
    let config = node.config();
    let name = config.agent.node_name()?;
    let folder = &config.agent.folder;
    let mut own = None;
    let (api, identity) = match (args.all_in_one, &args.join) {
        (true, _) => {
            let started = plane::start(&config.control).await?;
            let authority = Arc::new(Authority::open(&config.control.folder).context("open the authority")?);
            let ip = started.address.ip();
            let host = if ip.is_unspecified() { "127.0.0.1".to_owned() } else { ip.to_string() };
            let api = identity::own(&authority, &name, &format!("https://{host}:{}", started.address.port()))?;
            own = Some(started);
            (api, Identity::Own(authority))
        }
        (false, Some(server)) => (identity::join(folder, &name, server, &args.joining).await?, Identity::Joined(folder.clone())),
        (false, None) => return Ok(None),
    };
    let address = config.agent.address.or_else(|| own_address(api.address())).or_else(plane::own_address);
    let address = address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let pod_cidr = config.pod_cidr()?.map(|range| range.to_string());
    let facts = Facts::look(name.clone(), address, config.agent.pods, pod_cidr, &config.root);
    let place = Place {
        node: name,
        host: address.to_string(),
        cgroup: config.agent.cgroup.clone(),
        driver: config.cri.cgroup_driver,
        logs: config.agent.logs.clone(),
        disk: config.root.join("volumes-of-pods"),
        memory: config.run.join("volumes-of-pods"),
    };
    let known = Arc::default();
    let shutdown = shutdown::Shutdown::default();
    let shared = Arc::new(Shared { node: Arc::clone(node), api: api.clone(), place, known, shutdown });
    let heartbeat = config.agent.heartbeat();
    let network = network::Network::new(node, &api, &shared.place.node, address);
    let (state, mut ready) = (network.state(), network.state());
    let run = tokio::spawn(async move {
        register::register(&api, &facts).await;
        let reached = connection::run(Arc::clone(&shared));
        let renewed = identity::renew(identity, api.clone(), shared.place.node.clone());
        let (phase, down) = (shared.shutdown.phase(), shutdown::run(Arc::clone(&shared), config.agent.clone()));
        let pods = async {
            // A pod's address is one of the node's: without those none can run.
            if ready.wait_for(|state| *state != network::State::Waiting).await.is_ok() {
                tokio::join!(services::run(Arc::clone(&shared)), serve(shared));
            }
        };
        tokio::join!(register::heartbeat(api, facts, state, phase, heartbeat), network.run(), reached, renewed, down, pods);
    });
    Ok(Some(Agent { _plane: own, tasks: vec![run] }))
}

/// The address of this host on its way to the API, unless that is the loopback interface's.
fn own_address(server: &str) -> Option<IpAddr> {
    let authority = server.strip_prefix("https://")?.split('/').next()?;
    let authority = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:443") };
    let other = authority.to_socket_addrs().ok()?.next()?;
    plane::towards(other).filter(|ip| !ip.is_loopback())
}

/// Workers by uid.
type Workers = HashMap<String, Line>;

/// Runs pods for ever.
async fn serve(shared: Arc<Shared>) {
    let mut events = shared.node.events.listen(&shared.node);
    let (node, name) = (Arc::clone(&shared.node), shared.place.node.clone());
    let mut known = tokio::task::spawn_blocking(move || worker::known(&node, &name)).await.unwrap_or_default();
    let mut workers = Workers::new();
    let mut pause = Duration::from_millis(100);
    loop {
        match follow(&shared, &mut workers, &mut known, &mut events).await {
            Ok(()) => pause = Duration::from_millis(100),
            Err(error) => {
                log::failed("watch the pods of this node", &error);
                // Containers that end meanwhile are looked after all the same.
                let sleep = tokio::time::sleep(pause);
                tokio::pin!(sleep);
                loop {
                    tokio::select! {
                        () = &mut sleep => break,
                        happened = events.recv() => poke(&shared, &workers, happened),
                    }
                }
                pause = (pause * 2).min(Duration::from_secs(5));
            }
        }
    }
}

type Happened = Result<crate::events::Happened, tokio::sync::broadcast::error::RecvError>;

/// Follows one watch to its end. It begins with all pods that there are.
async fn follow(
    shared: &Arc<Shared>,
    workers: &mut Workers,
    known: &mut HashMap<String, Vec<String>>,
    events: &mut tokio::sync::broadcast::Receiver<crate::events::Happened>,
) -> Result<(), Refused> {
    let path = format!(
        "/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3D{}&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true",
        shared.place.node
    );
    let mut watch = shared.api.watch(&path).await?;
    let mut first: Option<HashSet<String>> = Some(HashSet::new());
    loop {
        let event = tokio::select! {
            happened = events.recv() => {
                poke(shared, workers, happened);
                continue;
            }
            event = watch.next() => event?,
        };
        let Some(mut event) = event else { return Ok(()) };
        let object = event["object"].take();
        let uid = object["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => {
                if let Some(first) = &mut first {
                    first.insert(uid.clone());
                }
                desire(shared, workers, known, uid, object);
            }
            Some("DELETED") => lost(shared, workers, known, &uid),
            Some("BOOKMARK") if !object["metadata"]["annotations"]["k8s.io/initial-events-end"].is_null() => {
                // Whoever was not named is not wanted.
                let seen = first.take().unwrap_or_default();
                let others = workers.keys().chain(known.keys()).filter(|uid| !seen.contains(*uid)).cloned().collect::<HashSet<_>>();
                others.iter().for_each(|uid| lost(shared, workers, known, uid));
            }
            Some("ERROR") => {
                let message = object["message"].as_str().unwrap_or_default().to_owned();
                return Err(Refused::Status { code: 410, message });
            }
            _ => {}
        }
        workers.retain(|_, line| !line.desired.is_closed());
    }
}

fn desire(shared: &Arc<Shared>, workers: &mut Workers, known: &mut HashMap<String, Vec<String>>, uid: String, raw: Value) {
    let pod = match serde_json::from_value::<Pod>(raw.clone()) {
        Ok(pod) => Arc::new(pod),
        Err(error) => return log::failed(&format!("read pod {}", raw["metadata"]["name"]), &error),
    };
    let object = Arc::new(Object { raw, pod });
    match workers.get(&uid) {
        Some(line) if !line.desired.is_closed() => drop(line.desired.send_replace(Some(object))),
        _ => {
            let sandboxes = known.remove(&uid).unwrap_or_default();
            let line = worker::start(shared, &uid, Some(object), sandboxes);
            workers.insert(uid, line);
        }
    }
}

/// The API does not know this pod any more.
fn lost(shared: &Arc<Shared>, workers: &mut Workers, known: &mut HashMap<String, Vec<String>>, uid: &str) {
    match workers.get(uid) {
        Some(line) => drop(line.desired.send_replace(None)),
        None => {
            if let Some(sandboxes) = known.remove(uid) {
                workers.insert(uid.to_owned(), worker::start(shared, uid, None, sandboxes));
            }
        }
    }
}

/// Something has happened to a container: its worker looks. Whoever has missed something has all of them look.
fn poke(shared: &Shared, workers: &Workers, happened: Happened) {
    use cri::ContainerEventType::{ContainerDeletedEvent, ContainerStoppedEvent};
    match happened {
        Ok(event) if matches!(event.kind, ContainerStoppedEvent | ContainerDeletedEvent) => {
            let engine = shared.node.engine();
            let pod = event.pod.or_else(|| Some(engine.container(&event.id).ok()?.record.pod?.pod));
            let uid = pod.and_then(|id| engine.pod(&id).ok()).map(|pod| pod.record.request.uid);
            if let Some(line) = uid.and_then(|uid| workers.get(&uid)) {
                let _ = line.poke.send(());
            }
        }
        Ok(_) => {}
        Err(_) => {
            for line in workers.values() {
                let _ = line.poke.send(());
            }
        }
    }
}
