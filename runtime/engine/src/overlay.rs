//! The root file system: the image's layers with the container's own folder on top, as a detached mount.

use std::fmt::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::mount::MountAttrFlags;
use sys::mount::Filesystem;

use crate::Error;
use crate::error::During;

/// Mounts `lower` (topmost first) below `upper`. Nothing is attached anywhere: the mount goes with its last descriptor.
///
/// With `volatile`, nothing is synced when the mount goes; otherwise overlayfs syncs the whole file system below it, which takes as
/// long as everybody's unwritten data does. It is right for a container whose files are removed with it.
pub(crate) fn mount(lower: &[PathBuf], folder: &Path, volatile: bool) -> Result<OwnedFd, Error> {
    let what = || "mount the root file system (does this kernel have overlayfs?)";
    match with(lower, folder, volatile, true) {
        // `lowerdir+` is known since Linux 6.7.
        Err(error) if error.errno() == rustix::io::Errno::INVAL && error.call().contains("lowerdir+") => {
            with(lower, folder, volatile, false).during(what)
        }
        other => other.during(what),
    }
}

fn with(lower: &[PathBuf], folder: &Path, volatile: bool, one_by_one: bool) -> sys::Result<OwnedFd> {
    let overlay = Filesystem::open("overlay")?;
    overlay.set("source", "overlay")?;
    if one_by_one {
        for layer in lower {
            overlay.set("lowerdir+", layer)?;
        }
    } else {
        overlay.set("lowerdir", joined(lower))?;
    }
    overlay.set("upperdir", folder.join("upper"))?.set("workdir", folder.join("work"))?;
    if volatile {
        overlay.flag("volatile")?;
    }
    overlay.mount(MountAttrFlags::empty())
}

/// Layers as one value, in which `:` and `\` are escaped.
fn joined(lower: &[PathBuf]) -> String {
    let mut value = String::new();
    for (at, layer) in lower.iter().enumerate() {
        let escaped = layer.display().to_string().replace('\\', "\\\\").replace(':', "\\:");
        let _ = write!(value, "{}{escaped}", if at == 0 { "" } else { ":" });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_in_paths_are_escaped() {
        assert_eq!(joined(&["/a:b".into(), "/c\\d".into()]), "/a\\:b:/c\\\\d");
    }
}
