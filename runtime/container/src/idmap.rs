//! Id-mapped trees: the kernel takes a mapping from a user namespace (mount_setattr(2), `MOUNT_ATTR_IDMAP`), so one is made for it, in
//! which nothing ever runs.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::mount::{idmap, open_tree_mapped};
use sys::ns::kind;
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

/// A user namespace with these ids.
fn user_namespace(uids: &[IdRange], gids: &[IdRange]) -> sys::Result<OwnedFd> {
    let made = launch::user_namespaces(uids, gids, 0)?;
    made.into_iter().next().ok_or_else(|| Failed::new("clone3(CLONE_NEWUSER)", Errno::INVAL))
}
