//! The pod network: which addresses the pods of this node have, and the ways to those of other nodes.
//!
//! ```text
//! API ──watch nodes──▶ seen.rs: who is there, with which range ──▶ engine: the bridge ──▶ net::mesh: routes, tunnel
//! ```
//!
//! Pods wait until the node has its range. When the API is away everything stays as it is; a node that is gone or has another address is
//! followed as soon as it is heard of.

mod seen;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::api::{Api, Refused};
use super::effects::Shared;
use crate::config;
use crate::host::log::{Level, say};
use crate::host::retry::Retry;
use crate::node::Node;
use seen::{Own, Seen};

/// Changes that come together are made together.
const TOGETHER: Duration = Duration::from_millis(20);
/// What others may have taken away is looked after so often.
const AGAIN: Duration = Duration::from_secs(60);

/// How the pod network is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// The node has no range yet.
    Waiting,
    /// All is right.
    Right,
    /// Pods may run, but others may not reach them.
    Broken(String),
}

/// Makes it, and keeps it right.
pub(super) struct Network {
    node: Arc<Node>,
    api: Api,
    name: String,
    address: IpAddr,
    /// Who wants to know what is said of this node.
    own: watch::Sender<Arc<::api::kinds::node::Node>>,
    state: watch::Sender<State>,
    given_up: Arc<Notify>,
    /// What was complained of: not again each minute.
    said: Vec<net::mesh::Left>,
}

impl Network {
    pub(super) fn new(shared: &Shared, address: IpAddr) -> Network {
        let (node, api, name) = (Arc::clone(&shared.node), shared.api.clone(), shared.place.node.clone());
        let (state, given_up) = (watch::Sender::new(State::Waiting), Arc::default());
        Network { node, api, name, address, own: shared.own.clone(), state, given_up, said: Vec::new() }
    }

    /// Told whenever the control plane says that nothing is heard of this node: it was not there, or silent without noticing.
    pub(super) fn given_up(&self) -> Arc<Notify> {
        Arc::clone(&self.given_up)
    }

    /// How it is, from now on.
    pub(super) fn state(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// Follows the nodes for ever.
    pub(super) async fn run(mut self) {
        let mut retry = Retry::new(Duration::from_secs(5));
        loop {
            match self.follow().await {
                Ok(()) => retry.works(),
                Err(error) => tokio::time::sleep(retry.failed("watch the cluster's nodes", &error)).await,
            }
        }
    }

    /// Follows one watch to its end. Nothing is changed before all nodes were named.
    async fn follow(&mut self) -> Result<(), Refused> {
        const PATH: &str =
            "/api/v1/nodes?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
        let mut watch = self.api.watch(PATH).await?;
        let (mut seen, mut complete, mut dirty) = (Seen::default(), false, false);
        loop {
            let patience = if complete && dirty { TOGETHER } else { AGAIN };
            let Ok(event) = tokio::time::timeout(patience, watch.next()).await else {
                if complete {
                    dirty = false;
                    self.make(&seen).await;
                }
                continue;
            };
            let Some(mut event) = event? else { return Ok(()) };
            let object = event["object"].take();
            match event["type"].as_str() {
                Some("ADDED" | "MODIFIED") => {
                    if object["metadata"]["name"] == self.name {
                        self.heard_of_own(&object);
                    }
                    dirty |= seen.take(object);
                }
                Some("DELETED") => dirty |= seen.forget(&object),
                Some("BOOKMARK") if !object["metadata"]["annotations"]["k8s.io/initial-events-end"].is_null() => {
                    (complete, dirty) = (true, true);
                }
                Some("ERROR") => {
                    let message = object["message"].as_str().unwrap_or_default().to_owned();
                    return Err(Refused::Status { code: 410, message });
                }
                _ => {}
            }
        }
    }

    fn heard_of_own(&self, object: &Value) {
        if let Ok(mut node) = serde_json::from_value::<::api::kinds::node::Node>(object.clone()) {
            self.own.send_modify(|known| {
                // One whose status was not told yet has what the host has.
                if node.status.allocatable.is_empty() {
                    node.status.allocatable.clone_from(&known.status.allocatable);
                }
                *known = Arc::new(node);
            });
        }
        if is_unknown(object) {
            self.given_up.notify_one();
        }
    }

    /// Makes the network what the nodes say.
    async fn make(&mut self, seen: &Seen) {
        let Some(own) = seen.own(&self.name) else {
            return say(Level::Notice, &format!("node {} waits for the addresses of its pods", self.name), &[]);
        };
        let (node, address, peers) = (Arc::clone(&self.node), self.address, seen.peers(&self.name));
        let made = tokio::task::spawn_blocking(move || make(&node, address, own, &peers)).await;
        let state = match made {
            Ok(Ok(outcome)) => {
                self.complain(outcome);
                State::Right
            }
            Ok(Err(error)) => State::Broken(crate::host::chain(error.as_ref())),
            Err(error) => State::Broken(error.to_string()),
        };
        if let State::Broken(why) = &state
            && *self.state.borrow() != state
        {
            say(Level::Error, &format!("the pod network: {why}"), &[]);
        }
        self.state.send_if_modified(|old| {
            let is_new = *old != state;
            *old = state;
            is_new
        });
    }

    /// Says which nodes are left out, once.
    fn complain(&mut self, left: Vec<net::mesh::Left>) {
        for net::mesh::Left { name, why } in left.iter().filter(|left| !self.said.contains(left)) {
            say(Level::Warning, &format!("the pods of node {name} are not reached: {why}"), &[]);
        }
        self.said = left;
    }
}

/// The control plane does not know any more how a node is.
fn is_unknown(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| condition["type"] == "Ready" && condition["status"] == "Unknown")
}

/// The bridge first, then the ways to others.
fn make(node: &Node, address: IpAddr, own: Own, peers: &[seen::Peer]) -> anyhow::Result<Vec<net::mesh::Left>> {
    let config = node.config();
    let (IpAddr::V4(address), Some(cluster), Some(settings)) = (address, own.cluster, mesh(&config)) else {
        node.engine().settle_network(&net::Chosen { subnet: own.range, cluster: own.cluster, mtu: None })?;
        return Ok(Vec::new());
    };
    let mtu = Some(net::mesh::packet(address, settings.mode)?);
    let network = node.engine().settle_network(&net::Chosen { subnet: own.range, cluster: Some(cluster), mtu })?;
    let me = net::mesh::Me { address, range: own.range, gateway: network.gateway, cluster };
    let (peers, mut left): (Vec<_>, Vec<_>) =
        peers.iter().map(seen::Peer::reach).fold(Default::default(), |(mut good, mut bad), peer| {
            match peer {
                Ok(peer) => good.push(peer),
                Err(left) => bad.push(left),
            }
            (good, bad)
        });
    left.extend(net::mesh::apply(&network, &settings, &me, &peers)?.left);
    Ok(left)
}

/// `noded leave`: the ways to other nodes go.
pub(crate) fn leave(config: &config::Config) -> anyhow::Result<()> {
    Ok(mesh(config).map_or(Ok(()), |settings| net::mesh::leave(&config.bridge, &settings))?)
}

fn mesh(config: &config::Config) -> Option<net::mesh::Settings> {
    config.network.mesh(&config.bridge)
}
