//! Volumes in memory: each is a file system of its own, so that it holds no more than it may.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use api::kinds::pod::Pod;
use api::kinds::pod::volume::EmptyDirVolumeSource;
use api::quantity::Quantity;
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::mount::{MountAttrFlags, MoveMountFlags, UnmountFlags, move_mount, unmount};
use sys::mount::Filesystem;

/// Bytes that it may hold: what it says itself, and never more than all containers together may have of memory.
pub(super) fn limit(volume: &EmptyDirVolumeSource, pod: &Pod) -> Option<u64> {
    let positive = |limit: &Quantity| u64::try_from(limit.value()).ok().filter(|limit| *limit > 0);
    let own = volume.size_limit.as_ref().and_then(positive);
    let containers =
        pod.spec.containers.iter().map(|container| container.resources.as_ref()?.limits.get("memory").and_then(positive));
    own.into_iter().chain(containers.sum::<Option<u64>>()).min()
}

/// Mounts a new file system on a folder that is none yet.
pub(super) fn mount(path: &Path, size: Option<u64>) -> io::Result<()> {
    if is_mount(path)? {
        return Ok(());
    }
    let memory = Filesystem::open("tmpfs").map_err(io::Error::other)?;
    if let Some(size) = size {
        memory.set("size", size.to_string()).map_err(io::Error::other)?;
    }
    let made = memory.mount(MountAttrFlags::empty()).map_err(io::Error::other)?;
    Ok(move_mount(&made, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Takes down what is mounted on folders in a pod's folder.
pub(super) fn unmount_all(pod: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(pod) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        if is_mount(&path)? {
            // Containers that are just ending hold it for a moment yet.
            unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?;
        }
    }
    Ok(())
}

fn is_mount(path: &Path) -> io::Result<bool> {
    let found = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_smallest_limit_counts() {
        let of = |limit: &str, containers: &[&str]| {
            let resources = |memory: &&str| if memory.is_empty() { json!({}) } else { json!({"limits": {"memory": memory}}) };
            let containers: Vec<_> = containers.iter().map(|memory| json!({"name": "a", "resources": resources(memory)})).collect();
            let pod: Pod = serde_json::from_value(json!({"spec": {"containers": containers}})).unwrap();
            let size_limit = Some(limit).filter(|limit| !limit.is_empty()).map(|limit| Quantity(limit.to_owned()));
            super::limit(&EmptyDirVolumeSource { medium: "Memory".to_owned(), size_limit }, &pod)
        };
        assert_eq!(of("", &[""]), None);
        assert_eq!(of("1Mi", &[""]), Some(1 << 20));
        assert_eq!(of("3Mi", &["1Mi", "1Mi"]), Some(2 << 20));
        assert_eq!(of("", &["1Mi", "1Mi"]), Some(2 << 20));
        assert_eq!(of("", &["1Mi", ""]), None, "one without a limit has all of the node");
    }
}
