//! Layers for users of their own, of an ordinary user: copies whose files belong to the ids that the container's users are.
//!
//! Only root of the user namespace that a file system was mounted in may show it with other owners (mount_setattr(2), `EPERM`), and what
//! a home's layers are on was mounted by the host. A copy is made once for a layer and a map, in the layer's own folder, and goes with it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use images::{Digest, Lower};
use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock, fstat, mkdirat, openat, renameat, syncfs};
use rustix::io::Errno;
use sys::Call;
use sys::fs::{list, open_dir, remove_tree};

use super::take;
use crate::error::During;
use crate::request::UserMap;
use crate::{Engine, Error};

/// Where layers are, below the folder of state.
const LAYERS: &str = "images/layers";
/// What names of copies begin with.
const PREFIX: &str = "users-";
/// A copy that is being made.
const COPYING: &str = ".users";

impl Engine {
    /// Removes the copies of layers for users that no container has.
    ///
    /// # Errors
    /// The containers or the layers cannot be listed; a copy cannot be removed.
    pub fn forget_copies(&self) -> Result<(), Error> {
        let what = || "remove copies of layers";
        if self.config.home.is_none() {
            return Ok(());
        }
        let layers = self.config.root.join(LAYERS).join("sha256");
        for layer in list(open_dir(&layers).during(what)?).during(what)? {
            let folder = match locked(&layers.join(&layer)) {
                // It has just been removed, or is no layer.
                Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => continue,
                folder => folder.during(what)?,
            };
            // Under the lock: whoever makes one has its users by then.
            let used: BTreeSet<String> = take::all(&self.config)?.iter().map(key).collect();
            for name in list(&folder).during(what)? {
                if name.to_str().is_some_and(|name| name.starts_with(PREFIX) && !used.contains(name)) {
                    remove_tree(&folder, &name).during(what)?;
                }
            }
        }
        Ok(())
    }

    /// `lower`, as it is to be stored for `users`: a home's own layers as copies. What is below them all has nothing in it that is anybody's.
    pub(crate) fn shifted(&self, lower: &[Lower], users: &UserMap) -> Result<Vec<Lower>, Error> {
        let (key, layers) = (key(users), self.config.root.join(LAYERS));
        let one = |layer: &Lower| match layer.path() {
            path if path.starts_with(&layers) => copy(&path, &key, users).map(Lower::Folder),
            path if path.starts_with(self.config.base()) => Ok(Lower::Folder(path)),
            path => {
                let why = "they are no layer of an image, and only root can show others' files to users of its own".to_owned();
                Err(Error::Invalid { what: format!("the files in {}", path.display()), why })
            }
        };
        lower.iter().map(one).collect()
    }
}

/// The name of the copies for a map.
fn key(users: &UserMap) -> String {
    let text = serde_json::to_vec(users).unwrap_or_default();
    format!("{PREFIX}{}", &Digest::sha256(&text).hex()[..16])
}

/// The copy of the layer at `layer`, made if it is not there. Whoever else wants the same waits for it.
fn copy(layer: &Path, key: &str, users: &UserMap) -> Result<PathBuf, Error> {
    let place = layer.with_file_name(key);
    if place.is_dir() {
        return Ok(place);
    }
    let stranger = Cell::new(None);
    let owner = |(uid, gid)| {
        users.outside(uid, gid).ok_or_else(|| {
            stranger.set(Some((uid, gid)));
            sys::Error::new(format!("chown({uid}, {gid})"), Errno::OVERFLOW)
        })
    };
    match made(&place, layer, key, &owner) {
        Ok(()) => Ok(place),
        Err(_) if let Some((uid, gid)) = stranger.get() => Err(Error::Invalid {
            what: "users of its own".to_owned(),
            why: format!("the image has files of {uid}:{gid}, who is nobody in the container's user namespace"),
        }),
        failed => failed.map(|()| place).during(|| format!("copy {} for users of its own", layer.display())),
    }
}

fn made(place: &Path, layer: &Path, key: &str, owner: Owner<'_>) -> sys::Result<()> {
    let folder = locked(layer.parent().unwrap_or(layer))?;
    if place.is_dir() {
        return Ok(());
    }
    // Of a process that was killed.
    remove_tree(&folder, COPYING)?;
    let renamed = || renameat(&folder, COPYING, &folder, key).call(|| format!("renameat({COPYING:?}, {key:?})"));
    filled(&folder, layer, owner).and_then(|()| renamed()).inspect_err(|_| drop(remove_tree(&folder, COPYING)))
}

/// A layer's folder, which one process has at a time.
fn locked(folder: &Path) -> sys::Result<OwnedFd> {
    let folder = open_dir(folder)?;
    rustix::io::retry_on_intr(|| flock(&folder, FlockOperation::LockExclusive)).call(|| "flock(layer)")?;
    Ok(folder)
}

type Owner<'a> = &'a dyn Fn((u32, u32)) -> sys::Result<(u32, u32)>;

fn filled(folder: &OwnedFd, layer: &Path, owner: Owner<'_>) -> sys::Result<()> {
    mkdirat(folder, COPYING, Mode::RWXU).call(|| format!("mkdirat({COPYING:?})"))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let copy = openat(folder, COPYING, flags, Mode::empty()).call(|| format!("openat({COPYING:?})"))?;
    let from = open_dir(layer)?;
    launch::copy_tree_for(from.as_fd(), copy.as_fd(), owner)?;
    let mode = fstat(&from).call(|| "fstat(layer)")?.st_mode;
    fchmod(&copy, Mode::from_raw_mode(mode)).call(|| "fchmod(copy)")?;
    // It counts as whole from its name on, also after a power cut.
    syncfs(&copy).call(|| "syncfs(copy)")
}
