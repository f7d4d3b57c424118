//! The root file system: the image's layers with the container's own folder on top, as a detached mount.

mod one_value;

use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use images::{Lower, RootFolder};
use rustix::fs::{CWD, Mode};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};
use sys::Call;
use sys::mount::Filesystem;

use crate::Error;
use crate::error::During;
use crate::request::UserMap;

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
    mounted(lower, "overlay", Some(&upper)).during(what)
}

/// [`mount`] for the user namespace `users`, to whose root the upper folder belongs: what is in the layers appears there as it is stored. The
/// kernel maps the layers, not the file system that is made of them, and takes such layers as descriptors only (Linux 6.13).
pub(crate) fn mount_mapped(lower: &[Lower], folder: &Path, volatile: bool, users: &OwnedFd) -> Result<OwnedFd, Error> {
    let what = || "mount the root file system for users of its own";
    if volatile {
        forget_unsynced(folder).during(what)?;
    }
    let upper = Upper { folder, volatile };
    mapped(lower, Some(&upper), users).during(what)
}

/// [`mount_read_only`] for the user namespace `users`.
pub(crate) fn mount_mapped_read_only(lower: &[Lower], users: &OwnedFd) -> Result<OwnedFd, Error> {
    mapped(lower, None, users).during(|| "mount an image's files for users of its own")
}

fn mapped(lower: &[Lower], upper: Option<&Upper<'_>>, users: &OwnedFd) -> sys::Result<OwnedFd> {
    // Until the file system is made: what is attached nowhere goes with its descriptor.
    let lower = lower.iter().map(|layer| map(&layer.path(), users)).collect::<sys::Result<Vec<_>>>()?;
    with("overlay", upper, |overlay| lower.iter().try_for_each(|layer| overlay.set_fd("lowerdir+", layer).map(drop)))
}

/// A folder, or what is mounted there, with mapped ids, attached nowhere.
fn map(path: &Path, users: &OwnedFd) -> sys::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, path, flags).call(|| format!("open_tree({path:?}, OPEN_TREE_CLONE)"))?;
    sys::mount::idmap(&tree, users, false)?;
    Ok(tree)
}

/// Mounts `lower` (topmost first, two at least) so that nobody can write to it. `source` is what the mount table says it is made of.
pub(crate) fn mount_read_only(lower: &[Lower], source: &str) -> Result<OwnedFd, Error> {
    mounted(lower, source, None).during(|| "mount an image's files")
}

/// What is on top.
struct Upper<'a> {
    /// The container's folder.
    folder: &'a Path,
    volatile: bool,
}

/// `OVL_MAX_STACK` of the kernel.
const MOST: usize = 500;

fn mounted(lower: &[Lower], source: &str, upper: Option<&Upper<'_>>) -> sys::Result<OwnedFd> {
    if lower.len() > MOST {
        let call = format!("fsconfig(overlay, \"lowerdir+\"): {} layers, overlayfs takes {MOST}", lower.len());
        return Err(sys::Error::new(call, Errno::INVAL));
    }
    match with(source, upper, |overlay| lower.iter().try_for_each(|layer| add(overlay, layer))) {
        // Linux 6.7 and newer know it.
        Err(error) if is_refused(&error) => one_value::mount(lower, source, upper),
        other => other,
    }
}

fn is_refused(error: &sys::Error) -> bool {
    error.errno() == Errno::INVAL && error.call().contains("\"lowerdir+\"")
}

