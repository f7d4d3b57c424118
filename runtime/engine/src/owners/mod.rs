//! Users of a container's own: who is who between it and the host, and which ids of the host they are.
//!
//! ```text
//! CreateRequest.users ──take.rs──▶ Namespaces.users (config.json), noted in users/ID as long as the container is there
//! Namespaces.users ──namespaces.rs──▶ a user namespace at each start: layers, volumes and `idmap` mounts are seen through it
//! ```
//!
//! In the home of an ordinary user layers are copies (`shifted`), and volumes are seen as they are.
//!
//! On disk whatever the container's root has written belongs to the id that this is on the host; layers and volumes belong to whom they do
//! for containers without such users, so that all share them.

mod choose;
mod map;
mod namespaces;
mod shifted;
mod take;

pub(crate) use namespaces::{Of, Own, make};
pub(crate) use take::{forget, note, take};
