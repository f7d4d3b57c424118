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
//! | `network` | what a network is, and how subnets are chosen |
//! | `attach` | one container's start: [`attach`], and its undo |
//! | `join` | networks of a container that runs already |
//! | `claims` | what must be undone: addresses, names, ports |
//! | `sandbox` | the namespace and the veth pairs |
//! | `bridge` | making the bridge at first use |
//! | [`dns`] | a resolver for each container |
//! | `lease`, `names` | addresses, and names for them within a network |
//! | `port` | published ports and the sockets that reserve them |
//! | [`relay`] | ports that no rule can lead to the container |
//! | [`mesh`] | the ways to the pods of other hosts of a cluster |
//! | `nft` | the nf_tables table and its maps |
//! | `conntrack` | forgetting flows that began before a port was published, or that lead to what is gone |
//! | [`services`] | one address for many endpoints, on a node of a cluster |
//! | `netlink` | messages, sockets, errors |

mod attach;
mod bridge;
mod claims;
mod conntrack;
pub mod dns;
mod error;
mod join;
mod lease;
pub mod mesh;
mod names;
mod netlink;
mod network;
mod nft;
mod port;
pub mod relay;
mod sandbox;
pub mod services;

#[cfg(test)]
mod tests;

pub use attach::{
    Attached, End, Kept, Undo, Wish, attach, attach_outside, attach_to, isolated, isolated_in, recover, remove, unconnected,
};
pub use bridge::{is_made, make};
pub use claims::Outside;
pub use error::{Error, Result};
pub use join::{Joined, join, leave, restore};
pub use lease::leases;
pub use names::{Entry, rename};
pub use netlink::NetlinkError;
pub use network::{
    Chosen, Macvlan, Network, Policy, V6, choose_default, default_network, free_subnet, interface_name, private_v6,
    replace_default, route_within,
};
pub use port::{Port, Protocol, hold};
