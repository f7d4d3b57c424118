//! Files of containers, for others than their processes.
//!
//! ```text
//! cp     a tree of the host ─┐         ┌─▶ a tree of the host          place.rs: what becomes of whom, by Docker's rules
//!        a container's tree ─┼─ Item ──┼─▶ a container's tree          walk.rs -> write.rs
//!        an archive ─────────┘         └─▶ an archive                  archive.rs
//! ```
//!
//! A container may do what it wants with its files meanwhile. Its root is held as a descriptor (root.rs), every path is resolved with it
//! as root, and below that everything is one name in an open folder: nothing that is exchanged leads outside (CVE-2018-15664,
//! CVE-2026-42306). No program and no library of the container is ever used (CVE-2019-14271, CVE-2026-41567).

mod acting;
mod append;
mod archive;
mod changes;
mod commit;
mod copy;
mod export;
mod item;
mod place;
mod root;
mod stat;
mod volume;
mod walk;
mod write;

pub(crate) use append::append;
pub use changes::{Difference, DifferenceKind};
pub use commit::CommitRequest;
pub use copy::{CopyFrom, CopyOptions, CopyTo};
pub(crate) use export::of_running;
pub use stat::PathStat;
