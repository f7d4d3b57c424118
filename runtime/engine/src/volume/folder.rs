//! A volume's folder: made whole, taken by containers, removed whole.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, RenameFlags, Uid, fchown, renameat_with};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, unmount};
use sys::Call;
use sys::fs::{open_dir, remove_tree};

use super::{Volume, VolumeRecord, fill};
use crate::config::Config;
use crate::create::{claimed, folder};
use crate::error::During;
use crate::request::{Mount, MountSource};
use crate::{Error, Record, events, names};

/// What containers see.
pub(super) const DATA: &str = "_data";
const USERS: &str = "users";
const RECORD: &str = "volume.json";

/// Whether a volume can have this name: `[a-zA-Z0-9][a-zA-Z0-9_.-]+`, at most 255 bytes, which is Docker's rule and the file system's.
///
/// # Errors
/// [`Error::BadVolumeName`].
pub fn check_name(name: &str) -> Result<(), Error> {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if first && rest && (2..=255).contains(&name.len()) {
        return Ok(());
    }
    let shown: String = name.chars().take(64).collect();
    Err(Error::BadVolumeName(if shown.len() < name.len() { format!("{shown}…") } else { shown }))
}

/// Makes the volume `name` if there is none, with the file of the container `user`, and answers whether it has. `filling` puts the first
/// files into it, before anybody else can see it.
pub(super) fn make(
    config: &Config,
    name: &str,
    record: &VolumeRecord,
    user: Option<&str>,
    filling: impl FnOnce(&OwnedFd) -> Result<(), Error>,
) -> Result<bool, Error> {
    let during = || format!("make the volume {name}");
    let all = config.volumes();
    if all.join(name).join(USERS).exists() {
        return Ok(false);
    }
    finish_removal(config, name)?;
    let new = all.join(format!(".new-{}", names::new_id()?));
    let fill = || {
        let dir = claimed(&new).during(during)?;
        folder(&new.join(USERS)).during(during)?;
        if let Some(user) = user {
            File::create_new(new.join(USERS).join(user)).call(|| "open(users, O_CREAT)").during(during)?;
        }
        let data = new.join(DATA);
        folder(&data).during(during)?;
        fs::set_permissions(&data, Permissions::from_mode(0o755)).call(|| format!("chmod({data:?}, 0755)")).during(during)?;
        write(&new.join(RECORD), record).during(during)?;
        let files = open_dir(&data).during(during)?;
        filling(&files)?;
        own(&files, record).during(during)?;
        match renameat_with(rustix::fs::CWD, &new, rustix::fs::CWD, all.join(name), RenameFlags::NOREPLACE) {
            // Another process was faster.
            Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(None),
            done => done.call(|| format!("renameat2({new:?}, {name:?})")).during(during).map(|()| Some(dir)),
        }
    };
    let made = fill();
    if !matches!(made, Ok(Some(_))) {
        discard(&new);
    }
    if matches!(made, Ok(Some(_))) {
        events::note(config, "volume", "create", events::thing(name, &[("driver", "local")]));
    }
    made.map(|dir| dir.is_some())
}

/// Gives the folder of the files to whom the options say, whatever the image has there.
pub(super) fn own(files: &OwnedFd, record: &VolumeRecord) -> sys::Result<()> {
    match super::options::owner(&record.options) {
        Ok((uid, gid)) if super::options::is_folder(&record.options) && (uid, gid) != (None, None) => {
            let (user, group) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
            fchown(files, user, group).call(|| format!("fchown({uid:?}, {gid:?})"))
        }
        _ => Ok(()),
    }
}

