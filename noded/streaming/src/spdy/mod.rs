//! The server's end of SPDY/3.1, as far as Kubernetes clients use it: they open streams, both sides write and end them.
//!
//! Flow control is not used: the Go implementation that clients have ignores it. A stream whose bytes nobody takes therefore stops its
//! whole connection, never the process: what waits is bounded.

mod connection;
mod dictionary;
mod frame;
mod headers;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use connection::{Accepted, Connection};
pub use headers::Headers;

const VERSION: u16 = 3;

/// What makes a connection unusable.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("SPDY: headers: {0}")]
    Headers(&'static str),
    #[error("SPDY: {0}")]
    Protocol(&'static str),
    #[error("SPDY: {0}")]
    Io(#[from] std::io::Error),
    #[error("SPDY: {0}")]
    Gone(#[from] crate::Closed),
}
