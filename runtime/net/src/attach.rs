//! One container's network, from nothing to reachable.
//!
//! ```text
//!   caller's thread                                        a thread of its own
//!   lease · table? · bridge? · bind ports · add elements   unshare(CLONE_NEWNET) · socket in it
//!                                 └──────── join ──────────────┘
//!   lo, veth pair, address, route (1 datagram in the namespace) · port of the bridge (1 on the host) · listen
//! ```
//!
//! Each thing made is owned by [`Claims`] from the moment it exists, so a failure anywhere undoes exactly what was done.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::claims::{Claims, Outside};
use crate::error::{Error, Result};
use crate::lease::Holder;
use crate::netlink::Socket;
use crate::netlink::route::Link;
use crate::network::Network;
use crate::port::Port;
use crate::relay::Relay;
use crate::sandbox::{Sandbox, Side};
use crate::{bridge, dns, lease, names, nft, sandbox};

/// How a container wants to be connected to a network.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// The network.
    pub network: &'a Network,
    /// The interface's name in the container.
    pub interface: &'a str,
    /// Its IPv4 address; any free one when there is none.
    pub ip: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ip6: Option<Ipv6Addr>,
    /// Its hardware address.
    pub mac: Option<[u8; 6]>,
    /// Names that mean its addresses within the network; the first is told to who asks for an address's name. None in a network without
    /// names.
    pub names: &'a [String],
    /// What it sends may be led back to it, as by a service whose only endpoint it is; a published port does so anyway.
    pub reaches_itself: bool,
}

impl<'a> Wish<'a> {
    /// `eth0`, with everything as it comes.
    pub fn plain(network: &'a Network) -> Self {
        Wish { network, interface: "eth0", ip: None, ip6: None, mac: None, names: &[], reaches_itself: false }
    }
}

/// A container's end of one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The interface's name in the container.
    pub interface: String,
    /// Its address and its network's prefix.
    pub address: Ipv4Net,
    /// The bridge's address, where it leads out.
    pub gateway: Option<Ipv4Addr>,
    /// Its IPv6 address and its network's prefix.
    pub address6: Option<Ipv6Net>,
    /// The bridge's IPv6 address, where it leads out.
    pub gateway6: Option<Ipv6Addr>,
    /// Its hardware address.
    pub mac: [u8; 6],
}

/// A container's network. Dropping it undoes everything; [`keep`](Attached::keep) hands it over.
#[derive(Debug)]
pub struct Attached {
    /// The network namespace. The interfaces live as long as it does.
    pub netns: OwnedFd,
    /// The container's end of each network, in the order of the wishes. The first that leads out has the default route and the ports.
    pub ends: Vec<End>,
    /// Published ports, each with the host port that was found.
    pub ports: Vec<Port>,
    /// Where its processes ask for names, if one of its networks has names.
    pub resolver: Option<dns::Sockets>,
    /// Bridges that were set up for this, being new or without their rules: a firewall of somebody else's may have to be told of them.
    pub made: Vec<String>,
    claims: Claims,
}

/// What is left of an [`Attached`] once it shall outlive this process.
#[derive(Debug)]
pub struct Kept {
    /// The network namespace.
    pub netns: OwnedFd,
    /// Sockets to be held while the container runs: they reserve the published ports.
    pub reserved: Vec<OwnedFd>,
    /// Sockets that reserve published ports, too, and are to be served by [`relay::serve`](crate::relay::serve).
    pub relays: Vec<(OwnedFd, Relay)>,
    /// A socket for [`Undo::nftables`]. Its last close waits for all removals that are still pending in the kernel (12 ms), so neither a
    /// start nor an end should wait for it.
    pub netfilter: Option<OwnedFd>,
    /// Where its processes ask for names.
    pub resolver: Option<dns::Sockets>,
    /// How to undo the rest.
    pub undo: Undo,
}

