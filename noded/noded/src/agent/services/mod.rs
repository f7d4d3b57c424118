//! Services on this node: where their addresses and their names lead.
//!
//! ```text
//! API ──watch──▶ seen.rs: Services, EndpointSlices ──▶ plan() ──▶ net::services: differences ──▶ one step in the kernel
//!                   └──▶ Zone::of() ──▶ names.rs: the node's resolver       ▲
//! others ──"the table has changed"── made anew ─────────────────────────────┘
//! ```
//!
//! Pods ask for names at the bridge's own address, which is on each node, so that no question leaves its node and no pods serve names. A
//! well-known address such as 10.96.0.10 would have to be translated, or claimed on every node; nobody needs to know this one, for each pod's
//! resolv.conf is written here.
//!
//! Nothing is polled: a change of the API is in the kernel some milliseconds later, and what comes meanwhile goes in the next step. The table
//! stays when noded ends, and a new noded puts its own in its place in one step, so connections and clients' endpoints stay.
//! `noded leave` removes it.

mod links;
mod names;
mod plan;
mod seen;
mod zone;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use net::services::{Place, RuleSet, Services, Watch};
use tokio::io::unix::AsyncFd;

use ::api::kinds::pod::Pod;

use super::effects::Shared;
use super::wanted::dns::Resolvers;
use crate::host::log::{Level, say};
use crate::host::readable;
use crate::host::retry::Retry;
use crate::node::Node;

pub(super) use seen::Known;
pub(super) use zone::DOMAIN;

/// What the plan knows of this node.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) node: String,
    pub(super) address: Option<Ipv4Addr>,
}

/// How long a container's start waits for what is known of services.
const PATIENCE: Duration = Duration::from_secs(5);

/// The table of services beside the bridge's own one.
pub(super) fn table(bridge: &str) -> String {
    format!("{bridge}-services")
}

/// Keeps what is known of services, and the kernel's table, up to date for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    tokio::join!(seen::follow(&shared.api, &shared.known), keep(&shared));
}

/// Where pods ask for names.
pub(super) fn resolvers(node: &Node) -> Result<Resolvers, engine::Error> {
    let host = std::fs::read_to_string(engine::Config::host_resolvers()).unwrap_or_default();
    Ok(Resolvers { node: node.engine().pod_gateway()?.to_string(), host })
}

/// Variables that tell a pod of services. A node that has just started knows them in a moment.
pub(super) async fn links(known: &Known, pod: &Pod) -> Vec<(String, String)> {
    let _ = tokio::time::timeout(PATIENCE, known.complete()).await;
    known.read(|services, _| links::links(services, pod))
}

async fn keep(shared: &Arc<Shared>) {
    let address = match shared.place.host.parse() {
        Ok(IpAddr::V4(address)) => Some(address),
        _ => None,
    };
    let here = Here { node: shared.place.node.clone(), address };
    let mut retry = Retry::new(Duration::from_secs(30));
    loop {
        let Err(error) = routed(shared, &here).await;
        tokio::time::sleep(retry.failed("route services", error.as_ref())).await;
    }
}

/// Follows until something fails.
async fn routed(shared: &Arc<Shared>, here: &Here) -> anyhow::Result<std::convert::Infallible> {
    let node = Arc::clone(&shared.node);
    let network = tokio::task::spawn_blocking(move || node.engine().pod_network()).await.context("a thread failed")??;
    let (known, zone, mut server) = (&shared.known, Arc::new(zone::Current::default()), None);
    let (bridge, subnet, gateway) = (network.bridge.clone(), network.subnet, network.gateway);
    let place = Place { table: table(&bridge), bridge, subnet, gateway };
    let watch = Watch::open(&place.table)?;
    let mut services = Services::open(place)?;
    let own = services.port()?;
    let mut watch = readable(watch).context("listen for changes of nf_tables")?;
    loop {
        known.complete().await;
        let (wanted, names) = known.read(|services, slices| (plan::plan(services, slices, here), zone::Zone::of(services, slices)));
        zone.set(names);
        services = applied(services, wanted).await?;
        if server.is_none() {
            // Not before there is something to be said: a name that is not known yet would not exist.
            server = Some(names::serve(&network, Arc::clone(&zone) as Arc<dyn net::dns::Names>)?);
        }
        tokio::select! {
            () = known.changed() => {}
            () = touched(&mut watch, own) => {
                say(Level::Warning, "another program has changed the table of services: it is made anew", &[]);
                services.distrust();
            }
        }
    }
}

async fn applied(mut services: Services, wanted: RuleSet) -> anyhow::Result<Services> {
    let work = tokio::task::spawn_blocking(move || {
        let applied = services.apply(wanted);
        (services, applied)
    });
    let (services, applied) = work.await.context("a thread failed")?;
    let applied = applied?;
    if applied.elements > 0 {
        say(Level::Debug, &format!("services: {} elements in {} bytes", applied.elements, applied.bytes), &[]);
    }
    Ok(services)
}

/// Waits until somebody else has changed the table.
async fn touched(watch: &mut AsyncFd<Watch>, own: u32) {
    loop {
        let Ok(mut ready) = watch.readable_mut().await else { return std::future::pending().await };
        let changed = ready.get_inner_mut().changed(own);
        // All that was there has been read.
        ready.clear_ready();
        if changed {
            return;
        }
    }
}

/// `noded leave`: what the kernel knows of the cluster's services goes.
pub(crate) fn leave(bridge: &str) -> anyhow::Result<()> {
    Ok(net::services::remove(&table(bridge))?)
}
