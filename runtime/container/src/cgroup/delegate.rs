//! Giving a cgroup to the user that a container's root is on the host (runtime-spec, "Cgroup ownership").

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Spec};
use rustix::fs::{Access, AtFlags, Uid, access, chownat};
use rustix::io::Errno;

use super::create::{Cgroup, Folder};
use super::files::read_at;
use super::{Error, Hierarchies, Kind};

/// Where the kernel lists the files to give away (Linux 4.15).
const LIST: &str = "/sys/kernel/cgroup";
/// What it would list if it did not (cgroups(7), "Cgroups delegation").
const USUAL: &str = "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n";

impl Cgroup {
    /// Gives the cgroup to the host's user `uid`: its folder, and the files that the kernel lists for this. Limits stay with the host. Only
    /// v2 is safe to give away; on other hosts nothing happens.
    ///
    /// # Errors
    /// [`Error::Delegate`].
    pub fn delegate(&self, hierarchies: &Hierarchies, uid: u32) -> Result<(), Error> {
        match self.folders() {
            [folder] if hierarchies.kind() == Kind::V2 => give(folder, uid, &list()),
            _ => Ok(()),
        }
    }
}

impl Hierarchies {
    /// What a user without privileges may use for the cgroup `path`: v2, where it is delegated (cgroups(7)), which takes the right to make
    /// folders above it, and to move a process there from the caller's cgroup `own`. v1 is never safe to delegate. Perhaps none is left.
    pub fn delegated(self, path: &str, own: &str) -> Self {
        let reached = self.reaches(path, own);
        self.owned(path).only(path, |_| reached)
    }

    /// The same from wherever the caller is.
    pub fn owned(self, path: &str) -> Self {
        let Some(mount) = self.unified().map(|at| self.all()[at].mount.clone()) else { return self.only(path, |_| false) };
        let above = |folder: &Path| folder.ancestors().skip(1).find(|above| above.is_dir()).is_some_and(writable);
        self.only(path, |folder| folder.starts_with(&mount) && above(folder))
    }

    /// Whether the caller may move a process from the cgroup `own` to `path`, both of v2: what is above both must be the caller's to write to.
    pub fn reaches(&self, path: &str, own: &str) -> bool {
        let common: PathBuf =
            Path::new(path).components().zip(Path::new(own).components()).map_while(|(a, b)| (a == b).then_some(a)).collect();
        let Some(at) = self.unified() else { return false };
        writable(&self.all()[at].folder(&common.to_string_lossy()).join("cgroup.procs"))
    }
}

fn writable(path: &Path) -> bool {
    access(path, Access::WRITE_OK).is_ok()
}

/// The host's user that the cgroup of a configuration is given to: the one that its process is, where the container has user and cgroup
/// namespaces of its own and mounts its cgroup to write to it.
pub fn owner(spec: &Spec) -> Option<u32> {
    let linux = spec.linux().as_ref()?;
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    let own = |kind| namespaces.iter().any(|one| one.typ() == kind && one.path().is_none());
    let writable = |mount: &oci_spec::runtime::Mount| {
        let options = mount.options().as_deref().unwrap_or_default();
        mount.typ().as_deref() == Some("cgroup") && !options.iter().any(|option| option == "ro" || option == "rro")
    };
    if !own(LinuxNamespaceType::User) || !own(LinuxNamespaceType::Cgroup) || !spec.mounts().iter().flatten().any(writable) {
        return None;
    }
    let uid = spec.process().as_ref()?.user().uid();
    linux.uid_mappings().iter().flatten().find_map(|map| {
        let at = uid.checked_sub(map.container_id()).filter(|at| *at < map.size())?;
        map.host_id().checked_add(at)
    })
}

fn list() -> String {
    let folder = sys::fs::open_dir(LIST).ok();
    folder.and_then(|folder| read_at(folder, Path::new(LIST), "delegate").ok()).unwrap_or_else(|| USUAL.to_owned())
}

fn give(folder: &Folder, uid: u32, files: &str) -> Result<(), Error> {
    for file in files.lines().filter(|file| !file.contains('/')).chain([""]) {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
        match chownat(&folder.fd, file, Some(Uid::from_raw(uid)), None, flags) {
            // Listed, but of a controller that is not here.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => {
                let source = sys::Error::new(format!("fchownat({file:?}, {uid})"), errno);
                return Err(Error::Delegate { path: folder.path.join(file), uid, source });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_owner_is_who_the_process_is_outside() {
        let spec = |kinds: &[&str], options: &[&str], uid: u32| {
            let namespaces: Vec<_> = kinds.iter().map(|kind| serde_json::json!({"type": kind})).collect();
            let map = serde_json::json!([{"containerID": 0, "hostID": 100000, "size": 10}, {"containerID": 1000, "hostID": 5, "size": 1}]);
            let spec = serde_json::json!({
                "ociVersion": "1.0.0", "root": {"path": "x"}, "process": {"cwd": "/", "user": {"uid": uid, "gid": 0}},
                "mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options}],
                "linux": {"namespaces": namespaces, "uidMappings": map, "gidMappings": map},
            });
            owner(&serde_json::from_value(spec).unwrap())
        };
        let both = ["user", "cgroup"];
        assert_eq!(
            [spec(&both, &["nosuid"], 0), spec(&both, &[], 9), spec(&both, &[], 1000)],
            [Some(100_000), Some(100_009), Some(5)]
        );
        assert_eq!([spec(&both, &["ro"], 0), spec(&["user"], &[], 0), spec(&["cgroup"], &[], 0), spec(&both, &[], 10)], [None; 4]);
    }

    #[test]
    #[allow(clippy::print_stderr, reason = "a test says what it leaves out")]
    fn what_is_listed_changes_hands_and_nothing_else() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: needs root");
        }
        let dir = tempfile::tempdir().unwrap();
        for file in ["cgroup.procs", "memory.max"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let folder =
            Folder { path: dir.path().to_owned(), fd: sys::fs::open_dir(dir.path()).unwrap(), v2: true, controllers: vec![] };
        give(&folder, 1234, "cgroup.procs\ncgroup.threads\n../x\n").unwrap();
        let owner = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().uid();
        assert_eq!([owner(""), owner("cgroup.procs"), owner("memory.max")], [1234, 1234, 0]);
    }
}
