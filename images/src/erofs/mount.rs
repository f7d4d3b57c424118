//! An image becomes a detached mount.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::mount::MountAttrFlags;
use sys::loopback;
use sys::mount::Filesystem;

use super::format::BLOCK;

/// How the kernel gets at the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// As it is (since Linux 6.12).
    File,
    /// Through a loop device.
    Loop,
}

/// Mounts an image. Nothing is attached anywhere: the mount goes with its last descriptor, and whoever mounts on top of it keeps it.
///
/// Whoever finds a way to it on the host gains nothing by its setuid programs and devices. In containers these work: to them the attributes
/// of the overlay count.
pub(crate) fn mount(image: &File, way: Way) -> sys::Result<OwnedFd> {
    let (source, _device) = match way {
        Way::File => (format!("/proc/self/fd/{}", image.as_raw_fd()).into(), None),
        Way::Loop => {
            let device = loopback::attach(image, BLOCK as u32)?;
            (device.path.clone(), Some(device))
        }
    };
    let erofs = Filesystem::open("erofs")?;
    erofs.set("source", &source)?.flag("ro")?;
    erofs.mount(MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV)
}
