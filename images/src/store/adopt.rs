//! Completing a layer from the layers below it.
//!
//! Layers are unpacked side by side, each on its own. Two things an archive may leave out need the layers below: the
//! attributes of folders that are only there because something in them is (overlayfs would show ours, not theirs), and
//! the file behind a hard link whose other name is in a layer below (it is copied up, as an overlay mount would do).
//! containerd, unpacking on top of a mounted parent, gets the same result.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown, fsetxattr, fstat, futimens,
    linkat, openat, renameat,
};
use rustix::io::Errno;
use sys::Call;

use super::Store;
use super::layers::{IMAGE, LayerFile, SUMS, TREE, write_layer};
use crate::Digest;
use crate::erofs::{self, Sum, Written};
use crate::error::{Doing, Error, Result};
use crate::sums::{Entry, Log};
use crate::unpack::hash::{Algorithm, Hasher};
use crate::unpack::path::split;
use crate::unpack::{Dirs, Failed, os, unescape, xattrs_of};

impl Store {
    /// Completes each layer of an image, lowest first, unless that was done. All of them are in the store, under a lease.
    pub(crate) fn adopt(&self, layers: &[Digest]) -> Result<()> {
        let mut below: Vec<OwnedFd> = Vec::new();
        for (index, digest) in layers.iter().enumerate() {
            let base = base_of(&layers[..index]);
            let known = self.read_layer(digest)?;
            let needs = |layer: &LayerFile| !layer.implicit.is_empty() || !layer.foreign.is_empty();
            if known.as_ref().is_some_and(|layer| needs(layer) && layer.base.as_ref() != Some(&base)) {
                for lower in &layers[below.len()..index] {
                    below.push(self.open_lower(lower)?);
                }
                let _lock = self.lock_layer(digest)?;
                self.complete(digest, &base, &below)?;
            }
        }
        Ok(())
    }

    fn complete(&self, digest: &Digest, base: &str, below: &[OwnedFd]) -> Result<()> {
        let damaged = || Error::Damaged { what: format!("layer {digest}") };
        let Some(mut layer) = self.read_layer(digest)? else { return Err(damaged()) };
        if layer.base.is_some() {
            // The attributes stay as the first image had them; other file contents would be wrong.
            return if layer.foreign.is_empty() || layer.base.as_deref() == Some(base) {
                Ok(())
            } else {
                Err(Error::OtherBase { digest: digest.clone() })
            };
        }
        // Nothing to be had from anywhere, and an image need not be read.
        if !below.is_empty() || !layer.foreign.is_empty() {
            let failed = |failed, what: String| match failed {
                Failed::Call(source) => self.full_or(source, || what),
                Failed::Read(_) | Failed::Outside => damaged(),
            };
            self.mark(digest, &self.layer(digest))?;
            let mut open = self.open_layer(digest, &layer)?;
            for path in &layer.implicit {
                let done = open.inherit(&unescape(path), below);
                done.map_err(|error| failed(error, format!("layer {digest}: folder {path}")))?;
            }
            let mut copied = BTreeSet::new();
            for (link, target) in &layer.foreign {
                let done = open.adopt(&unescape(link), &unescape(target), below, &mut copied);
                if !done.map_err(|error| failed(error, format!("layer {digest}: link {link}")))? {
                    return Err(Error::ForeignLink { digest: digest.clone(), link: link.clone(), target: target.clone() });
                }
            }
            let completed = open.complete().map_err(|source| self.full_or(source, || format!("layer {digest}")))?;
            match completed {
                Completed::Image(written) => layer.erofs = Some(written.into()),
                Completed::Tree(sums) => layer.sums = sums.map(Into::into),
            }
        }
        layer.base = Some(base.to_owned());
        write_layer(self, &self.layer(digest), digest, &layer)
    }

    /// A layer to be changed.
    fn open_layer(&self, digest: &Digest, layer: &LayerFile) -> Result<Open> {
        let damaged = || Error::Damaged { what: format!("layer {digest}") };
        let what = || format!("open layer {digest}");
        let Some(erofs) = &layer.erofs else {
            let sums = layer.sums.as_ref().map(|sums| Sums::open(&self.layer(digest).join(SUMS), sums.size)).transpose();
            let open = sums.and_then(|sums| Ok(Open::Tree(sys::fs::open_dir(self.layer(digest).join(TREE))?, sums)));
            return open.doing(what);
        };
        let path = self.layer(digest).join(IMAGE);
        let file = File::options().read(true).write(true).open(&path).call(|| format!("open({path:?}, O_RDWR)")).doing(what)?;
        match erofs::Image::open(file, erofs.written().ok_or_else(damaged)?) {
            Ok(image) => Ok(Open::Image(Box::new(image))),
            Err(unreadable) => Err(self.unreadable(digest, unreadable)),
        }
    }
}

