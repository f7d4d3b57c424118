//! The driver `local`: a volume may be something that is mounted, by the options of mount(8).

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statx};
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use sys::Call;
use sys::mount::{Attr, Filesystem, mount_setattr, propagation};

use super::VolumeRecord;
use super::folder::DATA;
use crate::Error;
use crate::config::Config;
use crate::error::During;

const KEYS: [&str; 3] = ["type", "device", "o"];

impl crate::VolumeSpec {
    /// Whether the driver has these options, and all that belong to them.
    ///
    /// # Errors
    /// One is unknown or missing; it is named.
    pub fn check_options(&self) -> Result<(), Error> {
        check(&self.options)
    }
}

/// Refuses what the driver does not have, and what is incomplete.
pub(super) fn check(options: &BTreeMap<String, String>) -> Result<(), Error> {
    let refuse = |key: &str, why: String| Err(Error::Invalid { what: format!("volume option {key:?}"), why });
    for key in options.keys() {
        if key == "size" {
            return refuse(key, "no limit can be set on a folder: type=tmpfs with o=size=… has one".to_owned());
        }
        if !KEYS.contains(&key.as_str()) {
            return refuse(key, format!("the driver local has {}", KEYS.join(", ")));
        }
    }
    if is_folder(options) {
        return owner(options).map(|_| ()).or_else(|why| refuse("o", why));
    }
    let missing = |key: &str| options.get(key).is_none_or(String::is_empty);
    match ["type", "device"].into_iter().find(|key| missing(key)) {
        Some(key) => refuse(key, "missing: give both, such as type=nfs and device=:/path".to_owned()),
        None => Ok(()),
    }
}

/// Nothing is mounted there: its files are in a folder of its own.
pub(crate) fn is_folder(options: &BTreeMap<String, String>) -> bool {
    !options.contains_key("type") && !options.contains_key("device")
}

/// The user and the group that such a folder is made for, by `o=uid=NUMBER,gid=NUMBER` as Podman has it; `None` for what is not said.
///
/// # Errors
/// Why there is no such owner, or that something else is said.
pub(super) fn owner(options: &BTreeMap<String, String>) -> Result<(Option<u32>, Option<u32>), String> {
    let (mut uid, mut gid) = (None, None);
    let words = options.get("o").map(String::as_str).unwrap_or_default();
    for word in words.split(',').filter(|_| options.contains_key("o")) {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let place = match key {
            "uid" => &mut uid,
            "gid" => &mut gid,
            _ => return Err(format!("{word:?} is for what is mounted: give type and device, too; a folder has uid= and gid=")),
        };
        // The highest number means "as it is" to chown(2).
        let number = value.parse().ok().filter(|number| *number != u32::MAX);
        *place = Some(number.ok_or_else(|| format!("{word:?} is no number of a user or a group"))?);
    }
    Ok((uid, gid))
}

/// The files of a volume, as a tree of mounts that is attached nowhere.
///
/// # Errors
/// Its folder, or what it is mounted from, is gone.
pub(crate) fn tree(config: &Config, name: &str, record: &VolumeRecord) -> Result<OwnedFd, Error> {
    let during = || format!("open the volume {name}");
    let path = config.volumes().join(name).join(DATA);
    let option = |key: &str| record.options.get(key).map(String::as_str).unwrap_or_default();
    let (kind, device) = (option("type"), option("device"));
    let words: Vec<&str> = option("o").split(',').filter(|word| !word.is_empty()).collect();
    if is_folder(&record.options) {
        return copy(&path, true).during(during);
    }
    if kind == "none" || kind == "bind" || words.iter().any(|word| matches!(*word, "bind" | "rbind")) {
        let tree = copy(Path::new(device), words.contains(&"rbind")).during(during)?;
        let parts = container::mount_parts(&words);
        return mount_setattr(&tree, Attr { set: parts.attributes, ..Attr::default() }, false).during(during).map(|()| tree);
    }
    let words = addressed(kind, &words).map_err(|why| Error::Invalid { what: format!("volume {name}"), why })?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match kind {
        "tmpfs" => shared(&path, kind, device, &words).during(during),
        _ => mounted(kind, device, &words).during(during),
    }
}

/// A detached copy of what is at `path`, of which mounts do not come back to the host.
fn copy(path: &Path, recursive: bool) -> sys::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    open_tree(CWD, path, flags).call(|| format!("open_tree({path:?})")).map_err(|error| error.about(path))
}

fn mounted(kind: &str, device: &str, words: &[&str]) -> sys::Result<OwnedFd> {
    let parts = container::mount_parts(words);
    let filesystem = Filesystem::open(kind)?;
    filesystem.set("source", device)?;
    for (key, value) in &parts.settings {
        match value {
            Some(value) => filesystem.set(key, value)?,
            None => filesystem.flag(key)?,
        };
    }
    filesystem.mount(MountAttrFlags::from_bits_retain(parts.attributes as u32))
}

