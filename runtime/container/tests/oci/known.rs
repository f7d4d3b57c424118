//! Where runc is known not to follow the specification, or what its own later versions do. Found with 1.1.5 and 1.3.6, on a host with
//! both kinds of cgroups; a check that is not listed passes with both.

use std::process::Command;

use crate::fixture::{foreign, runtime};

/// A check, the version of runc from which on it passes, if there is one, and what runc does.
const KNOWN: &[(&str, Option<&str>, &str)] = &[
    ("racing_targets_stay_inside", Some("1.1.14"), "makes folders outside (CVE-2024-45310)"),
    ("racing_parents_stay_inside", Some("1.1.14"), "makes folders outside (CVE-2024-45310)"),
    ("a_racing_null_device_masks_or_fails", Some("1.3.3"), "binds what /dev/null has become (CVE-2025-31133)"),
    ("the_root_is_no_target", Some("1.2"), "fails with another text"),
    ("cgroup_updates_take_every_flag", None, "has no --cpu-burst before 1.2; after --cpu-idle it writes cpu.shares of v1 in vain"),
    ("cgroup_that_is_frozen_is_refused", None, "waits for ever where it looks at one hierarchy and the other is frozen"),
    ("cgroup_of_init_for_a_further_process", None, "follows init into its cgroup only where all is v2"),
    ("cgroup_events_tell_of_memory_that_ran_out", None, "tells nothing of memory that ran out in v1 of today's kernels"),
    ("rdt_needs_resctrl", None, "leaves out what it cannot do"),
    ("rootless_life", None, "leaves the score of a further process as it is"),
    ("ids_are_mapped", Some("1.2"), "leaves out idmap"),
    ("several_ranges_are_mapped", Some("1.2"), "leaves out idmap"),
    ("the_containers_own_ids_are_mapped", Some("1.2"), "leaves out idmap"),
    ("ids_of_a_joined_namespace_are_mapped", Some("1.2"), "wants ranges beside a namespace that is joined"),
    ("mounts_below_are_mapped_if_asked_for", Some("1.2"), "leaves out ridmap"),
    ("bad_id_mappings_are_refused", Some("1.2"), "leaves out idmap"),
    ("a_bind_has_the_options_it_is_given", Some("1.2"), "does not clear flags"),
    ("recursive_options_reach_below", Some("1.2"), "does not know them"),
    ("propagation_of_the_root", Some("1.3.1"), "makes no root shared"),
    ("what_the_host_has_locked_stays", Some("1.2"), "does not keep flags that are locked"),
    ("mapped_containers_mount_too", Some("1.2"), "loses modes to its umask"),
    ("a_tmpfs_begins_with_what_is_there", Some("1.2"), "loses modes to its umask"),
    ("a_tmpfs_has_the_mode_of_what_it_covers", Some("1.2"), "loses modes to its umask"),
];

/// The version of the runc that is looked at; none for another runtime.
pub fn version() -> Option<Vec<u32>> {
    let output = foreign().then(|| Command::new(runtime()).arg("--version").output().ok()).flatten()?;
    numbers(String::from_utf8_lossy(&output.stdout).lines().next()?.strip_prefix("runc version ")?)
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    let numbers: Vec<u32> = text.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect();
    Some(numbers).filter(|numbers| !numbers.is_empty())
}

/// Why a check is left out for this version.
pub fn reason(check: &str, version: &[u32]) -> Option<&'static str> {
    let (_, passes, what) = KNOWN.iter().find(|(name, ..)| *name == check)?;
    let passes = passes.and_then(numbers).is_some_and(|passes| version >= passes.as_slice());
    (!passes).then_some(*what)
}
