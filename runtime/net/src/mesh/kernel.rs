//! The plan made so: what the kernel has, what it lacks, and the device.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};
use rustix::io::Errno;

use super::plan::{Step, Way, difference};
use super::{Me, Mode, OVERHEAD, Outcome, Peer, Plan, Settings, mac, plan};
use crate::bridge::{self, sysctl};
use crate::error::{Error, Result};
use crate::netlink::mesh::{self, Hop, Tunnel};
use crate::netlink::route::{self, Link};
use crate::netlink::{Batch, NetlinkError, Socket};
use crate::network::Network;
use crate::nft;

/// How long a packet of a container may be: it fits the link that has the address `own`, in a tunnel where there may be one.
///
/// # Errors
/// The kernel does not say.
pub fn packet(own: Ipv4Addr, mode: Mode) -> Result<u32> {
    let socket = Socket::route().map_err(failed("look at this host's links"))?;
    let link = uplink(&socket, own).map_err(failed("look at this host's links"))?;
    Ok(link.saturating_sub(if mode == Mode::Routes { 0 } else { OVERHEAD }).max(576))
}

/// Makes the bridge before there is a container, for routes name its address.
fn prepare(socket: &Socket, network: &Network) -> Result<()> {
    bridge::make(network)?;
    let link = route::get_link(socket, &network.bridge).map_err(failed("look at the bridge"))?;
    match (link, network.mtu) {
        (Some(link), Some(mtu)) if mtu != link.mtu => {
            let mut batch = Batch::new();
            route::set_mtu(&mut batch, link.index, mtu);
            socket.transact(batch.acknowledge()).map_err(failed("set the bridge's MTU"))
        }
        _ => Ok(()),
    }
}

/// Makes the ways to `peers`, removes those to others, and lets the peers' packets in. What is right already is left alone.
///
/// # Errors
/// The kernel refuses; what was done stays, and the next call goes on from there.
pub fn apply(network: &Network, settings: &Settings, me: &Me, peers: &[Peer]) -> Result<Outcome> {
    let socket = Socket::route().map_err(failed("reach other nodes"))?;
    prepare(&socket, network)?;
    let segments = route::addresses(&socket).map_err(failed("look at this host's addresses"))?;
    let (wanted, left) = plan(settings.mode, me, peers, &segments);
    let device = device(&socket, settings, me, !wanted.forwarding.is_empty())?;
    let actual = look(&socket, network, device.as_ref(), me).map_err(failed("look at the ways to other nodes"))?;
    let steps = difference(&wanted, &actual);
    for step in &steps {
        carry_out(&socket, step, device.as_ref(), me).map_err(|source| Error::Netlink { what: format!("{step}"), source })?;
    }
    let changed = members(network, &wanted, &actual)?;
    Ok(Outcome { changes: steps.len() + changed, left })
}

/// Removes all ways to other hosts: this one is no member any more. `table` is that of its network.
///
/// # Errors
/// The kernel refuses.
pub fn leave(table: &str, settings: &Settings) -> Result<()> {
    let socket = Socket::route().map_err(failed("leave other nodes"))?;
    let mut batch = Batch::new();
    let hops = mesh::hops(&socket).map_err(failed("look at the ways to other nodes"))?;
    hops.iter().for_each(|hop| mesh::drop_route(&mut batch, hop.to));
    let device = route::get_link(&socket, &settings.device).map_err(failed("look at the VXLAN device"))?;
    if let Some(device) = device.filter(|link| link.kind == "vxlan") {
        route::delete(&mut batch, device.index);
    }
    if batch.count() > 0 {
        socket.transact(batch.acknowledge()).map_err(failed("remove the ways to other nodes"))?;
    }
    let netfilter = nft::open(table)?;
    let members: Vec<Ipv4Addr> = nft::members::list(&netfilter, table).map_err(failed("look at the nodes"))?.into_iter().collect();
    nft::members::change(&netfilter, table, &members, &[]).map_err(failed("forget the nodes"))
}

fn failed(what: &'static str) -> impl FnOnce(NetlinkError) -> Error {
    move |source| Error::Netlink { what: what.to_owned(), source }
}

/// The MTU of the link with an address.
fn uplink(socket: &Socket, own: Ipv4Addr) -> std::result::Result<u32, NetlinkError> {
    let index = route::addresses(socket)?.into_iter().find(|(_, net)| net.addr() == own).map(|(index, _)| index);
    let link = route::links(socket)?.into_iter().find(|link| Some(link.index) == index);
    Ok(link.map_or(1500, |link| link.mtu.min(65535)))
}

