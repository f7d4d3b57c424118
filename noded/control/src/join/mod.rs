//! How a host becomes a node.
//!
//! ```text
//! noded token create ──▶ Secret kube-system/bootstrap-token-ID, which expires
//! host: knows the hash of the authority's key ──▶ TLS to a server whose chain has that key ──▶ POST /noded/certificate?node=NAME
//!       token, or the node's own certificate                                                   request (PEM) ──▶ certificate (PEM)
//! ```
//!
//! The key never leaves the host. Certificates are short, and asked for anew while they are good. A name belongs to the key that got it first, for as long as
//! there is a Node of that name: a token makes new nodes, and lets nobody be one that is there.

mod pin;
mod token;

pub use pin::{Pin, Pinned};
pub use token::{ANYONE, NAMESPACE, Token, secret, secret_name};

/// The path at which certificates are asked for.
pub const PATH: &str = "/noded/certificate";
