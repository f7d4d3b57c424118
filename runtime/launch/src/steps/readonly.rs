//! Paths that the container must not write to.

use std::os::fd::AsFd;
use std::path::Path;

use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use sys::Call;
use sys::mount::{Attr, mount_setattr};

use super::{Builder, target};
use crate::Failure;
use crate::child::attach_at;
use crate::failure::During;

/// Only the path itself: a volume mounted below was asked for as it is.
const READONLY: Attr = Attr { set: MountAttrFlags::MOUNT_ATTR_RDONLY.bits() as u64, clear: 0, propagation: 0 };

impl Builder<'_> {
    pub(super) fn readonly(&mut self, path: &Path) -> Result<(), Failure> {
        let Some(target) = self.existing(path).during(|| "find it")? else { return Ok(()) };
        // A bind on itself would double what is mounted below.
        if target::is_root(&target::look(&target).during(|| "look at it")?) {
            return mount_setattr(&target, READONLY, false).during(|| "set its attributes");
        }
        // With what is mounted below, which a copy of the one mount alone would uncover.
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH
            | OpenTreeFlags::AT_RECURSIVE;
        let tree = open_tree(&target, "", flags).call(|| "open_tree(OPEN_TREE_CLONE | AT_RECURSIVE)").during(|| "copy it")?;
        mount_setattr(&tree, READONLY, false).during(|| "set its attributes")?;
        attach_at(tree.as_fd(), target.as_fd()).during(|| "attach it")
    }
}
