//! From memory to the disk, behind what was done: only the store's own files, never a whole file system, which may have others' in it.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Dir, FileType, Mode, OFlags, fsync, openat};
use rustix::io::Errno;
use sys::Call;
use sys::fs::open_without_links;

use super::{Lock, Store};
use crate::Digest;
use crate::error::{Doing, Result};
use crate::image::Image;
use crate::unpack::path::join;

impl Store {
    /// Waits until the disk has all layers of `image`, or of all images. Answers how many it had to wait for.
    ///
    /// No lock is held meanwhile: a layer may be removed, or changed, and keeps its mark then.
    pub fn sync(&self, image: Option<&Image>) -> Result<usize> {
        let layers = match image {
            Some(image) => image.layers.iter().map(|layer| layer.digest.clone()).collect(),
            None => self.stored("layers")?,
        };
        let mut synced = 0;
        for digest in &layers {
            synced += usize::from(self.sync_layer(digest)?);
        }
        Ok(synced)
    }

    fn sync_layer(&self, digest: &Digest) -> Result<bool> {
        let Some(mark) = self.marked(digest)? else { return Ok(false) };
        if !self.is_of_this_boot(&mark) {
            // Whoever uses it first looks at it first.
            return Ok(false);
        }
        let folder = match sys::fs::open_dir(self.layer(digest)) {
            Err(error) if error.errno() == Errno::NOENT => return Ok(false),
            folder => folder.doing(|| format!("sync layer {digest}"))?,
        };
        match sync_all(&folder) {
            // Somebody removes it.
            Err(error) if error.errno() == Errno::NOENT => return Ok(false),
            synced => synced.doing(|| format!("sync layer {digest}"))?,
        }
        // Its name, too.
        sys::fs::open_dir(self.layers(digest))
            .and_then(|layers| fsync(layers).call(|| "fsync()"))
            .doing(|| format!("sync layer {digest}"))?;
        match Lock::wait(&self.beside(digest, "lock")) {
            // The whole store is gone: it is not made again here.
            Err(_) if !self.layers(digest).exists() => Ok(false),
            lock => self.unmark(digest, &mark, &lock?).map(|()| true),
        }
    }
}

/// Syncs all files and folders of a layer. All files are on their way to the disk before the first is waited for.
fn sync_all(layer: &OwnedFd) -> sys::Result<()> {
    walk(layer, &mut |file| sys::fs::start_writing(file), &mut |_| Ok(()))?;
    walk(layer, &mut |file| fsync(file).call(|| "fsync()"), &mut |folder| fsync(folder).call(|| "fsync()"))
}

/// Opens each file, and each folder after its files. Folders are opened by their paths, so that any number may be inside each other.
fn walk(
    layer: &OwnedFd,
    each: &mut dyn FnMut(&File) -> sys::Result<()>,
    after: &mut dyn FnMut(&OwnedFd) -> sys::Result<()>,
) -> sys::Result<()> {
    let mut todo: Vec<Vec<u8>> = vec![Vec::new()];
    while let Some(path) = todo.pop() {
        let relative = if path.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(&path) };
        let folder = open_without_links(layer, relative, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
        for entry in Dir::read_from(folder.as_fd()).call(|| "getdents64()")? {
            let entry = entry.call(|| "getdents64()")?;
            let name = entry.file_name();
            match entry.file_type() {
                FileType::Directory if name != c"." && name != c".." => {
                    let mut path = path.clone();
                    join(&mut path, name.to_bytes());
                    todo.push(path);
                }
                FileType::RegularFile => {
                    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                    let file = openat(&folder, name, flags, Mode::empty()).call(|| format!("openat({name:?})"))?;
                    each(&file.into())?;
                }
                _ => {}
            }
        }
        after(&folder)?;
    }
    Ok(())
}
