//! Where pods run: a function over a snapshot of nodes and pods, fed by a loop.
//!
//! ```text
//! pending pods ──▶ classes (same needs) ──▶ nodes that can ever fit ──▶ a heap of their scores ──▶ bind, or reasons
//! ```
//!
//! Pods of one class (same needs, same controller) are placed together: what depends on the node alone is looked at once for all of them,
//! and each placement changes the score of one node only. That holds for those that keep away from others, too: nobody goes while a batch is
//! placed. Classes that want to be near others, or spread, look at every node for each pod, with counters by place that are kept while pods
//! come and go.

mod demand;
mod node;
mod place;
mod run;
mod snapshot;
mod terms;
#[cfg(test)]
mod tests;

pub use node::fits_node;
pub use place::{Decision, schedule};
pub use run::run;
pub use snapshot::Snapshot;
