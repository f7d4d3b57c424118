//! The node agent: runs the pods that the API has put on this node.
//!
//! ```text
//! API ──watch spec.nodeName──▶ crew/ ───▶ a worker for each pod:
//! manifests ──statics/───────────┘
//!                                         look (engine) ─▶ next() ─▶ effects (the node's own CRI calls) ─▶ look …
//!                                                     └──▶ status() ─▶ tell ──▶ API
//! monitors ──events──▶ crew/ ──poke──┘      probe/   ──findings──┘
//! register.rs: Node and Lease          services/: where addresses and names of services lead
//!                                      network/: the ways to other nodes' pods
//! identity.rs: key and certificate      connection/: logs, exec, attach, port-forward for the API server
//! shutdown/: pods end before the host does
//! ```
//!
//! | file | what |
//! |---|---|
//! | `admission/` | whether the node takes a pod: a pure function of the pod, those that are there, and the node |
//! | `next/` | what to do: a pure function of what is desired, what is, and the time |
//! | `status/` | what to tell: another one |
//! | `wanted/` | from a pod of the API to what CRI calls take: pure, too |
//! | `resize.rs` | which resources of containers change while they run: pure, too; `crew/` says which changes the node has room for |
//! | `pressure/` | what goes before the host runs out of disk or memory |
//! | `effects/` `volumes/` `fetch/` `probe/` `last_words.rs` `users.rs` | what touches the host and the API |
//!
//! The agent holds no truth: a new one finds its pods in the engine by their uid. Pods live on without it.

mod actual;
mod admission;
pub(crate) mod api;
mod connection;
mod crew;
mod effects;
mod fetch;
mod host;
mod identity;
mod images;
pub(crate) mod kubeconfig;
mod last_words;
pub(crate) mod network;
mod next;
pub(crate) mod plane;
pub(crate) mod pressure;
mod probe;
mod register;
mod resize;
pub(crate) mod servers;
pub(crate) mod services;
mod shutdown;
mod statics;
mod status;
mod tell;
mod users;
mod volumes;
mod wanted;
mod worker;

use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use control::ControlPlane;
use control::certs::Authority;

use tokio::sync::{mpsc, watch};

use crate::cli::RunArgs;
use crate::cri::local::Rotation;
use crate::node::Node;
use effects::Shared;
use host::Facts;
use identity::Identity;
use pressure::Pressure;
use wanted::Place;

/// The agent, and the control plane if it is in this process, too. They end when it is dropped; pods live on.
pub(crate) struct Agent {
    plane: Option<ControlPlane>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Agent {
    /// Ends in order: other hosts of the control plane are told.
    pub(crate) async fn end(mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
        if let Some(plane) = self.plane.take() {
            plane.end().await;
        }
    }
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
    let mut plane = None;
    let (api, identity) = match (args.all_in_one, &args.join) {
        (true, _) => {
            let started = plane::start(&config.control).await?;
            let authority = Arc::new(Authority::open(&config.control.folder).context("open the authority")?);
            let ip = started.address.ip();
            let host = if ip.is_unspecified() { "127.0.0.1".to_owned() } else { ip.to_string() };
            let api = identity::own(&authority, &name, &format!("https://{host}:{}", started.address.port()))?;
            plane = Some(started);
            (api, Identity::Own(authority))
        }
        (false, Some(server)) => (identity::join(folder, &name, server, &args.joining).await?, Identity::Joined(folder.clone())),
        (false, None) => return Ok(None),
    };
    let address = config.agent.address.or_else(|| own_address(&api.address())).or_else(plane::own_address);
    let address = address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
    let pod_cidr = config.pod_cidr()?.map(|range| range.to_string());
    let mut facts = Facts::look(name.clone(), address, config.agent.pods, pod_cidr, &config.root);
    let place = Place {
        node: name,
        host: address.to_string(),
        cgroup: config.agent.cgroup.clone(),
        driver: config.cri.cgroup_driver,
        logs: config.agent.logs.clone(),
        reserve: config.agent.reserve(),
        images: config.agent.images(),
        sysctls: config.agent.sysctls.clone(),
        rotation: Rotation { size: config.agent.log_size, files: config.agent.log_files },
        disk: config.root.join("volumes-of-pods"),
        memory: config.run.join("volumes-of-pods"),
    };
    let shutdown = shutdown::Shutdown::default();
    let (known, fetched, users, pulled) = Default::default();
    let statics = statics::first(&config.agent.static_pods, &place.node);
    let (mirrors, pressure) = (watch::Sender::new(None), watch::Sender::new(Pressure::default()));
    // Whoever has to decide before the API has said something goes by what this host is.
    let own = serde_json::from_value::<::api::kinds::node::Node>(facts.object(&register::seconds())).unwrap_or_default();
    let shared = Shared {
        node: Arc::clone(node),
        api: api.clone(),
        place,
        own: watch::Sender::new(Arc::new(own)),
        known,
        fetched,
        statics,
        mirrors,
        pressure,
        shutdown,
        events: tell::Events::new(&api),
        users,
        pulled,
    };
    let shared = Arc::new(shared);
    let heartbeat = config.agent.heartbeat();
    let network = network::Network::new(&shared, address);
    let (state, mut ready, given_up) = (network.state(), network.state(), network.given_up());
    let manifests = config.agent.static_pods.clone();
    // Static pods run whether the API is there or not.
    let own = tokio::spawn(statics::follow(manifests, Arc::clone(&shared)));
    let (heard, pods) = mpsc::channel(crew::WAITING);
    let pressed = tokio::spawn(pressure::run(Arc::clone(&shared), heard.clone()));
    let crew = tokio::spawn(crew::run(Arc::clone(&shared), pods, network.state()));
    let joined = match &identity {
        Identity::Joined(folder) => Some(folder.clone()),
        Identity::Own(_) => None,
    };
    let run = tokio::spawn(async move {
        facts.images = images::told(&shared.node).await;
        register::register(&api, &facts).await;
        let heart = connection::Heart::new(heartbeat);
        let reached = connection::run(Arc::clone(&shared), heart.clone());
        let renewed = identity::renew(identity, api.clone(), shared.place.node.clone());
        let remembered = identity::remember(joined, api.clone());
        let pressure = shared.pressure.subscribe();
        let (phase, down) = (shared.shutdown.phase(), shutdown::run(Arc::clone(&shared), config.agent.clone()));
        let mirrored = statics::keep(&shared);
        let images = (Arc::clone(&shared.node), Arc::clone(&shared.pulled));
        let pods = async {
            // A pod's address is one of the node's: without those none can run.
            if ready.wait_for(|state| *state != network::State::Waiting).await.is_ok() {
                tokio::join!(services::run(Arc::clone(&shared)), crew::follow(&shared, heard));
            }
        };
        tokio::join!(
            register::heartbeat(api, facts, (state, phase, pressure), (heart, heartbeat), given_up, images),
            network.run(),
            reached,
            renewed,
            remembered,
            mirrored,
            down,
            pods
        );
    });
    Ok(Some(Agent { plane, tasks: vec![own, pressed, crew, run] }))
}

/// The address of this host on its way to the API, unless that is the loopback interface's.
fn own_address(server: &str) -> Option<IpAddr> {
    let authority = server.strip_prefix("https://")?.split('/').next()?;
    let authority = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:443") };
    let other = authority.to_socket_addrs().ok()?.next()?;
    plane::towards(other).filter(|ip| !ip.is_loopback())
}
