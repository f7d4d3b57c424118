//! What makes desired things so. Each controller is a pure function `next(desired, actual, now) -> Vec<Action>`; one loop feeds them all.
//!
//! ```text
//! watches ──▶ cache (typed) ──▶ which objects to look at ──▶ next() ──▶ actions, all at once ──▶ objects
//!    ▲                                                                                            │
//!    └────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The loop reads its watches to their end before each round. What it has written itself is in them by then, so no controller ever
//! acts on a world in which its last action is missing.

mod action;
mod cache;
mod claim;
pub mod daemonset;
pub mod deployment;
pub mod endpoints;
pub mod garbage;
pub mod job;
pub mod namespace;
pub mod nodes;
mod perform;
mod pods;
pub mod ranges;
mod record;
pub mod replicaset;
mod revisions;
mod run;
mod telling;

pub use action::Action;
pub use record::forget_events;
pub(crate) use record::tell;
pub use run::run;

use std::time::Duration;

/// Times that decide when a node counts as lost.
#[derive(Debug, Clone)]
pub struct Times {
    /// A node that was not heard of for so long is not ready.
    pub node_silence: Duration,
    /// Pods that say nothing about it leave a lost node after this.
    pub eviction: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { node_silence: Duration::from_secs(5), eviction: Duration::from_secs(2) }
    }
}
