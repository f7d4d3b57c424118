//! Services of a cluster on one node: an address, or a port of the node, that leads to one of many endpoints.
//!
//! ```text
//!   nat prerouting ┐ from pods: daddr . proto . port ──▶ @services ──▶ goto cluster-N ┐
//!   nat output     ┘            daddr . proto . port ──▶ @external ──▶ goto external-N ├─▶ daddr . proto . port . random(N) ─▶ @endpoints ─▶ dnat
//!                     of this host:     proto . port ──▶ @nodes ─────▶ goto node-N    ┘   (0.0.0.0 for a port of the node)
//!   nat postrouting   marked, and not to or from this node's pods ──▶ masquerade
//! ```
//!
//! Only the first packet of a connection comes here at all; the rest goes by conntrack. It costs one look-up for the service and one for the
//! endpoint, however many there are. All that differs from service to service are elements of maps; chains exist for each *number* of
//! endpoints, so that a thousand services with three endpoints share one. A change of one endpoint touches its elements alone: whoever
//! stays keeps its place ([`RuleSet::settled`]), and the last one fills a gap.
//!
//! A client that is to stay with its endpoint is remembered in a dynamic map, `saddr . daddr . proto . port : endpoint`, until it has not
//! connected for a while. What has no endpoint is refused, so that clients do not hang.
//!
//! Masquerading: what comes from a pod keeps its address, unless the endpoint is on the same bridge, where the answer would not pass this
//! host (the bridge's own table does that). What comes from outside, or from the host itself, keeps it when the endpoint is a pod of this
//! node, whose answers come back this way; else it gets the host's.
//!
//! What is sent to port 53 of the bridge's address goes to the node's resolver, which has another port ([`crate::dns`]): each packet by itself,
//! without conntrack, where two questions of one socket would race for their translation.
//!
//! The table is one node's: several nodes on one host have tables of their own, and only see packets of their own bridge, of the host, and
//! those for ports and addresses that the world uses.
//!
//! | module | holds |
//! |---|---|
//! | `change` | from one set of rules to another: pure |
//! | `steps`, `table` | how rules are spelled; the table without services |
//! | `elements` | what is in its maps, as messages |
//! | `memory` | clients that stay with their endpoints |
//! | `foreign` | hearing that somebody else has changed it |

mod change;
mod elements;
mod foreign;
mod memory;
mod steps;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use crate::conntrack;
use crate::error::{Error, Result};
use crate::netlink::{NetlinkError, Socket};
use crate::nft::{self, Family, Table};
use crate::port::Protocol;

pub use foreign::Watch;

/// Where clients come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Front {
    /// For pods of this node and the node itself.
    Cluster(Ipv4Addr, Protocol, u16),
    /// For everybody whose packets come by.
    External(Ipv4Addr, Protocol, u16),
    /// A port of every address of this node but those of the loopback interface.
    Node(Protocol, u16),
}

/// One that answers.
pub type Endpoint = (Ipv4Addr, u16);

/// What becomes of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Back {
    /// It hears that nobody is there.
    Refuse,
    /// It hears nothing: somebody may be there on another node.
    Discard,
    /// It gets one of these, which are not none. With `Some(seconds)` it gets the same one again until it has been away for so long.
    To(Vec<Endpoint>, Option<u32>),
}

impl Back {
    fn endpoints(&self) -> &[Endpoint] {
        match self {
            Back::To(endpoints, _) => endpoints,
            _ => &[],
        }
    }
}

/// All services as one node has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleSet {
    /// Where each of them leads.
    pub fronts: BTreeMap<Front, Back>,
    /// Addresses of services: what of them leads nowhere is refused.
    pub addresses: BTreeSet<Ipv4Addr>,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Applied {
    /// Elements that were added or removed.
    pub elements: usize,
    /// Bytes that went to the kernel.
    pub bytes: usize,
}

/// The pods of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The table's name.
    pub table: String,
    /// Their bridge.
    pub bridge: String,
    /// Their addresses.
    pub subnet: Ipv4Net,
    /// The bridge's own address, where they ask for names.
    pub gateway: Ipv4Addr,
}

/// The table of services.
#[derive(Debug)]
pub struct Services {
    socket: Socket,
    place: Place,
    /// What is in the table, if it is ours.
    now: Option<(RuleSet, BTreeSet<steps::Way>)>,
}

impl Services {
    /// Nothing is changed yet.
    ///
    /// # Errors
    /// The kernel has no netfilter.
    pub fn open(place: Place) -> Result<Services> {
        Ok(Services { socket: nft::open(&place.table)?, place, now: None })
    }

