//! From what was asked for to what is mounted: each place once, volumes with names, images with layers.

use std::path::{Component, Path, PathBuf};

use images::Image;

use crate::request::{Access, CreateRequest, Mount, MountSource, VolumeSpec};
use crate::volume::{check_name, is_folder};
use crate::{Engine, Error, names};

/// The mounts of a container of `image`. A mount of its own replaces one from another container at the same place, and the image's volumes
/// are where neither is (as with Docker).
///
/// # Errors
/// [`Error::Invalid`] names the place and what is wrong with it: two are there, a source is missing, the image is not here.
pub(crate) fn resolve(engine: &Engine, request: &CreateRequest, image: &Image) -> Result<Vec<Mount>, Error> {
    let mut all = Vec::new();
    for other in &request.volumes_from {
        let given = from_container(engine, &other.container, other.readonly)?;
        all.retain(|mount: &Mount| !given.iter().any(|new| new.target == mount.target));
        all.extend(given);
    }
    if let Some(twice) = request.mounts.iter().enumerate().find_map(|(at, mount)| same_target(&request.mounts[..at], mount)) {
        return Err(invalid(twice, "two have this place in the container"));
    }
    all.retain(|mount| same_target(&request.mounts, mount).is_none());
    for mount in &request.mounts {
        all.push(complete(engine, mount.clone())?);
    }
    for path in &image.config.config.volumes {
        let target = clean(path).ok_or_else(|| Error::Invalid {
            what: format!("image {}", request.image),
            why: format!("its VOLUME {path:?} is no path below the root folder"),
        })?;
        if !all.iter().any(|mount| mount.target == target) {
            all.push(complete(engine, own_volume(target))?);
        }
    }
    Ok(all)
}

/// Volumes belong to whom they do in containers with the host's users, so that containers share them whoever theirs are. What is kept
/// elsewhere is left as it is: not every file system shows ids as others.
///
/// # Errors
/// A volume cannot be looked at.
pub(crate) fn map_volumes(engine: &Engine, mounts: &mut [Mount]) -> Result<(), Error> {
    for mount in mounts.iter_mut().filter(|mount| mount.idmap.is_none()) {
        let MountSource::Volume { name, spec, .. } = &mount.source else { continue };
        let own = match engine.volume(name) {
            Ok(there) => is_folder(&there.record.options),
            Err(Error::NoSuchVolume(_)) => is_folder(&spec.options),
            Err(error) => return Err(error),
        };
        if own {
            mount.idmap = Some(String::new());
        }
    }
    Ok(())
}

fn invalid(mount: &Mount, why: impl Into<String>) -> Error {
    Error::Invalid { what: format!("mount on {}", mount.target.display()), why: why.into() }
}

fn same_target<'a>(others: &[Mount], mount: &'a Mount) -> Option<&'a Mount> {
    others.iter().any(|other| other.target == mount.target).then_some(mount)
}

/// A folder for which the image wants a volume.
fn own_volume(target: PathBuf) -> Mount {
    Mount {
        target,
        source: MountSource::Volume {
            name: String::new(),
            anonymous: true,
            copy: true,
            subpath: None,
            spec: VolumeSpec::default(),
        },
        access: Access::Write,
        propagation: None,
        chown: false,
        idmap: None,
        mode: String::new(),
    }
}

/// A path of an image: from its root, without detours.
fn clean(path: &str) -> Option<PathBuf> {
    let path = Path::new("/").join(path);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    let clean: PathBuf = path.components().collect();
    (plain && clean != Path::new("/")).then_some(clean)
}

/// What another container has, but for memory: that is nobody else's.
fn from_container(engine: &Engine, name: &str, readonly: bool) -> Result<Vec<Mount>, Error> {
    let mut mounts = engine.container(name)?.record.mounts;
    mounts.retain(|mount| !matches!(mount.source, MountSource::Tmpfs { .. }));
    for mount in &mut mounts {
        if readonly && mount.access == Access::Write {
            mount.access = Access::Read;
        }
        if let MountSource::Volume { anonymous, .. } = &mut mount.source {
            // It goes with the container that it was made for, and stays as long as anybody has it.
            *anonymous = false;
        }
    }
    Ok(mounts)
}

/// Mounts that a container gets later. Each place is there once.
///
/// # Errors
/// As [`resolve`].
pub(crate) fn complete_all(engine: &Engine, mounts: &[Mount]) -> Result<Vec<Mount>, Error> {
    if let Some(twice) = mounts.iter().enumerate().find_map(|(at, mount)| same_target(&mounts[..at], mount)) {
        return Err(invalid(twice, "two have this place in the container"));
    }
    mounts.iter().map(|mount| complete(engine, mount.clone())).collect()
}

/// Adds what only this host knows.
fn complete(engine: &Engine, mut mount: Mount) -> Result<Mount, Error> {
    let failed = match &mut mount.source {
        MountSource::Volume { name, .. } if name.is_empty() => {
            *name = names::new_id()?;
            None
        }
        MountSource::Volume { name, .. } => {
            check_name(name)?;
            None
        }
        MountSource::Bind { path, create: false, .. } if !path.exists() => {
            Some(format!("there is no {} on the host", path.display()))
        }
        // Of a build's stage, which is no image yet.
        MountSource::Image { layers, .. } if !layers.is_empty() => None,
        MountSource::Image { name, manifest, layers, .. } => {
            let image = engine.images.image(name)?;
            *manifest = Some(image.manifest.clone());
            *layers = image.layers.iter().map(|layer| layer.digest.clone()).collect();
            None
        }
        _ => None,
    };
    match failed {
        Some(why) => Err(invalid(&mount, why)),
        None => Ok(mount),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_images() {
        for (path, cleaned) in [("/data", "/data"), ("data/", "/data"), ("/a//b/.", "/a/b")] {
            assert_eq!(clean(path), Some(cleaned.into()), "{path}");
        }
        for path in ["", "/", ".", "/..", "/a/../../b"] {
            assert_eq!(clean(path), None, "{path}");
        }
    }
}
