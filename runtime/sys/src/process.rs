//! Making, executing, signalling and awaiting processes.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::{Call, Error, Result};

/// `clone3` flags that libc gets wrong: there they are `c_int` and evaluate to 0.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// What the child of [`clone3`] is born into.
#[derive(Debug, Default)]
pub struct Clone<'fd> {
    /// `CLONE_NEW*` flags.
    pub namespaces: u64,
    /// A cgroup v2 folder to be born in (Linux 5.7).
    pub cgroup: Option<BorrowedFd<'fd>>,
    /// The child becomes the caller's sibling: the caller's parent will wait for it.
    pub sibling: bool,
}

/// A process made by [`clone3`]: its number in the caller's pid namespace and a descriptor that means it for ever.
#[derive(Debug)]
pub struct Child {
    /// Process number.
    pub pid: Pid,
    /// Process descriptor, close-on-exec.
    pub pidfd: OwnedFd,
}

/// Makes a process that runs `body` on a copy of the caller's memory and ends with the status `body` returns.
/// Signal handlers are reset. The caller must be single-threaded: a lock held by another thread would stay held for ever
/// in the child, so a threaded caller gets `EINVAL` (see unshare(2), `CLONE_THREAD`).
///
/// # Errors
/// Those of clone3(2); `EINVAL` when the caller has more than one thread.
pub fn clone3(clone: &Clone<'_>, body: impl FnOnce() -> u8) -> Result<Child> {
    // SAFETY: `unshare(CLONE_THREAD)` changes nothing; it succeeds exactly when the caller has one thread.
    if unsafe { libc::unshare(libc::CLONE_THREAD) } != 0 {
        return Err(Error::last("clone3() of a threaded process"));
    }
    let mut pidfd: libc::c_int = -1;
    let mut flags = clone.namespaces | libc::CLONE_PIDFD as u64;
    if clone.sibling {
        // CLONE_PARENT takes the exit signal of the caller's own creation.
        flags |= libc::CLONE_PARENT as u64;
    }
    flags |= CLONE_CLEAR_SIGHAND;
    let mut args = libc::clone_args {
        flags,
        pidfd: (&raw mut pidfd) as u64,
        child_tid: 0,
        parent_tid: 0,
        exit_signal: if clone.sibling { 0 } else { libc::SIGCHLD as u64 },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: 0,
        set_tid_size: 0,
        cgroup: 0,
    };
    if let Some(cgroup) = clone.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM this is fork(2): the child has its own copy of everything, on the same stack. The
    // process has one thread (checked above), so no lock of the allocator or of libc can be held by somebody else.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<libc::clone_args>()) };
    match pid {
        0 => {
            // A panic must not unwind into the parent's frames, of which the child has a copy.
            let status = catch_unwind(AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: _exit does not return and runs nothing of the parent's (no atexit, no destructors).
            unsafe { libc::_exit(i32::from(status)) }
        }
        1.. => {
            // SAFETY: the kernel has just stored a new descriptor here, which nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let pid = Pid::from_raw(pid as i32).ok_or_else(|| Error::new("clone3()", Errno::SRCH))?;
            Ok(Child { pid, pidfd })
        }
        _ => Err(Error::last(format!("clone3({:#x})", args.flags))),
    }
}

/// A program with its arguments and environment, made ready for `execve` before it is needed.
pub struct Exec {
    // Owners of what the pointer arrays below point to.
    _strings: Vec<CString>,
    argv: Vec<*const libc::c_char>,
    envp: Vec<*const libc::c_char>,
}

impl Exec {
    /// Lays out `args` and `env`.
    pub fn new(args: Vec<CString>, env: Vec<CString>) -> Self {
        let point = |strings: &[CString]| strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        let (argv, envp) = (point(&args), point(&env));
        Exec { _strings: args.into_iter().chain(env).collect(), argv, envp }
    }

    /// `execve(path, …)`: returns only when it failed.
    pub fn exec(&self, path: &CStr) -> Result<Infallible> {
        // SAFETY: `path` is a C string; both arrays end in a null pointer and point to strings that `self` owns.
        unsafe { libc::execve(path.as_ptr(), self.argv.as_ptr(), self.envp.as_ptr()) };
        Err(Error::last(format!("execve({path:?})")))
    }

    /// `execveat(fd, "", …, AT_EMPTY_PATH)`: runs the program behind a descriptor; returns only when it failed.
    pub fn exec_fd(&self, program: impl AsFd) -> Result<Infallible> {
        let fd = program.as_fd().as_raw_fd();
        // SAFETY: as in `exec`; the empty path makes the kernel use `fd` itself.
        unsafe { libc::syscall(libc::SYS_execveat, fd, c"".as_ptr(), self.argv.as_ptr(), self.envp.as_ptr(), libc::AT_EMPTY_PATH) };
        Err(Error::last(format!("execveat({fd}, \"\", AT_EMPTY_PATH)")))
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It called exit with this status.
    Exited(u8),
    /// This signal killed it.
    Killed(i32),
}

impl Ended {
    /// The shell's single number: the status, or 128 plus the signal.
    pub fn code(self) -> i32 {
        match self {
            Ended::Exited(status) => i32::from(status),
            Ended::Killed(signal) => 128 + signal,
        }
    }
}

/// Waits until the child behind `pidfd` has ended, and reaps it.
pub fn wait(pidfd: impl AsFd) -> Result<Ended> {
    loop {
        match waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED) {
            Ok(Some(status)) => {
                return Ok(match (status.exit_status(), status.terminating_signal()) {
                    (Some(code), _) => Ended::Exited(code as u8),
                    (None, signal) => Ended::Killed(signal.unwrap_or(libc::SIGKILL)),
                });
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Error::new("waitid(P_PIDFD, WEXITED)", errno)),
        }
    }
}

/// What a process and those children that it has reaped itself have used (getrusage(2)).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// The largest resident set of any of them, in KiB.
    pub peak: u64,
    /// Time on a processor, their own and the kernel's for them.
    pub cpu: Duration,
    /// Bytes that they had a file system write to a disk, then or later.
    pub written: u64,
}

