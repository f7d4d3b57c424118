//! An OCI configuration becomes a [`launch::Plan`], and a container's cgroup is made, read and removed.
//!
//! ```text
//!   Spec ──compile──▶ Compiled { plan, sources } ──prepare──▶ Plan + descriptors ──▶ launch
//!            ▲                                       ▲
//!   Host::gather()                          cgroup::create()      root file system
//! ```
//!
//! [`compile`] is pure: it decides everything and touches nothing, so that a plan is compared and tested without root. What
//! the plan cannot express is an error that names the field of the configuration. [`prepare`] opens what the plan refers to;
//! a container's init never looks anything up on the host.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | reading configurations |
//! | `compile` | configuration → plan: mounts, namespaces, process, devices, hidden paths, sysctls |
//! | [`capabilities`] | names and bit sets |
//! | [`cgroup`] | hierarchies (v2, v1, hybrid), limits, freezing, killing, removing |
//! | [`seccomp`] | system call filters |
//! | [`rdt`] | groups of Intel RDT |
//! | [`criu`] | checkpoint and restore |
//! | [`dbus`] | what systemd and logind are asked, and how |
//! | `prepare`, `idmap` | plan → descriptors |
//! | `shared` | what all processes of a container have in common |
//! | `host` | what the kernel offers |
//!
//! The program `rctr-oci` (`src/bin/rctr-oci`) is runc's command line over this crate and `launch`.

#![forbid(unsafe_code)]

pub mod capabilities;
pub mod cgroup;
mod compile;
pub mod config;
pub mod criu;
pub mod dbus;
mod error;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
mod host;
mod idmap;
mod prepare;
pub mod rdt;
pub mod seccomp;
mod shared;

pub use compile::{
    Compiled, IdMap, IdRange, MountParts, Source, Users, check_ids, compile, compile_process, mount_options, mount_parts, sysctls,
};
pub use error::Error;
pub use host::Host;
pub use prepare::{Late, prepare, prepare_late, prepare_with};
pub use shared::Shared;
