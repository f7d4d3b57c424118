//! Where something is to be mounted or made: found or created inside the root, whatever links the image has on the way.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstat, fstatfs, mkdirat, openat, openat2, readlinkat};
use rustix::io::Errno;
use sys::{Call, Error};

use crate::Failure;
use crate::failure::During;

/// As many links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// Files of procfs that may be mounted over, as LXCFS does: what they say changes nothing but what is read there (runc's list).
const PROC_FILES: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "net/dev",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// The kind of a target.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Folder,
    File,
}

/// The folder `path`, made with mode 0755 if missing.
pub(crate) fn folder(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd, Failure> {
    find_or_make(root, path, Want::Folder).during(|| "find or make it")
}

/// A place to mount on.
///
/// # Errors
/// When `/proc`, `/sys` or `/dev` is a link in the image: masks and device nodes would go astray (CVE-2023-27561, CVE-2026-41579).
/// When it is inside procfs and not one of few harmless files: a mount there redirects what is written (CVE-2019-16884).
pub(crate) fn mount_point(root: BorrowedFd<'_>, path: &Path, want: Want) -> Result<OwnedFd, Failure> {
    let plain: Vec<_> = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir)).collect();
    if let [Component::Normal(name)] = plain[..]
        && ["proc", "sys", "dev"].iter().any(|special| name == *special)
        && is_link(root, name).during(|| "look at it")?
    {
        return Err(Failure::runtime("it is a symbolic link in the image, and must be a folder"));
    }
    let target = find_or_make(root, path, want).during(|| "find or make it")?;
    let inside = fstatfs(&target).call(|| "fstatfs(target)").during(|| "look at it")?.f_type == PROC_SUPER_MAGIC;
    if inside && !path.strip_prefix("/proc").is_ok_and(|rest| PROC_FILES.iter().any(|file| rest == Path::new(file))) {
        return Err(Failure::runtime("it is inside procfs, where nothing may be mounted"));
    }
    Ok(target)
}

/// True for `/proc` itself. Anything but procfs there would let the container say what is written to (CVE-2019-19921).
pub(crate) fn is_proc(path: &Path) -> bool {
    names(path).eq(["proc"])
}

/// What is at `path`, if anything is.
pub(crate) fn existing(root: BorrowedFd<'_>, path: &Path) -> sys::Result<Option<OwnedFd>> {
    match sys::fs::open_in_root(root, path, OFlags::PATH, Mode::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The type of an open file.
pub(crate) fn kind(file: impl AsFd) -> sys::Result<FileType> {
    Ok(FileType::from_raw_mode(fstat(file).call(|| "fstat(target)")?.st_mode))
}

fn is_link(root: BorrowedFd<'_>, name: &OsStr) -> sys::Result<bool> {
    match openat(root, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(found) => Ok(kind(found)? == FileType::Symlink),
        Err(Errno::NOENT) => Ok(false),
        Err(errno) => Err(Error::new(format!("openat(root, {name:?}, O_PATH | O_NOFOLLOW)"), errno)),
    }
}

fn find_or_make(root: BorrowedFd<'_>, path: &Path, want: Want) -> sys::Result<OwnedFd> {
    let found = match existing(root, path)? {
        Some(found) => found,
        None => make(root, path, want)?,
    };
    match (want, kind(&found)? == FileType::Directory) {
        (Want::Folder, false) => Err(Error::new(format!("open({path:?}): a folder goes onto a file"), Errno::NOTDIR)),
        (Want::File, true) => Err(Error::new(format!("open({path:?}): a file goes onto a folder"), Errno::ISDIR)),
        _ => Ok(found),
    }
}

/// Walks from folder to folder, each by descriptor and without following links: those are read and walked here, so that even a
/// dangling one (`/etc/resolv.conf` of many images) leads to a place inside, which is then made. Nothing that is exchanged
/// meanwhile leads outside, as no step is ever more than one name long (CVE-2024-45310).
fn make(root: BorrowedFd<'_>, path: &Path, want: Want) -> sys::Result<OwnedFd> {
    let mut rest: Vec<OsString> = names(path).rev().collect();
    let mut walked: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            walked.pop();
            continue;
        }
        let at = walked.last().map_or(root, |folder| folder.as_fd());
        let found = step(at, &name, if rest.is_empty() { want } else { Want::Folder })?;
        match kind(&found)? {
            FileType::Directory => walked.push(found),
            FileType::Symlink => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(Error::new(format!("open({path:?})"), Errno::LOOP));
                }
                let content = readlinkat(&found, "", Vec::new()).call(|| format!("readlinkat({name:?})"))?;
                let content = OsString::from_vec(content.into_bytes());
                if Path::new(&content).is_absolute() {
                    walked.clear();
                }
                rest.extend(names(Path::new(&content)).rev());
            }
            _ if rest.is_empty() => return Ok(found),
            _ => return Err(Error::new(format!("open({path:?}): {name:?} is not a folder"), Errno::NOTDIR)),
        }
    }
    match walked.pop() {
        Some(last) => Ok(last),
        None => openat(root, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).call(|| "openat(root, \".\")"),
    }
}

