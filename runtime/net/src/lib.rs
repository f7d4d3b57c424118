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

mod attach;
mod error;
mod network;
mod port;

pub use attach::{Attached, Kept, Undo, attach, leases, recover};
pub use error::{Error, Result};
pub use network::{Network, default_network};
pub use port::{Port, Protocol};
