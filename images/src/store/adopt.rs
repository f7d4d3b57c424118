//! Completing a layer from the layers below it.
//!
//! Layers are unpacked side by side, each on its own. Two things an archive may leave out need the layers below: the
//! attributes of folders that are only there because something in them is (overlayfs would show ours, not theirs), and
//! the file behind a hard link whose other name is in a layer below (it is copied up, as an overlay mount would do).
//! containerd, unpacking on top of a mounted parent, gets the same result.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr,
    fsetxattr, fstat, futimens, linkat, openat, renameat,
};
use rustix::io::Errno;
use sys::Call;

use super::Store;
use super::layers::{LayerFile, write_layer};
use crate::Digest;
use crate::error::{Doing, Error, Result};
use crate::unpack::hash::{Algorithm, Hasher};
use crate::unpack::path::split;
use crate::unpack::{Dirs, os, unescape};

impl Store {
    /// Completes each layer of an image, lowest first, unless that was done. All of them are in the store, under a lease.
    pub(crate) fn adopt(&self, layers: &[Digest]) -> Result<()> {
        let mut below: Vec<OwnedFd> = Vec::new();
        for (index, digest) in layers.iter().enumerate() {
            let base = base_of(&layers[..index]);
            let known = self.read_layer(digest)?;
            let needs = |layer: &LayerFile| !layer.implicit.is_empty() || !layer.foreign.is_empty();
            if known.as_ref().is_some_and(|layer| needs(layer) && layer.base.as_ref() != Some(&base)) {
                let _lock = self.lock_layer(digest)?;
                self.complete(digest, &base, &below)?;
            }
            below.push(self.tree(digest)?);
        }
        Ok(())
    }

    fn complete(&self, digest: &Digest, base: &str, below: &[OwnedFd]) -> Result<()> {
        let Some(mut layer) = self.read_layer(digest)? else { return Err(Error::Damaged { what: format!("layer {digest}") }) };
        if layer.base.is_some() {
            // The attributes stay as the first image had them; other file contents would be wrong.
            return if layer.foreign.is_empty() || layer.base.as_deref() == Some(base) {
                Ok(())
            } else {
                Err(Error::OtherBase { digest: digest.clone() })
            };
        }
        let tree = self.tree(digest)?;
        for path in &layer.implicit {
            let done = inherit(&tree, &unescape(path), below);
            done.map_err(|source| self.full_or(source, || format!("layer {digest}: folder {path}")))?;
        }
        let mut copied = BTreeSet::new();
        for (link, target) in &layer.foreign {
            let done = copy_up(&tree, &unescape(link), &unescape(target), below, &mut copied);
            match done.map_err(|source| self.full_or(source, || format!("layer {digest}: link {link}")))? {
                true => {}
                false => {
                    return Err(Error::ForeignLink { digest: digest.clone(), link: link.clone(), target: target.clone() });
                }
            }
        }
        layer.base = Some(base.to_owned());
        write_layer(self, &self.layer(digest), digest, &layer)
    }

    fn tree(&self, digest: &Digest) -> Result<OwnedFd> {
        sys::fs::open_dir(self.layer(digest).join("tree")).doing(|| format!("open layer {digest}"))
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

/// Gives a folder the attributes it has in the layers below, if any of them has it.
fn inherit(tree: &OwnedFd, path: &[u8], below: &[OwnedFd]) -> sys::Result<()> {
    let Some(own) = walk(tree.as_fd(), path)?.here else { return Ok(()) };
    let Some(theirs) = topmost(path, below)? else { return Ok(()) };
    let stat = fstat(&theirs).call(|| "fstat()")?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory { copy_attributes(&own, &theirs, &stat) } else { Ok(()) }
}

/// Makes `link` a name of `target`, a file of the layers below, which becomes one of this layer. `false`: no layer has it.
/// Where this layer has a file of that name by now, which came after the link, the link gets a copy of its own.
fn copy_up(tree: &OwnedFd, link: &[u8], target: &[u8], below: &[OwnedFd], copied: &mut BTreeSet<Vec<u8>>) -> sys::Result<bool> {
    let mut dirs = Dirs::new(tree.try_clone().call(|| "fcntl(F_DUPFD_CLOEXEC)")?);
    let (folder, link) = split(link);
    let folder = dirs.get(folder)?;
    if copied.contains(target) {
        let (above, name) = split(target);
        let above = dirs.find(above)?;
        sys::fs::remove_tree(&folder, os(link))?;
        linkat(&above, name, &folder, link, AtFlags::empty()).call(|| "linkat()")?;
        return Ok(true);
    }
    let Some((theirs, stat)) = regular(target, below)? else { return Ok(false) };
    // Under a name that no entry can have, so that what bears its own name is complete even after a crash.
    sys::fs::remove_tree(&folder, os(COPY))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(&folder, COPY, flags, Mode::from_raw_mode(0o600)).call(|| "openat(O_CREAT | O_EXCL)")?;
    copy_bytes(&file, &theirs)?;
    copy_attributes(&file, &theirs, &stat)?;
    let (above, name) = split(target);
    let above = dirs.get(above)?;
    match linkat(&folder, COPY, &above, name, AtFlags::empty()) {
        Ok(()) => drop(copied.insert(target.to_vec())),
        Err(Errno::EXIST) => {}
        Err(errno) => return Err(sys::Error::new("linkat()", errno)),
    }
    sys::fs::remove_tree(&folder, os(link))?;
    renameat(&folder, COPY, &folder, link).call(|| "renameat()")?;
    for path in dirs.implicit.iter().filter(|path| !path.is_empty()) {
        inherit(tree, path, below)?;
    }
    Ok(true)
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
        hidden |= is_opaque(&here);
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

fn is_opaque(folder: &OwnedFd) -> bool {
    let mut value = [0; 1];
    matches!(fgetxattr(folder, "trusted.overlay.opaque", &mut value[..]), Ok(1)) && value == *b"y"
}

fn copy_bytes(to: &OwnedFd, from: &OwnedFd) -> sys::Result<()> {
    loop {
        match rustix::fs::sendfile(to, from, None, 1 << 20) {
            Ok(0) => return Ok(()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(sys::Error::new("sendfile()", errno)),
        }
    }
}

/// Owner, extended attributes, permissions and times, in the order that keeps them.
fn copy_attributes(to: &OwnedFd, from: &OwnedFd, stat: &Stat) -> sys::Result<()> {
    let owner = (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)));
    fchown(to, owner.0, owner.1).call(|| format!("fchown({}, {})", stat.st_uid, stat.st_gid))?;
    let mut names = vec![0; 64 << 10];
    let length = match flistxattr(from, &mut names[..]) {
        Err(Errno::OPNOTSUPP) => 0,
        length => length.call(|| "flistxattr()")?,
    };
    let mut value = vec![0; 64 << 10];
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty() && !name.starts_with(b"trusted.")) {
        let length = fgetxattr(from, name, &mut value[..]).call(|| "fgetxattr()")?;
        fsetxattr(to, name, &value[..length], XattrFlags::empty()).call(|| "fsetxattr()")?;
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
