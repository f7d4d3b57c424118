//! New file systems.

use std::os::fd::{AsFd, OwnedFd};

use rustix::mount::MountAttrFlags;
use sys::mount::{Attr, Filesystem, mount_setattr, propagation};

use super::Builder;
use super::target::{Want, is_proc, mount_point};
use crate::child::attach_at;
use crate::failure::During;
use crate::{Failure, Step};

impl Builder<'_> {
    pub(super) fn mount(&mut self, step: &Step) -> Result<(), Failure> {
        let Step::Mount { kind, source, target, options, attributes, propagation, .. } = step else { return Ok(()) };
        if is_proc(target) && kind != "proc" {
            return Err(Failure::runtime("only procfs may be mounted there"));
        }
        let point = mount_point(self.root, target, Want::Folder)?;
        let mount = filesystem(kind, source, options, *attributes).during(|| "make it")?;
        attach_at(mount.as_fd(), point.as_fd()).during(|| "attach it")?;
        self.propagate(&mount, *propagation)
    }

    /// Sets the propagation of a new mount. It was made private, so only what differs needs a call.
    fn propagate(&self, mount: &OwnedFd, own: u64) -> Result<(), Failure> {
        let wanted = if own == 0 { self.plan.propagation } else { own };
        if wanted & (propagation::SHARED | propagation::UNBINDABLE) == 0 {
            return Ok(());
        }
        mount_setattr(mount, Attr { propagation: wanted, ..Attr::default() }, false).during(|| "set its propagation")
    }
}

/// A new file system as a detached mount.
pub(super) fn filesystem(kind: &str, source: &str, options: &[(String, Option<String>)], attributes: u64) -> sys::Result<OwnedFd> {
    let filesystem = Filesystem::open(kind)?;
    filesystem.set("source", source)?;
    for (key, value) in options {
        match value {
            Some(value) => filesystem.set(key, value)?,
            None => filesystem.flag(key)?,
        };
    }
    filesystem.mount(MountAttrFlags::from_bits_retain(attributes as u32))
}