/// One file system for all containers that have the volume: mounted on its folder at the first use, until the volume is removed or the
/// host restarts.
fn shared(path: &Path, kind: &str, device: &str, words: &[&str]) -> sys::Result<OwnedFd> {
    attached(path, || mounted(kind, device, words))?;
    copy(path, true)
}

/// Mounts what `make` makes on the volume's folder, unless something is there. Nobody else does the same meanwhile.
fn attached(path: &Path, make: impl FnOnce() -> sys::Result<OwnedFd>) -> sys::Result<()> {
    let _lock = lock(path)?;
    if is_mounted(path)? {
        return Ok(());
    }
    let mount = make()?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&mount, "", CWD, path, flags).call(|| format!("move_mount({path:?})"))?;
    mount_setattr(&mount, Attr { propagation: propagation::PRIVATE, ..Attr::default() }, false)
}

fn lock(path: &Path) -> sys::Result<File> {
    let lock = File::open(path.parent().unwrap_or(path)).call(|| format!("open({path:?})"))?;
    lock.lock().call(|| format!("flock({path:?})")).map(|()| lock)
}

fn is_mounted(path: &Path) -> sys::Result<bool> {
    let stat = statx(CWD, path, AtFlags::empty(), StatxFlags::empty()).call(|| format!("statx({path:?})"))?;
    Ok(stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Shows the files of a volume on the host, in its folder, whatever they are mounted from.
pub(super) fn show(config: &Config, name: &str, record: &VolumeRecord) -> Result<(), Error> {
    if is_folder(&record.options) {
        return Ok(());
    }
    // Of tmpfs this is what mounts it.
    let tree = tree(config, name, record)?;
    let path = config.volumes().join(name).join(DATA);
    attached(&path, || Ok(tree)).during(|| format!("mount the volume {name}"))
}

/// Undoes that. A tmpfs stays: with it would go what is in it.
pub(super) fn hide(config: &Config, name: &str, record: &VolumeRecord) -> Result<(), Error> {
    if is_folder(&record.options) || record.options.get("type").is_some_and(|kind| kind == "tmpfs") {
        return Ok(());
    }
    let path = config.volumes().join(name).join(DATA);
    let unmounted = || {
        let _lock = lock(&path)?;
        match is_mounted(&path)? {
            true => unmount(&path, UnmountFlags::NOFOLLOW).call(|| format!("umount2({path:?})")),
            false => Ok(()),
        }
    };
    unmounted().during(|| format!("unmount the volume {name}"))
}

/// The kernel takes numbers where people write the name of a server (nfs(5), `addr`).
fn addressed(kind: &str, words: &[&str]) -> Result<Vec<String>, String> {
    let resolve = |word: &&str| match word.strip_prefix("addr=") {
        Some(host) if kind.starts_with("nfs") || kind == "cifs" => number(host).map(|address| format!("addr={address}")),
        _ => Ok((*word).to_owned()),
    };
    words.iter().map(resolve).collect()
}

fn number(host: &str) -> Result<IpAddr, String> {
    if let Ok(address) = host.parse() {
        return Ok(address);
    }
    let found = (host, 0).to_socket_addrs().map_err(|error| format!("addr={host}: {error}"))?.next();
    found.map(|address| address.ip()).ok_or_else(|| format!("addr={host}: this name has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_is_incomplete_or_unknown_is_refused() {
        assert!(check(&options(&[])).is_ok() && check(&options(&[("type", "tmpfs"), ("device", "tmpfs")])).is_ok());
        for bad in [[("type", "nfs")].as_slice(), &[("device", "/x")], &[("o", "bind")], &[("size", "1g")], &[("colour", "red")]] {
            assert!(check(&options(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_folder_may_have_an_owner() {
        let of = |text: &str| owner(&options(&[("o", text)]));
        assert_eq!((of("uid=7,gid=8"), of("gid=8")), (Ok((Some(7), Some(8))), Ok((None, Some(8)))));
        assert_eq!(owner(&options(&[])), Ok((None, None)));
        for bad in ["uid=", "uid=x", "uid=-1", "gid=4294967295", "uid=1,ro", "", "size=1g"] {
            let error = check(&options(&[("o", bad)])).unwrap_err().to_string();
            assert!(error.contains("\"o\"") && error.contains(bad.rsplit(',').next().unwrap()), "{bad}: {error}");
        }
    }

    #[test]
    fn names_of_servers_become_numbers() {
        assert_eq!(addressed("nfs", &["addr=127.0.0.1", "rw"]), Ok(vec!["addr=127.0.0.1".to_owned(), "rw".to_owned()]));
        assert_eq!(
            addressed("nfs", &["addr=localhost"]).map(|words| words[0].starts_with("addr=") && words[0].len() > 7),
            Ok(true)
        );
        assert_eq!(addressed("tmpfs", &["addr=none.invalid"]), Ok(vec!["addr=none.invalid".to_owned()]));
    }
}
