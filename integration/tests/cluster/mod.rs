//! A cluster of one host, `noded run --all-in-one`, and clusters of several nodes in namespaces (`nodes`), asked by a real kubectl.
//!
//! Each test has its own state, bridge, cgroup and port. `NODED` is another noded.

mod admission;
mod base;
mod debug;
mod deployments;
mod fields;
mod hosts;
mod life;
mod logs;
mod memory;
mod mounts;
mod nodes;
mod pods;
mod pressure;
mod python;
mod reach;
mod resize;
mod services;
mod statics;
mod story;
mod top;

pub(crate) const TESTS: &[&[integration::runner::Test]] = &[
    pods::TESTS,
    deployments::TESTS,
    nodes::TESTS,
    reach::TESTS,
    resize::TESTS,
    services::TESTS,
    logs::TESTS,
    mounts::TESTS,
    fields::TESTS,
    statics::TESTS,
    debug::TESTS,
    pressure::TESTS,
    memory::TESTS,
    top::TESTS,
    hosts::TESTS,
    story::TESTS,
    life::TESTS,
];
