//! The files of a pod's volumes.
//!
//! ```text
//! ROOT/volumes/UID/NAME          emptyDir
//! RUN/volumes/UID/NAME           emptyDir in memory, a file system each; and what is written from objects of the API:
//!             NAME/..DATE/KEY    the files, of one moment
//!             NAME/..data        -> ..DATE, replaced in one step
//!             NAME/KEY           -> ..data/KEY
//! ```

mod files;
mod memory;
#[cfg(test)]
mod tests;
mod written;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
use std::path::{Component, Path, PathBuf};

use api::kinds::pod::Pod;
use api::kinds::pod::volume::{HostPathVolumeSource, Volume};

use super::wanted::Place;
use super::wanted::environment::Sources;
use super::wanted::mounts::Backing;
use files::files;
use written::written;

/// What is known when volumes are made.
pub(super) struct Given<'a> {
    pub(super) pod: &'a Pod,
    pub(super) place: &'a Place,
    pub(super) sources: &'a Sources,
    pub(super) ips: &'a [String],
    /// Tokens of the pod's service account, by audience.
    pub(super) tokens: &'a BTreeMap<String, String>,
    /// The certificate of the API's authority and other files that every pod may have.
    pub(super) uid: &'a str,
}

/// What is behind the volumes of a pod.
pub(super) fn backings(pod: &Pod, place: &Place) -> BTreeMap<String, Backing> {
    let backing = |volume: &Volume| match &volume.image {
        Some(image) => Backing::Image(image.reference.clone()),
        None => Backing::Path(path(volume, &pod.metadata.uid, place)),
    };
    pod.spec.volumes.iter().map(|volume| (volume.name.clone(), backing(volume))).collect()
}

fn path(volume: &Volume, uid: &str, place: &Place) -> PathBuf {
    if let Some(host) = &volume.host_path {
        return host.path.clone().into();
    }
    let on_disk = volume.empty_dir.as_ref().is_some_and(|empty| empty.medium != "Memory");
    let base = if on_disk { &place.disk } else { &place.memory };
    base.join(uid).join(&volume.name)
}

/// Whether a pod has volumes whose contents may change.
pub(super) fn may_change(pod: &Pod) -> bool {
    pod.spec.volumes.iter().any(|volume| {
        volume.config_map.is_some() || volume.secret.is_some() || volume.downward_api.is_some() || volume.projected.is_some()
    })
}

/// Makes all volumes, or brings them up to date.
pub(super) fn make(given: &Given<'_>) -> Result<(), String> {
    for volume in &given.pod.spec.volumes {
        one(volume, given).map_err(|error| format!("volume {:?}: {error}", volume.name))?;
    }
    Ok(())
}

/// Removes all that was made for a pod.
pub(super) fn remove(uid: &str, place: &Place) -> io::Result<()> {
    memory::unmount_all(&place.memory.join(uid))?;
    for base in [&place.disk, &place.memory] {
        match fs::remove_dir_all(base.join(uid)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn one(volume: &Volume, given: &Given<'_>) -> Result<(), String> {
    let path = path(volume, given.uid, given.place);
    let group = given.pod.spec.security_context.as_ref().and_then(|security| security.fs_group);
    let said = |error: io::Error| format!("{}: {error}", path.display());
    if let Some(host) = &volume.host_path {
        return host_path(host).map_err(said);
    }
    if volume.image.is_some() {
        // It is pulled, and there is nothing to make.
        return Ok(());
    }
    if let Some(of) = &volume.empty_dir {
        return match of.medium.as_str() {
            "" => empty(&path, group).map_err(said),
            "Memory" => {
                let mounted = folder(&path).and_then(|()| memory::mount(&path, memory::limit(of, given.pod)));
                mounted.and_then(|()| empty(&path, group)).map_err(said)
            }
            other => Err(format!("emptyDir.medium: {other:.40?} is not supported on this node")),
        };
    }
    let files = files(volume, given)?.ok_or("this kind of volume is not supported on this node")?;
    written(&path, &files, group).map_err(said)
}

/// What must be there is there, or is made.
fn host_path(host: &HostPathVolumeSource) -> io::Result<()> {
    let path = Path::new(&host.path);
    if path.components().any(|part| part == Component::ParentDir) || !path.is_absolute() {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it needs to be an absolute path without .."));
    }
    match host.kind.as_str() {
        "DirectoryOrCreate" => fs::DirBuilder::new().recursive(true).mode(0o755).create(path)?,
        "FileOrCreate" => drop(fs::OpenOptions::new().create(true).append(true).open(path)?),
        _ => {}
    }
    use std::os::unix::fs::FileTypeExt;
    let found = fs::metadata(path)?.file_type();
    let fits = match host.kind.as_str() {
        "Directory" | "DirectoryOrCreate" => found.is_dir(),
        "File" | "FileOrCreate" => found.is_file(),
        "Socket" => found.is_socket(),
        "CharDevice" => found.is_char_device(),
        "BlockDevice" => found.is_block_device(),
        _ => true,
    };
    if fits { Ok(()) } else { Err(io::Error::other(format!("hostPath type check failed: it is no {}", host.kind))) }
}

/// An empty folder for everybody, or for the pod's group. What is in it already stays.
fn empty(path: &Path, group: Option<i64>) -> io::Result<()> {
    folder(path)?;
    let group = group.and_then(|group| u32::try_from(group).ok());
    if let Some(group) = group {
        chown(path, None, Some(group))?;
    }
    let mode = if group.is_some() { 0o2777 } else { 0o777 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// A folder that users of a container reach, below folders that nobody else on the host enters.
fn folder(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    }
    match fs::DirBuilder::new().mode(0o755).create(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}
