//! reference -> registry -> layers -> a list of folders to mount.
#![forbid(unsafe_code)]

mod config;
mod digest;
mod manifest;
mod platform;
pub mod pull;
mod reference;
mod registry;
mod store;
mod unpack;
