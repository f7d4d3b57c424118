//! What is mounted.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cri::{Mount, MountPropagation, UserNamespace};
use engine::{Access, MountSource, Propagation};

use crate::cri::{Answer, check, status::invalid};

/// How many there may be. Each is a system call and a line of mountinfo for all on the host.
const MOST: usize = 10_000;

/// `users` are those of the pod, if it has some of its own; for `parts` see [`super::Beyond`].
pub(super) fn mounts(
    mounts: &[Mount],
    users: Option<&UserNamespace>,
    parts: &BTreeMap<String, PathBuf>,
) -> Answer<Vec<engine::Mount>> {
    if mounts.len() > MOST {
        return Err(invalid(format_args!("mounts: {} are more than {MOST}", mounts.len())));
    }
    mounts.iter().map(|mount| self::mount(mount, users, parts)).collect()
}

fn mount(mount: &Mount, users: Option<&UserNamespace>, parts: &BTreeMap<String, PathBuf>) -> Answer<engine::Mount> {
    let target = check::absolute("mounts.container_path", mount.container_path.trim_end_matches('/'))?;
    let idmap = idmap(mount, users)?;
    if let Some(option) = mount.mount_options.first() {
        return Err(invalid(format_args!("mounts: {}: option {option:.60?} is not supported", target.display())));
    }
    let propagation = check::one_of("mounts.propagation", mount.propagation)?;
    let access = access(mount, propagation)?;
    let source = match &mount.image {
        Some(image) => image_source(mount, &image.image)?,
        None if !mount.image_sub_path.is_empty() => return Err(invalid("mounts.image_sub_path: there is no image")),
        // What leads there may be a link of the host; what a missing one should be, nobody knows.
        None => MountSource::Bind {
            path: check::absolute("mounts.host_path", &mount.host_path)?,
            create: false,
            recursive: true,
            part: parts.get(&mount.container_path).cloned(),
        },
    };
    let propagation = match propagation {
        MountPropagation::PropagationPrivate => Propagation::RPrivate,
        MountPropagation::PropagationHostToContainer => Propagation::RSlave,
        MountPropagation::PropagationBidirectional => Propagation::RShared,
    };
    Ok(engine::Mount { target, source, access, propagation: Some(propagation), chown: false, idmap, mode: String::new() })
}

/// Whose files the container sees: with mappings its users own what theirs own on the host. They are those of the pod.
fn idmap(mount: &Mount, users: Option<&UserNamespace>) -> Answer<Option<String>> {
    match users {
        _ if mount.uid_mappings.is_empty() && mount.gid_mappings.is_empty() => Ok(None),
        Some(users) if users.uids == mount.uid_mappings && users.gids == mount.gid_mappings => Ok(Some(String::new())),
        _ => Err(invalid(format_args!("mounts: {:.300}: its id mappings are not those of the pod's users", mount.container_path))),
    }
}

/// Mounts below a read-only one stay writable, unless it is asked for recursively (KEP-3857).
fn access(mount: &Mount, propagation: MountPropagation) -> Answer<Access> {
    let refused = |why: &str| Err(invalid(format_args!("RROUnsupported: mounts: {:.300}: {why}", mount.container_path)));
    match (mount.readonly, mount.recursive_read_only) {
        (false, false) => Ok(Access::Write),
        (true, false) => Ok(Access::ReadTop),
        (false, true) => refused("recursive_read_only without readonly"),
        (true, true) if propagation != MountPropagation::PropagationPrivate => {
            refused("recursive_read_only needs private propagation")
        }
        (true, true) => Ok(Access::Read),
    }
}

fn image_source(mount: &Mount, image: &str) -> Answer<MountSource> {
    let refused = |why: &str| Err(invalid(format_args!("ImageVolumeMountFailed: mounts: {:.300}: {why}", mount.container_path)));
    if image.is_empty() {
        return refused("the image has no name");
    }
    if !mount.host_path.is_empty() {
        return refused("it has both an image and a path of the host");
    }
    if !mount.readonly {
        return refused("an image cannot be written");
    }
    let subpath = Some(mount.image_sub_path.as_str()).filter(|path| !path.is_empty());
    let subpath = subpath.map(|path| check::relative("mounts.image_sub_path", path.trim_end_matches('/'))).transpose()?;
    Ok(MountSource::Image { name: image.to_owned(), subpath, manifest: None, layers: Vec::new() })
}
