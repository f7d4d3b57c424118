//! What containerd does otherwise than the interface asks, and what its older versions do not have. Each is left out with its reason, where
//! the runtime is not noded; and only what the interface does not leave open is here.

use super::node::is_another;

/// Tests that are left out as a whole, and why.
const TESTS: &[(&str, &str)] = &[
    ("cri::images::a_filter_chooses", "ListImages does not look at its filter"),
    ("cri::images::a_registry_that_is_away_is_named", "the kubelet is not told by RegistryUnavailable that a registry is away"),
    ("cri::pods::stopping_and_removing_may_be_repeated", "before 1.7 StopPodSandbox fails for a pod that is gone"),
    ("cri::containers::life::stopping_and_removing_may_be_repeated", "before 1.7 StopContainer fails for a container that is gone"),
];

/// Parts of tests, by a name of their own, and why.
const PARTS: &[(&str, &str)] = &[
    ("runtime_handlers", "before 2.0 Status names no runtime handlers"),
    ("runtime_config", "before 2.0 there is no RuntimeConfig"),
    ("timestamp", "before 1.7 statuses have no timestamp"),
    ("image_id", "before 2.0 containers have no image_id"),
    ("stop_signal", "before 2.1 a container has no stop_signal"),
    ("ambient", "in 1.6 no capability is an ambient one"),
    ("stats", "before 2.0 ListContainerStats has those that have ended, too"),
    ("host_path", "a path of the host that is not there is made, where the interface asks for an error"),
    ("user", "before 2.0 a container's status has no user, and groups have no policy"),
];

/// Why the test that runs now is not for containerd.
pub(super) fn deviation() -> Option<&'static str> {
    let test = integration::runner::current();
    TESTS.iter().find(|(name, _)| *name == test).map(|(_, why)| *why)
}

/// Whether a part of a test is left out, because the runtime is another and `lacks` it. It is said.
#[allow(clippy::print_stdout, reason = "as the runner says what is left out")]
pub(super) fn left_out(part: &str, lacks: bool) -> bool {
    if !is_another() || !lacks {
        return false;
    }
    let why = PARTS.iter().find(|(name, _)| *name == part).map(|(_, why)| *why).expect("a part that is known");
    println!("in part {}: containerd: {why}", integration::runner::current());
    true
}
