//! reference -> registry -> layers -> a list of folders to mount.
#![forbid(unsafe_code)]

mod config;
mod digest;
mod manifest;
mod platform;
mod reference;
mod registry;
mod unpack;
