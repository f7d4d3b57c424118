//! The container's own cgroups.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::symlinkat;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags as Flags;
use sys::Call;
use sys::mount::{Attr, mount_setattr, propagation};

use super::Builder;
use super::mount::filesystem;
use super::target::{self, Last, Want, mount_point};
use crate::child::attach_at;
use crate::failure::During;
use crate::{Failure, Slot};

impl Builder<'_> {
    pub(super) fn cgroup(&mut self, target: &Path, v1: &[(String, Slot)], readonly: bool) -> Result<(), Failure> {
        let mut attributes = Flags::MOUNT_ATTR_NOSUID | Flags::MOUNT_ATTR_NODEV | Flags::MOUNT_ATTR_NOEXEC;
        if readonly {
            attributes |= Flags::MOUNT_ATTR_RDONLY;
        }
        let attributes = u64::from(attributes.bits());
        let point = mount_point(self.root, target, Want::Folder, Last::Followed)?;
        if v1.is_empty() {
            // In the cgroup namespace, whose root is the container's own folder.
            let mount = filesystem("cgroup2", "cgroup", &[], attributes).during(|| "make it")?;
            return attach_at(mount.as_fd(), point.as_fd()).during(|| "attach it");
        }
        let options = [("mode".to_owned(), Some("0755".to_owned()))];
        let writable = attributes & !u64::from(Flags::MOUNT_ATTR_RDONLY.bits());
        let top = filesystem("tmpfs", "tmpfs", &options, writable).during(|| "make its folder")?;
        attach_at(top.as_fd(), point.as_fd()).during(|| "attach its folder")?;
        for (name, slot) in v1 {
            hierarchy(top.as_fd(), name, self.table.get(*slot), attributes).during(|| format!("hierarchy {name:?}"))?;
        }
        if readonly {
            // Last: folders had to be made in it.
            let attr = Attr { set: u64::from(Flags::MOUNT_ATTR_RDONLY.bits()), ..Attr::default() };
            mount_setattr(&top, attr, false).during(|| "make it read-only")?;
        }
        Ok(())
    }
}

/// One v1 hierarchy in its folder. One that has several controllers is also found under each one's name.
fn hierarchy(top: BorrowedFd<'_>, name: &str, tree: BorrowedFd<'_>, attributes: u64) -> Result<(), Failure> {
    let point = target::folder(top, Path::new(name))?;
    let attr = Attr { set: attributes, clear: 0, propagation: propagation::PRIVATE };
    mount_setattr(tree, attr, true).during(|| "set its attributes")?;
    attach_at(tree, point.as_fd()).during(|| "attach it")?;
    for controller in name.split(',').filter(|part| *part != name) {
        match symlinkat(name, top, controller) {
            Ok(()) | Err(Errno::EXIST) => {}
            other => other.call(|| format!("symlinkat({controller:?})")).during(|| "link it")?,
        }
    }
    Ok(())
}
