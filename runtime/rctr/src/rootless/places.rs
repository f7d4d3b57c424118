//! The folders of an ordinary user, and that those of run are nobody else's.

use std::env;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use rustix::fs::{CWD, Mode, OFlags, fstat, mkdir, openat};
use rustix::io::Errno;
use sys::Call;

/// Where images and containers are, and where sockets, unless the command line says.
///
/// # Errors
/// There is no home folder.
pub(crate) fn default_places() -> Result<(PathBuf, PathBuf)> {
    let data = absolute("XDG_DATA_HOME").or_else(|| env::home_dir().map(|home| home.join(".local/share")));
    let data = data.context("no place to keep images and containers: set HOME, XDG_DATA_HOME or RCTR_ROOT")?;
    let uid = rustix::process::geteuid().as_raw();
    Ok((data.join("rctr"), run_folder(absolute("XDG_RUNTIME_DIR"), uid, Path::is_dir)))
}

/// `there` says whether there is such a folder.
fn run_folder(runtime: Option<PathBuf>, uid: u32, there: impl Fn(&Path) -> bool) -> PathBuf {
    match runtime.filter(|folder| there(folder)).or_else(|| Some(session_folder(uid)).filter(|folder| there(folder))) {
        Some(folder) => folder.join("rctr"),
        None => PathBuf::from(format!("/tmp/rctr-run-{uid}")),
    }
}

/// Where systemd has the sockets of a user's session.
fn session_folder(uid: u32) -> PathBuf {
    PathBuf::from(format!("/run/user/{uid}"))
}

/// The same for the calling user, who may have said so.
pub(super) fn session() -> PathBuf {
    absolute("XDG_RUNTIME_DIR").unwrap_or_else(|| session_folder(rustix::process::geteuid().as_raw()))
}

/// A folder that the environment names.
fn absolute(name: &str) -> Option<PathBuf> {
    env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Where an ordinary user's own configuration is: `XDG_CONFIG_HOME`, or `~/.config`. Root's is the host's.
pub(crate) fn config_folder() -> Option<PathBuf> {
    if super::is_host_root() {
        return None;
    }
    absolute("XDG_CONFIG_HOME").or_else(|| env::home_dir().map(|home| home.join(".config")))
}

/// The folder of run, open.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) path: PathBuf,
    pub(super) folder: OwnedFd,
}

impl Run {
    /// Opens the folder, made if it is not there.
    ///
    /// # Errors
    /// It is a link, another user's, or open to others: in `/tmp` somebody else may have been there first.
    pub(super) fn open(path: &Path) -> Result<Run> {
        let path = std::path::absolute(path).with_context(|| format!("find the folder {}", path.display()))?;
        let above = path.parent().unwrap_or(Path::new("/"));
        if !above.exists() {
            std::fs::create_dir_all(above).with_context(|| format!("make the folder {}", above.display()))?;
        }
        match mkdir(&path, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => bail!("make the folder {}: {errno}", path.display()),
        }
        // Whose it is can be seen without the right to read it.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = openat(CWD, &path, flags, Mode::empty()).call(|| format!("open({path:?}, O_PATH | O_NOFOLLOW)"))?;
        let own = fstat(&folder).call(|| format!("fstat({path:?})"))?;
        match wrong(own.st_uid, own.st_mode, rustix::process::geteuid().as_raw()) {
            Some(why) => bail!("the folder {} {why}: name another one with --run or RCTR_RUN", path.display()),
            None => Ok(Run { path, folder }),
        }
    }
}

impl Run {
    /// The name of what systemd has of this home: another one's is another.
    ///
    /// # Errors
    /// The folder cannot be looked at.
    pub(super) fn unit(&self) -> Result<String> {
        let own = fstat(&self.folder).call(|| format!("fstat({:?})", self.path))?;
        Ok(format!("rctr-{:x}-{:x}", own.st_dev, own.st_ino))
    }
}

/// What is wrong with a folder of this owner and mode that is to be the user `own`'s alone.
fn wrong(owner: u32, mode: u32, own: u32) -> Option<String> {
    if owner != own {
        return Some(format!("belongs to user {owner}, not to {own}"));
    }
    (mode & 0o077 != 0).then(|| format!("is open to others (mode {:o}, not 700)", mode & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_folder_goes_with_the_session() {
        let of = |runtime: Option<&str>, there: &[&str]| {
            let found = run_folder(runtime.map(PathBuf::from), 7, |path| there.iter().any(|one| path == Path::new(one)));
            found.to_str().unwrap().to_owned()
        };
        assert_eq!(of(Some("/x"), &["/x", "/run/user/7"]), "/x/rctr");
        assert_eq!(of(Some("/gone"), &["/run/user/7"]), "/run/user/7/rctr");
        assert_eq!(of(None, &["/run/user/7"]), "/run/user/7/rctr");
        assert_eq!(of(None, &[]), "/tmp/rctr-run-7");
    }

    #[test]
    fn a_folder_of_run_is_its_users_alone() {
        assert_eq!(wrong(7, 0o40700, 7), None);
        assert!(wrong(8, 0o40700, 7).unwrap().contains("belongs to user 8"));
        assert!(wrong(7, 0o40750, 7).unwrap().contains("open to others (mode 750"));
        let folder = tempfile::tempdir().unwrap();
        let (own, link) = (folder.path().join("own"), folder.path().join("link"));
        let run = Run::open(&own).unwrap();
        assert_eq!(fstat(&run.folder).unwrap().st_mode & 0o7777, 0o700);
        std::os::unix::fs::symlink(&own, &link).unwrap();
        assert!(Run::open(&link).unwrap_err().to_string().contains("O_NOFOLLOW"));
        rustix::fs::chmod(&own, Mode::from_raw_mode(0o755)).unwrap();
        assert!(Run::open(&own).unwrap_err().to_string().contains("open to others"));
    }
}
