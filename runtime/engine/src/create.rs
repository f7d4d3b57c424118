//! `create`: a record, a folder and a name, and nothing that runs.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use images::Image;
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use sys::Call;

use crate::ahead::Ahead;
use crate::config::Config;
use crate::error::During;
use crate::record::{Own, Record};
use crate::request::{CreateRequest, NetworkMode, Sharing};
use crate::{Engine, Error, lognotes, mounts, names, network, overlay, owners, pod, quota, rootfs, secret, state, volume};

/// The file with the record.
pub(crate) const RECORD: &str = "config.json";
/// What a monitor in charge has locked: the folder of the log that it writes. The record may be replaced meanwhile.
const CHARGE: &str = "log";

impl Engine {
    /// Makes a container of `image`. It is complete or not there: the folder gets its own name when everything is in it.
    ///
    /// # Errors
    /// [`Error::NameInUse`], [`Error::BadName`], [`Error::NoCommand`]; a layer of the image is gone; a mount that cannot be.
    pub fn create(&self, request: &CreateRequest, image: &Image) -> Result<Record, Error> {
        self.create_id(names::new_id()?, request, image)
    }

    /// [`Engine::create`] of a container whose start has begun.
    ///
    /// # Errors
    /// As [`Engine::create`].
    pub fn create_ahead(&self, ahead: &Ahead, request: &CreateRequest, image: &Image) -> Result<Record, Error> {
        self.create_id(ahead.id.clone(), request, image)
    }

    fn create_id(&self, id: String, request: &CreateRequest, image: &Image) -> Result<Record, Error> {
        let within = pod::within(self, request)?;
        let request = &*within.request;
        let name = match &request.name {
            Some(name) => name.clone(),
            None => names::made_up(&id),
        };
        names::check(&name)?;
        let hostname = match (&request.hostname, &request.network) {
            (None, _) if request.namespaces.uts == Sharing::Host => {
                rustix::system::uname().nodename().to_string_lossy().into_owned()
            }
            (Some(own), _) => own.clone(),
            // On the host's network a container goes by the host's name, as with Docker.
            (None, NetworkMode::Host) => rustix::system::uname().nodename().to_string_lossy().into_owned(),
            (None, NetworkMode::Container(other)) => {
                let other = state::load(&self.config, other)?;
                other.map_or_else(|| id[..12].to_owned(), |container| container.record.hostname)
            }
            (None, _) => id[..12].to_owned(),
        };
        request.rootfs.as_ref().map_or(Ok(()), rootfs::check)?;
        let mounts = mounts::resolve(self, request, image)?;
        let mut record = Record::merge(request, image, Own { id, name, hostname, created: monitor::now(), mounts })?;
        for sharing in [&mut record.namespaces.ipc, &mut record.namespaces.pid] {
            if let Sharing::Container(other) = sharing {
                *other = names::resolve(&self.config, other)?;
            }
        }
        secret::resolve(self, &mut record.secrets)?;
        if let Some(template) = &record.tuning.log.tag {
            lognotes::tag(template, &record)?;
        }
        network::check(&self.config, &record)?;
        let taken = owners::take(self, request, image, &record.id)?;
        if let Some(taken) = &taken {
            if self.config.home.is_none() {
                mounts::map_volumes(self, &mut record.mounts)?;
            } else if let Some(mapped) = record.mounts.iter().find(|mount| mount.idmap.is_some()) {
                let what = format!("mount on {}", mapped.target.display());
                return Err(Error::Invalid { what, why: "only root can map the users of what is mounted".to_owned() });
            }
            record.namespaces.users = Some(taken.users.clone());
        }
        within.note(&self.config, &record.id)?;
        let folder = Folder::make(&self.config, &record, || mounts::take_volumes(self, &record));
        let folder = folder.inspect_err(|_| {
            pod::forget(&self.config, record.pod.as_ref(), &record.id);
            owners::forget(&self.config, &record);
        })?;
        if let Some(taken) = taken {
            taken.settled();
        }
        let settle = || {
            // An image that is removed now finds this container; one that was removed before is noticed here.
            self.images.check_layers(image)?;
            let root = match &request.rootfs {
                Some(own) => Some(rootfs::root_folder(own)?),
                None => self.images.root_folder(image)?,
            };
            let root = record.namespaces.users.as_ref().map_or(root, |users| Some(overlay::owned_by(root, users)));
            let upper = record.writable(&self.config).join("upper");
            overlay::like_root(&upper, root).during(|| format!("make the container {}", record.name))?;
            self.images.touch(image);
            names::claim(&self.config, &record.name, &record.id)
        };
        settle().map_err(|error| folder.undo(&self.config, &record, error))?;
        self.told(&record, "create", &[]);
        Ok(record)
    }
}