/// The VXLAN device as it should be; it goes when nobody is behind it.
fn device(socket: &Socket, settings: &Settings, me: &Me, is_wanted: bool) -> Result<Option<Link>> {
    let name = &settings.device;
    let failed = |source: NetlinkError| match source.errno() {
        Errno::OPNOTSUPP => Error::Unsupported { what: format!("VXLAN device {name}"), options: "VXLAN", source },
        _ => Error::Netlink { what: format!("make VXLAN device {name}"), source },
    };
    let mtu = uplink(socket, me.address).map_err(failed)?.saturating_sub(OVERHEAD);
    let wanted = Tunnel { vni: settings.vni, port: settings.port, local: me.address, mac: mac(me.range), mtu };
    for _ in 0..4 {
        let link = route::get_link(socket, name).map_err(failed)?;
        let mut batch = Batch::new();
        match link {
            None if !is_wanted => return Ok(None),
            None => mesh::add_tunnel(&mut batch, name, &wanted),
            Some(link) if link.kind != "vxlan" => return Err(Error::NotABridge { name: link.name, kind: link.kind }),
            Some(link) if !is_wanted || has(socket, name)? != Some(wanted.clone()) => route::delete(&mut batch, link.index),
            Some(link) if link.up => return Ok(Some(link)),
            Some(link) => {
                // Its far ends are told; what is asked for by itself would only be noise.
                sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), "1", true)?;
                let own = Ipv4Net::new_assert(me.range.network(), 32);
                route::add_address(&mut batch, link.index, IpNet::V4(own));
                bridge::done_before(socket.transact(batch.acknowledge())).map_err(failed)?;
                batch = Batch::new();
                route::up(&mut batch, "RTM_NEWLINK vxlan up", link.index);
            }
        }
        bridge::done_before(socket.transact(batch.acknowledge())).map_err(failed)?;
    }
    Err(failed(NetlinkError::new(sys::Error::new("RTM_GETLINK", Errno::AGAIN))))
}

fn has(socket: &Socket, name: &str) -> Result<Option<Tunnel>> {
    let mut batch = Batch::new();
    route::ask_link(&mut batch, name);
    socket.get(&batch, mesh::tunnel).map_err(failed("look at the VXLAN device"))
}

/// What the kernel has of a plan.
fn look(socket: &Socket, network: &Network, device: Option<&Link>, me: &Me) -> std::result::Result<Plan, NetlinkError> {
    let mut plan = Plan::default();
    for hop in mesh::hops(socket)? {
        let way = match device {
            Some(device) if device.index == hop.link => Way::Tunnel(hop.gateway),
            _ => Way::Link(hop.link, hop.gateway),
        };
        // One with another source is one to be replaced.
        let way = if hop.source == me.gateway { way } else { Way::Link(0, hop.gateway) };
        plan.routes.insert(hop.to, way);
    }
    if let Some(device) = device {
        plan.neighbours = mesh::entries(socket, device.index, false)?.into_iter().collect();
        plan.forwarding = mesh::entries(socket, device.index, true)?.into_iter().map(|(host, mac)| (mac, host)).collect();
    }
    plan.members = nft::members::list(&Socket::netfilter()?, &network.table)?;
    Ok(plan)
}

fn carry_out(socket: &Socket, step: &Step, device: Option<&Link>, me: &Me) -> std::result::Result<(), NetlinkError> {
    let tunnel = device.map_or(0, |device| device.index);
    let mut batch = Batch::new();
    match *step {
        Step::DropRoute(to) => mesh::drop_route(&mut batch, to),
        Step::DropNeighbour(end) => mesh::drop_neighbour(&mut batch, tunnel, end),
        Step::DropForward(mac) => mesh::drop_forward(&mut batch, tunnel, mac),
        Step::Forward(mac, host) => mesh::set_forward(&mut batch, tunnel, mac, host),
        Step::Neighbour(end, mac) => mesh::set_neighbour(&mut batch, tunnel, end, mac),
        Step::Route(to, way) => {
            let (link, gateway) = match way {
                Way::Link(link, gateway) => (link, gateway),
                Way::Tunnel(end) => (tunnel, end),
            };
            mesh::set_route(&mut batch, &Hop { to, gateway, link, source: me.gateway });
        }
    }
    let removes = matches!(step, Step::DropRoute(_) | Step::DropNeighbour(_) | Step::DropForward(_));
    match socket.transact(batch.acknowledge()) {
        // Somebody else has removed it.
        Err(error) if removes && matches!(error.errno(), Errno::SRCH | Errno::NOENT) => Ok(()),
        other => other,
    }
}

fn members(network: &Network, wanted: &Plan, actual: &Plan) -> Result<usize> {
    let out: Vec<Ipv4Addr> = actual.members.difference(&wanted.members).copied().collect();
    let new: Vec<Ipv4Addr> = wanted.members.difference(&actual.members).copied().collect();
    let socket = nft::open(&network.table)?;
    nft::members::change(&socket, &network.table, &out, &new).map_err(failed("let other nodes in"))?;
    Ok(out.len() + new.len())
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::DropRoute(to) => write!(f, "remove the route to {to}"),
            Step::DropNeighbour(end) => write!(f, "forget the neighbour {end}"),
            Step::DropForward(_) => f.write_str("forget a node behind the VXLAN device"),
            Step::Forward(_, host) => write!(f, "add node {host} behind the VXLAN device"),
            Step::Neighbour(end, _) => write!(f, "add the neighbour {end}"),
            Step::Route(to, _) => write!(f, "add the route to {to}"),
        }
    }
}
