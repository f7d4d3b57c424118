//! A few lines at the end of a file of a container that does not run.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, fchmod, fstat, openat};
use rustix::io::Errno;
use sys::Call;
use sys::fs::{open_in_root, write_all};

use super::acting::Acting;
use crate::request::UserMap;
use crate::spec::user::LIMIT;

/// Adds `text` to `/etc/NAME` below `root`, which is made if it is not there. `users` are the container's, if it has its own.
///
/// What is no plain file stays as it is. A link is followed as the container would follow it, with `root` as the root.
pub(crate) fn append(root: impl AsFd, name: &str, users: Option<&UserMap>, text: &str) -> sys::Result<()> {
    let file = match open_in_root(&root, format!("etc/{name}"), OFlags::PATH, Mode::empty()) {
        Ok(found) => plain(found)?,
        Err(error) if error.errno() == Errno::NOENT => make(root, name, users)?,
        Err(error) => return Err(error),
    };
    file.map_or(Ok(()), |file| write_all(&file, text.as_bytes()))
}

/// Opened by its number: what is no plain file is not opened at all, as that alone may do something (a FIFO waits, a watchdog begins).
fn plain(found: OwnedFd) -> sys::Result<Option<OwnedFd>> {
    let stat = fstat(&found).call(|| "fstat()")?;
    // One that is too large is not read: nobody would know what is in it.
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile || stat.st_size as usize > LIMIT {
        return Ok(None);
    }
    let again = format!("/proc/self/fd/{}", found.as_raw_fd());
    let file = rustix::fs::open(&again, OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC, Mode::empty());
    file.call(|| format!("open({again:?}, O_APPEND)")).map(Some)
}

/// Nothing where a link that leads nowhere is in its place.
fn make(root: impl AsFd, name: &str, users: Option<&UserMap>) -> sys::Result<Option<OwnedFd>> {
    // Whoever makes it must be known to the container.
    let _acting = users.map(Acting::root_of).transpose()?;
    let folder = open_in_root(root, "etc", OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match openat(&folder, name, flags, Mode::from_raw_mode(0o644)) {
        Err(Errno::EXIST) => Ok(None),
        file => {
            let file = file.call(|| format!("openat({name:?}, O_CREAT)"))?;
            // Whatever this process takes from modes.
            fchmod(&file, Mode::from_raw_mode(0o644)).call(|| "fchmod(0644)")?;
            Ok(Some(file))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn it_stays_in_the_root() {
        let folder = tempfile::tempdir().unwrap();
        let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(&outside, "kept").unwrap();
        let add = |text: &str| append(sys::fs::open_dir(&root).unwrap(), "passwd", None, text);
        let (file, target) = (root.join("etc/passwd"), root.join("target"));
        add("a\n").unwrap();
        add("b\n").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "a\nb\n");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        fs::write(&target, "").unwrap();
        for (link, read) in [("../target", &target), ("/target", &target), ("../../../target", &target)] {
            fs::remove_file(&file).unwrap();
            fs::write(read, "").unwrap();
            symlink(link, &file).unwrap();
            add("x\n").unwrap();
            assert_eq!(fs::read_to_string(read).unwrap(), "x\n", "{link}");
        }
        for link in ["../../outside".to_owned(), outside.display().to_string(), "nowhere".to_owned()] {
            fs::remove_file(&file).unwrap();
            symlink(&link, &file).unwrap();
            add("x\n").unwrap();
        }
        assert_eq!(fs::read_to_string(&outside).unwrap(), "kept");
        assert!(!root.join("etc/nowhere").exists() && !root.join("outside").exists());
        fs::remove_file(&file).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &file, FileType::Fifo, Mode::RWXU, 0).unwrap();
        add("x\n").unwrap();
    }
}
