//! The real program with a real container: as root, with a static busybox as payload.

#![allow(clippy::print_stdout, reason = "says what was skipped")]

mod cleanup;
mod exec;
mod fixture;
mod lifecycle;
mod memory;
mod relay;
mod streams;
mod terminal;
