//! A part of a folder of the host that others may write in while it is looked for: containers that had it before.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, fchmod, fstat, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::Call;
use sys::fs::open_beneath;

use crate::Error;
use crate::error::During;
use crate::request::Mount;

/// The part `part` of what is at `path` on the host, as a tree. A missing one is made, as a folder with the rights of the whole.
///
/// What is there may have been put there by a container. A link that leads out of the whole is refused (CVE-2017-1002101); and what was found is held by
/// its descriptor and mounted by it, so that nobody puts a link in its place between the look and the mount (CVE-2021-25741).
///
/// # Errors
/// [`Error::Invalid`] for a part that leads out; those of open(2) and mkdir(2).
pub(super) fn open(mount: &Mount, path: &Path, part: &Path, recursive: bool) -> Result<OwnedFd, Error> {
    match tree(path, part, recursive) {
        Err(error) if error.errno() == Errno::XDEV => {
            let what = format!("mount on {}", mount.target.display());
            Err(Error::Invalid { what, why: format!("{} leads out of {}", part.display(), path.display()) })
        }
        tree => tree.during(|| format!("open {} of {}", part.display(), path.display())),
    }
}

fn tree(path: &Path, part: &Path, recursive: bool) -> sys::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let whole = rustix::fs::open(path, flags, Mode::empty()).call(|| format!("open({path:?}, O_PATH | O_DIRECTORY)"))?;
    let found = match open_beneath(&whole, part, OFlags::PATH, Mode::empty()) {
        Err(error) if error.errno() == Errno::NOENT => {
            make(&whole, part)?;
            open_beneath(&whole, part, OFlags::PATH, Mode::empty())?
        }
        found => found?,
    };
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    open_tree(&found, "", flags).call(|| format!("open_tree({part:?}, OPEN_TREE_CLONE)"))
}

/// Makes the folders of `part` that are missing, each by the descriptor of the one above it.
fn make(whole: &OwnedFd, part: &Path) -> sys::Result<()> {
    let mode = Mode::from_raw_mode(fstat(whole).call(|| "fstat()")?.st_mode & 0o7777);
    let mut above = PathBuf::from(".");
    for name in part.components().filter(|part| *part != Component::CurDir) {
        let parent = open_beneath(whole, &above, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
        make_one(parent.as_fd(), name.as_os_str().as_ref(), mode)?;
        above.push(name);
    }
    Ok(())
}

fn make_one(parent: std::os::fd::BorrowedFd<'_>, name: &Path, mode: Mode) -> sys::Result<()> {
    match mkdirat(parent, name, Mode::RWXU) {
        Err(Errno::EXIST) => return Ok(()),
        made => made.call(|| format!("mkdirat({name:?})"))?,
    }
    // The process's mask took away from the mode. A link that somebody has put in its place meanwhile is not followed.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let new = openat(parent, name, flags, Mode::empty()).call(|| format!("openat({name:?}, O_NOFOLLOW)"))?;
    fchmod(&new, mode).call(|| format!("fchmod({name:?}, {mode:?})"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// What a file says that is found in the part; the error of a part that cannot be had.
    fn of(whole: &Path, part: &str) -> Result<Vec<String>, Errno> {
        let tree = match tree(whole, Path::new(part), true) {
            // Needs CAP_SYS_ADMIN: without it, what was found is looked at as it is.
            Err(error) if error.errno() == Errno::PERM => {
                let whole = sys::fs::open_dir(whole).unwrap();
                open_beneath(&whole, part, OFlags::PATH, Mode::empty()).map_err(|error| error.errno())?
            }
            tree => tree.map_err(|error| error.errno())?,
        };
        let names = match sys::fs::list(openat(&tree, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?) {
            Ok(names) => names,
            Err(error) => return Err(error.errno()),
        };
        Ok(names.into_iter().map(|name| name.to_string_lossy().into_owned()).collect())
    }

    #[test]
    fn links_lead_nowhere_else() {
        let host = tempfile::tempdir().unwrap();
        fs::create_dir_all(host.path().join("secret")).unwrap();
        fs::write(host.path().join("secret/key"), "").unwrap();
        let whole = host.path().join("volume");
        fs::create_dir_all(whole.join("a/b")).unwrap();
        fs::write(whole.join("a/b/own"), "").unwrap();
        symlink("a/b", whole.join("inside")).unwrap();
        symlink(host.path().join("secret"), whole.join("absolute")).unwrap();
        symlink("../secret", whole.join("relative")).unwrap();
        symlink("../../secret", whole.join("a/deep")).unwrap();
        symlink("/proc/self/root", whole.join("magic")).unwrap();
        symlink("nothing", whole.join("dangling")).unwrap();
        assert_eq!(of(&whole, "a/b").unwrap(), ["own"]);
        assert_eq!(of(&whole, "inside").unwrap(), ["own"], "one that stays in the volume is as good as any path");
        for part in ["absolute", "relative", "a/deep", "magic", "..", "a/../../secret", "absolute/new", "relative/new", "/"] {
            assert_eq!(of(&whole, part), Err(Errno::XDEV), "{part}");
        }
        assert!(of(&whole, "dangling").is_err() && !whole.join("nothing").exists());
        assert!(!host.path().join("secret/new").exists(), "nothing is made elsewhere either");
    }

    #[test]
    fn a_missing_part_is_made_with_the_rights_of_the_whole() {
        let whole = tempfile::tempdir().unwrap();
        fs::set_permissions(whole.path(), fs::Permissions::from_mode(0o2770)).unwrap();
        assert_eq!(of(whole.path(), "x/y/").unwrap(), [""; 0]);
        for part in ["x", "x/y"] {
            assert_eq!(fs::metadata(whole.path().join(part)).unwrap().permissions().mode() & 0o7777, 0o2770, "{part}");
        }
    }

    /// Whoever exchanges a folder for a link again and again gets the folder or an error, never what the link names.
    #[test]
    fn an_exchange_between_look_and_mount_gains_nothing() {
        let host = tempfile::tempdir().unwrap();
        fs::create_dir_all(host.path().join("secret")).unwrap();
        fs::write(host.path().join("secret/key"), "").unwrap();
        let whole = host.path().join("volume");
        fs::create_dir_all(whole.join("part")).unwrap();
        fs::write(whole.join("part/own"), "").unwrap();
        symlink("../secret", whole.join("link")).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let folder = sys::fs::open_dir(&whole).unwrap();
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let flags = rustix::fs::RenameFlags::EXCHANGE;
                    rustix::fs::renameat_with(&folder, "part", &folder, "link", flags).unwrap();
                }
            });
            let seen: Vec<_> = (0..2000).map(|_| of(&whole, "part")).collect();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            let own = Ok(vec!["own".to_owned()]);
            assert!(seen.iter().all(|found| *found == own || *found == Err(Errno::XDEV)), "{seen:?}");
        });
    }
}
