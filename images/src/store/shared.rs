//! Layers that are mounted once for all containers: each is a mount point in a folder of the run directory.
//!
//! ```text
//! RUN/layers/HEX    a layer's image, from the first start that needs it until it is removed or pruned, or the host restarts
//! ```
//!
//! The mount table is the only record of it. What all containers of a layer share is the file system itself, with its inodes and pages in
//! memory: a start reads nothing anew, and mounts and unmounts no more than it does with folders. The overlay of each container has a
//! mount of its own of that file system, so that taking the shared one away disturbs nobody: the next start mounts the image again.
//!
//! Whoever mounts a layer holds a lock on the mount point, for which other starts of the same layer wait. It is an open descriptor's:
//! a killed process leaves a mount that is whole, or none.

use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, flock, fstat, fstatfs, stat};
use rustix::io::{Errno, retry_on_intr};
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};
use sys::Call;

use super::Store;
use super::driver;
use super::refs::list;
use crate::Digest;
use crate::error::{Doing, Result};

/// `EROFS_SUPER_MAGIC_V1` of `linux/magic.h`.
const EROFS: u32 = 0xe0f5_e1e2;

impl Store {
    /// The same store with images of layers that are mounted once, in `folder`, which is on a tmpfs and nobody else's.
    pub fn sharing(mut self, folder: PathBuf) -> Self {
        self.shared = Some(folder);
        self
    }

    /// Unmounts what is mounted for all, but the layers whose digest's digits `keep` wants. Containers that run do not mind.
    ///
    /// # Errors
    /// A mount point cannot be cleared. The other ones are.
    pub fn unmount_layers(&self, keep: &dyn Fn(&str) -> bool) -> Result<()> {
        let Some(folder) = &self.shared else { return Ok(()) };
        let unneeded = list(folder)?.into_iter().filter(|hex| !keep(hex));
        let results = unneeded.map(|hex| clear(&folder.join(&hex)).doing(|| format!("unmount layer {hex}")));
        results.fold(Ok(()), Result::and)
    }

    /// Unmounts a layer that is about to go.
    pub(super) fn unmount_layer(&self, digest: &Digest) -> Result<()> {
        let Some(folder) = &self.shared else { return Ok(()) };
        clear(&folder.join(digest.hex())).doing(|| format!("unmount layer {digest}"))
    }
}

/// The mount of an image at `place`, made if there is none.
pub(super) fn mount(image: &File, place: &Path) -> sys::Result<OwnedFd> {
    if let Some(mount) = mounted(place)? {
        return Ok(mount);
    }
    loop {
        let Some(lock) = claim(place)? else { continue };
        // Another start may have been faster.
        if let Some(mount) = mounted(place)? {
            return Ok(mount);
        }
        if is_at(&lock, place) {
            let mount = driver::mount(image)?;
            let moved = move_mount(&mount, "", CWD, place, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH);
            return moved.call(|| format!("move_mount({place:?})")).map(|()| mount);
        }
    }
}

/// What is mounted at `place`.
fn mounted(place: &Path) -> sys::Result<Option<OwnedFd>> {
    match sys::fs::open_dir(place) {
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        open => open.map(|open| is_image(&open).then_some(open)),
    }
}

fn is_image(folder: &OwnedFd) -> bool {
    fstatfs(folder).is_ok_and(|statfs| statfs.f_type as u32 == EROFS)
}

/// The lock on a mount point, which is made if need be. Nothing if it has just been removed.
fn claim(place: &Path) -> sys::Result<Option<OwnedFd>> {
    let made = DirBuilder::new().mode(0o700).recursive(true).create(place);
    made.call(|| format!("mkdir({place:?}, 0700)"))?;
    match sys::fs::open_dir(place) {
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        open => {
            let open = open?;
            retry_on_intr(|| flock(&open, FlockOperation::LockExclusive)).call(|| format!("flock({place:?}, LOCK_EX)"))?;
            Ok(Some(open))
        }
    }
}

/// Whether `place` still names this very folder.
fn is_at(folder: &OwnedFd, place: &Path) -> bool {
    let same = |own: rustix::fs::Stat, named: rustix::fs::Stat| (own.st_dev, own.st_ino) == (named.st_dev, named.st_ino);
    matches!((fstat(folder), stat(place)), (Ok(own), Ok(named)) if same(own, named))
}

/// Unmounts what is at `place`, and removes it unless somebody is about to mount there.
fn clear(place: &Path) -> sys::Result<()> {
    let flags = UnmountFlags::DETACH | UnmountFlags::NOFOLLOW;
    loop {
        match unmount(place, flags) {
            Ok(()) => {}
            Err(Errno::INVAL) => break,
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(sys::Error::new(format!("umount2({place:?}, MNT_DETACH)"), errno)),
        }
    }
    let Ok(lock) = sys::fs::open_dir(place) else { return Ok(()) };
    if is_image(&lock) || flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    match std::fs::remove_dir(place) {
        Err(error) if error.kind() != ErrorKind::NotFound && error.kind() != ErrorKind::ResourceBusy => {
            Err(error).call(|| format!("rmdir({place:?})"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::erofs;
    use crate::unpack::members_of;

    /// An image with nothing in it, if this kernel can mount it.
    fn image() -> Option<File> {
        let file = tempfile::tempfile().unwrap();
        members_of(erofs::Image::new(file.try_clone().unwrap()).unwrap(), &[0; 1024][..]).map(drop).unwrap();
        match driver::mount(&file) {
            Ok(_) => Some(file),
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "skipped: needs EROFS: {error}");
                None
            }
        }
    }

    fn mounts(folder: &Path) -> usize {
        std::fs::read_to_string("/proc/self/mountinfo").unwrap().matches(folder.to_str().unwrap()).count()
    }

    #[test]
    fn many_who_mount_and_unmount_get_one_mount() {
        let Some(image) = image() else { return };
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("layers/hex");
        std::thread::scope(|scope| {
            for at in 0..8 {
                let (image, place) = (&image, &place);
                scope.spawn(move || {
                    for _ in 0..20 {
                        assert!(is_image(&mount(image, place).unwrap()));
                        if at % 4 == 0 {
                            clear(place).unwrap();
                        }
                    }
                });
            }
        });
        drop(mount(&image, &place).unwrap());
        assert_eq!(mounts(folder.path()), 1);
        let id = |mount: OwnedFd| fstat(&mount).unwrap().st_dev;
        assert_eq!(id(mount(&image, &place).unwrap()), id(mount(&image, &place).unwrap()), "one file system for all");
        clear(&place).unwrap();
        assert_eq!(mounts(folder.path()), 0);
        assert!(!place.exists());
        clear(&place).unwrap();
    }

    #[test]
    fn a_place_that_is_about_to_be_used_stays() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("hex");
        let lock = claim(&place).unwrap().unwrap();
        clear(&place).unwrap();
        assert!(is_at(&lock, &place));
        drop(lock);
        clear(&place).unwrap();
        assert!(!place.exists());
    }
}