impl From<libc::rusage> for Usage {
    fn from(usage: libc::rusage) -> Self {
        let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        let cpu = time(usage.ru_utime) + time(usage.ru_stime);
        Usage { peak: usage.ru_maxrss as u64, cpu, written: usage.ru_oublock as u64 * 512 }
    }
}

/// Waits until the child `pid` has ended, and reaps it; also what it has used (wait4(2)).
///
/// # Errors
/// `ECHILD` when it is no child of the caller.
pub fn wait_usage(pid: Pid) -> Result<(Ended, Usage)> {
    let call = || format!("wait4({})", pid.as_raw_nonzero());
    let mut status = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are valid for writing for the time of the call.
        if unsafe { libc::wait4(pid.as_raw_nonzero().get(), &raw mut status, 0, usage.as_mut_ptr()) } > 0 {
            // SAFETY: all zeroes is a value of this structure of integers, and the kernel has filled it in.
            let usage = unsafe { usage.assume_init() };
            let ended = if libc::WIFSIGNALED(status) {
                Ended::Killed(libc::WTERMSIG(status))
            } else {
                Ended::Exited(libc::WEXITSTATUS(status) as u8)
            };
            return Ok((ended, usage.into()));
        }
        let error = Error::last(call());
        if error.errno() != Errno::INTR {
            return Err(error);
        }
    }
}

/// Sends any signal by number, real-time ones too, to the process behind `pidfd`.
///
/// # Errors
/// `ESRCH` when it has ended, `EINVAL` for a number that is no signal.
pub fn signal(pidfd: impl AsFd, signal: i32) -> Result<()> {
    let fd = pidfd.as_fd().as_raw_fd();
    // SAFETY: plain integers and a null pointer, which asks for the default siginfo.
    let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, ptr::null::<libc::siginfo_t>(), 0) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("pidfd_send_signal({fd}, {signal})"))) }
}

