//! The walk to a target: every name opened by itself, links read and walked here.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Statx, mkdirat, openat, openat2, readlinkat};
use rustix::io::Errno;
use sys::{Call, Error};

use super::target::{Last, Want, kind, look, open_existing};

/// As many links as the kernel follows in one path (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// Opens `path` inside `root`, and makes what is missing of it. Also says what it is.
pub(super) fn find_or_make(root: BorrowedFd<'_>, path: &Path, want: Want, last: Last) -> sys::Result<(OwnedFd, Statx)> {
    let flags = if last == Last::Followed { OFlags::PATH } else { OFlags::PATH | OFlags::NOFOLLOW };
    let found = match open_existing(root, path, flags)? {
        Some(found) => found,
        None => make(root, path, want, last)?,
    };
    let stat = look(&found)?;
    let refuse = |why, errno| Err(Error::new(format!("open({path:?}): {why}"), errno));
    match (want, last, FileType::from_raw_mode(stat.stx_mode.into())) {
        (_, Last::Link, FileType::Symlink) => Ok((found, stat)),
        (_, _, FileType::Symlink) => refuse("it is a symbolic link in the image", Errno::LOOP),
        (Want::Folder, _, kind) if kind != FileType::Directory => refuse("a folder goes onto a file", Errno::NOTDIR),
        (Want::File, _, FileType::Directory) => refuse("a file goes onto a folder", Errno::ISDIR),
        _ => Ok((found, stat)),
    }
}

/// Walks from folder to folder, each by descriptor and without following links: those are read and walked here, so that even a
/// dangling one (`/etc/resolv.conf` of many images) leads to a place inside, which is then made. Nothing that is exchanged
/// meanwhile leads outside, as no step is ever more than one name long (CVE-2024-45310).
fn make(root: BorrowedFd<'_>, path: &Path, want: Want, last: Last) -> sys::Result<OwnedFd> {
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
            FileType::Symlink if rest.is_empty() && last != Last::Followed => return Ok(found),
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
pub(super) fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
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
pub(super) mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::symlink;

    use proptest::prelude::*;

    use super::*;

    /// A root with a canary beside it, removed at the end.
    pub(in super::super) struct Scratch(std::path::PathBuf);

    impl Scratch {
        pub(in super::super) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("launch-{name}-{}", std::process::id()));
            std::fs::create_dir_all(path.join("root")).unwrap();
            Scratch(path)
        }

        pub(in super::super) fn root(&self) -> std::path::PathBuf {
            self.0.join("root")
        }

        fn make(&self, path: &str, want: Want) -> sys::Result<(OwnedFd, Statx)> {
            find_or_make(sys::fs::open_dir(self.root()).unwrap().as_fd(), Path::new(path), want, Last::Followed)
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

    /// Where an open file is, as the kernel says.
    fn place(file: &OwnedFd) -> std::path::PathBuf {
        std::fs::read_link(format!("/proc/thread-self/fd/{}", file.as_raw_fd())).unwrap()
    }

    fn path() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "..", "d"]), 1..6).prop_map(|parts| parts.join("/"))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever links an image has: what is found or made is inside, and is what the kernel finds there afterwards.
        #[test]
        fn no_tree_of_links_leads_out(
            links in prop::collection::vec((path(), any::<bool>(), path()), 0..6),
            folders in prop::collection::vec(path(), 0..4),
            target in path(),
            file in any::<bool>(),
        ) {
            let scratch = Scratch::new("links");
            let want = if file { Want::File } else { Want::Folder };
            for folder in &folders {
                let _ = scratch.make(folder, Want::Folder);
            }
            for (at, absolute, to) in &links {
                let (parent, name) = at.rsplit_once('/').unwrap_or(("", at));
                if let Ok((folder, _)) = scratch.make(parent, Want::Folder) {
                    let content = if *absolute { format!("/{to}") } else { to.clone() };
                    let _ = rustix::fs::symlinkat(content, folder, name);
                }
            }
            let made = scratch.make(&target, want);
            // All there is beside the root is the root.
            prop_assert_eq!(std::fs::read_dir(&scratch.0).unwrap().count(), 1);
            if let Ok((found, _)) = made {
                prop_assert!(place(&found).starts_with(scratch.root().canonicalize().unwrap()));
                let root = sys::fs::open_dir(scratch.root()).unwrap();
                let again = open_existing(root.as_fd(), Path::new(&target), OFlags::PATH).unwrap();
                prop_assert_eq!(again.map(|again| place(&again)), Some(place(&found)));
            }
        }
    }
}
