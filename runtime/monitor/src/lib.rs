//! The wire types between an engine and the monitor of one container.

mod wire;

pub use wire::*;