/// Sets a resource limit of the calling process by its `RLIMIT_*` number (prlimit(2)).
///
/// # Errors
/// `EPERM` for raising a hard limit without CAP_SYS_RESOURCE, `EINVAL` for an unknown number or a soft limit above the hard one.
pub fn set_rlimit(resource: u32, soft: u64, hard: u64) -> Result<()> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: process 0 is the caller; the kernel reads one structure and writes none.
    let done = unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, &raw const limit, ptr::null_mut::<libc::rlimit64>()) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("prlimit(0, {resource}, {{{soft}, {hard}}})"))) }
}

/// Sets the caller's execution domain (personality(2)), which its program and all children keep.
///
/// # Errors
/// `EINVAL` for a domain that this architecture does not have.
pub fn set_personality(domain: u32) -> Result<()> {
    // SAFETY: a plain integer.
    let before = unsafe { libc::personality(libc::c_ulong::from(domain)) };
    if before >= 0 { Ok(()) } else { Err(Error::last(format!("personality({domain:#x})"))) }
}

/// Leaves the session keyring inherited from the caller for a new, empty one (keyctl(2), `KEYCTL_JOIN_SESSION_KEYRING`).
///
/// # Errors
/// `ENOSYS` without kernel support, `EPERM` where an outer container's filter denies it, `EDQUOT`.
pub fn new_session_keyring() -> Result<()> {
    const JOIN_SESSION_KEYRING: libc::c_int = 1;
    // SAFETY: a null name asks for an anonymous keyring.
    let serial = unsafe { libc::syscall(libc::SYS_keyctl, JOIN_SESSION_KEYRING, ptr::null::<libc::c_char>()) };
    if serial >= 0 { Ok(()) } else { Err(Error::last("keyctl(KEYCTL_JOIN_SESSION_KEYRING)")) }
}

/// The serial number of the caller's session keyring (`KEYCTL_GET_KEYRING_ID`).
pub fn session_keyring() -> Result<i32> {
    const GET_KEYRING_ID: libc::c_int = 0;
    const SESSION_KEYRING: libc::c_int = -3;
    // SAFETY: plain integers; nothing is created.
    let serial = unsafe { libc::syscall(libc::SYS_keyctl, GET_KEYRING_ID, SESSION_KEYRING, 0) };
    if serial >= 0 { Ok(serial as i32) } else { Err(Error::last("keyctl(KEYCTL_GET_KEYRING_ID)")) }
}

/// True when the process `pid`, perhaps a zombie, has never called execve since it was made (`PF_FORKNOEXEC` in field 9
/// of proc_pid_stat(5)).
pub fn never_executed(pid: u32) -> bool {
    const PF_FORKNOEXEC: u64 = 0x40;
    let flags = |stat: String| stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().nth(6)?.parse::<u64>().ok();
    std::fs::read_to_string(format!("/proc/{pid}/stat")).ok().and_then(flags).is_some_and(|flags| flags & PF_FORKNOEXEC != 0)
}

/// What a look at a process tells (proc_pid_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Start time in clock ticks since boot.
    pub start: u64,
    /// It has ended and waits to be reaped.
    pub ended: bool,
    /// It has called execve since it was made.
    pub executed: bool,
}

