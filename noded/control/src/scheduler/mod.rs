//! Where pods run: a function over a snapshot of nodes and pods, fed by a loop.
//!
//! ```text
//! pending pods ──▶ classes (same needs) ──▶ nodes that can ever fit, in groups ──▶ heaps of their scores ──▶ bind
//!                                                                                          └─ nothing ──▶ victims, or reasons
//! ```
//!
//! Pods of one class (same needs, same controller) are placed together: what depends on the node alone is looked at once for all of them,
//! and each placement changes the score of one node only. What depends on other pods is the same for all nodes of a group, which are in the
//! same zones, or on the same host, or whatever the class asks for: one look at a group with numbers that are kept while pods come and go.
//!
//! A pod that fits nowhere may push away less important ones. It then waits for that node, where room is kept for it: those that are no more
//! important count it, its ports and its rules about others as if it were there.

mod class;
mod demand;
mod groups;
mod node;
mod others;
mod place;
mod preempt;
mod run;
mod snapshot;
mod terms;
#[cfg(test)]
mod tests;
mod topology;
mod wants;
mod write;

pub use demand::{Amounts, Port, collide, kept, ports, requests};
pub use node::{ends_pods, fits_node, selects, stays_on_node};
pub use place::{Decision, schedule};
pub use preempt::Preemption;
pub use run::run;
pub use snapshot::Snapshot;
