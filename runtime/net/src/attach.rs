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

use ipnet::Ipv4Net;

use crate::claims::Claims;
use crate::error::{Error, Result};
use crate::netlink::Socket;
use crate::netlink::route::Link;
use crate::network::Network;
use crate::port::Port;
use crate::{bridge, lease, nft, sandbox};

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
    /// Sockets to be held while the container runs: they reserve the published ports.
    pub reserved: Vec<OwnedFd>,
    /// A socket for [`Undo::nftables`]. Its last close waits for all removals that are still pending in the kernel (12 ms), so neither a
    /// start nor an end should wait for it.
    pub netfilter: Option<OwnedFd>,
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

impl Attached {
    /// Gives up ownership: nothing is undone any more unless by [`Kept::undo`].
    pub fn keep(self) -> Kept {
        let (reserved, netfilter, undo) = self.claims.keep();
        Kept { netns: self.netns, reserved, netfilter, undo }
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
    let (sandbox, prepared) = sandbox::apart(sandbox::make, || prepare(network, id, ports));
    let Prepared { claims, address, bridge, route } = prepared?;
    let sandbox = sandbox?;
    sandbox.connect(&route, &bridge, id, address, network.gateway(), !ports.is_empty())?;
    claims.listen()?;
    Ok(Attached {
        netns: sandbox.netns,
        address,
        gateway: network.gateway(),
        mac: bridge::mac(address.addr()),
        ports: claims.ports(),
        claims,
    })
}

/// Makes a network namespace with a loopback interface that is up, and no way out. It goes with its last descriptor. The calling thread
/// ends up in it, so it must be one made for this.
///
/// # Errors
/// [`Error::NotRoot`]; a kernel without network namespaces.
pub fn isolated() -> Result<OwnedFd> {
    sandbox::alone()
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
    let mut claims = Claims::new(&network.table, netfilter, lease);
    claims.publish(address.addr(), ports)?;
    Ok(Prepared { claims, address, bridge, route })
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
