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

/// `SECCOMP_FILTER_FLAG_TSYNC`.
pub const TSYNC: u32 = 1 << 0;
/// `SECCOMP_FILTER_FLAG_LOG`.
pub const LOG: u32 = 1 << 1;
/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`.
pub const SPEC_ALLOW: u32 = 1 << 2;
/// `SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV` (Linux 5.19).
pub const WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// Whether the kernel knows these flags. Nothing is installed: it looks at them before it looks for a program.
pub fn knows_flags(flags: u32) -> bool {
    // SAFETY: a null pointer is refused with EFAULT, but only after the flags are found to be fine.
    let done = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, std::ptr::null::<u8>()) };
    done != 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

/// Whether the kernel knows an action (`SECCOMP_RET_*`, seccomp(2), `SECCOMP_GET_ACTION_AVAIL`).
pub fn knows_action(action: u32) -> bool {
    // SAFETY: the kernel reads one integer.
    unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) == 0 }
}

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