/// Undo as data, to be carried out in this order by whoever sees the container end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undo {
    /// Whole netlink datagrams for a `NETLINK_NETFILTER` socket. Failures (already gone) do not matter.
    pub nftables: Vec<Vec<u8>>,
    /// Files to unlink: names, and the address leases. After the elements, for a lease tells whose they are.
    pub unlink: Vec<PathBuf>,
    /// Folders to remove if they are empty by then.
    pub folders: Vec<PathBuf>,
}

impl Attached {
    /// Gives up ownership: nothing is undone any more unless by [`Kept::undo`].
    pub fn keep(mut self) -> Kept {
        let (reserved, relays) = self.claims.sockets();
        let (netfilter, undo) = self.claims.keep();
        Kept { netns: self.netns, reserved, relays, netfilter, resolver: self.resolver, undo }
    }
}

/// Makes a network namespace for container `id`, connects it to the networks that are wished for and publishes `ports` by the first of
/// them that leads out. Bridges and tables are made if they are not there. Needs CAP_NET_ADMIN and CAP_SYS_ADMIN.
///
/// On failure nothing is left but bridges and tables. The kernel takes an interface away some milliseconds after the last
/// descriptor of its namespace is closed.
pub fn attach(wishes: &[Wish<'_>], id: &str, ports: &[Port]) -> Result<Attached> {
    attach_to(None, wishes, id, ports, false)
}

/// [`attach`] with a network namespace that is there, and has no interface but loopback. `relays`: the caller sees to it that
/// [`Kept::relays`] are served.
///
/// # Errors
/// As [`attach`].
pub fn attach_to(netns: Option<OwnedFd>, wishes: &[Wish<'_>], id: &str, ports: &[Port], relays: bool) -> Result<Attached> {
    attach_with(netns, wishes, id, Publish::Here { ports, relays })
}

/// [`attach_to`] with ports that are reserved already, in another network namespace; [`Kept::relays`] is all there is of them.
///
/// # Errors
/// As [`attach`].
pub fn attach_outside(netns: Option<OwnedFd>, wishes: &[Wish<'_>], id: &str, ports: Outside) -> Result<Attached> {
    attach_with(netns, wishes, id, Publish::Outside(ports))
}

/// Where ports are reserved, and how they lead to the container.
enum Publish<'a> {
    /// By rules for packets, and those that none can lead there by relays.
    Here { ports: &'a [Port], relays: bool },
    /// By relays.
    Outside(Outside),
}

fn attach_with(netns: Option<OwnedFd>, wishes: &[Wish<'_>], id: &str, publish: Publish<'_>) -> Result<Attached> {
    check(wishes, id)?;
    let by_rules = matches!(&publish, Publish::Here { ports, .. } if !ports.is_empty());
    let v6 = wishes.iter().any(|wish| wish.network.v6.is_some());
    let named = wishes.iter().any(|wish| !wish.names.is_empty());
    let sandbox = || match netns {
        Some(netns) => sandbox::enter(netns, v6, named),
        None => sandbox::make(v6, named),
    };
    let (sandbox, prepared) = sandbox::apart(sandbox, || prepare(wishes, id, publish));
    let Prepared { claims, places, route } = prepared?;
    let sandbox = sandbox?;
    let out = wishes.iter().position(|wish| !wish.network.policy.internal);
    let publishing = wishes.iter().position(|wish| wish.network.publishes()).filter(|_| by_rules);
    for (number, (wish, place)) in (0..).zip(wishes.iter().zip(&places)) {
        let at = Some(number as usize);
        place.connect(wish, &sandbox, &route, id, number, out == at, publishing == at)?;
    }
    claims.listen()?;
    let made = wishes.iter().zip(&places).filter(|(_, place)| place.made).map(|(wish, _)| wish.network.bridge.clone()).collect();
    let ends = places.into_iter().map(|place| place.end).collect();
    Ok(Attached { netns: sandbox.netns, ends, ports: claims.ports(), resolver: sandbox.resolver, made, claims })
}

/// Refuses what would be something else to the kernel or to a file system.
pub(crate) fn check(wishes: &[Wish<'_>], id: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if id.is_empty() || id.len() > 255 || !id.chars().all(fine) {
        return Err(Error::Name(id.to_owned(), "a container"));
    }
    for wish in wishes {
        wish.network.check()?;
        if wish.interface.is_empty() || wish.interface.len() > 15 || !wish.interface.chars().all(fine) {
            return Err(Error::Name(wish.interface.to_owned(), "an interface"));
        }
        if let Some(mac) = wish.mac.filter(|mac| mac[0] & 1 != 0 || *mac == [0; 6]) {
            return Err(Error::BadMac(mac));
        }
    }
    Ok(())
}

/// Makes a network namespace with a loopback interface that is up, and no way out. It goes with its last descriptor. The calling thread
/// ends up in it, so it must be one made for this.
///
/// # Errors
/// [`Error::NotRoot`]; a kernel without network namespaces.
pub fn isolated() -> Result<OwnedFd> {
    sandbox::alone()
}

/// [`isolated`] of a namespace that is there, and has no interface but loopback.
///
/// # Errors
/// It cannot be entered.
pub fn isolated_in(netns: OwnedFd) -> Result<OwnedFd> {
    sandbox::alone_in(netns)
}

/// [`isolated`], or [`isolated_in`], without moving the calling thread.
///
/// # Errors
/// Theirs.
pub fn unconnected(netns: Option<OwnedFd>) -> Result<OwnedFd> {
    let (made, ()) = sandbox::apart(|| netns.map_or_else(sandbox::alone, sandbox::alone_in), || ());
    made
}

/// What does not need the namespace.
struct Prepared {
    claims: Claims,
    places: Vec<Place>,
    route: Socket,
}

fn prepare(wishes: &[Wish<'_>], id: &str, publish: Publish<'_>) -> Result<Prepared> {
    let failed = |source| Error::Netlink { what: format!("connect container {id}"), source };
    let route = Socket::route().map_err(failed)?;
    let netfilter = nft::open(wishes.first().map_or("", |wish| &wish.network.table))?;
    let mut claims = Claims::new(netfilter);
    let places = wishes.iter().map(|wish| Place::take(wish, id, &route, &mut claims)).collect::<Result<Vec<_>>>()?;
    let out = wishes.iter().zip(&places).find(|(wish, _)| wish.network.publishes());
    if let Some((wish, Place { end, .. })) = out {
        let to = (end.address.addr().into(), end.address6.map(|net| IpAddr::V6(net.addr())));
        match publish {
            Publish::Here { ports, relays } => claims.publish(&wish.network.table, to, ports, relays)?,
            Publish::Outside(ports) => claims.relay(ports, to),
        }
    }
    Ok(Prepared { claims, places, route })
}

/// A place in a network that is the container's.
pub(crate) struct Place {
    pub(crate) end: End,
    /// The bridge, or the link that is shared.
    link: Link,
    /// The bridge was set up now.
    pub(crate) made: bool,
}

impl Place {
    /// Takes addresses and names, which `claims` owns then, and makes the bridge and the tables if they are not there.
    pub(crate) fn take(wish: &Wish<'_>, id: &str, route: &Socket, claims: &mut Claims) -> Result<Place> {
        let network = wish.network;
        let holder = Holder { id, name: wish.names.first().map(String::as_str) };
        let lease = lease::take(network, holder, wish.ip)?;
        let v4 = lease.address;
        claims.add([lease], Vec::new());
        let mut addresses = vec![v4];
        match (&network.v6, wish.ip6) {
            (Some(v6), asked) => {
                let lease = lease::take_v6(network, v6, holder, asked)?;
                addresses.push(lease.address);
                claims.add([lease], Vec::new());
            }
            (None, Some(asked)) => {
                let why = "the network has no IPv6";
                return Err(Error::BadAddress { address: asked.into(), network: network.subnet.to_string(), why });
            }
            (None, None) => {}
        }
        let (link, made) = match &network.macvlan {
            Some(macvlan) => (bridge::parent(route, &macvlan.parent)?, false),
            None => {
                // The table first: the bridge lets loopback addresses in, and the table keeps them out.
                let fresh = nft::ensure(claims.netfilter()?, network)?;
                bridge::ensure(route, network, fresh)?
            }
        };
        for name in wish.names {
            claims.add([], names::claim(network, id, name, &addresses)?.into_iter().collect());
        }
        Ok(Place { end: end(wish, &addresses), link, made })
    }

    /// Makes the interface. `first`: the default route leads there.
    #[expect(clippy::too_many_arguments, reason = "three of them say who, two say how")]
    pub(crate) fn connect(
        &self,
        wish: &Wish<'_>,
        sandbox: &Sandbox,
        host: &Socket,
        id: &str,
        number: u32,
        first: bool,
        hairpin: bool,
    ) -> Result<()> {
        let End { address, address6, gateway, gateway6, mac, interface } = &self.end;
        let gateways = [gateway.map(IpAddr::V4), gateway6.map(IpAddr::V6)];
        let side = Side {
            name: interface,
            number,
            mac: *mac,
            addresses: [IpNet::V4(*address)].into_iter().chain(address6.map(IpNet::V6)).collect(),
            gateways: gateways.into_iter().flatten().filter(|_| first).collect(),
            hairpin: hairpin || wish.reaches_itself,
            isolated: !wish.network.policy.neighbours,
        };
        match &wish.network.macvlan {
            Some(macvlan) => sandbox.share(host, &self.link, macvlan.mode, id, &side),
            None => sandbox.connect(host, &self.link, id, &side),
        }
    }
}

fn end(wish: &Wish<'_>, addresses: &[IpAddr]) -> End {
    let network = wish.network;
    let (mut v4, mut v6) = (Ipv4Addr::UNSPECIFIED, None);
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4 = *address,
            IpAddr::V6(address) => v6 = Some(*address),
        }
    }
    let out = !network.policy.internal;
    End {
        interface: wish.interface.to_owned(),
        address: Ipv4Net::new_assert(v4, network.subnet.prefix_len()),
        gateway: out.then_some(network.gateway),
        address6: v6.zip(network.v6.as_ref()).map(|(address, v6)| Ipv6Net::new_assert(address, v6.subnet.prefix_len())),
        gateway6: network.v6.as_ref().filter(|_| out).map(|v6| v6.gateway),
        mac: wish.mac.unwrap_or_else(|| bridge::mac(v4)),
    }
}

/// Removes what a container whose owner died has left: its leases and names, and all map elements that lead to its addresses. Nothing
/// there is fine. Not for a container that may still run.
pub fn recover(network: &Network, id: &str) -> Result<()> {
    network.check()?;
    for (address, _) in lease::leases(network)?.into_iter().filter(|(_, holder)| holder == id) {
        let netfilter = nft::open(&network.table)?;
        nft::remove_all(&netfilter, &network.table, address)
            .map_err(|source| Error::Netlink { what: format!("withdraw the ports of container {id}"), source })?;
        names::forget_all(network, id);
        lease::release(network, address)?;
    }
    Ok(())
}

/// Removes the bridge, the tables and the volatile state of a network that no container is connected to.
///
/// # Errors
/// The kernel refuses, or the folder cannot be removed.
pub fn remove(network: &Network) -> Result<()> {
    network.check()?;
    let failed = |source| Error::Netlink { what: format!("remove bridge {}", network.bridge), source };
    // The bridge first: the table keeps loopback addresses from it.
    bridge::remove(&Socket::route().map_err(failed)?, network).map_err(failed)?;
    let netfilter = nft::open(&network.table)?;
    nft::drop_tables(&netfilter, network).map_err(failed)?;
    for subnet in network.subnets() {
        nft::forget(&netfilter, nft::Family::of(subnet.addr()), &network.bridge).map_err(failed)?;
    }
    match std::fs::remove_dir_all(&network.state) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let errno = rustix::io::Errno::from_raw_os_error(error.raw_os_error().unwrap_or(5));
            let call = format!("rmdir({:?})", network.state);
            Err(Error::Leases { path: network.state.clone(), source: sys::Error::new(call, errno) })
        }
        _ => Ok(()),
    }
}
