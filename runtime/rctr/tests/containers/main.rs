//! Containers from the command line to the kernel, and what must not go wrong there. Need root.

#![allow(clippy::print_stderr, reason = "why a test is skipped")]
#![allow(unreachable_pub)]

mod events;
mod flags;
mod health;
mod host;
mod living;
mod lost;
mod many;
mod mounts;
mod oci;
mod podman;
mod policy;
