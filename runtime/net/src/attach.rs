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

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;

use ipnet::Ipv4Net;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::error::{Error, Result};
use crate::lease::{self, Lease};
use crate::netlink::route::Link;
use crate::netlink::{NetlinkError, Socket};
use crate::network::Network;
use crate::nft::{self, Published};
use crate::port::{Port, Protocol, Reserved};
use crate::{bridge, conntrack, sandbox};

/// A container's network. Dropping it undoes everything; [`keep`](Attached::keep) hands it over.
#[derive(Debug)]
pub struct Attached {
    /// The network namespace. The interface lives as long as it does.
    pub netns: OwnedFd,
    /// The container's address and its network's prefix.
    pub address: Ipv4Net,
    /// Its default route.
    pub gateway: Ipv4Addr,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Published ports, each with the host port that was found.
    pub ports: Vec<Port>,
    claims: Claims,
}

/// What is left of an [`Attached`] once it shall outlive this process.
#[derive(Debug)]
pub struct Kept {
    /// The network namespace.
    pub netns: OwnedFd,
    /// Sockets to be held while the container runs. They reserve the published ports, and one of them is an idle nf_tables socket: its
    /// last close waits for all removals that are still pending in the kernel (12 ms), which is nothing for a start to wait for.
    pub reserved: Vec<OwnedFd>,
    /// How to undo the rest.
    pub undo: Undo,
}

/// Undo as data, to be carried out in this order by whoever sees the container end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undo {
    /// Whole netlink datagrams for a `NETLINK_NETFILTER` socket. Failures (already gone) do not matter.
    pub nftables: Vec<Vec<u8>>,
    /// Files to unlink: the address lease. After the elements, for it tells whose they are.
    pub unlink: Vec<PathBuf>,
}

/// All that outlives a process unless it is undone.
#[derive(Debug)]
struct Claims {
    table: String,
    /// There until it is handed over.
    netfilter: Option<Socket>,
    published: Vec<Published>,
    reserved: Vec<Reserved>,
    lease: Option<Lease>,
}

impl Drop for Claims {
    fn drop(&mut self) {
        let Some(netfilter) = &self.netfilter else { return };
        for batch in nft::remove(&self.table, &self.published) {
            let _ = send(netfilter, &batch, SendFlags::empty());
        }
    }
}

impl Attached {
    /// Gives up ownership: nothing is undone any more unless by [`Kept::undo`].
    pub fn keep(self) -> Kept {
        let mut claims = self.claims;
        let undo = Undo {
            nftables: nft::remove(&claims.table, &std::mem::take(&mut claims.published)),
            unlink: claims.lease.take().map(Lease::keep).into_iter().collect(),
        };
        let mut held: Vec<OwnedFd> = std::mem::take(&mut claims.reserved).into_iter().map(|reserved| reserved.socket).collect();
        held.extend(claims.netfilter.take().map(Socket::into_fd));
        Kept { netns: self.netns, reserved: held, undo }
    }
}

/// Makes a network namespace for container `id`, connects it to `network` and publishes `ports`. The bridge and the table are made if
/// they are not there. Needs CAP_NET_ADMIN and CAP_SYS_ADMIN.
///
/// On failure nothing is left but bridge and table. The kernel takes an interface away some milliseconds after the last
/// descriptor of its namespace is closed.
pub fn attach(network: &Network, id: &str, ports: &[Port]) -> Result<Attached> {
    network.check()?;
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if id.is_empty() || id.len() > 255 || !id.chars().all(fine) {
        return Err(Error::Name(id.to_owned(), "a container"));
    }
    let (sandbox, prepared) = thread::scope(|scope| {
        let maker = thread::Builder::new().name("netns".into()).stack_size(64 << 10).spawn_scoped(scope, sandbox::make);
        let prepared = prepare(network, id, ports);
        let sandbox = match maker.map(|maker| maker.join()) {
            Ok(Ok(made)) => made,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::System {
                what: "start a thread for the network namespace".into(),
                source: sys::Error::new("clone3(CLONE_THREAD)", Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)),
            }),
        };
        (sandbox, prepared)
    });
    let Prepared { claims, address, bridge, route } = prepared?;
    let sandbox = sandbox?;
    sandbox.connect(&route, &bridge, id, address, network.gateway(), !ports.is_empty())?;
    claims.reserved.iter().try_for_each(Reserved::listen)?;
    Ok(Attached {
        netns: sandbox.netns,
        address,
        gateway: network.gateway(),
        mac: bridge::mac(address.addr()),
        ports: claims.reserved.iter().map(|reserved| reserved.port).collect(),
        claims,
    })
}

