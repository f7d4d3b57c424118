//! Programs that call a runtime with runc's command line, from the distribution's packages, with `rctr-oci` in runc's place. Each has
//! folders of its own and no network; its daemon ends with the test.

mod conmon;
mod containerd;
pub(crate) mod docker;
pub(crate) mod ground;
pub(crate) mod podman;

pub(crate) const TESTS: &[&[integration::runner::Test]] = &[conmon::TESTS, containerd::TESTS, podman::TESTS, docker::TESTS];
