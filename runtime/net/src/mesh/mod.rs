//! The ways to the containers of a cluster's other hosts.
//!
//! ```text
//!   peers (Node objects) ─┐
//!   own links ────────────┼─▶ plan() ─▶ routes · neighbours · forwarding ─▶ difference() ─▶ steps ─▶ kernel
//!   settings ─────────────┘                    what the kernel has (look) ──────┘
//! ```
//!
//! A peer on a segment of this host is the gateway to its own containers. Others are reached through a VXLAN device (RFC 7348) that learns
//! nothing: each peer's device has a hardware address that follows from its range, so the ranges and addresses of all peers say all there
//! is to know. Routes carry a protocol number of their own, and nothing else is ever touched. They stay when the daemon goes, as the
//! containers do.

mod kernel;
mod plan;

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

pub use kernel::{apply, leave, packet};
pub use plan::{Plan, Way, plan};

/// What a VXLAN device's header takes from a packet, over IPv4.
pub const OVERHEAD: u32 = 50;

/// How other hosts are reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By a route where the peer is on a segment of this host, else by VXLAN.
    Auto,
    /// By routes alone.
    Routes,
    /// By VXLAN alone.
    Vxlan,
}

/// How the mesh is made; the same on all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How other hosts are reached.
    pub mode: Mode,
    /// The VXLAN device's name.
    pub device: String,
    /// Its network identifier, below 2^24.
    pub vni: u32,
    /// Its UDP port.
    pub port: u16,
}

/// Another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its name, for people.
    pub name: String,
    /// Where it is reached.
    pub address: Ipv4Addr,
    /// The addresses of its containers.
    pub range: Ipv4Net,
}

/// This host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// Where others reach it.
    pub address: Ipv4Addr,
    /// The addresses of its containers.
    pub range: Ipv4Net,
    /// The bridge's address, which its own packets to containers carry.
    pub gateway: Ipv4Addr,
    /// The addresses of all containers of the cluster.
    pub cluster: Ipv4Net,
}

/// A peer to which there is no way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Left {
    /// The peer's name.
    pub name: String,
    /// Why.
    pub why: String,
}

/// What [`apply`] has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How many things of the kernel were changed.
    pub changes: usize,
    /// Peers that are left out.
    pub left: Vec<Left>,
}

/// The hardware address of a host's VXLAN device.
pub(crate) fn mac(range: Ipv4Net) -> [u8; 6] {
    let [a, b, c, d] = range.network().octets();
    [0x02, 0x56, a, b, c, d]
}
