//! Paths that the container must not see.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, makedev, openat2};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags as Flags, OpenTreeFlags, open_tree};
use sys::{Call, Error};

use super::Builder;
use super::mount::filesystem;
use super::target;
use crate::Failure;
use crate::child::attach_at;
use crate::failure::During;

impl Builder<'_> {
    pub(super) fn mask(&mut self, path: &Path) -> Result<(), Failure> {
        // Not every kernel has every path, as /proc/acpi.
        let Some(target) = self.existing(path).during(|| "find it")? else { return Ok(()) };
        let cover = match target::kind(&target).during(|| "look at it")? {
            FileType::Directory => self.empty_folder()?,
            _ => clone_of(self.null_device()?).during(|| "copy /dev/null")?,
        };
        attach_at(cover.as_fd(), target.as_fd()).during(|| "cover it")
    }

    /// What covers files. Looked up and verified once: what is exchanged later does not matter.
    fn null_device(&mut self) -> Result<BorrowedFd<'_>, Failure> {
        if self.null.is_none() {
            self.null = Some(null_device(self.root)?);
        }
        self.null.as_ref().map(|null| null.as_fd()).ok_or_else(|| Failure::runtime("no null device"))
    }

    /// An empty read-only folder. All are mounts of one tiny tmpfs: a superblock each would cost time and a kernel-wide lock.
    fn empty_folder(&mut self) -> Result<OwnedFd, Failure> {
        if let Some(cover) = &self.cover {
            return clone_of(cover.as_fd()).during(|| "copy the empty folder");
        }
        let option = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        let options = [option("nr_blocks", "1"), option("nr_inodes", "1"), option("mode", "0555")];
        let attributes = Flags::MOUNT_ATTR_RDONLY | Flags::MOUNT_ATTR_NOSUID | Flags::MOUNT_ATTR_NODEV | Flags::MOUNT_ATTR_NOEXEC;
        let made = filesystem("tmpfs", "tmpfs", &options, u64::from(attributes.bits())).during(|| "make an empty folder")?;
        // Before Linux 6.15 only an attached mount can be cloned: the first is used itself, and cloned once it is attached.
        let first =
            rustix::io::fcntl_dupfd_cloexec(&made, 3).call(|| "fcntl(F_DUPFD_CLOEXEC)").during(|| "keep the empty folder")?;
        self.cover = Some(made);
        Ok(first)
    }
}

/// The container's own /dev/null, verified: an image or a volume could have put something else there, to have it bound over a
/// file of procfs and with that writable (CVE-2025-31133).
fn null_device(root: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let null = openat2(root, "dev/null", OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), resolve)
        .call(|| "openat2(\"/dev/null\", O_PATH, RESOLVE_NO_SYMLINKS)")
        .during(|| "find a cover")?;
    let stat = fstat(&null).call(|| "fstat(\"/dev/null\")").during(|| "find a cover")?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == makedev(1, 3) {
        return Ok(null);
    }
    Err(Error::new("fstat(\"/dev/null\"): not the null device", Errno::NODEV)).during(|| "find a cover")
}

/// A detached copy of one mount, from the open file on.
pub(super) fn clone_of(file: BorrowedFd<'_>) -> sys::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(file, "", flags).call(|| "open_tree(OPEN_TREE_CLONE)")
}
