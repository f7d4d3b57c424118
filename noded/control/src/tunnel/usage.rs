//! What a node says of what is used there: `GET /usage` on its connection.

use api::meta::MicroTime;
use serde::{Deserialize, Serialize};

/// The path at which it is asked.
pub const PATH: &str = "/usage";

/// How much is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Billionths of a processor, on average.
    pub cpu: u64,
    /// Bytes in use that would be missed, at the end of the window.
    pub memory: u64,
}

/// What one container uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// The uid of its pod.
    pub pod: String,
    /// Its name.
    pub name: String,
    /// How much.
    pub used: Amount,
}

/// What is used on a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The end of the time in which it was measured, by the node's clock.
    pub at: MicroTime,
    /// How long it was measured, in milliseconds.
    pub window: u64,
    /// By the node as a whole.
    pub node: Amount,
    /// By the containers that ran all that time.
    pub containers: Vec<Container>,
}