/// Written down for good: a volume outlives power cuts, and its options say where its files are.
fn write(path: &Path, record: &VolumeRecord) -> sys::Result<()> {
    let json = serde_json::to_vec(record).unwrap_or_default();
    let mut file =
        File::options().write(true).create_new(true).mode(0o600).open(path).call(|| format!("open({path:?}, O_CREAT)"))?;
    file.write_all(&json).call(|| format!("write({path:?})"))?;
    // A container's own has nothing that could not be told from its folder.
    if record.anonymous && record.options.is_empty() { Ok(()) } else { file.sync_data().call(|| format!("fdatasync({path:?})")) }
}

/// Gives the container `id` all volumes of its mounts, makes those that are missing, and fills new ones with what `image` has there: a
/// function from a path in the image to what is there.
///
/// # Errors
/// After one, nothing is taken, and what was made is gone.
pub(crate) fn take(config: &Config, record: &Record, image: &dyn Fn(&Path) -> Result<Option<OwnedFd>, Error>) -> Result<(), Error> {
    let mut made = Vec::new();
    let took = record.mounts.iter().try_for_each(|mount| {
        let MountSource::Volume { name, anonymous, copy, subpath, spec } = &mount.source else { return Ok(()) };
        let content = || match *copy && subpath.is_none() {
            true => image(&mount.target),
            false => Ok(None),
        };
        let new = VolumeRecord {
            created: monitor::now(),
            anonymous: *anonymous,
            labels: spec.labels.clone(),
            options: spec.options.clone(),
        };
        super::options::check(&spec.options)?;
        for _ in 0..16 {
            // What is kept elsewhere is filled there.
            let inside = super::options::is_folder(&spec.options);
            let filling = |data: &OwnedFd| match inside.then(content).transpose()?.flatten() {
                Some(from) => fill::new(&from, data, name),
                None => Ok(()),
            };
            if make(config, name, &new, Some(&record.id), filling)? {
                made.push(name);
                if inside {
                    return Ok(());
                }
            }
            if claim(config, name, &record.id)? {
                return fill::existing(config, name, &content);
            }
        }
        Err(Error::Invalid { what: format!("volume {name}"), why: "it is being made and removed again and again".to_owned() })
    });
    took.inspect_err(|_| {
        release(config, record);
        for name in made {
            let _ = remove(config, name);
        }
    })
}

/// Makes the container's file in the volume. `false`: the volume is gone.
fn claim(config: &Config, name: &str, id: &str) -> Result<bool, Error> {
    let file = user_file(config, name, id);
    match File::options().write(true).create(true).truncate(false).mode(0o600).open(&file) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(error).call(|| format!("open({file:?}, O_CREAT)")).during(|| format!("take the volume {name}")),
    }
}

/// Gives all volumes of a container back.
pub(crate) fn release(config: &Config, record: &Record) {
    for (name, _) in volumes(&record.mounts) {
        let _ = fs::remove_file(user_file(config, name, &record.id));
    }
}

/// Removes the volumes of a container that were its own, unless another one has them too.
pub(crate) fn release_own(config: &Config, record: &Record) -> Result<(), Error> {
    volumes(&record.mounts).filter(|(_, own)| *own).try_for_each(|(name, _)| remove(config, name).map(drop))
}

/// Names of volumes among mounts, and whether they are the container's own.
fn volumes(mounts: &[Mount]) -> impl Iterator<Item = (&str, bool)> {
    mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Volume { name, anonymous, .. } => Some((name.as_str(), *anonymous)),
        _ => None,
    })
}

/// What the monitor of a container that is removed at its end has to do for its volumes.
pub(crate) fn undo(config: &Config, record: &Record, cleanup: &mut monitor::Cleanup) {
    for (name, own) in volumes(&record.mounts) {
        cleanup.unlink.push(user_file(config, name, &record.id));
        if own {
            cleanup.unused.push(config.volumes().join(name));
        }
    }
}

/// The file of the container `id` in the folder of the volume `name`.
fn user_file(config: &Config, name: &str, id: &str) -> PathBuf {
    config.volumes().join(name).join(USERS).join(id)
}