/// What does not need the namespace.
struct Prepared {
    claims: Claims,
    address: Ipv4Net,
    bridge: Link,
    route: Socket,
}

fn prepare(network: &Network, id: &str, ports: &[Port]) -> Result<Prepared> {
    let failed = |source| Error::Netlink { what: format!("connect container {id}"), source };
    let (route, netfilter) = (Socket::route().map_err(failed)?, nft::open(&network.table)?);
    let lease = lease::take(network, id)?;
    let address = Ipv4Net::new_assert(lease.address, network.subnet.prefix_len());
    // The table first: the bridge lets loopback addresses in, and the table keeps them out.
    let fresh = nft::ensure(&netfilter, network)?;
    let bridge = bridge::ensure(&route, network, fresh)?;
    let table = network.table.clone();
    let mut claims = Claims { table, netfilter: None, published: Vec::new(), reserved: Vec::new(), lease: Some(lease) };
    publish(&mut claims, &netfilter, address.addr(), ports)?;
    claims.netfilter = Some(netfilter);
    Ok(Prepared { claims, address, bridge, route })
}

/// Reserves and publishes all ports. A port that was chosen here and turns out to be a dead container's is chosen again.
fn publish(claims: &mut Claims, netfilter: &Socket, to: Ipv4Addr, ports: &[Port]) -> Result<()> {
    if ports.is_empty() {
        return Ok(());
    }
    for port in ports {
        claims.reserved.push(Reserved::bind(port)?);
    }
    let mut attempts = 0;
    loop {
        let published: Vec<_> = claims.reserved.iter().map(|reserved| Published { port: reserved.port, to }).collect();
        match nft::add(netfilter, &claims.table, &published) {
            Ok(()) => {
                claims.published = published;
                break;
            }
            Err((error, Some(taken))) if error.errno() == Errno::EXIST => {
                attempts += 1;
                match claims.reserved.iter().position(|reserved| reserved.port == taken) {
                    // The new socket is bound before the old one closes: it cannot get the same port again.
                    Some(index) if ports[index].host_port == 0 && attempts < 64 => {
                        claims.reserved[index] = Reserved::bind(&ports[index])?
                    }
                    _ => return Err(taken.in_use()),
                }
            }
            Err((source, _)) => return Err(Error::Netlink { what: "publish ports".into(), source }),
        }
    }
    for published in claims.published.iter().filter(|published| published.port.protocol == Protocol::Udp) {
        // A kernel without ctnetlink keeps such flows until they time out.
        let _: std::result::Result<(), NetlinkError> = conntrack::forget(netfilter, &published.port);
    }
    Ok(())
}

/// Removes what a container whose owner died has left: its lease, and all map elements that lead to its address. Nothing there is fine.
/// Not for a container that may still run.
pub fn recover(network: &Network, id: &str) -> Result<()> {
    network.check()?;
    for (address, _) in lease::leases(network)?.into_iter().filter(|(_, holder)| holder == id) {
        let netfilter = nft::open(&network.table)?;
        nft::remove_all(&netfilter, &network.table, address)
            .map_err(|source| Error::Netlink { what: format!("withdraw the ports of container {id}"), source })?;
        lease::release(network, address)?;
    }
    Ok(())
}
