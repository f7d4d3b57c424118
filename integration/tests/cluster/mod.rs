//! A cluster of one host, `noded run --all-in-one`, and clusters of several nodes in namespaces (`nodes`), asked by a real kubectl.
//!
//! Each test has its own state, bridge, cgroup and port. `NODED` is another noded.

mod base;
mod deployments;
mod nodes;
mod pods;
mod reach;
mod services;
mod top;

pub(crate) const TESTS: &[&[integration::runner::Test]] =
    &[pods::TESTS, deployments::TESTS, nodes::TESTS, reach::TESTS, services::TESTS, top::TESTS];
