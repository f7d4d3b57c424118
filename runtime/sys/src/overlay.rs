//! What overlayfs keeps in extended attributes of its layers.
//!
//! `trusted.*` is for root of the first user namespace (xattr(7)); in others overlayfs is mounted with `userxattr` and keeps the same in
//! `user.overlay.*` (kernel documentation, filesystems/overlayfs, "User xattr", Linux 5.11).

use std::os::fd::AsFd;

use rustix::fs::{XattrFlags, fgetxattr, fsetxattr};

use crate::{Call, Result, ns};

/// Beginning of the names of all such attributes, as this process reads and writes them.
pub fn prefix() -> &'static str {
    if ns::is_first_of_users() { "trusted.overlay." } else { "user.overlay." }
}

/// The attribute of a folder that nothing of the layers below shows in.
pub fn opaque() -> &'static str {
    if ns::is_first_of_users() { "trusted.overlay.opaque" } else { "user.overlay.opaque" }
}

/// Whether an open folder hides what the layers below have in it.
pub fn is_opaque(folder: impl AsFd) -> bool {
    let mut value = [0; 1];
    matches!(fgetxattr(folder, opaque(), &mut value[..]), Ok(1)) && value == *b"y"
}

/// Lets an open folder hide what the layers below have in it.
///
/// # Errors
/// `EPERM` without the right to do so, `EOPNOTSUPP` where the file system has no such attributes.
pub fn set_opaque(folder: impl AsFd) -> Result<()> {
    fsetxattr(folder, opaque(), b"y", XattrFlags::empty()).call(|| format!("fsetxattr({})", opaque()))
}
