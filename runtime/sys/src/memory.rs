//! Memory that is no longer needed.

/// Gives freed heap pages back to the kernel. A long-lived small process calls it once after its start-up work.
pub fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: only touches the allocator's own free lists.
    unsafe {
        libc::malloc_trim(0);
    }
}
