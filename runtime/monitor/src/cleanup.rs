//! Undo as data. Each part may be gone already, and one that fails does not keep the others from being done: what is left is found by
//! the engine's recovery.

use std::os::fd::OwnedFd;
use std::path::Path;

use monitor::Cleanup;
use rustix::fs::unlink;

use crate::cgroup;

/// Does it all, in the order in which others may see it: ports and address are free first, the folder that says that something may be
/// left goes last. `group` is the v2 cgroup folder.
pub(crate) fn run(cleanup: &Cleanup, group: Option<&OwnedFd>) {
    nftables(&cleanup.nftables);
    for path in &cleanup.unlink {
        let _ = unlink(path);
    }
    for path in &cleanup.cgroups {
        cgroup::remove(path, group);
    }
    for path in &cleanup.trees {
        tree(path);
    }
}

/// The kernel carries a batch out while it is sent (nfnetlink_rcv runs in the sender); the answers are not waited for, nor read.
fn nftables(batches: &[Vec<u8>]) {
    if batches.is_empty() {
        return;
    }
    if let Ok(socket) = sys::netlink::socket(Some(rustix::net::netlink::NETFILTER)) {
        for batch in batches {
            let _ = sys::socket::send(&socket, batch, &[]);
        }
    }
}

fn tree(path: &Path) {
    if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
        let _ = sys::fs::open_dir(parent).and_then(|parent| sys::fs::remove_tree(parent, name));
    }
}
