//! What a filter answers: `SECCOMP_RET_*` (seccomp(2)).

/// `SECCOMP_RET_KILL_THREAD`.
pub(super) const KILL_THREAD: u32 = 0;
/// `SECCOMP_RET_USER_NOTIF`.
pub(super) const NOTIFY: u32 = 0x7fc0_0000;
/// `SECCOMP_RET_TRACE`, without its data.
pub(super) const TRACE: u32 = 0x7ff0_0000;
/// `SECCOMP_RET_LOG`.
pub(super) const LOG: u32 = 0x7ffc_0000;
/// `SECCOMP_RET_ALLOW`.
pub(super) const ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_RET_ERRNO` with EPERM.
pub(super) const EPERM: u32 = 0x0005_0001;
/// `SECCOMP_RET_ERRNO` with ENOSYS.
pub(super) const ENOSYS: u32 = 0x0005_0026;

/// The call is made, without anybody else deciding.
pub(super) fn permits(action: u32) -> bool {
    matches!(action, ALLOW | LOG)
}

/// The action without its data.
pub(super) fn kind(action: u32) -> u32 {
    action & 0xffff_0000
}