/// A container's folder, held by this process.
pub(crate) struct Folder {
    pub(crate) dir: File,
}

impl Folder {
    /// Makes it, and fetches with `take` what others may not have meanwhile.
    fn make(config: &Config, record: &Record, take: impl FnOnce() -> Result<(), Error>) -> Result<Folder, Error> {
        let during = || format!("make the container {}", record.name);
        let new = config.containers().join(format!(".new-{}", record.id));
        let dir = claimed(&new).during(during)?;
        let fill = || {
            for name in ["upper", "work", "log"] {
                folder(&new.join(name)).during(during)?;
            }
            if let Some(bytes) = record.tuning.size {
                quota::limit(&new, &record.id, bytes)?;
            }
            store(&dir, record)?;
            take()?;
            std::fs::rename(&new, config.container(&record.id)).call(|| format!("rename({new:?})")).during(during)
        };
        match fill() {
            Ok(()) => Ok(Folder { dir }),
            Err(error) => {
                let _ = std::fs::remove_dir_all(&new);
                Err(error)
            }
        }
    }

    fn undo(&self, config: &Config, record: &Record, error: Error) -> Error {
        let _ = sys::fs::open_dir(config.containers()).and_then(|all| sys::fs::remove_tree(all, &record.id));
        volume::release(config, record);
        let _ = volume::release_own(config, record);
        pod::forget(config, record.pod.as_ref(), &record.id);
        owners::forget(config, record);
        error
    }

    /// Opens and locks the folder of an existing container. Another process that starts or removes it is waited for: it takes moments,
    /// and what it leaves is looked at by whoever has the lock.
    ///
    /// # Errors
    /// [`Error::NoSuchContainer`], also when it was removed meanwhile.
    pub(crate) fn lock(config: &Config, id: &str) -> Result<Folder, Error> {
        let path = config.container(id);
        let during = || format!("lock container {}", &id[..12]);
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let no_such = || Error::NoSuchContainer(id[..12].to_owned());
        let dir = match File::open(&path) {
            Err(error) if gone(&error) => return Err(no_such()),
            other => other.call(|| format!("open({path:?})")).during(during)?,
        };
        rustix::io::retry_on_intr(|| rustix::fs::flock(&dir, FlockOperation::LockExclusive))
            .call(|| format!("flock({path:?})"))
            .during(during)?;
        match fs::metadata(&path) {
            Err(error) if gone(&error) => Err(no_such()),
            _ => Ok(Folder { dir }),
        }
    }
}

/// Writes a record, or another one in its place, into its container's folder `dir`.
pub(crate) fn store(dir: &File, record: &Record) -> Result<(), Error> {
    let json = serde_json::to_vec(record).map_err(|source| Error::Damaged { path: RECORD.into(), source })?;
    sys::fs::replace(dir, RECORD, &json).during(|| format!("write the record of container {}", record.name))
}