    /// The number by which the kernel tells our changes from those of others.
    ///
    /// # Errors
    /// The kernel does not tell it.
    pub fn port(&self) -> Result<u32> {
        self.socket.port().map_err(|source| self.failed(source))
    }

    /// Makes the table so: by its differences if it is known what it holds, as a whole otherwise.
    ///
    /// # Errors
    /// The kernel refuses. Then it is not known any more what the table holds.
    pub fn apply(&mut self, wanted: RuleSet) -> Result<Applied> {
        let Some((now, chains)) = self.now.take() else { return self.replace(wanted) };
        let wanted = wanted.settled(&now);
        let change = change::between(&now, &wanted);
        if change.is_empty() {
            self.now = Some((now, chains));
            return Ok(Applied::default());
        }
        let ways = steps::ways(&wanted);
        let request = nft::batch(None, |b| {
            for way in ways.difference(&chains) {
                table::chain(b, self.table(), way);
            }
            elements::write(b, self.table(), &change);
        });
        self.socket.transact(&request).map_err(|source| self.failed(source))?;
        if change.lost.iter().any(|front| matches!(now.fronts.get(front), Some(Back::To(_, Some(_))))) {
            memory::forget(&self.socket, self.table(), &wanted).map_err(|source| self.failed(source))?;
        }
        self.forget_flows(&wanted, Some(&change.lost))?;
        let applied = Applied { elements: change.elements(), bytes: request.len() };
        self.now = Some((wanted, chains.union(&ways).copied().collect()));
        Ok(applied)
    }

    /// It is not known any more what the table holds: the next time it is made anew.
    pub fn distrust(&mut self) {
        self.now = None;
    }

    /// The table as a whole, in one step: a packet meets the old one or the new one. Connections that there are go on.
    fn replace(&mut self, wanted: RuleSet) -> Result<Applied> {
        let (ways, change) = (steps::ways(&wanted), change::between(&RuleSet::default(), &wanted));
        let kept = memory::read(&self.socket, self.table()).map_err(|source| self.failed(source))?;
        let request = nft::batch(None, |b| {
            table::create(b, self.table(), &self.place);
            ways.iter().for_each(|way| table::chain(b, self.table(), way));
            elements::write(b, self.table(), &change);
            memory::write(b, self.table(), kept.iter().filter(|one| one.is_right(&wanted)));
        });
        self.socket.transact(&request).map_err(|source| self.failed(source))?;
        self.forget_flows(&wanted, None)?;
        let applied = Applied { elements: change.elements(), bytes: request.len() };
        self.now = Some((wanted, ways));
        Ok(applied)
    }

    /// Ends UDP flows that lead where their front does not lead any more: of some fronts, or of all. A client that keeps sending from one
    /// port would never be sent anywhere else.
    fn forget_flows(&self, wanted: &RuleSet, of: Option<&BTreeSet<Front>>) -> Result<()> {
        let udp = |front: &&Front| {
            matches!(
                front,
                Front::Cluster(_, Protocol::Udp, _) | Front::External(_, Protocol::Udp, _) | Front::Node(Protocol::Udp, _)
            )
        };
        let fronts: BTreeSet<Front> = match of {
            Some(of) => of.iter().filter(udp).copied().collect(),
            None => wanted.fronts.keys().filter(udp).copied().collect(),
        };
        if fronts.is_empty() {
            return Ok(());
        }
        let stale = |flow: &conntrack::Flow| {
            let at = [Front::Cluster, Front::External].map(|front| front(*flow.to.ip(), Protocol::Udp, flow.to.port()));
            // What is not translated and goes to such a port of another host is none of ours.
            let node = (flow.to != flow.from).then_some(Front::Node(Protocol::Udp, flow.to.port()));
            let mut of = at.into_iter().chain(node).filter(|front| fronts.contains(front)).peekable();
            let end = (*flow.from.ip(), flow.from.port());
            of.peek().is_some() && of.all(|front| !wanted.fronts.get(&front).is_some_and(|back| back.endpoints().contains(&end)))
        };
        conntrack::forget_udp(&self.socket, stale).map_err(|source| self.failed(source))
    }

    fn table(&self) -> Table<'_> {
        Table { family: Family::V4, name: &self.place.table }
    }

    fn failed(&self, source: NetlinkError) -> Error {
        failed(&self.place.table, source)
    }
}

fn failed(table: &str, source: NetlinkError) -> Error {
    Error::Netlink { what: format!("write the nf_tables table \"ip {table}\""), source }
}

/// Removes a table of services, if it is there.
///
/// # Errors
/// The kernel refuses.
pub fn remove(table: &str) -> Result<()> {
    let request = nft::batch(None, |b| table::drop(b, Table { family: Family::V4, name: table }));
    nft::open(table)?.transact(&request).map_err(|source| failed(table, source))
}