/// Removes a volume that no container has. `false`: one has it.
pub(super) fn remove(config: &Config, name: &str) -> Result<bool, Error> {
    for stale in users(config, name)?.into_iter().filter(|(_, lives)| !lives) {
        let _ = fs::remove_file(user_file(config, name, &stale.0));
    }
    match fs::remove_dir(config.volumes().join(name).join(USERS)) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => return Ok(false),
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).call(|| format!("rmdir({name:?}/users)")).during(|| format!("remove the volume {name}"));
        }
        _ => {}
    }
    finish_removal(config, name)?;
    events::note(config, "volume", "destroy", events::thing(name, &[("driver", "local")]));
    Ok(true)
}

/// Removes what nobody can take any more. Whoever was about to do it may have been killed.
fn finish_removal(config: &Config, name: &str) -> Result<(), Error> {
    let path = config.volumes().join(name);
    if !path.exists() || path.join(USERS).exists() {
        return Ok(());
    }
    let during = || format!("remove the volume {name}");
    while unmount(path.join(DATA), UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
    let gone = config.volumes().join(format!(".gone-{}", names::new_id()?));
    match fs::rename(&path, &gone) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        done => done.call(|| format!("rename({path:?}, {gone:?})")).during(during)?,
    }
    let (parent, last) = (config.volumes(), gone.file_name().unwrap_or_default());
    open_dir(parent).and_then(|all| remove_tree(all, last)).during(during)
}

fn discard(path: &Path) {
    if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
        let _ = open_dir(parent).and_then(|parent| remove_tree(parent, name));
    }
}

/// Who has taken the volume, and whether that container is there.
fn users(config: &Config, name: &str) -> Result<Vec<(String, bool)>, Error> {
    let listing = match open_dir(config.volumes().join(name).join(USERS)) {
        Err(error) if error.errno() == Errno::NOENT => return Ok(Vec::new()),
        dir => dir.and_then(sys::fs::list).during(|| format!("look who has the volume {name}"))?,
    };
    // In this order: the folder of a container that is being made changes its name once.
    let lives = |id: &str| config.containers().join(format!(".new-{id}")).exists() || config.container(id).exists();
    let ids = listing.into_iter().filter_map(|id| id.into_string().ok());
    Ok(ids.map(|id| (lives(&id), id)).map(|(lives, id)| (id, lives)).collect())
}

/// What is known of a volume.
pub(super) fn load(config: &Config, name: &str) -> Result<Option<Volume>, Error> {
    if check_name(name).is_err() || !config.volumes().join(name).join(USERS).exists() {
        return Ok(None);
    }
    let path = config.volumes().join(name).join(RECORD);
    let record = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.call(|| format!("read({path:?})")).during(|| format!("read the volume {name}"))?,
    };
    let record = serde_json::from_slice(&record).map_err(|source| Error::Damaged { path, source })?;
    Ok(Some(known(config, name, record)?))
}

/// A volume, with those who have it.
pub(super) fn known(config: &Config, name: &str, record: VolumeRecord) -> Result<Volume, Error> {
    let users = users(config, name)?.into_iter().filter(|(_, lives)| *lives).map(|(id, _)| id).collect();
    Ok(Volume { name: name.to_owned(), record, mountpoint: config.volumes().join(name).join(DATA), users })
}

/// There is a volume of this name, whatever state it is in.
pub(super) fn exists(config: &Config, name: &str) -> bool {
    check_name(name).is_ok() && config.volumes().join(name).exists()
}

/// The names of all volumes.
pub(super) fn all(config: &Config) -> Result<Vec<String>, Error> {
    let folder = config.volumes();
    let listing = match open_dir(&folder) {
        Err(error) if error.errno() == Errno::NOENT => return Ok(Vec::new()),
        dir => dir.and_then(sys::fs::list).during(|| format!("list {}", folder.display()))?,
    };
    Ok(listing.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| check_name(name).is_ok()).collect())
}
