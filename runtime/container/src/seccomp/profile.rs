//! What a container may call unless told otherwise: the policy of Docker's default profile (moby/profiles, June 2026).
//!
//! All refused calls answer EPERM, but for `clone3`, whose flags are in memory where no filter sees them: ENOSYS makes
//! programs fall back to `clone`. Refused with the default capabilities: what makes or joins namespaces and mounts, loads
//! code into the kernel, reaches into other processes' keys, clocks or memory policy, `io_uring` (its requests bypass
//! every filter), `userfaultfd`, and sockets of AF_ALG (the kernel's cryptography, attacked often and needed by nobody)
//! and AF_VSOCK (it reaches the hypervisor past all network namespaces).
//! On i386, `socketcall` stays allowed, and with it those two families: its arguments are out of sight too.

use oci_spec::runtime::LinuxSeccompOperator::{self, *};
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArgBuilder, LinuxSyscall};

use super::abi::Abi;
use super::rules::{Condition, Profile, Rule};
use super::{action, build, table};

/// The default profile for a process with this bounding set (bit N for capability N), on this machine's architecture.
pub fn default_profile(capabilities: u64) -> LinuxSeccomp {
    let architectures: Vec<Arch> = Abi::NATIVE.family().iter().map(|abi| abi.to_oci()).collect();
    let mut profile = LinuxSeccomp::default();
    profile
        .set_default_action(LinuxSeccompAction::ScmpActErrno)
        .set_default_errno_ret(Some(1))
        .set_architectures(Some(architectures))
        .set_syscalls(Some(templates(capabilities, Abi::NATIVE).iter().map(Template::to_oci).collect()));
    profile
}

/// [`default_profile`], compiled: without the detour over 400 strings.
pub fn default_filter(capabilities: u64) -> launch::Seccomp {
    build(&profile(capabilities, Abi::NATIVE))
}

/// The default profile as the compiler takes it.
pub(super) fn profile(capabilities: u64, native: Abi) -> Profile {
    let rules = templates(capabilities, native).iter().map(Template::to_rule).collect();
    Profile { default: action::EPERM, abis: native.family().to_vec(), rules, flags: sys::seccomp::SPEC_ALLOW }
}

/// A rule before it takes either form.
struct Template {
    names: Vec<&'static str>,
    /// `None`: allowed.
    errno: Option<u32>,
    condition: Option<Condition>,
}

