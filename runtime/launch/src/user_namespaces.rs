//! A user namespace in which nothing runs, and others that belong to it: for id-mapped mounts, and for pods.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use sys::ns::kind;
use sys::process::{Clone, clone3, wait};
use sys::{Call, Error};

use crate::IdRange;
use crate::users::text;

/// The names in `/proc/PID/ns` of namespaces that may belong to a user namespace, in the order in which they are returned.
const OTHERS: [(u64, &str); 3] = [(kind::IPC, "ipc"), (kind::UTS, "uts"), (kind::NET, "net")];

/// Makes a user namespace with these ids, and those of IPC, UTS and NET that are among `others` (`CLONE_NEW*`), which belong to it. They live
/// as long as their descriptors; that of the users comes first, the others in the order in which they are named here.
///
/// The caller must be single-threaded.
///
/// # Errors
/// Those of clone3(2), and of writing the ids down.
pub fn user_namespaces(uids: &[IdRange], gids: &[IdRange], others: u64) -> sys::Result<Vec<OwnedFd>> {
    let others = OTHERS.into_iter().filter(|(flag, _)| others & flag != 0);
    let namespaces = others.clone().fold(kind::USER, |all, (flag, _)| all | flag);
    let (end, held) = pipe_with(PipeFlags::CLOEXEC).call(|| "pipe2(O_CLOEXEC)")?;
    let mut held = Some(held);
    let child = clone3(&Clone { namespaces, ..Clone::default() }, || {
        drop(held.take());
        // Until the caller has what it wants, or is gone itself.
        let _ = rustix::io::read(&end, &mut [0; 1]);
        0
    })?;
    let folder = format!("/proc/{}", child.pid.as_raw_nonzero());
    let map = |file: &str, ranges: &[IdRange]| {
        let (path, text) = (format!("{folder}/{file}"), text(ranges));
        let file = rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"))?;
        let written = rustix::io::write(&file, text.as_bytes());
        written.map_err(|errno| Error::new(format!("write({path:?}, {text:?})"), errno)).map(drop)
    };
    let open = |name: &str| {
        let path = format!("{folder}/ns/{name}");
        rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"))
    };
    let made = map("gid_map", gids)
        .and_then(|()| map("uid_map", uids))
        .and_then(|()| ["user"].into_iter().chain(others.map(|(_, name)| name)).map(open).collect());
    drop(held);
    wait(child.pidfd.as_fd())?;
    made
}
