//! The root file system: the image's layers with the container's own folder on top, as a detached mount.

use std::fmt::Write;
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use images::{Lower, RootFolder};
use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, MoveMountFlags, mount_change, move_mount};
use sys::Call;
use sys::mount::Filesystem;

use crate::Error;
use crate::error::During;

/// Mounts `lower` (topmost first) below `upper`. Nothing is attached anywhere: the mount goes with its last descriptor.
///
/// With `volatile`, nothing is synced when the mount goes; otherwise overlayfs syncs the whole file system below it, which takes as
/// long as everybody's unwritten data does. It is right for a container whose files are removed with it.
pub(crate) fn mount(lower: &[Lower], folder: &Path, volatile: bool) -> Result<OwnedFd, Error> {
    let what = || "mount the root file system (does this kernel have overlayfs?)";
    if volatile {
        forget_unsynced(folder).during(what)?;
    }
    let upper = Upper { folder, volatile };
    mounted(lower, Some(&upper), &folder.join("log")).during(what)
}

/// Mounts `lower` (topmost first, two at least) so that nobody can write to it. `place` is any folder.
pub(crate) fn mount_read_only(lower: &[Lower], place: &Path) -> Result<OwnedFd, Error> {
    mounted(lower, None, place).during(|| "mount an image's files")
}

/// What is on top.
struct Upper<'a> {
    /// The container's folder.
    folder: &'a Path,
    volatile: bool,
}

fn mounted(lower: &[Lower], upper: Option<&Upper<'_>>, place: &Path) -> sys::Result<OwnedFd> {
    match with(upper, |overlay| add(overlay, lower)) {
        // `lowerdir+` is known since Linux 6.7, for descriptors since 6.13, and for a mount that is attached nowhere since 6.15.
        Err(error) if error.errno() == Errno::INVAL && error.call().contains("lowerdir+") => by_paths(lower, upper, place),
        other => other,
    }
}

fn add(overlay: &Filesystem, lower: &[Lower]) -> sys::Result<()> {
    for layer in lower {
        match layer {
            Lower::Folder(path) => overlay.set("lowerdir+", path)?,
            Lower::Mount(mount) => overlay.set_fd("lowerdir+", mount)?,
        };
    }
    Ok(())
}

/// For older kernels, to which a layer is a path: mounts are attached meanwhile, where nobody else sees them.
fn by_paths(lower: &[Lower], upper: Option<&Upper<'_>>, place: &Path) -> sys::Result<OwnedFd> {
    let mounted = |paths: &[PathBuf]| with(upper, |overlay| overlay.set("lowerdir", joined(paths)).map(drop));
    if lower.iter().all(|layer| matches!(layer, Lower::Folder(_))) {
        return mounted(&lower.iter().map(Lower::path).collect::<Vec<_>>());
    }
    // A mount namespace of a thread's own: it and what is attached in it ends with the thread, even if the process is killed.
    let attached = || mounted(&attach(lower, place)?);
    match std::thread::scope(|scope| scope.spawn(attached).join()) {
        Ok(mount) => mount,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

/// Moves this thread to a mount namespace of its own, and attaches the mounts of `lower` over the folder `place` there.
fn attach(lower: &[Lower], place: &Path) -> sys::Result<Vec<PathBuf>> {
    sys::ns::unshare(sys::ns::kind::MOUNT as i32)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).call(|| "mount(/, MS_PRIVATE | MS_REC)")?;
    let tmpfs = Filesystem::open("tmpfs")?.mount(MountAttrFlags::empty())?;
    let to = |mount: &OwnedFd, path: &Path| {
        move_mount(mount, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).call(|| format!("move_mount({path:?})"))
    };
    to(&tmpfs, place)?;
    let path = |(number, layer): (usize, &Lower)| match layer {
        Lower::Folder(path) => Ok(path.clone()),
        Lower::Mount(mount) => {
            let path = place.join(number.to_string());
            std::fs::create_dir(&path).call(|| format!("mkdir({path:?})"))?;
            to(mount, &path)?;
            Ok(path)
        }
    };
    lower.iter().enumerate().map(path).collect()
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

fn with(upper: Option<&Upper<'_>>, layers: impl FnOnce(&Filesystem) -> sys::Result<()>) -> sys::Result<OwnedFd> {
    let overlay = Filesystem::open("overlay")?;
    overlay.set("source", "overlay")?;
    layers(&overlay)?;
    let Some(Upper { folder, volatile }) = upper else {
        return overlay.mount(MountAttrFlags::MOUNT_ATTR_RDONLY);
    };
    overlay.set("upperdir", folder.join("upper"))?.set("workdir", folder.join("work"))?;
    if *volatile {
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
pub(crate) fn like_root(upper: &Path, root: Option<RootFolder>) -> sys::Result<()> {
    let Some(RootFolder { mode, uid, gid }) = root else { return Ok(()) };
    if (uid, gid) != (0, 0) {
        std::os::unix::fs::chown(upper, Some(uid), Some(gid)).call(|| format!("chown({upper:?}, {uid}, {gid})"))?;
    }
    rustix::fs::chmod(upper, Mode::from_raw_mode(mode)).call(|| format!("chmod({upper:?})"))
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
    use std::io::Write as _;

    use super::*;

    /// A layer with a file in it, attached nowhere.
    fn layer(name: &str) -> Lower {
        let mount = Filesystem::open("tmpfs").unwrap().mount(MountAttrFlags::empty()).unwrap();
        let layer = Lower::Mount(mount);
        std::fs::write(layer.path().join(name), name).unwrap();
        layer
    }

    /// Mounts as layers, in the way of this kernel and in that of older ones, and nothing stays attached.
    #[test]
    fn mounts_as_layers() {
        if !rustix::process::geteuid().is_root() {
            return drop(writeln!(std::io::stderr(), "skipped: needs root"));
        }
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path();
        let mounts = || std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        ["upper", "work", "log", "plain"].iter().for_each(|name| std::fs::create_dir(own.join(name)).unwrap());
        std::fs::write(own.join("plain/c"), "c").unwrap();
        let lower = [layer("a"), layer("b"), Lower::Folder(own.join("plain"))];
        let names = |mount: OwnedFd| {
            let mount = Lower::Mount(mount);
            let mut names: Vec<_> =
                std::fs::read_dir(mount.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        assert_eq!(names(mount(&lower, own, true).unwrap()), ["a", "b", "c"]);
        forget_unsynced(own).unwrap();
        let upper = Upper { folder: own, volatile: true };
        assert_eq!(names(by_paths(&lower, Some(&upper), &own.join("log")).unwrap()), ["a", "b", "c"]);
        assert_eq!(names(mount_read_only(&lower, own).unwrap()), ["a", "b", "c"]);
        assert_eq!(names(by_paths(&lower, None, own).unwrap()), ["a", "b", "c"]);
        assert!(!mounts().contains(own.to_str().unwrap()));
    }

    #[test]
    fn separators_in_paths_are_escaped() {
        assert_eq!(joined(&["/a:b".into(), "/c\\d".into()]), "/a\\:b:/c\\\\d");
    }
}