/// Looks at the process `pid`; `None` when there is none.
pub fn look(pid: u32) -> Option<Look> {
    parse_look(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_look(stat: &str) -> Option<Look> {
    const PF_FORKNOEXEC: u64 = 0x40;
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let flags: u64 = fields.get(6)?.parse().ok()?;
    let ended = matches!(*fields.first()?, "Z" | "X");
    Some(Look { start: fields.get(19)?.parse().ok()?, ended, executed: flags & PF_FORKNOEXEC == 0 })
}

/// The time at which a process started, in clock ticks since boot (field 22 of proc_pid_stat(5)). Together with the
/// process number it names a process for ever. `None` when there is no such process or it is a zombie.
pub fn start_time(pid: u32) -> Option<u64> {
    parse_start_time(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The command name may hold blanks and parentheses: fields are counted from the last `)`.
fn parse_start_time(stat: &str) -> Option<u64> {
    let mut fields = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Opens the process `pid` provided that it is still the one that started at `start_time`.
pub fn open(pid: u32, start: u64) -> Result<OwnedFd> {
    let call = || format!("pidfd_open({pid})");
    let number = Pid::from_raw(pid as i32).ok_or_else(|| Error::new(call(), Errno::SRCH))?;
    let pidfd = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty()).call(call)?;
    // In this order: once the descriptor is open, the number can only mean this process or nobody.
    if start_time(pid) == Some(start) { Ok(pidfd) } else { Err(Error::new(call(), Errno::SRCH)) }
}

/// Waits until a child that nobody has waited for has ended; false when that takes longer than `limit`. It is not reaped.
///
/// # Errors
/// Those of pidfd_open(2) and poll(2).
pub fn ends_within(child: &std::process::Child, limit: Duration) -> Result<bool> {
    let call = || format!("poll(pidfd of {})", child.id());
    let pid = Pid::from_raw(child.id() as i32).ok_or_else(|| Error::new(call(), Errno::SRCH))?;
    let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).call(call)?;
    let deadline = Instant::now() + limit;
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now()));
        let left = left.map_err(|_| Error::new(call(), Errno::INVAL))?;
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Err(Errno::INTR) => {}
            ready => return ready.call(call).map(|ready| ready > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_waited_for_no_longer_than_it_may_take() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(!ends_within(&child, Duration::from_millis(10)).unwrap());
        drop(child.stdin.take());
        assert!(ends_within(&child, Duration::from_secs(60)).unwrap());
        assert!(child.wait().unwrap().success());
    }

    #[test]
    fn start_time_counts_from_the_last_parenthesis() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        assert_eq!(parse_start_time(stat), Some(4711));
        assert_eq!(parse_start_time(&stat.replace(" S ", " Z ")), None);
        assert_eq!(parse_start_time("7 (a"), None);
        assert_eq!(parse_look(stat), Some(Look { start: 4711, ended: false, executed: true }));
        let other = stat.replace(" S ", " Z ").replace("4194560", "4194624");
        assert_eq!(parse_look(&other), Some(Look { start: 4711, ended: true, executed: false }));
    }

    #[test]
    fn this_test_was_executed() {
        assert!(!never_executed(std::process::id()));
    }

    #[test]
    fn limits_are_set_by_number() {
        let before = rustix::process::getrlimit(rustix::process::Resource::Core);
        let hard = before.maximum.unwrap_or(u64::MAX);
        set_rlimit(libc::RLIMIT_CORE, 0, hard).unwrap();
        assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core).current, Some(0));
        assert_eq!(set_rlimit(libc::RLIMIT_CORE, 2, 1).unwrap_err().errno(), Errno::INVAL);
    }

    #[test]
    fn a_process_is_its_number_and_start() {
        let me = std::process::id();
        let start = start_time(me).unwrap();
        assert!(open(me, start).is_ok());
        assert_eq!(open(me, start + 1).unwrap_err().errno(), Errno::SRCH);
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "the function under test reaps it")]
    fn a_child_is_reaped_with_what_it_used() {
        let child = std::process::Command::new("sh").args(["-c", "exit 3"]).spawn().unwrap();
        let pid = Pid::from_child(&child);
        let (ended, used) = wait_usage(pid).unwrap();
        assert!(ended == Ended::Exited(3) && (100..1 << 20).contains(&used.peak) && used.cpu > Duration::ZERO, "{used:?}");
        assert_eq!(wait_usage(pid).unwrap_err().errno(), Errno::CHILD);
    }

    #[test]
    fn a_threaded_process_is_refused() {
        // The test harness itself has several threads.
        assert_eq!(clone3(&Clone::default(), || 0).unwrap_err().errno(), Errno::INVAL);
    }
}
