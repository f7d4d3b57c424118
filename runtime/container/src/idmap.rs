//! Id-mapped trees: the kernel takes a mapping from a user namespace (mount_setattr(2), `MOUNT_ATTR_IDMAP`), so one is made for it, in
//! which nothing ever runs.

use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use rustix::pipe::{PipeFlags, pipe_with};
use sys::mount::{idmap, open_tree_mapped};
use sys::ns::kind;
use sys::process::{Clone, clone3, wait};
use sys::{Call, Error as Failed};

use crate::Error;
use crate::compile::{IdMap, IdRange, Users};
use crate::prepare::{namespace, no_source};

/// The user namespaces made so far: equal mappings share one.
#[derive(Default)]
pub(crate) struct Maps(Vec<(Users, OwnedFd)>);

impl Maps {
    /// A detached and mapped copy of the tree at `path`.
    pub(crate) fn open(&mut self, path: &Path, flags: OpenTreeFlags, map: &IdMap) -> Result<OwnedFd, Error> {
        let failed = |source| no_source(path, source);
        let users = self.users(&map.users, path)?;
        let all = flags.contains(OpenTreeFlags::AT_RECURSIVE);
        // One call can only map as much as it copies.
        if map.recursive == all {
            match open_tree_mapped(CWD, path, flags, users) {
                Err(error) if error.errno() == Errno::NOSYS => {}
                done => return done.map_err(failed),
            }
        }
        in_two_steps(path, flags, users, map.recursive).map_err(failed)
    }

    /// Maps a detached tree, which is at `path` for messages.
    pub(crate) fn map(&mut self, tree: &OwnedFd, path: &Path, map: &IdMap) -> Result<(), Error> {
        let users = self.users(&map.users, path)?;
        idmap(tree, users, map.recursive).map_err(|source| no_source(path, source))
    }

    fn users(&mut self, wanted: &Users, path: &Path) -> Result<&OwnedFd, Error> {
        let at = match self.0.iter().position(|(known, _)| known == wanted) {
            Some(at) => at,
            None => {
                let made = match wanted {
                    Users::Namespace(file) => namespace(file, kind::USER, false)?,
                    Users::Ranges { uids, gids } => {
                        user_namespace(uids, gids).map_err(|source| Error::IdMap { path: path.to_owned(), source })?
                    }
                };
                self.0.push((wanted.clone(), made));
                self.0.len() - 1
            }
        };
        Ok(&self.0[at].1)
    }
}

/// Before Linux 6.15, and for a tree of which only the top is mapped.
fn in_two_steps(path: &Path, flags: OpenTreeFlags, users: &OwnedFd, recursive: bool) -> sys::Result<OwnedFd> {
    let tree = open_tree(CWD, path, flags).call(|| format!("open_tree({path:?}, {flags:?})"))?;
    idmap(&tree, users, recursive)?;
    Ok(tree)
}

/// A user namespace with these ids. It lives as long as its descriptor.
fn user_namespace(uids: &[IdRange], gids: &[IdRange]) -> sys::Result<OwnedFd> {
    let (end, held) = pipe_with(PipeFlags::CLOEXEC).call(|| "pipe2(O_CLOEXEC)")?;
    let mut held = Some(held);
    let child = clone3(&Clone { namespaces: kind::USER, ..Clone::default() }, || {
        drop(held.take());
        // Until the caller has what it wants, or is gone itself.
        let _ = rustix::io::read(&end, &mut [0; 1]);
        0
    })?;
    let folder = format!("/proc/{}", child.pid.as_raw_nonzero());
    let map = |file: &str, ranges: &[IdRange]| {
        let (path, text) = (format!("{folder}/{file}"), lines(ranges));
        let file = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"))?;
        let written = rustix::io::write(&file, text.as_bytes());
        written.map_err(|errno| Failed::new(format!("write({file:?}, {text:?})", file = path), errno)).map(drop)
    };
    let made = map("gid_map", gids).and_then(|()| map("uid_map", uids)).and_then(|()| {
        let path = format!("{folder}/ns/user");
        rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"))
    });
    drop(held);
    wait(child.pidfd.as_fd())?;
    made
}

/// As the kernel takes them: all in one write.
fn lines(ranges: &[IdRange]) -> String {
    ranges.iter().fold(String::new(), |mut text, IdRange { inside, outside, size }| {
        let _ = writeln!(text, "{inside} {outside} {size}");
        text
    })
}
