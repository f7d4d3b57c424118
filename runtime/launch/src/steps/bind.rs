//! Trees of the host, opened before the clone.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, PROC_SUPER_MAGIC, fstatfs};
use sys::Call;
use sys::mount::{Attr, mount_setattr};

use super::Builder;
use super::target::{self, Want, is_proc, mount_point};
use crate::child::attach_at;
use crate::failure::During;
use crate::{Failure, Step};

impl Builder<'_> {
    pub(super) fn bind(&mut self, step: &Step) -> Result<(), Failure> {
        let Step::Bind { tree, target, set, clear, recursive, propagation } = step else { return Ok(()) };
        let tree = self.table.get(*tree);
        let want = match target::kind(tree).during(|| "look at the source")? {
            FileType::Directory => Want::Folder,
            _ => Want::File,
        };
        if is_proc(target) && fstatfs(tree).call(|| "fstatfs(source)").during(|| "look at the source")?.f_type != PROC_SUPER_MAGIC {
            return Err(Failure::runtime("only procfs may be mounted there"));
        }
        let point = mount_point(self.root, target, want)?;
        // Before it is attached: it never is in the container in another state than asked for. It was opened in the host's mount
        // namespace and is a peer of the host's mount until its propagation says otherwise.
        let propagation = if *propagation == 0 { self.plan.propagation } else { *propagation };
        change(tree, Attr { set: *set, clear: *clear, propagation }, *recursive).during(|| "set its attributes")?;
        attach_at(tree, point.as_fd()).during(|| "attach it")
    }
}

/// Attributes as far down as asked for, propagation always all the way.
fn change(tree: BorrowedFd<'_>, attr: Attr, recursive: bool) -> sys::Result<()> {
    if recursive || attr.set | attr.clear == 0 {
        return mount_setattr(tree, attr, true);
    }
    mount_setattr(tree, Attr { propagation: 0, ..attr }, false)?;
    match attr.propagation {
        0 => Ok(()),
        propagation => mount_setattr(tree, Attr { propagation, ..Attr::default() }, true),
    }
}
