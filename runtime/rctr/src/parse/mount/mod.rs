//! What is mounted in a container: `-v`, `--mount`, `--tmpfs`, `--volumes-from`.

pub(super) mod csv;
mod long;
mod short;
mod tmpfs;

use std::path::{Component, Path, PathBuf};

use engine::{Access, Mount, MountSource, VolumeSpec, VolumesFrom};

pub(crate) use long::mount;
pub(crate) use short::volume;
pub(crate) use tmpfs::tmpfs;

/// A mount that can be written, with nothing special about it.
fn plain(target: PathBuf, source: MountSource) -> Mount {
    Mount { target, source, access: Access::Write, propagation: None, chown: false, idmap: None, mode: String::new() }
}

/// A volume of this name; without one, the container's own.
fn named(name: &str) -> MountSource {
    MountSource::Volume {
        name: name.to_owned(),
        anonymous: name.is_empty(),
        copy: true,
        subpath: None,
        spec: VolumeSpec::default(),
    }
}

/// A place in the container.
pub(super) fn target(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !path.is_absolute() || !plain || path == Path::new("/") {
        return Err(format!("{text:?} is no absolute path below the container's root folder"));
    }
    Ok(path.components().collect())
}

/// A path on the host: absolute, or with a dot in front, which Docker's command line takes as relative to where it is.
fn host(text: &str) -> Result<Option<PathBuf>, String> {
    let dotted = text == "." || text == ".." || text.starts_with("./") || text.starts_with("../");
    match dotted {
        true => std::path::absolute(text).map(Some).map_err(|error| format!("{text:?}: {error}")),
        false => Ok(Some(PathBuf::from(text)).filter(|path| path.is_absolute())),
    }
}

/// `NAME[:ro|:rw]`: all that another container has mounted.
pub(crate) fn volumes_from(text: &str) -> Result<VolumesFrom, String> {
    let (container, mode) = text.split_once(':').unwrap_or((text, "rw"));
    let readonly = match mode {
        "ro" => true,
        "rw" | "z" | "Z" => false,
        _ => return Err(format!("{text:?}: unknown option {mode:?}; the form is CONTAINER[:ro|:rw]")),
    };
    if container.is_empty() {
        return Err(format!("{text:?} names no container; the form is CONTAINER[:ro|:rw]"));
    }
    Ok(VolumesFrom { container: container.to_owned(), readonly })
}
