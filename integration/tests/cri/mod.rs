//! Kubernetes CRI v1: each call and each rule, over the socket of a noded of the test's own.
//!
//! `CRI_SOCKET=containerd` asks a containerd of the test's own the same, and `CRI_SOCKET=/run/containerd/containerd.sock` whatever is
//! there, which has to pull Docker Hub's names from the fixture registry. What is about noded itself is then left out, and so is what
//! containerd is known to do otherwise than the interface says ([`known`]). `NODED` is another noded; `CRI_CGROUPS=systemd` has systemd make the
//! cgroups of pods, and `CRI_NETWORK` is the configuration of CNI for a host whose kernel has no packet rules.

mod asking;
mod bad;
mod checkpoints;
mod cni;
mod containers;
mod daemon;
mod images;
mod known;
mod lists;
mod node;
mod pods;
mod ports;
mod restarts;
mod soak;
mod socket;
mod streams;
mod watching;

pub(crate) const TESTS: &[&[integration::runner::Test]] = &[
    daemon::TESTS,
    bad::TESTS,
    checkpoints::TESTS,
    cni::TESTS,
    images::TESTS,
    pods::TESTS,
    containers::life::TESTS,
    containers::output::TESTS,
    containers::files::TESTS,
    containers::limits::TESTS,
    containers::rights::TESTS,
    containers::shared::TESTS,
    lists::TESTS,
    ports::TESTS,
    streams::TESTS,
    watching::TESTS,
    restarts::TESTS,
    soak::TESTS,
];
