//! Starting a program of our own beside this process, from a descriptor, while other threads run.

use std::arch::asm;
use std::ffi::{CString, c_char, c_int};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr;

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::{Call, Error, Result, signal};

/// How the program lives, other than its caller.
#[derive(Debug, Default, Clone, Copy)]
pub struct Home<'fd> {
    /// The v2 folder that it is born in (`CLONE_INTO_CGROUP`): moving it there later would hold up every fork of the host for as long as
    /// the kernel waits for all processors (`cgroup_threadgroup_rwsem`).
    pub into: Option<BorrowedFd<'fd>>,
    /// A file `tasks` of a v1 folder, open for writing: a thread that moves itself holds up nobody.
    pub tasks: Option<BorrowedFd<'fd>>,
    /// It is a child of its caller's parent (`CLONE_PARENT`), who learns of its end; the caller cannot wait for it.
    pub sibling: bool,
    /// `KEY=VALUE`.
    pub environment: &'fd [CString],
}

/// Runs the program behind `program` with `args` (the first is its name) and no environment but `home`'s, in a session of its own, with
/// `/dev/null` as descriptors 0 to 2 and `socket` as 3. No signal is blocked or ignored there. What this process was itself given by a
/// careless caller is not passed on: all its descriptors above 2 become close-on-exec.
///
/// Unlike [`crate::process::clone3`] this may be called in a threaded process: the child shares memory with the caller, whose thread waits,
/// only until it executes the program, and copies no page table. It does what posix_spawn(3) does, which knows cgroups only from glibc
/// 2.39 on.
///
/// # Errors
/// Those of clone3(2) and execve(2), with the program's first argument.
pub fn spawn(program: impl AsFd, args: &[CString], socket: impl AsFd, home: Home<'_>) -> Result<Pid> {
    let call = || format!("spawn({:?})", args.first());
    crate::fds::close_on_exec_from(3)?;
    // Out of the way of what the child puts in 0 to 3.
    let apart = |fd: BorrowedFd<'_>| fcntl_dupfd_cloexec(fd, 10).call(call);
    let (program, socket) = (apart(program.as_fd())?, apart(socket.as_fd())?);
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).call(|| "open(\"/dev/null\")")?;
    let null = apart(null.as_fd())?;
    let [argv, envp] = [args, home.environment]
        .map(|words| words.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect::<Vec<*const c_char>>());
    let mut birth = Birth {
        program: program.as_raw_fd(),
        socket: socket.as_raw_fd(),
        null: null.as_raw_fd(),
        tasks: home.tasks.map_or(-1, |tasks| tasks.as_raw_fd()),
        argv: argv.as_ptr(),
        envp: envp.as_ptr(),
        failed: 0,
    };
    let made = match clone_vfork(&mut birth, home) {
        // A cgroup that takes no processes, or a kernel that does not let us: it lives where its caller does.
        Err(error) if home.into.is_some() && error.errno() != Errno::AGAIN => clone_vfork(&mut birth, Home { into: None, ..home }),
        other => other,
    };
    let pid = made.map_err(|error| Error::new(call(), error.errno()))?;
    if birth.failed != 0 {
        let _ = waitpid(Some(pid), WaitOptions::empty());
        return Err(Error::new(call(), Errno::from_raw_os_error(birth.failed)));
    }
    Ok(pid)
}

/// What the child needs, and why it failed.
struct Birth {
    program: c_int,
    socket: c_int,
    null: c_int,
    tasks: c_int,
    argv: *const *const c_char,
    envp: *const *const c_char,
    failed: c_int,
}

const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
/// Enough for a few system calls.
const STACK: usize = 64 << 10;

/// Makes a child that runs [`born`], and returns when it has executed its program or ended.
fn clone_vfork(birth: &mut Birth, home: Home<'_>) -> Result<Pid> {
    let mut stack: Vec<MaybeUninit<u128>> = Vec::with_capacity(STACK / 16);
    // All zero but for what follows.
    // SAFETY: a structure of integers.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = (libc::CLONE_VM | libc::CLONE_VFORK) as u64 | CLONE_CLEAR_SIGHAND;
    // A sibling ends with the signal that its parent wants of the caller.
    args.exit_signal = if home.sibling { 0 } else { libc::SIGCHLD as u64 };
    if home.sibling {
        args.flags |= libc::CLONE_PARENT as u64;
    }
    args.stack = stack.as_mut_ptr() as u64;
    args.stack_size = STACK as u64;
    if let Some(into) = home.into {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = into.as_raw_fd() as u64;
    }
    // SAFETY: the child runs on a stack of its own, which outlives it here as this thread waits until it has executed or ended
    // (CLONE_VFORK); it calls `born`, which never returns, with a structure that nobody else touches meanwhile. Nothing of the caller's
    // frame is written to by the child, for it executes no code of this function after the call.
    let result = unsafe { clone3_call(&raw const args, birth) };
    drop(stack);
    match result {
        1.. => Pid::from_raw(result as i32).ok_or_else(|| Error::new("clone3()", Errno::SRCH)),
        _ => Err(Error::new(format!("clone3({:#x})", args.flags), Errno::from_raw_os_error(-result as i32))),
    }
}

