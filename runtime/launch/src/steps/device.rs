//! Device nodes.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, fstat, makedev, mknodat, openat};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::mount::{Attr, mount_setattr, propagation};
use sys::{Call, Error};

use super::Builder;
use super::target::{Last, Want, mount_point};
use crate::child::attach_at;
use crate::failure::During;
use crate::{Failure, Step};

impl Builder<'_> {
    pub(super) fn device(&mut self, step: &Step) -> Result<(), Failure> {
        let &Step::Device { ref path, mode, major, minor, uid, gid } = step else { return Ok(()) };
        let (kind, number) = (FileType::from_raw_mode(mode), makedev(major, minor));
        let (folder, name) = self.place(path)?;
        let call = || format!("mknodat({name:?}, {mode:#o}, {major}:{minor})");
        match mknodat(folder, name, kind, Mode::from_raw_mode(mode), number) {
            Ok(()) => {}
            Err(Errno::EXIST) => existing(folder, name, kind, number).during(|| "use what is there")?,
            Err(Errno::PERM) if kind != FileType::Fifo => {
                return self.host_node(path, kind, number).during(|| "bind the host's, as mknod is not permitted");
            }
            Err(errno) => return Err(Error::new(call(), errno)).during(|| "make it"),
        }
        if (uid, gid) == (0, 0) {
            return Ok(());
        }
        chownat(folder, name, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
            .call(|| format!("fchownat({name:?}, {uid}, {gid})"))
            .during(|| "give it away")
    }

    /// Binds the host's own node of the same path, verified to be that device.
    fn host_node(&mut self, path: &Path, kind: FileType, number: u64) -> Result<(), Failure> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_SYMLINK_NOFOLLOW;
        let tree = open_tree(CWD, path, flags).call(|| format!("open_tree({path:?}, OPEN_TREE_CLONE)")).during(|| "open it")?;
        is_device(&tree, kind, number).during(|| "look at it")?;
        let attr = Attr { propagation: propagation::PRIVATE, ..Attr::default() };
        mount_setattr(&tree, attr, false).during(|| "separate it from the host's")?;
        let point = mount_point(self.root, path, Want::File, Last::Followed)?;
        self.folder = None;
        attach_at(tree.as_fd(), point.as_fd()).during(|| "attach it")
    }
}

/// Accepts a node that is there already, if it is the one that was to be made.
fn existing(folder: &OwnedFd, name: &Path, kind: FileType, number: u64) -> sys::Result<()> {
    let found = openat(folder, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .call(|| format!("openat({name:?}, O_PATH | O_NOFOLLOW)"))?;
    is_device(&found, kind, number)
}

fn is_device(file: &OwnedFd, kind: FileType, number: u64) -> sys::Result<()> {
    let stat = fstat(file).call(|| "fstat(node)")?;
    let same = FileType::from_raw_mode(stat.st_mode) == kind && (kind == FileType::Fifo || stat.st_rdev == number);
    if same { Ok(()) } else { Err(Error::new("fstat(node): another file", Errno::EXIST)) }
}
