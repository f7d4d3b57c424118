//! An image's content in a new volume, with its owners, modes and times: Docker's copy on first use.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Gid, Mode, RenameFlags, Stat, Uid, chownat, fchmod, fstat, mkdirat, renameat, renameat_with};
use rustix::io::Errno;
use sys::Call;
use sys::fs::{list, open_dir, remove_tree};

use super::folder::DATA;
use super::{VolumeRecord, folder, options};
use crate::Error;
use crate::config::Config;
use crate::error::During;

const COPYING: &str = ".copy";
const COPIED: &str = "copied";

/// Fills a volume that nobody else can see yet.
pub(super) fn new(from: &OwnedFd, data: &OwnedFd, name: &str) -> Result<(), Error> {
    copy(from, data).during(|| format!("copy the image's files into the volume {name}"))
}

fn copy(from: &OwnedFd, data: &OwnedFd) -> sys::Result<()> {
    launch::copy_tree(from.as_fd(), data.as_fd())?;
    like(&fstat(from).call(|| "fstat(image)")?, data)
}

/// The owner and the mode of the image's folder, for the volume itself.
fn like(stat: &Stat, data: &OwnedFd) -> sys::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(data, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH).call(|| "fchown(volume)")?;
    fchmod(data, Mode::from_raw_mode(stat.st_mode)).call(|| "fchmod(volume)")
}

/// Fills a volume that is there, if it is empty. Others may see it and may be writing to it: everything is first copied beside it, and then
/// moved, one name after the other, to where nothing is. A copy whose maker was killed is thrown away, a move is gone on with.
pub(super) fn existing(config: &Config, name: &str, content: &dyn Fn() -> Result<Option<OwnedFd>, Error>) -> Result<(), Error> {
    let during = || format!("copy the image's files into the volume {name}");
    let path = config.volumes().join(name);
    let half = path.join(COPIED).exists() || path.join(COPYING).exists();
    let Some(volume) = folder::load(config, name)? else { return Ok(()) };
    let mounted = !super::options::is_folder(&volume.record.options);
    if !mounted && !half && !is_empty(&path.join(DATA)).during(during)? {
        return Ok(());
    }
    let Some(from) = content()? else { return Ok(()) };
    if mounted {
        // What others see cannot be filled in one step, and what is not theirs alone may be full by then.
        if volume.users.len() > 1 {
            return Ok(());
        }
        return elsewhere(config, name, &volume.record, &from);
    }
    let dir = fs::File::open(&path).call(|| format!("open({path:?})")).during(during)?;
    dir.lock().call(|| format!("flock({path:?})")).during(during)?;
    let dir = OwnedFd::from(dir);
    let work = || -> sys::Result<()> {
        if !path.join(COPIED).exists() {
            remove_tree(&dir, COPYING)?;
            if !is_empty(&path.join(DATA))? {
                return Ok(());
            }
            mkdirat(&dir, COPYING, Mode::RWXU).call(|| "mkdirat(.copy)")?;
            copy(&from, &open_dir(path.join(COPYING))?)?;
            renameat(&dir, COPYING, &dir, COPIED).call(|| "renameat(.copy, copied)")?;
        }
        let data = open_dir(path.join(DATA))?;
        spread(&open_dir(path.join(COPIED))?, &data)?;
        folder::own(&data, &volume.record)?;
        remove_tree(&dir, COPIED)
    };
    work().during(during).inspect_err(|_| drop(remove_tree(&dir, COPYING)))
}

/// Moves everything that is not there yet.
fn spread(from: &OwnedFd, to: &OwnedFd) -> sys::Result<()> {
    like(&fstat(from).call(|| "fstat(copied)")?, to)?;
    for name in list(from)? {
        match renameat_with(from, &name, to, &name, RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(sys::Error::new(format!("renameat2({name:?})"), errno)),
        }
    }
    Ok(())
}

/// A volume that is mounted from somewhere else.
fn elsewhere(config: &Config, name: &str, record: &VolumeRecord, from: &OwnedFd) -> Result<(), Error> {
    let tree = options::tree(config, name, record)?;
    let during = || format!("copy the image's files into the volume {name}");
    let data = rustix::fs::openat(&tree, ".", OFLAGS, Mode::empty()).call(|| "openat(volume)").during(during)?;
    if list(&data).during(during)?.is_empty() {
        copy(from, &data).during(during)?;
    }
    Ok(())
}

const OFLAGS: rustix::fs::OFlags =
    rustix::fs::OFlags::RDONLY.union(rustix::fs::OFlags::DIRECTORY).union(rustix::fs::OFlags::CLOEXEC);

fn is_empty(path: &Path) -> sys::Result<bool> {
    Ok(list(open_dir(path)?)?.is_empty())
}