impl Template {
    fn allow(names: &[&'static str]) -> Self {
        Template { names: names.to_vec(), errno: None, condition: None }
    }

    fn allow_if(name: &'static str, op: LinuxSeccompOperator, value: u64) -> Self {
        let condition = Condition { index: 0, op, value, other: 0 };
        Template { names: vec![name], errno: None, condition: Some(condition) }
    }

    fn to_oci(&self) -> LinuxSyscall {
        let mut entry = LinuxSyscall::default();
        let action = self.errno.map_or(LinuxSeccompAction::ScmpActAllow, |_| LinuxSeccompAction::ScmpActErrno);
        entry.set_names(self.names.iter().map(|&name| name.to_owned()).collect()).set_action(action).set_errno_ret(self.errno);
        if let Some(condition) = self.condition {
            let arg = LinuxSeccompArgBuilder::default().index(condition.index as usize).op(condition.op).value(condition.value);
            let arg = if condition.op == ScmpCmpMaskedEq { arg.value_two(condition.other) } else { arg };
            entry.set_args(Some(vec![arg.build().expect("every field has a default")]));
        }
        entry
    }

    fn to_rule(&self) -> Rule {
        Rule {
            calls: self.names.iter().filter_map(|name| table::find(name)).collect(),
            action: self.errno.map_or(action::ALLOW, |_| action::ENOSYS),
            alternatives: self.condition.map(|condition| vec![condition]).into_iter().collect(),
        }
    }
}

fn templates(capabilities: u64, native: Abi) -> Vec<Template> {
    let has = |capability: u32| capabilities & (1 << capability) != 0;
    let mut templates = vec![Template::allow(&ALWAYS.concat())];
    templates.push(Template::allow(match native {
        Abi::Aarch64 | Abi::Arm => ARM,
        _ => X86,
    }));
    templates.extend(SOCKETS.map(|(op, family)| Template::allow_if("socket", op, family)));
    templates.extend(PERSONALITIES.map(|value| Template::allow_if("personality", ScmpCmpEq, value)));
    templates.extend(BY_CAPABILITY.iter().filter(|(capability, _)| has(*capability)).map(|(_, names)| Template::allow(names)));
    if !has(SYS_ADMIN) {
        templates.push(Template::allow_if("clone", ScmpCmpMaskedEq, NAMESPACES));
        templates.push(Template { names: vec!["clone3"], errno: Some(ENOSYS), condition: None });
    }
    templates
}

const ENOSYS: u32 = 38;

/// `CLONE_NEWNS`, `NEWCGROUP`, `NEWUTS`, `NEWIPC`, `NEWUSER`, `NEWPID`, `NEWNET`. (`CLONE_NEWTIME` is not possible with
/// clone: its bit belongs to the exit signal.)
const NAMESPACES: u64 = 0x7e02_0000;

/// All socket families but AF_ALG (38) and AF_VSOCK (40).
const SOCKETS: [(LinuxSeccompOperator, u64); 3] = [(ScmpCmpLt, 38), (ScmpCmpEq, 39), (ScmpCmpGt, 40)];

/// `PER_LINUX`, `PER_LINUX32`, each with `UNAME26`, and the query.
const PERSONALITIES: [u64; 5] = [0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

const DAC_READ_SEARCH: u32 = 2;
const SYS_MODULE: u32 = 16;
const SYS_RAWIO: u32 = 17;
const SYS_CHROOT: u32 = 18;
const SYS_PTRACE: u32 = 19;
const SYS_PACCT: u32 = 20;
const SYS_ADMIN: u32 = 21;
const SYS_BOOT: u32 = 22;
const SYS_NICE: u32 = 23;
const SYS_TIME: u32 = 25;
const SYS_TTY_CONFIG: u32 = 26;
const SYSLOG: u32 = 34;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

/// Allowed with a capability.
#[rustfmt::skip]
const BY_CAPABILITY: &[(u32, &[&str])] = &[
    (DAC_READ_SEARCH, &["open_by_handle_at"]),
    (SYS_MODULE, &["delete_module", "finit_module", "init_module"]),
    (SYS_RAWIO, &["ioperm", "iopl"]),
    (SYS_CHROOT, &["chroot"]),
    (SYS_PTRACE, &["kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev", "ptrace"]),
    (SYS_PACCT, &["acct"]),
    (SYS_ADMIN, &[
        // namespaces
        "clone", "clone3", "setdomainname", "sethostname", "setns", "unshare",
        // mounts
        "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount", "open_tree", "umount", "umount2",
        // files of others
        "fanotify_init", "lookup_dcookie", "quotactl", "quotactl_fd",
        // the kernel
        "bpf", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr", "perf_event_open", "syslog",
    ]),
    (SYS_BOOT, &["reboot"]),
    (SYS_NICE, &["get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"]),
    (SYS_TIME, &["clock_settime", "clock_settime64", "settimeofday", "stime"]),
    (SYS_TTY_CONFIG, &["vhangup"]),
    (SYSLOG, &["syslog"]),
    (PERFMON, &["perf_event_open"]),
    (BPF, &["bpf"]),
];

/// Allowed where the kernel is one for x86.
const X86: &[&str] = &["arch_prctl", "modify_ldt"];

/// Allowed where the kernel is one for ARM.
const ARM: &[&str] = &["arm_fadvise64_64", "arm_sync_file_range", "breakpoint", "cacheflush", "set_tls", "sync_file_range2"];

/// Allowed to all.
const ALWAYS: &[&[&str]] =
    &[FILES, NODES, ATTRIBUTES, EVENTS, IO, MEMORY, NETWORK, IPC, PROCESSES, SCHEDULING, SIGNALS, TIME, IDENTITY, SYSTEM];

/// Opening, reading, writing, moving in files.
#[rustfmt::skip]
const FILES: &[&str] = &[
    "_llseek", "chdir", "close", "close_range", "copy_file_range", "creat", "dup", "dup2", "dup3", "fadvise64", "fadvise64_64",
    "fallocate", "fchdir", "fcntl", "fcntl64", "fdatasync", "flock", "fsync", "ftruncate", "ftruncate64", "getcwd", "getdents",
    "getdents64", "ioctl", "lseek", "memfd_create", "memfd_secret", "name_to_handle_at", "open", "openat", "openat2", "pipe",
    "pipe2", "pread64", "preadv", "preadv2", "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readv", "sendfile",
    "sendfile64", "splice", "sync", "sync_file_range", "syncfs", "tee", "truncate", "truncate64", "umask", "vmsplice", "write",
    "writev",
];

/// Names and nodes of files.
#[rustfmt::skip]
const NODES: &[&str] = &[
    "access", "faccessat", "faccessat2", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "link", "linkat", "listmount",
    "lstat", "lstat64", "mkdir", "mkdirat", "mknod", "mknodat", "newfstatat", "readlink", "readlinkat", "rename", "renameat",
    "renameat2", "rmdir", "stat", "stat64", "statfs", "statfs64", "statmount", "statx", "symlink", "symlinkat", "unlink",
    "unlinkat",
];

/// Owners, modes, times, extended attributes.
#[rustfmt::skip]
const ATTRIBUTES: &[&str] = &[
    "chmod", "chown", "chown32", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32", "fchownat", "fgetxattr", "flistxattr",
    "fremovexattr", "fsetxattr", "futimesat", "getxattr", "getxattrat", "lchown", "lchown32", "lgetxattr", "listxattr",
    "listxattrat", "llistxattr", "lremovexattr", "lsetxattr", "removexattr", "removexattrat", "setxattr", "setxattrat", "utime",
    "utimensat", "utimensat_time64", "utimes",
];

/// Waiting for events.
#[rustfmt::skip]
const EVENTS: &[&str] = &[
    "_newselect", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "epoll_wait_old", "eventfd", "eventfd2", "fanotify_mark", "inotify_add_watch", "inotify_init", "inotify_init1",
    "inotify_rm_watch", "poll", "ppoll", "ppoll_time64", "pselect6", "pselect6_time64", "select", "signalfd", "signalfd4",
    "timerfd_create", "timerfd_gettime", "timerfd_gettime64", "timerfd_settime", "timerfd_settime64",
];

/// Asynchronous I/O of the old kind.
#[rustfmt::skip]
const IO: &[&str] = &[
    "io_cancel", "io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup", "io_submit", "ioprio_get",
    "ioprio_set",
];

/// Address space.
#[rustfmt::skip]
const MEMORY: &[&str] = &[
    "brk", "cachestat", "madvise", "map_shadow_stack", "membarrier", "mincore", "mlock", "mlock2", "mlockall", "mmap", "mmap2",
    "mprotect", "mremap", "mseal", "msync", "munlock", "munlockall", "munmap", "pkey_alloc", "pkey_free", "pkey_mprotect",
    "process_mrelease", "remap_file_pages",
];

/// Sockets; `socket` itself is in [`SOCKETS`].
#[rustfmt::skip]
const NETWORK: &[&str] = &[
    "accept", "accept4", "bind", "connect", "getpeername", "getsockname", "getsockopt", "listen", "recv", "recvfrom", "recvmmsg",
    "recvmmsg_time64", "recvmsg", "send", "sendmmsg", "sendmsg", "sendto", "setsockopt", "shutdown", "socketcall", "socketpair",
];

/// System V and POSIX message queues, semaphores, shared memory, futexes.
#[rustfmt::skip]
const IPC: &[&str] = &[
    "futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv", "futex_wake", "get_robust_list", "ipc",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64", "mq_timedsend", "mq_timedsend_time64",
    "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "semctl", "semget", "semop", "semtimedop", "semtimedop_time64",
    "set_robust_list", "shmat", "shmctl", "shmdt", "shmget",
];

/// Making, running, awaiting processes; tracing one's own (safe since Linux 4.8: filters run after the tracer).
#[rustfmt::skip]
const PROCESSES: &[&str] = &[
    "execve", "execveat", "exit", "exit_group", "fork", "get_thread_area", "getpgid", "getpgrp", "getpid", "getppid", "getsid",
    "gettid", "landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "pidfd_open", "prctl",
    "process_vm_readv", "process_vm_writev", "ptrace", "rseq", "seccomp", "set_thread_area", "set_tid_address", "setpgid",
    "setsid", "uretprobe", "vfork", "wait4", "waitid", "waitpid",
];

/// Scheduling and limits.
#[rustfmt::skip]
const SCHEDULING: &[&str] = &[
    "getcpu", "getpriority", "getrlimit", "getrusage", "prlimit64", "sched_get_priority_max", "sched_get_priority_min",
    "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval",
    "sched_rr_get_interval_time64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield",
    "setpriority", "setrlimit", "ugetrlimit",
];

/// Signals.
#[rustfmt::skip]
const SIGNALS: &[&str] = &[
    "kill", "pause", "pidfd_send_signal", "restart_syscall", "rt_sigaction", "rt_sigpending", "rt_sigprocmask",
    "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo",
    "sigaltstack", "sigprocmask", "sigreturn", "tgkill", "tkill",
];

/// Clocks and timers. Setting a clock fails without CAP_SYS_TIME, reading through `adjtimex` does not.
#[rustfmt::skip]
const TIME: &[&str] = &[
    "adjtimex", "alarm", "clock_adjtime", "clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime",
    "clock_gettime64", "clock_nanosleep", "clock_nanosleep_time64", "getitimer", "gettimeofday", "nanosleep", "setitimer",
    "time", "timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64", "timer_settime",
    "timer_settime64", "times",
];

/// Users, groups, capabilities.
#[rustfmt::skip]
const IDENTITY: &[&str] = &[
    "capget", "capset", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups", "getgroups32",
    "getresgid", "getresgid32", "getresuid", "getresuid32", "getuid", "getuid32", "setfsgid", "setfsgid32", "setfsuid",
    "setfsuid32", "setgid", "setgid32", "setgroups", "setgroups32", "setregid", "setregid32", "setresgid", "setresgid32",
    "setresuid", "setresuid32", "setreuid", "setreuid32", "setuid", "setuid32",
];

/// About the machine.
const SYSTEM: &[&str] = &["getrandom", "riscv_hwprobe", "sysinfo", "uname"];
