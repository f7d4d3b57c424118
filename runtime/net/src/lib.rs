//! The network of a container: a namespace of its own, a veth pair to a bridge, an address, and published ports.
//!
//! ```text
//!   container netns        │  host netns
//!   eth0 172.29.x.y ── veth│─ vethXXXXXXX ─ rctr0 172.29.0.1 ─ (masquerade) ─ outside
//!                          │       ▲
//!                          │  nft table `ip rctr`: proto . port -> address . port
//! ```
//!
//! Everything is said to the kernel by netlink, in few messages; no program is run and no lock is taken. Two callers that
//! start at once meet in the kernel's own exclusive operations: a link, a table, a map element and a lease file are each
//! made by one of them only.
//!
//! | module | holds |
//! |---|---|
//! | `network` | what a network is, and how the default one is chosen |
//! | `attach` | one container's start: [`attach`], and its undo |
//! | `claims` | what must be undone: the address, the ports |
//! | `sandbox` | the namespace and the veth pair |
//! | `bridge` | making the bridge at first use |
//! | `lease` | addresses |
//! | `port` | published ports and the sockets that reserve them |
//! | `nft` | the nf_tables table and its maps |
//! | `conntrack` | forgetting flows that began before a port was published |
//! | `netlink` | messages, sockets, errors |

mod attach;
mod bridge;
mod claims;
mod conntrack;
mod error;
mod lease;
mod netlink;
mod network;
mod nft;
mod port;
mod sandbox;

#[cfg(test)]
mod tests;

pub use attach::{Attached, Kept, Undo, attach, isolated, recover};
pub use error::{Error, Result};
pub use lease::leases;
pub use netlink::NetlinkError;
pub use network::{Network, default_network};
pub use port::{Port, Protocol};
