//! Resource limits.

use crate::Failure;
use crate::failure::During;

/// Sets each limit: number, soft, hard.
pub(super) fn set(limits: &[(u32, u64, u64)]) -> Result<(), Failure> {
    for &(resource, soft, hard) in limits {
        sys::process::set_rlimit(resource, soft, hard).during(|| "resource limit (raising a hard limit needs CAP_SYS_RESOURCE)")?;
    }
    Ok(())
}