/// Waits until no monitor is in charge of the container, and takes its place. While a monitor lives it holds this lock; for one whose
/// container has ended that is until everything is undone. Only the holder of the [`Folder`] may call this, for a container that does
/// not run: then nobody takes the lock meanwhile, and the wait is short.
pub(crate) fn take_charge(folder: &Folder) -> Result<OwnedFd, Error> {
    let during = || "wait for the container's last monitor";
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder.dir, CHARGE, flags, Mode::empty()).call(|| "openat(log)").during(during)?;
    rustix::fs::flock(&file, FlockOperation::LockExclusive).call(|| "flock(log)").during(during)?;
    Ok(file)
}

/// A monitor is in charge of the container in `folder`.
pub(crate) fn in_charge(folder: &Path) -> bool {
    let file = File::open(folder.join(CHARGE));
    file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

impl Drop for Folder {
    /// Gives the lock back at once: closing the descriptor does so only when a child that another thread is making has
    /// executed its program, for until then it has the same descriptor, too.
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.dir, FlockOperation::Unlock);
    }
}

/// Makes a folder and locks it. Between the two steps [`sweep`] may take it for abandoned; then it is made again.
pub(crate) fn claimed(path: &Path) -> sys::Result<File> {
    loop {
        match folder(path) {
            // It was there, and then a sweeper had removed it. A file in its place stays an error.
            Err(error) if error.errno() == Errno::EXIST && path.symlink_metadata().is_ok_and(|there| !there.is_dir()) => {
                return Err(error);
            }
            Err(error) if error.errno() == Errno::EXIST => {}
            made => made?,
        }
        match File::open(path) {
            Ok(dir) if dir.try_lock().is_ok() && path.exists() => return Ok(dir),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).call(|| format!("open({path:?})")),
            // A sweeper has it, or had it.
            _ => {}
        }
    }
}

/// Makes a folder that only root enters, with the ones above it. An existing one is fine.
pub(crate) fn folder(path: &Path) -> sys::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).call(|| format!("mkdir({path:?}, 0700)"))
}

/// Removes folders in `folder` whose maker was killed before it could finish, and what was being removed.
pub(crate) fn sweep(folder: &Path) -> Result<(), Error> {
    let during = || format!("sweep {}", folder.display());
    let all = sys::fs::open_dir(folder).during(during)?;
    for name in sys::fs::list(&all).during(during)? {
        let path = folder.join(&name);
        let starts = |beginning: &str| name.to_str().is_some_and(|name| name.starts_with(beginning));
        // The lock is kept while its folder goes, so that a maker who is just about to take it finds it taken. Two who remove what is gone
        // anyway do not disturb each other.
        let lock = if starts(".new-") { File::open(&path).ok().filter(|dir| dir.try_lock().is_ok()) } else { None };
        if lock.is_some() || starts(".gone-") {
            sys::fs::remove_tree(&all, &name).during(|| format!("remove {}", path.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn a_lock_ends_though_a_child_has_a_copy() {
        let all = tempfile::tempdir().unwrap();
        let path = all.path().join("one");
        let folder = Folder { dir: claimed(&path).unwrap() };
        let copy = folder.dir.try_clone().unwrap();
        let another = File::open(&path).unwrap();
        assert!(matches!(another.try_lock(), Err(TryLockError::WouldBlock)));
        drop(folder);
        assert!(another.try_lock().is_ok());
        drop(copy);
    }

    #[test]
    fn a_sweeper_does_not_disturb_who_claims() {
        let all = tempfile::tempdir().unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !done.load(Ordering::Relaxed) {
                        let _ = sweep(all.path());
                    }
                });
            }
            let claims = |number: usize| claimed(&all.path().join(format!(".new-{number}"))).map(drop);
            let claimed: Vec<_> = (0..5000).map(claims).filter_map(Result::err).collect();
            done.store(true, Ordering::Relaxed);
            assert!(claimed.is_empty(), "{} of them, such as {}", claimed.len(), claimed[0]);
        });
    }
}
