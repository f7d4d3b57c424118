//! Services on this node: where their addresses lead.
//!
//! ```text
//! API ──watch──▶ seen.rs: Services, EndpointSlices ──▶ plan() ──▶ net::services: differences ──▶ one step in the kernel
//!                   └ whoever waits is woken                                ▲
//! others ──"the table has changed"── made anew ─────────────────────────────┘
//! ```
//!
//! Nothing is polled: a change of the API is in the kernel some milliseconds later, and what comes meanwhile goes in the next step. The table
//! stays when noded ends, and a new noded puts its own in its place in one step, so connections and clients' endpoints stay.
//! `noded leave` removes it.

mod plan;
mod seen;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use net::services::{Place, RuleSet, Services, Watch};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::effects::Shared;
use crate::host::log::{self, Level, say};

pub(super) use seen::Known;

/// What the plan knows of this node.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) node: String,
    pub(super) address: Option<Ipv4Addr>,
}

/// The table of services beside the bridge's own one.
pub(super) fn table(bridge: &str) -> String {
    format!("{bridge}-services")
}

/// Keeps what is known of services, and the kernel's table, up to date for ever.
pub(super) async fn run(shared: Arc<Shared>) {
    let known = Arc::new(Known::default());
    tokio::join!(seen::follow(&shared.api, &known), keep(&shared, &known));
}

async fn keep(shared: &Arc<Shared>, known: &Arc<Known>) {
    let address = match shared.place.host.parse() {
        Ok(IpAddr::V4(address)) => Some(address),
        _ => None,
    };
    let here = Here { node: shared.place.node.clone(), address };
    let mut pause = Duration::from_millis(100);
    loop {
        let Err(error) = routed(shared, known, &here).await;
        log::failed("route services", error.as_ref());
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
}

/// Follows until something fails.
async fn routed(shared: &Arc<Shared>, known: &Arc<Known>, here: &Here) -> anyhow::Result<std::convert::Infallible> {
    let node = Arc::clone(&shared.node);
    let network = tokio::task::spawn_blocking(move || node.engine().pod_network()).await.context("a thread failed")??;
    let place = Place { table: table(&network.bridge), bridge: network.bridge, subnet: network.subnet };
    let watch = Watch::open(&place.table)?;
    let mut services = Services::open(place)?;
    let own = services.port()?;
    let mut watch = heard(watch).context("listen for changes of nf_tables")?;
    loop {
        known.complete().await;
        let wanted = known.read(|services, slices| plan::plan(services, slices, here));
        services = applied(services, wanted).await?;
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

#[expect(
    deprecated,
    reason = "for types that may close their descriptor behind tokio's back: a Watch has one for life, and the other way is unsafe"
)]
fn heard(watch: Watch) -> std::io::Result<AsyncFd<Watch>> {
    AsyncFd::with_interest(watch, Interest::READABLE)
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
    let place = Place { table: table(bridge), bridge: bridge.to_owned(), subnet: net::services::NOWHERE };
    Ok(Services::open(place)?.remove()?)
}
