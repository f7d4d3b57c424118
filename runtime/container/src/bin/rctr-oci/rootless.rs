//! Running without root: cgroups only as far as they are delegated, state where the user may write, and trees opened in the container.

use std::path::{Path, PathBuf};

use container::{Host, Late};
use oci_spec::runtime::{LinuxResources, Spec};

use crate::error::{Doing, Failed, Result};
use crate::spec;

/// What the flag `--rootless` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rootless {
    /// Cgroups are used as far as this user may.
    Yes,
    /// What cannot be done is an error.
    No,
    /// As it seems: yes for who is not root, and for root of a user namespace who is refused.
    Auto,
}

impl Rootless {
    /// runc's words.
    pub(crate) fn parse(word: Option<&str>) -> Result<Rootless> {
        match word.unwrap_or("auto") {
            "auto" => Ok(Rootless::Auto),
            "true" => Ok(Rootless::Yes),
            "false" => Ok(Rootless::No),
            other => Err(Failed::new(format!("--rootless: {other:?} is not true, false or auto"))),
        }
    }

    /// Whether it holds from the start.
    pub(crate) fn now(self, host: &Host) -> bool {
        self == Rootless::Yes || (self == Rootless::Auto && !host.mounts())
    }

    /// Whether it explains a failure. Asked only then: a container that starts need not know whose root it belongs to.
    pub(crate) fn after(self, failed: &Failed) -> bool {
        let refused = failed.parts.errno.as_deref().is_some_and(|errno| matches!(errno, "EACCES" | "EPERM" | "EROFS"));
        self == Rootless::Auto && refused && in_user_namespace()
    }
}

/// Whether this process's user namespace forbids setgroups(2).
pub(crate) fn groups_denied() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|word| word.starts_with("deny"))
}

/// The host's own user namespace maps all ids to themselves.
pub(crate) fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// The cgroup that this process is in, of v2.
pub(crate) fn own_cgroup() -> String {
    let all = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    all.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/").to_owned()
}

/// Where the container is accounted: beside the caller, whose own cgroup has processes and so can hand no controllers down, unless
/// the configuration says where.
pub(crate) fn cgroup_path(id: &str, asked: Option<&Path>, own: &str) -> String {
    let name = match asked.filter(|path| !path.as_os_str().is_empty()) {
        Some(path) if path.is_absolute() => return path.to_string_lossy().into_owned(),
        Some(path) => path.to_string_lossy().into_owned(),
        None => format!("rctr-oci-{id}"),
    };
    Path::new(own).parent().unwrap_or(Path::new("/")).join(name).to_string_lossy().into_owned()
}

/// The limits without rules about devices: nobody can make a device in a user namespace, nor load the program that would see to it.
pub(crate) fn limits(asked: Option<&LinuxResources>) -> LinuxResources {
    let mut resources = asked.cloned().unwrap_or_default();
    resources.set_devices(None);
    resources
}

/// Trees to open in the container.
pub(crate) struct Trees<'a> {
    pub(crate) late: Late,
    /// By this process, which may.
    pub(crate) beside: bool,
    pub(crate) rootfs: PathBuf,
    pub(crate) spec: &'a Spec,
}

impl Trees<'_> {
    pub(crate) fn open(&self, locked: bool) -> std::result::Result<Vec<(launch::Slot, std::os::fd::OwnedFd)>, String> {
        let opened = self.late.open(locked, || spec::tree(&self.rootfs, self.spec)).doing(|| "open in the container");
        opened.map_err(|failed| failed.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_beside_the_callers() {
        let path = |asked: Option<&str>| cgroup_path("x", asked.map(Path::new), "/user.slice/app.scope");
        assert_eq!(path(None), "/user.slice/rctr-oci-x");
        assert_eq!(path(Some("")), "/user.slice/rctr-oci-x");
        assert_eq!(path(Some("a/b")), "/user.slice/a/b");
        assert_eq!(path(Some("/a")), "/a");
        assert_eq!(cgroup_path("x", None, "/"), "/rctr-oci-x");
    }

    #[test]
    fn words() {
        assert!(Rootless::parse(None).unwrap() == Rootless::Auto && Rootless::parse(Some("true")).unwrap() == Rootless::Yes);
        assert!(Rootless::parse(Some("maybe")).unwrap_err().message.contains("not true, false or auto"));
    }
}
