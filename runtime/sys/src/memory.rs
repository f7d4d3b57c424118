//! Memory that is no longer needed, and where it comes from.

use crate::{Error, Result};

/// Gives freed heap pages back to the kernel. A long-lived small process calls it once after its start-up work.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: only touches the allocator's own free lists.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Has all threads share one heap (mallopt(3), `M_ARENA_MAX`), if it is called before there are others. The C library makes heaps of their own for
/// threads that allocate at the same time, up to eight for each processor, and what is left in one of them nobody else uses.
pub fn one_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets a number of the allocator's own.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Sets the NUMA policy of the calling thread, which its program and all children keep (set_mempolicy(2)): a mode with its flags, and
/// the nodes whose bits are set.
///
/// # Errors
/// `EINVAL` for nodes that are not there or not allowed, or a mode that this kernel does not know; `ENOSYS` without NUMA.
pub fn set_policy(mode: u32, nodes: &[u64]) -> Result<()> {
    // One more than there are: the kernel leaves the last bit out (BUGS in the manual page).
    let bits = if nodes.is_empty() { 0 } else { size_of_val(nodes) * 8 + 1 };
    let mask = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the kernel reads as many bits as the slice has, or nothing.
    let done = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, mask, bits) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("set_mempolicy({mode:#x}, {nodes:x?})"))) }
}

/// The NUMA policy of the calling thread: its mode with flags.
///
/// # Errors
/// `ENOSYS` without NUMA.
pub fn policy() -> Result<u32> {
    let mut mode: libc::c_int = 0;
    // SAFETY: the kernel writes one integer; a null mask of no bits is not written.
    let done = unsafe { libc::syscall(libc::SYS_get_mempolicy, &raw mut mode, std::ptr::null_mut::<u64>(), 0, 0, 0) };
    if done == 0 { Ok(mode as u32) } else { Err(Error::last("get_mempolicy()")) }
}