/// `clone3`, whose child calls [`born`] on its own, empty stack.
#[cfg(target_arch = "x86_64")]
unsafe fn clone3_call(args: *const libc::clone_args, birth: *mut Birth) -> i64 {
    let result: i64;
    // SAFETY: see the caller. The kernel clobbers rcx and r11; the stack's end is aligned to 16 bytes, as a call needs it.
    unsafe {
        asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") args,
            in("rsi") size_of::<libc::clone_args>(),
            in("r12") birth,
            in("r13") born as unsafe extern "C" fn(*mut Birth) -> !,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    result
}

/// `clone3`, whose child calls [`born`] on its own, empty stack.
#[cfg(target_arch = "aarch64")]
unsafe fn clone3_call(args: *const libc::clone_args, birth: *mut Birth) -> i64 {
    let result: i64;
    // SAFETY: see the caller. The kernel clobbers nothing but x0.
    unsafe {
        asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x30, xzr",
            "mov x0, x20",
            "blr x21",
            "brk 1",
            "2:",
            inlateout("x0") args => result,
            in("x1") size_of::<libc::clone_args>(),
            in("x8") libc::SYS_clone3,
            in("x20") birth,
            in("x21") born as unsafe extern "C" fn(*mut Birth) -> !,
        );
    }
    result
}

/// The child, up to its program: system calls alone, nothing that allocates or takes a lock.
unsafe extern "C" fn born(birth: *mut Birth) -> ! {
    // SAFETY: the caller of `clone3_call` keeps it alive, and waits.
    let birth = unsafe { &mut *birth };
    // SAFETY: integers, and arrays that end in a null pointer; none is written to.
    unsafe {
        if birth.tasks >= 0 {
            // Where it may not, it lives where its caller does.
            libc::write(birth.tasks, c"0".as_ptr().cast(), 1);
        }
        libc::setsid();
        let placed = (0..3).all(|fd| libc::dup2(birth.null, fd) >= 0) && libc::dup2(birth.socket, 3) >= 0;
        signal::reset();
        if placed {
            libc::syscall(libc::SYS_execveat, birth.program, c"".as_ptr(), birth.argv, birth.envp, libc::AT_EMPTY_PATH);
        }
        birth.failed = *libc::__errno_location();
        libc::_exit(127)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(home: Home<'_>, script: &str) -> String {
        let (ours, theirs) = crate::socket::pair().unwrap();
        let shell = std::fs::File::open("/bin/sh").unwrap();
        let args = [c"sh".to_owned(), c"-c".to_owned(), CString::new(format!("exec >&3; {script}")).unwrap()];
        let pid = spawn(&shell, &args, theirs, home).unwrap();
        let mut buffer = [0; 4096];
        let (length, _) = crate::socket::receive(&ours, &mut buffer).unwrap();
        waitpid(Some(pid), WaitOptions::empty()).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        text.trim_end().replace(&pid.as_raw_nonzero().to_string(), "PID")
    }

    #[test]
    fn the_socket_arrives_as_descriptor_three_and_nothing_else() {
        let script = "for fd in /proc/$$/fd/*; do found=\"$found ${fd##*/}\"; done; echo \"$$$found $HOME\"";
        // 4 is the folder that the shell lists.
        assert_eq!(said(Home::default(), script), "PID 0 1 2 3 4");
        let environment = [c"HOME=/there".to_owned()];
        assert_eq!(said(Home { environment: &environment, ..Home::default() }, script), "PID 0 1 2 3 4 /there");
    }

    #[test]
    fn nothing_is_blocked_and_it_leads_a_session() {
        signal::block(&[10]).unwrap();
        let script = "read -r p c s pp g session rest < /proc/$$/stat; while read -r k v; do case $k in SigBlk:) b=$v;; SigIgn:) i=$v;; esac; \
                      done < /proc/$$/status; echo $session $b $i";
        let text = said(Home::default(), script);
        signal::unblock(&[10]).unwrap();
        assert_eq!(text, "PID 0000000000000000 0000000000000000");
    }

    #[test]
    fn what_cannot_be_executed_is_told() {
        let (_ours, theirs) = crate::socket::pair().unwrap();
        let file = std::fs::File::open("/dev/null").unwrap();
        let error = spawn(&file, &[c"nothing".to_owned()], theirs, Home::default()).unwrap_err();
        assert_eq!(error.errno(), Errno::ACCESS);
    }

    /// A v1 folder by its file, a v2 folder by birth, whichever this host has or can have.
    #[test]
    fn it_is_at_home_where_it_was_told() {
        use std::io::Write;
        if !rustix::process::geteuid().is_root() {
            return drop(writeln!(std::io::stderr(), "skipped: needs root"));
        }
        let mount = crate::mount::Filesystem::open("cgroup2").and_then(|fs| fs.mount(rustix::mount::MountAttrFlags::empty()));
        let Ok(mount) = mount else { return drop(writeln!(std::io::stderr(), "skipped: needs cgroup2")) };
        let name = format!("sys-spawn-{}", std::process::id());
        let place = format!("/proc/self/fd/{}/{name}", mount.as_raw_fd());
        std::fs::create_dir(&place).unwrap();
        let folder = crate::fs::open_dir(&place).unwrap();
        let text = said(Home { into: Some(folder.as_fd()), ..Home::default() }, "cat /proc/$$/cgroup");
        std::fs::remove_dir(&place).unwrap();
        assert!(text.lines().any(|line| line.starts_with("0::") && line.ends_with(&format!("/{name}"))), "{text}");
        // A folder that is no cgroup is as good as none.
        let other = crate::fs::open_dir("/").unwrap();
        assert_eq!(said(Home { into: Some(other.as_fd()), ..Home::default() }, "echo here"), "here");
    }
}
