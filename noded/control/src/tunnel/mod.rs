//! The connections that nodes keep to the API server, over which it reaches them: they may be behind NAT, and listen nowhere.
//!
//! ```text
//! agent ──TLS, its certificate──▶ GET /noded/connection, Upgrade: noded-node/1 ──▶ 101
//!       ◀── HTTP/2, the API server as the client ── GET /logs/UID/CONTAINER?…            logs
//!                                                   GET /usage                           what is used there
//!                                                   GET /beat                            a byte each second
//!                                                   CONNECT, then HTTP/1.1 within it     exec, attach, port-forward, and
//!                                                     GET /dial/UID/PORT, Upgrade: tcp     a pod's port, for proxies
//! ```
//!
//! The API server says who may do what and to which container; the node does it, and speaks SPDY or WebSocket with the client: what follows
//! a client's upgrade is carried unread. A node is whoever has its certificate, and has one connection: a newer one ends the older. It ends with
//! all that goes over it when the certificate does, when the node is deleted, and when its name is another's: who is a node comes again.
//!
//! Of several control-plane hosts each must reach the node, for a client may ask any of them: the node keeps a connection to each that the
//! service `kubernetes` lists. A server has an id, which the node names when it comes by another address: then it is not taken twice.
//!
//! Each stream may have [`WINDOW`] bytes that nobody has read, and the connection has room for those of all streams: a client that stalls
//! holds up itself.

mod link;
pub mod options;
pub mod pulse;
#[cfg(test)]
mod tests;
pub mod usage;
mod why;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api::status::Status;

pub use link::Link;
pub(crate) use link::Permit;
pub use pulse::Pulse;
pub use why::no_logs;

/// The path at which nodes come.
pub const PATH: &str = "/noded/connection";

/// What their connection becomes.
pub const PROTOCOL: &str = "noded-node/1";

/// The header in which a node names the servers that it is connected to, and a server itself.
pub const SERVERS: &str = "noded-servers";

/// What a connection to a pod's port becomes.
pub const BYTES: &str = "tcp";

/// Streams of a connection at once.
pub const STREAMS: u32 = 256;

/// Bytes on their way in one stream.
pub const WINDOW: u32 = 256 << 10;

/// How often a silent connection is tried, and how long the answer may take.
pub const ALIVE: Duration = Duration::from_secs(5);

/// The nodes that are connected.
#[derive(Debug, Default)]
pub struct Nodes {
    links: Mutex<HashMap<String, Arc<Link>>>,
    pulse: Pulse,
}

impl Nodes {
    /// Those whose hearts are listened to for `pulse`.
    pub fn new(pulse: Pulse) -> Self {
        Self { links: Mutex::default(), pulse }
    }

    /// The connection of a node.
    ///
    /// # Errors
    /// 503: there is none.
    pub fn link(&self, node: &str) -> Result<Arc<Link>, Status> {
        let found = self.links.lock().unwrap_or_else(PoisonError::into_inner).get(node).cloned();
        found.ok_or_else(|| Status::unavailable(format!("node {node:?} is not connected to the API server")))
    }

    /// Takes a node's new connection, and ends the one before.
    fn enter(&self, node: &str, link: &Arc<Link>) {
        let before = self.links.lock().unwrap_or_else(PoisonError::into_inner).insert(node.to_owned(), Arc::clone(link));
        if let Some(before) = before {
            before.end();
        }
    }

    /// Forgets a connection that has ended, unless there is a newer one.
    fn leave(&self, node: &str, link: &Arc<Link>) {
        let mut all = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(node).is_some_and(|current| Arc::ptr_eq(current, link)) {
            all.remove(node);
        }
    }
}
