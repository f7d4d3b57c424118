//! Making files where a container's own users are known and the host's root is nobody: through a mount with mapped ids the kernel lets only
//! those make files whose ids the mount knows (`EOVERFLOW`).

use std::marker::PhantomData;

use rustix::process::{Gid, Uid};
use rustix::thread::{CapabilitySets, capabilities, set_capabilities, set_thread_res_gid, set_thread_res_uid};
use sys::Call;

use crate::request::UserMap;

/// As long as this lives, what the thread makes belongs to the root of a container's users. It keeps all its capabilities.
#[derive(Debug)]
pub(super) struct Acting {
    /// It is about the thread that has made it.
    _here: PhantomData<*const ()>,
}

impl Acting {
    /// For a container without root nothing changes.
    pub(super) fn root_of(users: &UserMap) -> sys::Result<Option<Acting>> {
        let Some((uid, gid)) = users.outside(0, 0).filter(|ids| *ids != (0, 0)) else { return Ok(None) };
        let sets = capabilities(None).call(|| "capget()")?;
        become_user(uid, gid)?;
        let acting = Acting { _here: PhantomData };
        // Another effective user has none of them effective (capabilities(7)).
        set_capabilities(None, CapabilitySets { effective: sets.permitted, ..sets }).call(|| "capset()")?;
        Ok(Some(acting))
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        let _ = become_user(0, 0);
    }
}

/// The effective ids alone: with the real ones the right to return would go.
fn become_user(uid: u32, gid: u32) -> sys::Result<()> {
    let (root_gid, root_uid) = (Gid::from_raw(0), Uid::from_raw(0));
    set_thread_res_gid(root_gid, Gid::from_raw(gid), root_gid).call(|| format!("setresgid({gid})"))?;
    set_thread_res_uid(root_uid, Uid::from_raw(uid), root_uid).call(|| format!("setresuid({uid})"))
}
