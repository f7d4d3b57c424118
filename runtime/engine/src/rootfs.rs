//! Containers without an image: a folder of the host is their root file system (`--rootfs`).

use std::os::fd::OwnedFd;

use images::{Digest, Image, ImageConfig, Lower, RootFolder};
use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::Call;
use sys::mount::{Attr, mount_setattr, propagation};

use crate::error::During;
use crate::request::RootFs;
use crate::{Engine, Error, Record};

/// What stands for the image of a container that has none: no layers, and nothing that it says. It is in no store.
pub fn no_image() -> Image {
    // No image has this id, as no config is empty.
    let nothing = Digest::sha256(b"");
    Image {
        id: nothing.clone(),
        manifest: nothing.clone(),
        target: nothing,
        names: Vec::new(),
        layers: Vec::new(),
        config: ImageConfig::default(),
        size: 0,
    }
}

/// Whether a container can be made of it.
pub(crate) fn check(own: &RootFs) -> Result<(), Error> {
    let what = || format!("root file system {}", own.path.display());
    if !own.path.is_absolute() {
        return Err(Error::Invalid { what: what(), why: "it is no absolute path".to_owned() });
    }
    let stat = rustix::fs::stat(&own.path).call(|| format!("stat({:?})", own.path)).during(what)?;
    match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
        rustix::fs::FileType::Directory => Ok(()),
        _ => Err(Error::Invalid { what: what(), why: "it is no folder".to_owned() }),
    }
}

/// Mode and owner of its topmost folder.
pub(crate) fn root_folder(own: &RootFs) -> Result<RootFolder, Error> {
    let stat = rustix::fs::stat(&own.path).call(|| format!("stat({:?})", own.path));
    let stat = stat.during(|| format!("look at the root file system {}", own.path.display()))?;
    Ok(RootFolder { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid })
}

/// The folder itself, with what is mounted in it, attached nowhere. What is mounted there later, on either side, the other does not see.
pub(crate) fn folder(own: &RootFs) -> Result<OwnedFd, Error> {
    let open = || -> sys::Result<OwnedFd> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        let tree = open_tree(CWD, &own.path, flags).call(|| format!("open_tree({:?}, OPEN_TREE_CLONE)", own.path))?;
        mount_setattr(&tree, Attr { propagation: propagation::PRIVATE, ..Attr::default() }, true)?;
        Ok(tree)
    };
    open().during(|| format!("open the root file system {}", own.path.display()))
}

impl Engine {
    /// Gives `mount` what is below the files that a container writes, topmost first.
    ///
    /// # Errors
    /// The container writes into its root file system itself: nothing is below.
    pub(crate) fn below(&self, record: &Record, mount: impl Fn(&[Lower]) -> Result<OwnedFd, Error>) -> Result<OwnedFd, Error> {
        match &record.rootfs {
            None => self.stacked(&record.image.layers, &self.config.base(), mount),
            Some(own) if own.overlay => mount(&[Lower::Folder(own.path.clone()), Lower::Folder(self.config.base())]),
            Some(own) => Err(Error::Invalid {
                what: format!("files of container {}", record.name),
                why: format!("they are {} itself: there is nothing to compare them with", own.path.display()),
            }),
        }
    }
}