/// A layer being completed.
enum Open {
    /// With the text about it, if there is one.
    Tree(OwnedFd, Option<Sums>),
    Image(Box<erofs::Image>),
}

/// What is to be noted.
enum Completed {
    Tree(Option<Written>),
    Image(Written),
}

/// The text about a tree, to be continued.
struct Sums {
    file: File,
    log: Log,
}

impl Sums {
    /// What is behind `size` bytes is of a process that was killed.
    fn open(path: &Path, size: u64) -> sys::Result<Self> {
        let file = File::options().read(true).append(true).open(path).call(|| format!("open({path:?}, O_APPEND)"))?;
        file.set_len(size).call(|| format!("ftruncate({path:?}, {size})"))?;
        Ok(Sums { log: Log::new(file.try_clone().call(|| "fcntl(F_DUPFD_CLOEXEC)")?), file })
    }

    fn finish(self) -> sys::Result<Written> {
        self.log.finish()?;
        Ok(Written { size: self.file.metadata().call(|| "fstat()")?.len(), sum: Sum::of(&self.file)? })
    }
}

impl Open {
    fn complete(self) -> sys::Result<Completed> {
        match self {
            Open::Image(image) => image.complete().map(Completed::Image),
            Open::Tree(_, sums) => sums.map(Sums::finish).transpose().map(Completed::Tree),
        }
    }

    /// Gives a folder the attributes it has in the layers below, if any of them has it.
    fn inherit(&mut self, path: &[u8], below: &[OwnedFd]) -> std::result::Result<(), Failed> {
        let Some(theirs) = topmost(path, below)? else { return Ok(()) };
        let stat = fstat(&theirs).call(|| "fstat()")?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            return Ok(());
        }
        match self {
            Open::Image(image) => image.inherit(path, theirs.as_fd(), &stat),
            Open::Tree(tree, _) => match walk(tree.as_fd(), path)?.here {
                Some(own) => Ok(copy_attributes(&own, &theirs, &stat)?),
                None => Ok(()),
            },
        }
    }

    /// Makes `link` a name of `target`, a file of the layers below, which becomes one of this layer. `false`: no layer has it.
    /// Where this layer has a file of that name by now, which came after the link, the link gets a copy of its own.
    fn adopt(
        &mut self,
        link: &[u8],
        target: &[u8],
        below: &[OwnedFd],
        copied: &mut BTreeSet<Vec<u8>>,
    ) -> std::result::Result<bool, Failed> {
        if copied.contains(target) {
            match self {
                Open::Image(image) => image.link_to(link, target)?,
                Open::Tree(tree, sums) => link_to(tree, sums.as_mut(), link, target)?,
            }
            return Ok(true);
        }
        let Some((theirs, stat)) = regular(target, below)? else { return Ok(false) };
        let (made, own) = match self {
            Open::Image(image) => image.copy_up(link, target, theirs.as_fd(), &stat)?,
            Open::Tree(tree, sums) => copy_up(tree, sums.as_mut(), (link, target), &theirs, &stat)?,
        };
        if own {
            copied.insert(target.to_vec());
        }
        for path in made.iter().filter(|path| !path.is_empty()) {
            self.inherit(path, below)?;
        }
        Ok(true)
    }
}

/// A file on its way up.
const COPY: &[u8] = b".wh..wh.copy";

/// Names a stack of layers.
fn base_of(layers: &[Digest]) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    layers.iter().for_each(|digest| hasher.update(format!("{digest}\n").as_bytes()));
    hasher.finish()
}

fn link_to(tree: &OwnedFd, sums: Option<&mut Sums>, link: &[u8], target: &[u8]) -> sys::Result<()> {
    let mut dirs = Dirs::new(tree.try_clone().call(|| "fcntl(F_DUPFD_CLOEXEC)")?);
    let ((folder, link), (above, name)) = (split(link), split(target));
    let (folder, above) = (dirs.get(folder)?, dirs.find(above)?);
    sys::fs::remove_tree(&folder, os(link))?;
    linkat(&above, name, &folder, link, AtFlags::empty()).call(|| "linkat()")?;
    let Some(Sums { log, .. }) = sums else { return Ok(()) };
    made(&dirs).try_for_each(|folder| log.folder(folder))?;
    log.link(&folder.join(link), &above.join(name))
}

/// Folders that had to be made.
fn made(dirs: &Dirs) -> impl Iterator<Item = &Vec<u8>> {
    dirs.implicit.iter().filter(|folder| !folder.is_empty())
}

