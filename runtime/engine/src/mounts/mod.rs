//! What is mounted in a container: decided when it is made, opened when it starts.
//!
//! ```text
//! request + other containers + the image's VOLUME ─resolve─▶ Record.mounts ─spec─▶ OCI mounts ─compile─▶ sources
//!                                                                 └──────open─▶ trees, by descriptor ──────▲
//! ```

mod chown;
mod open;
mod part;
mod resolve;

pub(crate) use open::{open, open_for_others, stand_in, take_volumes};
pub(crate) use resolve::{complete_all, map_volumes, resolve};
