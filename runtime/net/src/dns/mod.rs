//! Names for containers: a resolver at 127.0.0.11 in each container's own network namespace, as Docker has it.
//!
//! ```text
//!   container netns                                            │ host netns, one process per container
//!   app ── 127.0.0.11:53 ══ nft: dport 53 -> 65053 ══ sockets ─┼─▶ Resolver ── names/NAME/* of its networks
//!                                                              │            └─ else, unless all are internal: the host's resolvers
//! ```
//!
//! Who serves it: the container's own monitor, which is there anyway. A process for each network would cost some hundred KiB, would be one
//! more thing to be started, found and ended, and a container that floods it, or finds a fault in it, would take names away from all
//! others; here it harms itself alone. An idle resolver is two descriptors: nothing is cached, so nothing is stale, and what a query needs
//! is given back when it is answered. All that a client can make it keep is bounded ([`server`]).
//!
//! Port 53 is left to the container: one that is itself a name server binds it on all addresses (aardvark-dns issue 13). The sockets have
//! another port, and two rules translate without conntrack, whose table a flood of queries would fill.
//!
//! What is not a container's name is asked of the host's resolvers from the host's namespace, where loopback stubs such as
//! systemd-resolved's can be reached; for a container that is in internal networks only nobody is asked (CVE-2024-29018).
//!
//! | module | holds |
//! |---|---|
//! | [`message`] | queries and answers as bytes (RFC 1035, RFC 6891) |
//! | `zone` | what names and addresses mean in a network |
//! | `answer` | what becomes of a query: a pure function |
//! | `servers` | whom to ask, as the host's file says now |
//! | `sockets` | the container's side |
//! | `node` | the side of a cluster's node, whose pods share one resolver: it knows more [`Names`] |
//! | `server`, `forward`, `stream` | the loop's part: datagrams, questions on their way, connections |

mod answer;
mod forward;
pub mod message;
mod node;
pub mod server;
mod servers;
mod sockets;
mod stream;
mod zone;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use message::Record;
pub use node::{open as open_node, serve};
pub use server::{Resolver, Token};
pub use sockets::Sockets;
pub(crate) use sockets::open;
pub use zone::reversed;

/// Where a container asks.
pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);

/// The port of the sockets: above those that the kernel chooses (32768 to 60999), so nobody gets it by chance.
pub(crate) const PORT: u16 = 65053;

/// What a resolver knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The container's networks that have names, in the order in which they are searched.
    pub zones: Vec<Zone>,
    /// Ask others about what is not a container's name.
    pub forward: bool,
    /// Whom to ask; whoever `resolv_conf` names when empty.
    pub servers: Vec<IpAddr>,
    /// The host's resolver configuration.
    pub resolv_conf: PathBuf,
}

/// Seconds for which what [`Names`] say may be kept.
pub(crate) const KEEP: u32 = 5;

/// Names that no network has: those of a cluster.
pub trait Names: std::fmt::Debug + Send + Sync {
    /// The zone in which all names are known that exist.
    fn zone(&self) -> &str;

    /// What is known of a name (in lower case, without a dot at its end) and a kind of record; `None` for names that others know.
    fn say(&self, name: &str, kind: u16) -> Option<Said>;
}

/// What is known of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// All records of the kind; none for a name that exists and has none.
    Records(Vec<Record>),
    /// There is no such name.
    NoName,
    /// It stands for another one, which is asked for in its place.
    Alias(String),
}

/// A network whose containers have names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone {
    /// The network's name: `web.NETWORK` is `web` there.
    pub name: String,
    /// Its folder of volatile state.
    pub state: PathBuf,
}
