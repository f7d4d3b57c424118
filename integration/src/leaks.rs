//! What is on the host: taken before and after, the difference is what was left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The names of everything that the containers of one environment may leave on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    things: BTreeSet<String>,
}

impl Host {
    /// Looks at what belongs to an environment with these folders and this bridge: mounts, cgroups, network interfaces,
    /// packet filter elements and processes. Others may be at work on the same host.
    #[must_use]
    pub fn look(folders: &[&Path], bridge: &str) -> Self {
        let mut things = BTreeSet::new();
        things.extend(mounts(folders));
        things.extend(cgroups(bridge));
        things.extend(interfaces(bridge));
        things.extend(elements(bridge));
        things.extend(processes(folders));
        Self { things }
    }

    /// What is here and was not `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Vec<String> {
        self.things.difference(&before.things).cloned().collect()
    }
}

/// What is left of the containers of a caller with these folders: their mounts, their cgroups below `cgroup`, their states below the
/// runtime's folder `states`, which may have those of others too, and processes of ours.
#[must_use]
pub fn of_caller(folders: &[&Path], cgroup: &str, states: &Path) -> Vec<String> {
    let mut left = mounts(folders);
    for point in hierarchies() {
        let mut found = BTreeSet::new();
        collect_folders(&point.join(cgroup), &mut found);
        // podman's monitors have one of their own, which it never removes
        left.extend(found.into_iter().filter(|folder| !folder.ends_with("/conmon")));
    }
    let ours = |path: &Path| {
        let text = fs::read_to_string(path).unwrap_or_default();
        folders.iter().any(|folder| text.contains(&folder.display().to_string()))
    };
    let records = files(states, &|path| !path.ends_with("state.json") || !ours(&states.join(path)));
    left.extend(records.into_iter().map(|path| format!("state {path}")));
    left.extend(processes(folders));
    left
}

/// The mounts below some folders.
pub(crate) fn mounts(folders: &[&Path]) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = text.lines().filter_map(|line| line.split(' ').nth(4));
    let ours = points.filter(|point| folders.iter().any(|folder| Path::new(point).starts_with(folder)));
    ours.map(|point| format!("mount {point}")).collect()
}

/// The mount points of cgroup hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let cgroup = text.lines().filter(|line| line.contains(" - cgroup"));
    cgroup.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

/// The name of the slice of an environment's pods, without its ending.
pub(crate) fn slice(bridge: &str) -> String {
    format!("kubepods-{}", bridge.replace('-', "_"))
}

/// Every cgroup of a container, in every hierarchy. The parents that all of an environment share may stay.
fn cgroups(bridge: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for point in hierarchies() {
        collect_folders(&point.join(format!("rctr-{bridge}")), &mut found);
        collect_folders(&point.join(format!("kubepods.slice/{}.slice", slice(bridge))), &mut found);
    }
    // That of the monitors is shared, too.
    found.retain(|folder| !folder.ends_with("/monitors"));
    found
}

/// Removes an empty cgroup of this name from every hierarchy.
pub fn remove_cgroup(name: &str) {
    for point in hierarchies() {
        let folder = point.join(name.trim_start_matches('/'));
        let _ = fs::remove_dir(folder.join("monitors"));
        let _ = fs::remove_dir(folder);
    }
}

/// Whether a cgroup of this name is in any hierarchy.
#[must_use]
pub fn has_cgroup(name: &str) -> bool {
    hierarchies().iter().any(|point| point.join(name.trim_start_matches('/')).exists())
}

fn collect_folders(parent: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.insert(format!("cgroup {}", entry.path().display()));
            collect_folders(&entry.path(), found);
        }
    }
}

/// Unmounts what is mounted below some folders.
pub fn unmount(folders: &[&Path]) {
    for point in mounts(folders).iter().rev() {
        let _ = rustix::mount::unmount(point.trim_start_matches("mount "), rustix::mount::UnmountFlags::DETACH);
    }
}

/// Interfaces on the bridge, and those that lost theirs.
fn interfaces(bridge: &str) -> Vec<String> {
    let all = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let ours = all.filter(|entry| match fs::read_link(entry.path().join("master")) {
        Ok(master) => master.ends_with(bridge),
        Err(_) => !entry.path().join("bridge").exists(),
    });
    ours.map(|entry| format!("interface {}", entry.file_name().to_string_lossy())).collect()
}

/// The elements of the sets and maps of the bridge's table, which has its name.
fn elements(bridge: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Ok(answer) = Command::new("nft").args(["-j", "list", "table", "ip", bridge]).output() else { return found };
    let ruleset: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
    for object in ruleset["nftables"].as_array().into_iter().flatten() {
        for kind in ["set", "map"] {
            let set = &object[kind];
            let elements = set["elem"].as_array().into_iter().flatten();
            found.extend(elements.map(|element| format!("nftables {bridge} {}: {element}", set["name"])));
        }
    }
    found
}

/// Processes of ours that have something below one of the folders open.
fn processes(folders: &[&Path]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        let open = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        let mut targets = open.filter_map(|fd| fs::read_link(fd.path()).ok());
        if comm.starts_with("rctr") && targets.any(|target| folders.iter().any(|folder| target.starts_with(folder))) {
            found.push(format!("process {} {}", entry.file_name().to_string_lossy(), comm.trim()));
        }
    }
    found
}

/// Ends what a test of a caller has left, if it has failed: processes with one of its folders on their command line, those in its
/// cgroups, mounts, and the cgroups themselves.
pub fn clear_caller(folders: &[&Path], cgroup: &str) {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut pids: Vec<i32> = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.retain(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let (line, groups) = (String::from_utf8_lossy(&line).into_owned(), fs::read_to_string(format!("/proc/{pid}/cgroup")));
        folders.iter().any(|folder| line.contains(&folder.display().to_string()))
            || groups.is_ok_and(|groups| groups.contains(&format!("/{cgroup}/")))
    });
    for pid in pids.into_iter().filter_map(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    unmount(folders);
    for point in hierarchies() {
        let mut found = BTreeSet::new();
        collect_folders(&point.join(cgroup), &mut found);
        // those inside others come later
        for folder in found.iter().rev() {
            let _ = fs::remove_dir(folder.trim_start_matches("cgroup "));
        }
    }
    remove_cgroup(cgroup);
}

/// Files below `folder` whose path a rule does not allow, with the folder's own path cut off.
#[must_use]
pub fn files(folder: &Path, allowed: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found.retain(|path| !allowed(path));
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        found.push(path.strip_prefix(root).unwrap_or(&path).display().to_string());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(root, &path, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_go_one_way() {
        let host = |things: &[&str]| Host { things: things.iter().map(ToString::to_string).collect() };
        let (before, after) = (host(&["mount /", "process 1 rctr"]), host(&["mount /", "mount /x"]));
        assert_eq!(after.since(&before), ["mount /x"]);
        assert!(before.since(&before).is_empty());
    }

    #[test]
    fn this_host_has_a_root_mount_and_loopback() {
        let host = Host::look(&[Path::new("/")], "no-such-bridge");
        assert!(host.things.contains("mount /") && host.things.contains("interface lo"), "{host:?}");
    }
}
