//! A container's cgroup: made with its limits, frozen, killed, removed.
//!
//! ```text
//!   v2       /sys/fs/cgroup/rctr/ID                 one folder, limits and membership
//!   v1       /sys/fs/cgroup/{memory,cpu,…}/rctr/ID  one folder per hierarchy
//!   hybrid   both: limits in the v1 folders; the v2 one is for cgroup.kill, cgroup.events and device-free membership
//! ```
//!
//! On a hybrid host the v2 folder costs one mkdir, and buys a kill that no fork can outrun and an event when the last process
//! is gone; v1 has neither.
//!
//! [`create`] makes the folders itself; [`systemd`] lets systemd make them. Limits are the same data for both: which file gets which value
//! (`limits`, `v1`, `v2`), written by `apply`.

mod apply;
mod convert;
mod create;
mod delegate;
mod devices;
mod error;
mod files;
mod hierarchies;
mod home;
mod kill;
mod limits;
mod merge;
mod oom;
mod remove;
mod stats;
pub mod systemd;
mod v1;
mod v2;

pub use apply::Devices;
pub use create::{Cgroup, Folder, create, create_open, create_or_use, update};
pub use delegate::owner;
pub use error::Error;
pub use hierarchies::{Hierarchies, Kind, paths};
pub use home::Housing;
pub use kill::{freeze, frozen, kill, processes, thaw};
pub use limits::ignored;
pub use merge::merge;
pub use oom::OutOfMemory;
pub use remove::remove;
pub use stats::{Blkio, BlkioEntry, Cpu, Hugetlb, Memory, Pressure, Stalled, Stats, Usage, stats, stats_of, usage};
