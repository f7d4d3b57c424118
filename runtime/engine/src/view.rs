//! `image mount`: the files of an image, to be looked at without a container.
//!
//! The mount table is the only record of it: the source of such a mount is `STORE@MANIFEST`, and who looks for the views of this
//! store finds them by it, wherever they are and whoever was killed. So a view is seen in the mount namespace it was made in.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use images::{Digest, Image, Lower};
use rustix::fs::CWD;
use rustix::mount::{MountAttrFlags, MoveMountFlags, UnmountFlags, move_mount, unmount};
use sys::Call;
use sys::mount::Attr;

use crate::error::During;
use crate::request::UserMap;
use crate::{Engine, Error, overlay};

/// An image that is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The image, by its manifest.
    pub manifest: Digest,
    /// Where.
    pub path: PathBuf,
}

impl Engine {
    /// Mounts an image for reading: at the folder `at`, or at one of our own, where it may be already. Answers where.
    ///
    /// # Errors
    /// [`Error::Invalid`] when `at` shows an image already.
    pub fn mount_image(&self, image: &Image, at: Option<&Path>) -> Result<PathBuf, Error> {
        let what = || format!("mount image {}", image.id.short());
        // Until the mount is seen by whoever wants to remove the image.
        let _lease = self.images.hold(image)?;
        let path = match at {
            // As the mount table has it.
            Some(path) => path.canonicalize().call(|| format!("realpath({path:?})")).during(what)?,
            None => self.config.views().join(image.manifest.hex()),
        };
        let refused = |why: &str| Error::Invalid { what: format!("{} at {}", what(), path.display()), why: why.to_owned() };
        if let Some(there) = self.views()?.into_iter().find(|view| view.path == path) {
            let same = at.is_none() && there.manifest == image.manifest;
            return if same { Ok(path) } else { Err(refused("an image is mounted here already")) };
        }
        if at.is_none() {
            let made = DirBuilder::new().mode(0o700).recursive(true).create(&path);
            made.call(|| format!("mkdir({path:?}, 0700)")).during(what)?;
        } else if !path.is_dir() {
            return Err(refused("not a folder"));
        }
        let mounted = self.view(image).and_then(|mount| {
            let moved = move_mount(&mount, "", CWD, &path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH);
            moved.call(|| format!("move_mount({path:?})")).during(what)
        });
        if mounted.is_err() && at.is_none() {
            let _ = std::fs::remove_dir(&path);
        }
        mounted.map(|()| path)
    }

    /// A view that is attached nowhere. Others than root may come to see it (CVE-2021-41091).
    fn view(&self, image: &Image) -> Result<OwnedFd, Error> {
        let layers: Vec<_> = image.layers.iter().map(|layer| layer.digest.clone()).collect();
        let mount = self.files_of(&layers, &format!("{}@{}", self.images.root().display(), image.manifest))?;
        let set = u64::from((MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV).bits());
        sys::mount::mount_setattr(&mount, Attr { set, ..Attr::default() }, false).during(|| "protect the mount of an image")?;
        Ok(mount)
    }

    /// [`Engine::files_of`] for the user namespace `users`.
    pub(crate) fn mapped_files_of(&self, layers: &[Digest], users: &OwnedFd) -> Result<OwnedFd, Error> {
        self.stacked(layers, &self.config.base().join("proc"), |lower| overlay::mount_mapped_read_only(lower, users))
    }

    /// [`Engine::files_of`] as a container with `users` of an ordinary user's finds them.
    pub(crate) fn shifted_files_of(&self, layers: &[Digest], users: &UserMap) -> Result<OwnedFd, Error> {
        let mount = |lower: &[Lower]| overlay::mount_read_only(&self.shifted(lower, users)?, "overlay");
        self.stacked(layers, &self.config.base().join("proc"), mount)
    }

    /// The files of an image, read-only, as a detached mount whose source is called `source`.
    pub(crate) fn files_of(&self, layers: &[Digest], source: &str) -> Result<OwnedFd, Error> {
        // One layer alone is no overlay: below it comes an empty folder.
        self.stacked(layers, &self.config.base().join("proc"), |lower| overlay::mount_read_only(lower, source))
    }

    /// The images of this store that are mounted, in the order of their mounting.
    ///
    /// # Errors
    /// The mount table cannot be read.
    pub fn views(&self) -> Result<Vec<View>, Error> {
        const TABLE: &str = "/proc/self/mountinfo";
        let table = std::fs::read(TABLE).call(|| format!("read({TABLE:?})")).during(|| "list the images that are mounted")?;
        let store = self.images.root().display().to_string();
        Ok(parse(&String::from_utf8_lossy(&table), &store))
    }

    /// Unmounts a view; with `force`, also one that somebody is in.
    ///
    /// # Errors
    /// Without force, `EBUSY` when a process has something open there.
    pub fn unmount_view(&self, view: &View, force: bool) -> Result<(), Error> {
        let View { manifest, path } = view;
        let what = || format!("unmount image {} at {}", manifest.short(), path.display());
        let flags = if force { UnmountFlags::DETACH } else { UnmountFlags::empty() };
        let done = unmount(path, flags | UnmountFlags::NOFOLLOW);
        done.call(|| format!("umount2({path:?})")).during(what)?;
        if path.parent() == Some(&self.config.views()) {
            match std::fs::remove_dir(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).call(|| format!("rmdir({path:?})")).during(what);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The views of `store` in a mount table (proc_pid_mountinfo(5)).
fn parse(table: &str, store: &str) -> Vec<View> {
    let view = |line: &str| {
        let (mount, file_system) = line.split_once(" - ")?;
        let path = mount.split(' ').nth(4)?;
        let mut words = file_system.split(' ');
        let (kind, source) = (words.next()?, words.next()?);
        let source = unescaped(source).into_string().ok()?;
        let (of, manifest) = source.rsplit_once('@')?;
        let manifest = manifest.parse().ok()?;
        (kind == "overlay" && of == store).then(|| View { manifest, path: unescaped(path).into() })
    };
    table.lines().filter_map(view).collect()
}

/// Blanks, tabs, line breaks and backslashes are written as a backslash and three octal digits.
fn unescaped(text: &str) -> OsString {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|digits| *first == b'\\' && digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match digits {
            Some(digits) => {
                bytes.push(digits.iter().fold(0u8, |sum, digit| sum.wrapping_mul(8).wrapping_add(digit - b'0')));
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    OsString::from_vec(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_are_found_in_the_mount_table() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let line =
            |path: &str, kind: &str, source: &str| format!("30 1 0:20 / {path} ro,nosuid - {kind} {source} ro,lowerdir+=/x\n");
        let table = [
            line("/", "ext4", "/dev/sda"),
            line("/run/a\\040b", "overlay", &format!("/var/lib/my\\040store@{digest}")),
            line("/other", "overlay", &format!("/var/lib/other@{digest}")),
            line("/fake", "tmpfs", &format!("/var/lib/my\\040store@{digest}")),
            line("/container", "overlay", "overlay"),
            line("/cut", "overlay", "/var/lib/my\\040store@sha256:a"),
            "garbage\n".to_owned(),
        ];
        let found = parse(&table.concat(), "/var/lib/my store");
        assert_eq!(found, [View { manifest: digest.parse().unwrap(), path: "/run/a b".into() }]);
    }

    #[test]
    fn escapes() {
        assert_eq!(unescaped("a\\134\\040b\\04\\9").to_str(), Some("a\\ b\\04\\9"));
    }
}