/// Copies an open file to `link` and, unless the layer has one of that name, to `target`. Answers the folders that had to be made, and
/// whether `target` is now the same file.
fn copy_up(
    tree: &OwnedFd,
    sums: Option<&mut Sums>,
    (link, target): (&[u8], &[u8]),
    theirs: &OwnedFd,
    stat: &Stat,
) -> sys::Result<(Vec<Vec<u8>>, bool)> {
    let mut dirs = Dirs::new(tree.try_clone().call(|| "fcntl(F_DUPFD_CLOEXEC)")?);
    let (folder, link) = split(link);
    let folder = dirs.get(folder)?;
    // Under a name that no entry can have, so that what bears its own name is complete even after a crash.
    sys::fs::remove_tree(&folder, os(COPY))?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&folder, COPY, flags, Mode::from_raw_mode(0o600)).call(|| "openat(O_CREAT | O_EXCL)")?;
    let file = File::from(file);
    copy_bytes(&file, theirs)?;
    copy_attributes(&file, theirs, stat)?;
    let (above, name) = split(target);
    let above = dirs.get(above)?;
    let own = match linkat(&folder, COPY, &above, name, AtFlags::empty()) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(errno) => return Err(sys::Error::new("linkat()", errno)),
    };
    sys::fs::remove_tree(&folder, os(link))?;
    renameat(&folder, COPY, &folder, link).call(|| "renameat()")?;
    if let Some(Sums { log, .. }) = sums {
        made(&dirs).try_for_each(|folder| log.folder(folder))?;
        let entry =
            Entry { mode: stat.st_mode, uid: stat.st_uid, gid: stat.st_gid, size: stat.st_size as u64, sum: Sum::of(&file)?.0 };
        log.entry(&folder.join(link), &entry)?;
        if own {
            log.link(&above.join(name), &folder.join(link))?;
        }
    }
    Ok((dirs.implicit.into_iter().collect(), own))
}

fn regular(path: &[u8], below: &[OwnedFd]) -> sys::Result<Option<(OwnedFd, Stat)>> {
    let Some(found) = topmost(path, below)? else { return Ok(None) };
    let stat = fstat(&found).call(|| "fstat()")?;
    Ok((FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then_some((found, stat)))
}

/// What an overlay of `below`, lowest first, shows at `path`.
fn topmost(path: &[u8], below: &[OwnedFd]) -> sys::Result<Option<OwnedFd>> {
    for tree in below.iter().rev() {
        let found = walk(tree.as_fd(), path)?;
        if found.here.is_some() || found.hidden {
            return Ok(found.here);
        }
    }
    Ok(None)
}

/// What one layer says about a path: something is here, or it hides what is in the layers below it, or neither.
struct Found {
    here: Option<OwnedFd>,
    hidden: bool,
}

/// Looks in one layer, part by part: a link or file on the way hides the path as overlayfs sees it.
fn walk(tree: BorrowedFd<'_>, path: &[u8]) -> sys::Result<Found> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut here = openat(tree, ".", read | OFlags::DIRECTORY, Mode::empty()).call(|| "openat(., O_DIRECTORY)")?;
    let mut hidden = false;
    for part in path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        hidden |= sys::overlay::is_opaque(&here);
        // Devices, whiteouts among them, are not opened but looked at first.
        match rustix::fs::statat(&here, part, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(Found { here: None, hidden }),
            Err(Errno::NOTDIR) => return Ok(Found { here: None, hidden: true }),
            Err(errno) => return Err(sys::Error::new("fstatat()", errno)),
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory | FileType::RegularFile => {}
                _ => return Ok(Found { here: None, hidden: true }),
            },
        }
        here = openat(&here, part, read, Mode::empty()).call(|| "openat(O_NOFOLLOW)")?;
    }
    Ok(Found { here: Some(here), hidden })
}

fn copy_bytes(to: impl AsFd, from: &OwnedFd) -> sys::Result<()> {
    loop {
        match rustix::fs::sendfile(&to, from, None, 1 << 20) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(sys::Error::new("sendfile()", errno)),
        }
    }
}

/// Owner, extended attributes, permissions and times, in the order that keeps them.
fn copy_attributes(to: impl AsFd, from: &OwnedFd, stat: &Stat) -> sys::Result<()> {
    let to = to.as_fd();
    let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    fchown(to, owner.0, owner.1).call(|| format!("fchown({}, {})", stat.st_uid, stat.st_gid))?;
    for (name, value) in xattrs_of(from.as_fd())? {
        fsetxattr(to, name.as_slice(), &value, XattrFlags::empty()).call(|| "fsetxattr()")?;
    }
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777)).call(|| "fchmod()")?;
    let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ };
    futimens(to, &Timestamps { last_access: time, last_modification: time }).call(|| "utimensat()")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_has_a_name() {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        assert_ne!(base_of(&[]), base_of(std::slice::from_ref(&digest)));
    }
}