/// The names of a path, and its `..`.
fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    })
}

/// Opens one name in an open folder, and makes it if it is missing.
fn step(at: BorrowedFd<'_>, name: &OsStr, want: Want) -> sys::Result<OwnedFd> {
    let open = || openat2(at, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::BENEATH);
    match open() {
        Err(Errno::NOENT) => {}
        other => return other.call(|| format!("openat2({name:?}, O_PATH | O_NOFOLLOW)")),
    }
    let made = match want {
        Want::Folder => mkdirat(at, name, Mode::from_raw_mode(0o755)).call(|| format!("mkdirat({name:?}, 0755)")),
        Want::File => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
            openat(at, name, flags, Mode::from_raw_mode(0o644)).map(drop).call(|| format!("openat({name:?}, O_CREAT | O_EXCL)"))
        }
    };
    match made {
        // Somebody else was faster: what is there now is looked at like anything that was there before.
        Err(error) if error.errno() != Errno::EXIST => return Err(error),
        _ => {}
    }
    open().call(|| format!("openat2({name:?}, O_PATH | O_NOFOLLOW)"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A root with a canary beside it, removed at the end.
    struct Scratch(std::path::PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("launch-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("root")).unwrap();
            Scratch(path)
        }

        fn root(&self) -> std::path::PathBuf {
            self.0.join("root")
        }

        fn make(&self, path: &str, want: Want) -> sys::Result<OwnedFd> {
            find_or_make(sys::fs::open_dir(self.root()).unwrap().as_fd(), Path::new(path), want)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn missing_folders_and_a_file_are_made() {
        let scratch = Scratch::new("made");
        scratch.make("/a/b/../c/file", Want::File).ok().unwrap();
        assert!(scratch.root().join("a/c/file").is_file());
        scratch.make("/a/c", Want::Folder).ok().unwrap();
        assert_eq!(scratch.make("/a/c", Want::File).unwrap_err().errno(), Errno::ISDIR);
        assert_eq!(scratch.make("/a/c/file", Want::Folder).unwrap_err().errno(), Errno::NOTDIR);
    }

    #[test]
    fn a_dangling_link_is_followed_inside() {
        let scratch = Scratch::new("dangling");
        symlink("/run/resolve/conf", scratch.root().join("abs")).unwrap();
        symlink("../../../../run/up", scratch.root().join("rel")).unwrap();
        scratch.make("/abs", Want::File).ok().unwrap();
        scratch.make("/rel/x", Want::File).ok().unwrap();
        assert!(scratch.root().join("run/resolve/conf").is_file() && scratch.root().join("run/up/x").is_file());
        assert!(!scratch.0.join("run").exists());
    }

    #[test]
    fn links_in_a_circle_end() {
        let scratch = Scratch::new("circle");
        symlink("b", scratch.root().join("a")).unwrap();
        symlink("a", scratch.root().join("b")).unwrap();
        assert_eq!(scratch.make("/a/x", Want::File).unwrap_err().errno(), Errno::LOOP);
    }

    #[test]
    fn dots_do_not_leave_the_root() {
        let scratch = Scratch::new("dots");
        scratch.make("/../../../escaped/dir", Want::Folder).ok().unwrap();
        assert!(scratch.root().join("escaped/dir").is_dir() && !scratch.0.join("escaped").exists());
    }

    #[test]
    fn a_special_folder_that_is_a_link_is_refused() {
        let scratch = Scratch::new("special");
        std::fs::create_dir(scratch.root().join("elsewhere")).unwrap();
        for name in ["proc", "sys", "dev"] {
            symlink("elsewhere", scratch.root().join(name)).unwrap();
            let root = sys::fs::open_dir(scratch.root()).unwrap();
            let refused = mount_point(root.as_fd(), &Path::new("/").join(name), Want::Folder).unwrap_err();
            assert!(refused.message.contains("symbolic link"), "{refused}");
        }
    }

    #[test]
    fn nothing_is_mounted_inside_procfs() {
        let root = sys::fs::open_dir("/").unwrap();
        let point = |path: &str, want| mount_point(root.as_fd(), Path::new(path), want);
        assert!(point("/proc/self", Want::Folder).unwrap_err().message.contains("inside procfs"));
        assert!(point("/proc/self/attr/exec", Want::File).is_err());
        assert!(point("/dev/../proc/sys/kernel/core_pattern", Want::File).is_err());
        assert!(point("/proc/cpuinfo", Want::File).is_ok());
    }
}
