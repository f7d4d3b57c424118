//! Networks of a container that runs already, and rules that somebody has flushed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;

use crate::attach::{End, Place, Undo, Wish, check};
use crate::claims::Claims;
use crate::error::{Error, Result};
use crate::netlink::{NetlinkError, Socket};
use crate::network::Network;
use crate::nft::{self, Published};
use crate::port::Port;
use crate::{bridge, dns, sandbox};

/// What a running container has got.
#[derive(Debug)]
pub struct Joined {
    /// Its end of the network.
    pub end: End,
    /// The bridge was set up for this: see [`Attached::made`](crate::Attached::made).
    pub made: bool,
    /// Its resolver's sockets, if they were asked for.
    pub resolver: Option<dns::Sockets>,
    /// How to undo it.
    pub undo: Undo,
}

/// Connects the running container `id`, whose namespace this is, to one more network as its interface `number`. `first`: it has no
/// default route yet. `resolver`: it has no sockets for names yet. On failure nothing is left.
///
/// # Errors
/// As [`attach`](crate::attach); a namespace that has such an interface already.
pub fn join(netns: OwnedFd, wish: &Wish<'_>, id: &str, number: u32, first: bool, resolver: bool) -> Result<Joined> {
    check(std::slice::from_ref(wish), id)?;
    let failed = |source| Error::Netlink { what: format!("connect container {id}"), source };
    let route = Socket::route().map_err(failed)?;
    let mut claims = Claims::new(nft::open(&wish.network.table)?);
    let place = Place::take(wish, id, &route, &mut claims)?;
    let v6 = wish.network.v6.is_some();
    let (sandbox, ()) = sandbox::apart(|| sandbox::enter(netns, v6, resolver), || ());
    let mut sandbox = sandbox?;
    place.connect(wish, &sandbox, &route, id, number, first, false)?;
    let (_, undo) = claims.keep();
    Ok(Joined { end: place.end, made: place.made, resolver: sandbox.resolver.take(), undo })
}

/// Takes a running container out of a network: its interface goes, and all that leads to it. `next` are the gateways of the network that
/// leads out from now on, if the default route was here.
///
/// # Errors
/// The kernel refuses.
pub fn leave(
    netns: OwnedFd,
    network: &Network,
    id: &str,
    interface: &str,
    next: Option<(Ipv4Addr, Option<Ipv6Addr>)>,
) -> Result<()> {
    let failed =
        |source: NetlinkError| Error::Netlink { what: format!("disconnect container {id} from {}", network.bridge), source };
    let (sandbox, ()) = sandbox::apart(|| sandbox::enter(netns, network.v6.is_some(), false), || ());
    let sandbox = sandbox?;
    sandbox.disconnect(interface).map_err(failed)?;
    if let Some((v4, v6)) = next {
        sandbox.route_by([Some(IpAddr::V4(v4)), v6.map(IpAddr::V6)].into_iter().flatten()).map_err(failed)?;
    }
    crate::recover(network, id)
}

/// Makes what `network` needs, if somebody has taken it away, and lets each of `ports` lead to the addresses of its container again. The
/// sockets that reserve them are not touched: whoever holds them still does. Answers how to undo it for each.
///
/// # Errors
/// The kernel refuses; a port leads elsewhere by now.
pub fn restore(network: &Network, ends: &[(IpAddr, Option<IpAddr>, Vec<Port>)]) -> Result<Vec<Undo>> {
    network.check()?;
    let failed = |source| Error::Netlink { what: format!("restore network {}", network.bridge), source };
    if network.macvlan.is_some() {
        return Ok(Vec::new());
    }
    let netfilter = nft::open(&network.table)?;
    let fresh = nft::ensure(&netfilter, network)?;
    bridge::ensure(&Socket::route().map_err(failed)?, network, fresh)?;
    bridge::admit(network, failed)?;
    let there = nft::elements(&netfilter, &network.table).map_err(failed)?;
    let mut undo = Vec::new();
    for (v4, v6, ports) in ends {
        let to = |port: &Port| port.by_rules(*v4, *v6);
        let all: Vec<_> = ports.iter().filter_map(|port| Some(Published { port: *port, to: to(port)? })).collect();
        let missing: Vec<_> = all.iter().filter(|published| !there.contains(published)).copied().collect();
        if !missing.is_empty() {
            nft::add(&netfilter, &network.table, &missing).map_err(|(error, port)| match port {
                Some(port) if error.errno() == rustix::io::Errno::EXIST => port.in_use(),
                _ => failed(error),
            })?;
        }
        undo.push(Undo { nftables: nft::remove(&network.table, &all), ..Undo::default() });
    }
    Ok(undo)
}
