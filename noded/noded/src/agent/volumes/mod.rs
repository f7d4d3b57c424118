//! The files of a pod's volumes.
//!
//! ```text
//! ROOT/volumes/UID/NAME          emptyDir
//! RUN/volumes/UID/NAME           emptyDir in memory, a file system each; and what is written from objects of the API:
//!             NAME/..DATE/KEY    the files, of one moment
//!             NAME/..data        -> ..DATE, replaced in one step
//!             NAME/KEY           -> ..data/KEY
//! ```

mod memory;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};
use std::path::{Component, Path, PathBuf};

use api::kinds::pod::Pod;
use api::kinds::pod::volume::{DownwardApiVolumeFile, HostPathVolumeSource, KeyToPath, Volume};

use super::wanted::environment::{Keys, Sources};
use super::wanted::mounts::Backing;
use super::wanted::{Place, facts};

/// Files of one volume: path in it, mode, contents.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

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

/// The files of a volume; none for a kind that is not known here.
fn files(volume: &Volume, given: &Given<'_>) -> Result<Option<Files>, String> {
    let mut files = Files::new();
    let mode = |mode: Option<i32>| mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(0o644);
    if let Some(map) = &volume.config_map {
        keys(&mut files, given.sources.object(false, &map.name, map.optional)?, &map.items, mode(map.default_mode), map.optional)?;
    } else if let Some(secret) = &volume.secret {
        let found = given.sources.object(true, &secret.secret_name, secret.optional)?;
        keys(&mut files, found, &secret.items, mode(secret.default_mode), secret.optional)?;
    } else if let Some(api) = &volume.downward_api {
        downward(&mut files, &api.items, mode(api.default_mode), given)?;
    } else if let Some(projected) = &volume.projected {
        let default = mode(projected.default_mode);
        for source in &projected.sources {
            if let Some(map) = &source.config_map {
                let found = given.sources.object(false, &map.name, map.optional)?;
                keys(&mut files, found, &map.items, default, map.optional)?;
            }
            if let Some(secret) = &source.secret {
                let found = given.sources.object(true, &secret.name, secret.optional)?;
                keys(&mut files, found, &secret.items, default, secret.optional)?;
            }
            if let Some(api) = &source.downward_api {
                downward(&mut files, &api.items, default, given)?;
            }
            if let Some(token) = &source.service_account_token {
                let text = given.tokens.get(&token.audience).ok_or("there is no token for it")?;
                add(&mut files, &token.path, default, text.clone().into_bytes())?;
            }
        }
    } else {
        return Ok(None);
    }
    Ok(Some(files))
}

fn keys(files: &mut Files, keys: Option<&Keys>, items: &[KeyToPath], mode: u32, optional: Option<bool>) -> Result<(), String> {
    let Some(keys) = keys else { return Ok(()) };
    if items.is_empty() {
        return keys.iter().try_for_each(|(key, value)| add(files, key, mode, value.clone()));
    }
    for item in items {
        let mode = item.mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(mode);
        match keys.get(&item.key) {
            Some(value) => add(files, &item.path, mode, value.clone())?,
            None if optional == Some(true) => {}
            None => return Err(format!("references non-existent key: {}", item.key)),
        }
    }
    Ok(())
}

fn downward(files: &mut Files, items: &[DownwardApiVolumeFile], mode: u32, given: &Given<'_>) -> Result<(), String> {
    for item in items {
        let mode = item.mode.and_then(|mode| u32::try_from(mode).ok()).unwrap_or(mode);
        let value = match (&item.field_ref, &item.resource_field_ref) {
            (Some(field), _) => facts::field(&field.field_path, given.pod, given.ips, given.place)?,
            (None, Some(resource)) => facts::resource(resource, given.pod, None)?,
            (None, None) => String::new(),
        };
        add(files, &item.path, mode, value.into_bytes())?;
    }
    Ok(())
}

/// A path leads down, and into nothing of ours.
fn add(files: &mut Files, path: &str, mode: u32, value: Vec<u8>) -> Result<(), String> {
    let down = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    if path.is_empty() || !down || path.starts_with("..") || path.contains('\0') {
        return Err(format!("{path:.100?} is no path in a volume"));
    }
    files.insert(path.to_owned(), (mode & 0o777, value));
    Ok(())
}

/// Writes the files so that all of them change in one moment. Files that are right already are left alone.
fn written(path: &Path, files: &Files, group: Option<i64>) -> io::Result<()> {
    folder(path)?;
    let data = path.join("..data");
    let old = fs::read_link(&data).ok();
    if old.is_some() && is_same(&data, files) {
        return Ok(());
    }
    let new = format!("..{}", engine::now());
    let inside = path.join(&new);
    fs::DirBuilder::new().mode(0o755).create(&inside)?;
    for (name, (mode, value)) in files {
        let file = inside.join(name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&file, value)?;
        let group = group.and_then(|group| u32::try_from(group).ok());
        if let Some(group) = group {
            chown(&file, None, Some(group))?;
        }
        // The group reads what the owner does.
        let mode = if group.is_some() { mode | (mode & 0o400) >> 3 } else { *mode };
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
    }
    let link = path.join("..data_tmp");
    let _ = fs::remove_file(&link);
    symlink(&new, &link)?;
    fs::rename(&link, &data)?;
    let tops: std::collections::BTreeSet<&str> = files.keys().filter_map(|name| name.split('/').next()).collect();
    for entry in fs::read_dir(path)?.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with("..") || tops.contains(name));
        if !ours {
            fs::remove_file(entry.path())?;
        }
    }
    for name in tops {
        match symlink(Path::new("..data").join(name), path.join(name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    match old {
        Some(old) => fs::remove_dir_all(path.join(old)),
        None => Ok(()),
    }
}

fn is_same(data: &Path, files: &Files) -> bool {
    fn count(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    count(data) == files.len()
        && files.iter().all(|(name, (_, value))| fs::read(data.join(name)).is_ok_and(|there| there == *value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(pairs: &[(&str, &str)]) -> Files {
        let mut files = Files::new();
        for (path, value) in pairs {
            add(&mut files, path, 0o644, value.as_bytes().to_vec()).unwrap();
        }
        files
    }

    #[test]
    fn files_change_in_one_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("v");
        written(&path, &files(&[("a", "1"), ("b/c", "2")]), None).unwrap();
        let first = fs::read_link(path.join("..data")).unwrap();
        assert_eq!(fs::read_to_string(path.join("b/c")).unwrap(), "2");
        written(&path, &files(&[("a", "1"), ("b/c", "2")]), None).unwrap();
        assert_eq!(fs::read_link(path.join("..data")).unwrap(), first, "what is right is left alone");
        written(&path, &files(&[("a", "3")]), None).unwrap();
        assert_eq!(fs::read_to_string(path.join("a")).unwrap(), "3");
        assert!(!path.join("b").exists() && !path.join(first).exists());
    }

    #[test]
    fn paths_lead_down() {
        for path in ["", "..", "../a", "a/../../b", "/a", "..data", "a\0"] {
            assert!(add(&mut Files::new(), path, 0o644, Vec::new()).is_err(), "{path:?}");
        }
        let path = |path: &str| HostPathVolumeSource { path: path.to_owned(), kind: String::new() };
        assert!(host_path(&path("/tmp/../etc")).is_err() && host_path(&path("tmp")).is_err() && host_path(&path("/")).is_ok());
        let wrong = HostPathVolumeSource { path: "/".to_owned(), kind: "File".to_owned() };
        assert!(host_path(&wrong).unwrap_err().to_string().contains("it is no File"));
    }
}
