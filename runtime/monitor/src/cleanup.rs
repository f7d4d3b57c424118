//! Undo as data. Each part may be gone already, and one that fails does not keep the others from being done: what is left is found by
//! the engine's recovery.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use monitor::Cleanup;
use rustix::fs::{rename, rmdir, unlink};
use rustix::io::Errno;

use crate::cgroup;

/// Gives back what others wait for: ports, addresses, names. `netfilter` is the socket for nf_tables.
pub(crate) fn free(cleanup: &Cleanup, netfilter: Option<&OwnedFd>) {
    // The kernel carries a batch out while it is sent (nfnetlink_rcv runs in the sender); the answers are not waited for, nor read.
    for batch in &cleanup.nftables {
        let _ = netfilter.map(|socket| sys::socket::send(socket, batch, &[]));
    }
    for path in &cleanup.unlink {
        let _ = unlink(path);
    }
    for path in &cleanup.folders {
        let _ = rmdir(path);
    }
}

/// Takes what is to be discarded out of sight. True when nobody can find any of it from now on.
pub(crate) fn hide(cleanup: &Cleanup) -> bool {
    let hidden = |path: &PathBuf| gone(path).is_some_and(|gone| matches!(rename(path, gone), Ok(()) | Err(Errno::NOENT)));
    // Without its `users` nobody can take it any more, and with somebody in there it cannot be removed.
    for path in cleanup.unused.iter().filter(|path| rmdir(path.join("users")).is_ok()) {
        hidden(path);
    }
    // Each of them, also after one that failed.
    cleanup.discard.iter().filter(|path| !hidden(path)).count() == 0
}

/// Removes its cgroups, with whatever still runs in them. `group` is the v2 cgroup folder.
pub(crate) fn groups(cleanup: &Cleanup, group: Option<&OwnedFd>) {
    for path in &cleanup.cgroups {
        cgroup::remove(path, group);
    }
}

/// Removes what only it has, last of all the folder that says that something may be left.
pub(crate) fn trees(cleanup: &Cleanup) {
    for path in &cleanup.trees {
        tree(path);
    }
}

/// Removes the files of what [`hide`] took out of sight. On a disk that is told of each freed block this takes milliseconds for each
/// folder.
pub(crate) fn discard(cleanup: &Cleanup) {
    cleanup.discard.iter().chain(&cleanup.unused).filter_map(|path| gone(path)).for_each(|path| tree(&path));
}

fn gone(path: &Path) -> Option<PathBuf> {
    Some(path.with_file_name(format!(".gone-{}", path.file_name()?.to_str()?)))
}

fn tree(path: &Path) {
    if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
        let _ = sys::fs::open_dir(parent).and_then(|parent| sys::fs::remove_tree(parent, name));
    }
}
