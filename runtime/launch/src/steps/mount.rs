//! New file systems, and changes of what is mounted.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use sys::mount::{Attr, Filesystem, mount_setattr, propagation};
use sys::{Call, Error};

use super::target::{self, Last, Want, is_proc, mount_point};
use super::{Builder, copy};
use crate::child::attach_at;
use crate::failure::During;
use crate::{Attributes, Failure, Step};

/// An option of a file system, with a value or as a flag.
type Setting = (String, Option<String>);

impl Builder<'_> {
    pub(super) fn mount(&mut self, step: &Step) -> Result<(), Failure> {
        let Step::Mount { kind, source, target, options, attributes, propagation, copy_up } = step else { return Ok(()) };
        if is_proc(target) && kind != "proc" {
            return Err(Failure::runtime("only procfs may be mounted there"));
        }
        let like_target = self.mode_of_target(kind, target, options)?;
        // A link in the image would have procfs and sysfs elsewhere than where the container looks for them (CVE-2023-27561).
        let system = matches!(kind.as_str(), "proc" | "sysfs");
        let last = if system { Last::Refused } else { Last::Followed };
        let point = mount_point(self.root, target, Want::Folder, last)?;
        let mount = filesystem(kind, source, like_target.iter().chain(options), *attributes).during(|| "make it")?;
        if *copy_up {
            copy::tree(point.as_fd(), mount.as_fd()).during(|| "copy what is there")?;
        }
        attach_at(mount.as_fd(), point.as_fd()).during(|| "attach it")?;
        self.propagate(&mount, *propagation)?;
        self.mounted(target, system.then_some(mount));
        Ok(())
    }

    /// A tmpfs over a folder that is there has its mode, unless it is given one (as with runc).
    fn mode_of_target(&self, kind: &str, target: &Path, options: &[Setting]) -> Result<Option<Setting>, Failure> {
        if kind != "tmpfs" || options.iter().any(|(key, _)| key == "mode") {
            return Ok(None);
        }
        let Some(found) = target::existing(self.root, target).during(|| "find it")? else { return Ok(None) };
        let mode = fstat(&found).call(|| "fstat(target)").during(|| "look at it")?.st_mode & 0o7777;
        Ok(Some(("mode".to_owned(), Some(format!("{mode:o}")))))
    }

    /// Sets the propagation of a new mount. It was made private, so only what differs needs a call.
    fn propagate(&self, mount: &OwnedFd, own: u64) -> Result<(), Failure> {
        let wanted = self.propagation(own);
        if wanted & (propagation::SHARED | propagation::UNBINDABLE) == 0 {
            return Ok(());
        }
        mount_setattr(mount, Attr { propagation: wanted, ..Attr::default() }, false).during(|| "set its propagation")
    }

    pub(super) fn remount(&self, path: &Path, attributes: &Attributes, options: &[Setting]) -> Result<(), Failure> {
        let missing = || Error::new(format!("open({path:?})"), Errno::NOENT);
        let mount = target::existing(self.root, path).and_then(|found| found.ok_or_else(missing)).during(|| "find it")?;
        if !target::is_root(&target::look(&mount).during(|| "look at it")?) {
            return Err(Failure::runtime("nothing is mounted there"));
        }
        if !options.is_empty() {
            Filesystem::pick(&mount).and_then(|fs| configure(&fs, options)?.reconfigure()).during(|| "change its file system")?;
        }
        attributes.apply(&mount).during(|| "set its attributes")
    }
}

/// A new file system as a detached mount.
pub(crate) fn filesystem<'a>(
    kind: &str,
    source: &str,
    options: impl IntoIterator<Item = &'a Setting>,
    attributes: u64,
) -> sys::Result<OwnedFd> {
    let filesystem = Filesystem::open(kind)?;
    filesystem.set("source", source)?;
    configure(&filesystem, options)?.mount(MountAttrFlags::from_bits_retain(attributes as u32))
}

fn configure<'a, 'f>(filesystem: &'f Filesystem, options: impl IntoIterator<Item = &'a Setting>) -> sys::Result<&'f Filesystem> {
    for (key, value) in options {
        match value {
            Some(value) => filesystem.set(key, value)?,
            None => filesystem.flag(key)?,
        };
    }
    Ok(filesystem)
}
