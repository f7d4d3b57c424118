//! Tests that need root: each plays a host in a network namespace of its own, so the real host gets nothing.

mod attack;
mod cluster_names;
mod first;
mod foreign;
mod mesh;
mod names;
mod networks;
mod publish;
mod reach;
mod services;
mod table;
mod undo;
mod world;
