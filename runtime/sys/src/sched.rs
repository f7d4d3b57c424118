//! Where, when and with what priority the calling thread runs.

use rustix::io::Errno;

use crate::{Error, Result};

/// What [`set_attr`] sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attr {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// From -20 to 19, for `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// From 1 to 99, for `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// Nanoseconds, for `SCHED_DEADLINE` as the two after it.
    pub runtime: u64,
    /// Nanoseconds.
    pub deadline: u64,
    /// Nanoseconds.
    pub period: u64,
}

/// `struct sched_attr` as of Linux 5.3.
#[repr(C)]
#[derive(Default)]
struct Raw {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
    util_min: u32,
    util_max: u32,
}

/// Sets policy and priority (sched_setattr(2)).
///
/// # Errors
/// `EPERM` without CAP_SYS_NICE, or for `SCHED_DEADLINE` while some CPUs are excluded; `EBUSY` when the bandwidth is taken; `EINVAL` for
/// what contradicts itself.
pub fn set_attr(attr: Attr) -> Result<()> {
    let Attr { policy, flags, nice, priority, runtime, deadline, period } = attr;
    let size = size_of::<Raw>() as u32;
    let raw = Raw { size, policy, flags, nice, priority, runtime, deadline, period, util_min: 0, util_max: 0 };
    // SAFETY: thread 0 is the caller; the kernel reads one structure of the size that it names.
    let done = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const raw, 0) };
    if done == 0 {
        return Ok(());
    }
    Err(Error::last(format!(
        "sched_setattr({{policy {policy}, flags {flags:#x}, nice {nice}, priority {priority}, {runtime}/{deadline}/{period}}})"
    )))
}

/// Restricts the caller to the CPUs whose bits are set (sched_setaffinity(2)). Bits of CPUs that do not exist are ignored, and so
/// are those outside of the caller's cpuset.
///
/// # Errors
/// `EINVAL` when none is left.
pub fn set_affinity(mask: &[u64]) -> Result<()> {
    // SAFETY: thread 0 is the caller; the kernel reads as many bytes as the slice has.
    let done = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(mask), mask.as_ptr()) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("sched_setaffinity({:x?})", &mask[..mask.len().min(16)]))) }
}

/// The CPUs that the caller may run on.
///
/// # Errors
/// `EINVAL` on a machine with more than 65 536 possible CPUs.
pub fn affinity() -> Result<Vec<u64>> {
    let mut mask = vec![0u64; 1024];
    // SAFETY: the kernel writes at most as many bytes as the vector has.
    let bytes = unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(mask.as_slice()), mask.as_mut_ptr()) };
    match usize::try_from(bytes) {
        Ok(bytes) => {
            mask.truncate(bytes.div_ceil(8));
            Ok(mask)
        }
        Err(_) => Err(Error::last("sched_getaffinity()")),
    }
}

/// Sets the caller's I/O priority: class and level as in ioprio_set(2).
///
/// # Errors
/// `EPERM` for the real-time class without CAP_SYS_NICE or CAP_SYS_ADMIN, `EINVAL` for a class or level that is none.
pub fn set_io_priority(class: u8, level: u8) -> Result<()> {
    const WHO_PROCESS: libc::c_int = 1;
    let call = || format!("ioprio_set(IOPRIO_WHO_PROCESS, 0, class {class}, level {level})");
    if class > 7 || level > 7 {
        return Err(Error::new(call(), Errno::INVAL));
    }
    // SAFETY: plain integers.
    let done = unsafe { libc::syscall(libc::SYS_ioprio_set, WHO_PROCESS, 0, i32::from(class) << 13 | i32::from(level)) };
    if done == 0 { Ok(()) } else { Err(Error::last(call())) }
}

/// The caller's I/O priority: class and level.
///
/// # Errors
/// `ENOSYS` where the kernel has no I/O priorities.
pub fn io_priority() -> Result<(u8, u8)> {
    // SAFETY: plain integers.
    let value = unsafe { libc::syscall(libc::SYS_ioprio_get, 1, 0) };
    if value >= 0 { Ok(((value >> 13) as u8, (value & 7) as u8)) } else { Err(Error::last("ioprio_get(IOPRIO_WHO_PROCESS, 0)")) }
}

/// The caller's policy and priority (sched_getattr(2)).
///
/// # Errors
/// None that a caller can cause.
pub fn attr() -> Result<Attr> {
    let mut raw = Raw::default();
    // SAFETY: the kernel writes at most the size that is given.
    let done = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut raw, size_of::<Raw>(), 0) };
    let Raw { policy, flags, nice, priority, runtime, deadline, period, .. } = raw;
    if done == 0 {
        Ok(Attr { policy, flags, nice, priority, runtime, deadline, period })
    } else {
        Err(Error::last("sched_getattr()"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinity_is_what_was_set() {
        let before = affinity().unwrap();
        assert!(before.iter().any(|word| *word != 0));
        let first = before.iter().position(|word| *word != 0).unwrap();
        let mut one = vec![0; first + 1];
        one[first] = before[first] & before[first].wrapping_neg();
        set_affinity(&one).unwrap();
        assert_eq!(affinity().unwrap()[first], one[first]);
        set_affinity(&[u64::MAX; 1024]).unwrap();
        assert_eq!(set_affinity(&[0]).unwrap_err().errno(), Errno::INVAL);
    }

    #[test]
    fn attributes_are_what_was_set() {
        const BATCH: u32 = 3;
        set_attr(Attr { policy: BATCH, nice: 5, ..Attr::default() }).unwrap();
        let now = attr().unwrap();
        assert_eq!((now.policy, now.nice), (BATCH, 5));
        set_io_priority(2, 6).unwrap();
        assert_eq!(io_priority().unwrap(), (2, 6));
        assert_eq!(set_io_priority(2, 8).unwrap_err().errno(), Errno::INVAL);
        let nonsense = set_attr(Attr { policy: 99, ..Attr::default() }).unwrap_err();
        assert!(nonsense.to_string().starts_with("sched_setattr({policy 99, "), "{nonsense}");
    }
}
