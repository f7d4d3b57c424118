//! Loading a seccomp filter.

use std::os::fd::{FromRawFd, OwnedFd};

use crate::{Error, Result};

/// One classic BPF instruction: `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Jump distance when true.
    pub jt: u8,
    /// Jump distance when false.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// `SECCOMP_FILTER_FLAG_NEW_LISTENER`: [`load`] returns the notification descriptor.
pub const NEW_LISTENER: u32 = 1 << 3;

/// Installs `filter` on the calling thread. Needs no-new-privileges or CAP_SYS_ADMIN.
///
/// # Errors
/// `EACCES` without either; `EINVAL` for a program that the kernel's checker refuses.
pub fn load(filter: &[Instruction], flags: u32) -> Result<Option<OwnedFd>> {
    let call = || format!("seccomp(SECCOMP_SET_MODE_FILTER, {flags:#x}, {} instructions)", filter.len());
    let len = u16::try_from(filter.len()).map_err(|_| Error::new(call(), rustix::io::Errno::INVAL))?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut().cast() };
    // SAFETY: `Instruction` has the layout of sock_filter, `len` counts them, the kernel only reads.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    match done {
        0 => Ok(None),
        // SAFETY: with NEW_LISTENER the result is a new descriptor.
        1.. if flags & NEW_LISTENER != 0 => Ok(Some(unsafe { OwnedFd::from_raw_fd(done as i32) })),
        _ => Err(Error::last(call())),
    }
}