fn add(overlay: &Filesystem, layer: &Lower) -> sys::Result<()> {
    let added = match layer {
        Lower::Folder(path) => return overlay.set("lowerdir+", path).map(drop),
        Lower::Mount(mount) => overlay.set_fd("lowerdir+", mount),
    };
    match added {
        // Descriptors are taken since Linux 6.13.
        Err(error) if is_refused(&error) => overlay.set("lowerdir+", layer.path()).map(drop),
        added => added.map(drop),
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

fn with(source: &str, upper: Option<&Upper<'_>>, layers: impl FnOnce(&Filesystem) -> sys::Result<()>) -> sys::Result<OwnedFd> {
    let overlay = Filesystem::open("overlay")?;
    overlay.set("source", source)?;
    if !sys::ns::is_first_of_users() {
        overlay.flag("userxattr")?;
    }
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

/// The root folder of an image, as these users have it; root's, if its owner is not among them.
pub(crate) fn owned_by(root: Option<RootFolder>, users: &UserMap) -> RootFolder {
    let RootFolder { mode, uid, gid } = root.unwrap_or(RootFolder { mode: 0o755, uid: 0, gid: 0 });
    let (uid, gid) = users.outside(uid, gid).or_else(|| users.outside(0, 0)).unwrap_or((0, 0));
    RootFolder { mode, uid, gid }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::io::Write as _;
    use std::path::PathBuf;

    use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};

    use super::*;

    /// A folder, and what is mounted there as a layer with a file in it.
    struct Layer(PathBuf);

    impl Layer {
        fn mount(place: PathBuf) -> (Layer, Lower) {
            std::fs::create_dir(&place).unwrap();
            let mount = Filesystem::open("tmpfs").unwrap().mount(MountAttrFlags::empty()).unwrap();
            move_mount(&mount, "", CWD, &place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).unwrap();
            std::fs::write(place.join(place.file_name().unwrap()), "").unwrap();
            (Layer(place), Lower::Mount(mount))
        }
    }

    impl Drop for Layer {
        fn drop(&mut self) {
            let _ = unmount(&self.0, UnmountFlags::DETACH);
        }
    }

    /// Mounts as layers, in the way of this kernel and in that of older ones, also after they are unmounted.
    #[test]
    fn mounts_as_layers() {
        if !rustix::process::geteuid().is_root() {
            return drop(writeln!(std::io::stderr(), "skipped: needs root"));
        }
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path();
        ["upper", "work", "plain"].iter().for_each(|name| std::fs::create_dir(own.join(name)).unwrap());
        std::fs::write(own.join("plain/c"), "c").unwrap();
        let ((first, a), (second, b)) = (Layer::mount(own.join("a")), Layer::mount(own.join("b")));
        let lower = [a, b, Lower::Folder(own.join("plain"))];
        let names = |mount: OwnedFd| {
            let mount = Lower::Mount(mount);
            let names = std::fs::read_dir(mount.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.collect();
            names.sort();
            names
        };
        assert_eq!(names(mount(&lower, own, true).unwrap()), ["a", "b", "c"]);
        forget_unsynced(own).unwrap();
        let upper = Upper { folder: own, volatile: true };
        let mount = one_value::mount(&lower, "overlay", Some(&upper)).unwrap();
        drop((first, second, lower));
        assert_eq!(names(mount), ["a", "b", "c"]);
    }

    /// More layers than any option has room for, with names that are long and have what separates layers in an option.
    #[test]
    fn many_layers() {
        if !rustix::process::geteuid().is_root() {
            return drop(writeln!(std::io::stderr(), "skipped: needs root"));
        }
        let folder = tempfile::tempdir().unwrap();
        let lower: Vec<Lower> = (0..MOST + 1)
            .map(|number| {
                let layer = folder.path().join(format!("{}:\\,{number}", "x".repeat(100)));
                std::fs::create_dir(&layer).unwrap();
                std::fs::write(layer.join(number.to_string()), "").unwrap();
                Lower::Folder(layer)
            })
            .collect();
        let count = |mount: OwnedFd| std::fs::read_dir(Lower::Mount(mount).path()).unwrap().count();
        let of = |most: usize| one_value::mount(&lower[..most], "overlay", None);
        assert_eq!(of(one_value::MOST).map(count).unwrap(), one_value::MOST);
        let said = of(one_value::MOST + 1).unwrap_err().to_string();
        assert!(said.contains("129 layers") && said.contains("6.7"), "{said}");
        let said = mount_read_only(&lower, "overlay").unwrap_err();
        assert!(said.source().unwrap().to_string().contains("501 layers, overlayfs takes 500"), "{said:?}");
        match mounted(&lower[..300], "overlay", None) {
            Ok(mount) => assert_eq!(count(mount), 300),
            // Before Linux 6.7.
            Err(error) => assert!(error.to_string().contains("300 layers"), "{error}"),
        }
    }
}
