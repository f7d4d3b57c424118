//! The root file system: the image's layers with the container's own folder on top, as a detached mount.

use std::fmt::Write;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;
use sys::Call;
use sys::mount::Filesystem;

use crate::Error;
use crate::error::During;

/// Mounts `lower` (topmost first) below `upper`. Nothing is attached anywhere: the mount goes with its last descriptor.
///
/// With `volatile`, nothing is synced when the mount goes; otherwise overlayfs syncs the whole file system below it, which takes as
/// long as everybody's unwritten data does. It is right for a container whose files are removed with it.
pub(crate) fn mount(lower: &[PathBuf], folder: &Path, volatile: bool) -> Result<OwnedFd, Error> {
    let what = || "mount the root file system (does this kernel have overlayfs?)";
    if volatile {
        forget_unsynced(folder).during(what)?;
    }
    match with(lower, folder, volatile, true) {
        // `lowerdir+` is known since Linux 6.7.
        Err(error) if error.errno() == Errno::INVAL && error.call().contains("lowerdir+") => {
            with(lower, folder, volatile, false).during(what)
        }
        other => other.during(what),
    }
}

/// A volatile mount leaves a mark that keeps overlayfs from ever mounting the folders again, as they may be incomplete after a power cut
/// (overlayfs.rst, "Volatile mount"). It is there after a start that failed, or whose monitor was killed; such a container is started
/// again all the same, for it is one whose files nobody wants to keep.
fn forget_unsynced(folder: &Path) -> sys::Result<()> {
    match sys::fs::open_dir(folder.join("work/work/incompat")) {
        Err(error) if error.errno() == Errno::NOENT => Ok(()),
        features => sys::fs::remove_tree(features?, "volatile"),
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

/// What is mounted over in every container. An image that has these has them on top; without this layer overlayfs would make them in
/// each container's own folder, at each start.
const MOUNT_POINTS: [&str; 4] = ["proc", "sys", "dev", "etc"];
const MOUNT_FILES: [&str; 3] = ["etc/hosts", "etc/hostname", "etc/resolv.conf"];

/// Makes the lowest layer, all at once.
pub(crate) fn make_base(base: &Path) -> sys::Result<()> {
    let new = base.with_file_name(format!(".base-{}", std::process::id()));
    let make = || -> std::io::Result<()> {
        let folder = |path: &Path| DirBuilder::new().mode(0o755).recursive(true).create(path);
        MOUNT_POINTS.iter().try_for_each(|name| folder(&new.join(name)))?;
        MOUNT_FILES.iter().try_for_each(|name| std::fs::write(new.join(name), ""))?;
        std::fs::rename(&new, base)
    };
    make().or_else(|error| {
        let _ = std::fs::remove_dir_all(&new);
        // Another process may have been faster.
        if base.exists() { Ok(()) } else { Err(error).call(|| format!("mkdir({base:?})")) }
    })
}

/// Gives the container's own folder the mode and owner of the image's root folder: the topmost folder's are what a container sees.
pub(crate) fn like_root(upper: &Path, lower: &[PathBuf]) -> sys::Result<()> {
    let Some(top) = lower.first() else { return Ok(()) };
    let root = std::fs::metadata(top).call(|| format!("stat({top:?})"))?;
    let call = || format!("chown({upper:?}, {}, {})", root.uid(), root.gid());
    if (root.uid(), root.gid()) != (0, 0) {
        std::os::unix::fs::chown(upper, Some(root.uid()), Some(root.gid())).call(call)?;
    }
    rustix::fs::chmod(upper, Mode::from_raw_mode(root.mode() & 0o7777)).call(|| format!("chmod({upper:?})"))
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
