//! What is on the host: taken before and after, the difference is what was left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The names of everything that a container may leave on the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    things: BTreeSet<String>,
}

impl Host {
    /// Looks at mounts, cgroups, network interfaces, packet filter elements and the project's processes.
    #[must_use]
    pub fn look() -> Self {
        let mut things = BTreeSet::new();
        things.extend(mounts());
        things.extend(cgroups());
        things.extend(links());
        things.extend(elements());
        things.extend(processes());
        Self { things }
    }

    /// What is here and was not `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> Vec<String> {
        self.things.difference(&before.things).cloned().collect()
    }
}

/// Mount points; but for the folder that `ip netns` turns into one for good.
fn mounts() -> impl Iterator<Item = String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let point = |line: &str| line.split(' ').nth(4).filter(|point| *point != "/run/netns").map(|point| format!("mount {point}"));
    text.lines().filter_map(point).collect::<Vec<_>>().into_iter()
}

/// The mount points of cgroup hierarchies.
fn hierarchies() -> Vec<PathBuf> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let cgroup = text.lines().filter(|line| line.contains(" - cgroup"));
    cgroup.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

/// Every cgroup of a container, in every hierarchy. The parent that all of an environment share may stay.
fn cgroups() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for point in hierarchies() {
        for entry in fs::read_dir(point).into_iter().flatten().flatten() {
            if entry.file_name().to_string_lossy().starts_with("rctr") {
                folders(&entry.path(), &mut found);
            }
        }
    }
    found
}

/// Removes an empty cgroup of this name from every hierarchy.
pub fn remove_cgroup(name: &str) {
    for point in hierarchies() {
        let _ = fs::remove_dir(point.join(name.trim_start_matches('/')));
    }
}

fn folders(parent: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.insert(format!("cgroup {}", entry.path().display()));
            folders(&entry.path(), found);
        }
    }
}

/// Interfaces but bridges, which stay with their network.
fn links() -> impl Iterator<Item = String> {
    let all = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    all.filter(|entry| !entry.path().join("bridge").exists())
        .map(|entry| format!("interface {}", entry.file_name().to_string_lossy()))
}

/// The elements of the sets and maps of our tables, and the count of their rules.
fn elements() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let Ok(answer) = Command::new("nft").args(["-j", "list", "ruleset"]).output() else { return found };
    let ruleset: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
    for object in ruleset["nftables"].as_array().into_iter().flatten() {
        for kind in ["set", "map"] {
            let set = &object[kind];
            if set["table"].as_str().is_some_and(|table| table.starts_with("rctr")) {
                let elements = set["elem"].as_array().into_iter().flatten();
                found.extend(elements.map(|element| format!("nftables {} {}: {element}", set["table"], set["name"])));
            }
        }
    }
    found
}

/// Processes whose program is one of ours.
fn processes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
        if name.bytes().all(|byte| byte.is_ascii_digit()) && comm.starts_with("rctr") && !zombie(&entry.path()) {
            found.insert(format!("process {name} {}", comm.trim()));
        }
    }
    found
}

fn zombie(process: &Path) -> bool {
    fs::read_to_string(process.join("stat")).is_ok_and(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
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
        let host = Host::look();
        assert!(host.things.contains("mount /") && host.things.contains("interface lo"));
    }
}
