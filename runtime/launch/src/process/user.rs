//! User and groups.

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use sys::{Call, Error};

use crate::failure::During;
use crate::{Failure, Process};

/// Becomes the process's user. Groups go first, as changing them is a privilege of the user that is left.
/// Where they cannot be changed, the caller's stay: they are not mapped, and say nothing inside.
pub(super) fn switch(process: &Process, groups_denied: bool) -> Result<(), Failure> {
    try_switch(process, groups_denied).during(|| "switch user")
}

fn try_switch(process: &Process, groups_denied: bool) -> sys::Result<()> {
    // Or the permitted set would be gone with root, before the process's own sets are made of it.
    let keep = process.capabilities.is_some() && process.uid != 0;
    if keep {
        set_keep_capabilities(true).call(|| "prctl(PR_SET_KEEPCAPS, 1)")?;
    }
    let groups: Vec<_> = process.groups.iter().map(|group| Gid::from_raw(*group)).collect();
    // The own group as a further one adds nothing.
    if groups_denied && process.groups.iter().any(|group| *group != process.gid) {
        let call = format!("setgroups({:?}): denied in this user namespace", process.groups);
        return Err(Error::new(call, Errno::PERM));
    }
    if !groups_denied {
        set_thread_groups(&groups).call(|| format!("setgroups({:?})", process.groups))?;
    }
    let (uid, gid) = (Uid::from_raw(process.uid), Gid::from_raw(process.gid));
    set_thread_res_gid(gid, gid, gid).call(|| format!("setresgid({})", process.gid))?;
    set_thread_res_uid(uid, uid, uid).call(|| format!("setresuid({})", process.uid))?;
    if keep {
        set_keep_capabilities(false).call(|| "prctl(PR_SET_KEEPCAPS, 0)")?;
    }
    Ok(())
}
