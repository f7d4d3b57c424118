//! The first instructions of a program that goes on in a sealed copy of itself: it does so here, before its C library starts.
//!
//! That start takes longer than all that is done here, and would be for nothing. glibc asks the processor some forty times what it can
//! do, and each CPUID leaves a virtual machine: some 0.3 ms. Then it puts the right addresses into the program's tables, page by page.
//!
//! So nothing of it is there yet: no heap, no thread-local storage, no pointer in static data that leads anywhere, no function of a
//! library (memcpy, strlen; without optimization not even `<*const u8>::read`). There are numbers, loops, system calls, and texts that are
//! addressed from the code. Whatever goes wrong is left to the program, which does the same in its own way and says why it fails.
//!
//! A program has these instructions if its `build.rs` gives `--entry=rctr_sealed_start` to the linker.

use std::arch::{asm, global_asm};
use std::ffi::c_int;

/// Comes first in the environment of a program that was executed from here, with any value.
pub const MARK: &str = "RCTR_OCI_SEALED";

/// [`MARK`] with its value, and the end that the kernel wants.
const ENTRY: &[u8; 18] = b"RCTR_OCI_SEALED=1\0";

/// A word anywhere on the command line that lets the program go on in its copy: the verbs that lead into a container. Where it means
/// something else nothing is lost but time.
macro_rules! leads_inside {
    ($word:expr) => {
        begins($word, b"run\0") || begins($word, b"exec\0") || begins($word, b"create\0") || begins($word, b"restore\0")
    };
}

/// Longer environments are left to the program.
const MAX_ENVIRONMENT: usize = 1024;
/// Longer paths are cut off, and lead nowhere.
const PATH_MAX: usize = libc::PATH_MAX as usize;

/// fsconfig(2): set a text; make the file system.
const SET_STRING: usize = 1;
const CREATE: usize = 6;
/// `FSOPEN_CLOEXEC`, `FSMOUNT_CLOEXEC`.
const CLOEXEC: usize = 1;
/// `MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV`.
const READ_ONLY: usize = 1 | 2 | 4;

// The stack pointer leads to what the kernel hands over (argc, argv, envp), and the first argument's register holds what is to be called
// at the end, for `_start`, which finds everything as it was.
#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl rctr_sealed_start",
    "rctr_sealed_start:",
    "mov rbx, rdx",
    "mov rbp, rsp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {begin}",
    "mov rsp, rbp",
    "mov rdx, rbx",
    "xor ebp, ebp",
    "jmp _start",
    begin = sym begin,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl rctr_sealed_start",
    "rctr_sealed_start:",
    "mov x19, x0",
    "mov x0, sp",
    "bl {begin}",
    "mov x0, x19",
    "mov x29, #0",
    "mov x30, #0",
    "b _start",
    begin = sym begin,
);

/// Room for a value that is not written yet. (`MaybeUninit` is one with functions, which are out of reach here without optimization.)
union Room<T: Copy> {
    none: (),
    _room: T,
}

/// Becomes the sealed copy, or returns.
///
/// # Safety
/// `stack` is the stack pointer with which the kernel starts a program.
unsafe extern "C" fn begin(stack: usize) {
    // SAFETY: the kernel puts argc there, so many pointers and a null pointer, then those of the environment and a null pointer, each to a
    // text with an end.
    unsafe {
        let argc = word(stack);
        let argv = stack + WORD;
        let mut at = 1;
        while at < argc {
            let argument = word(argv + at * WORD);
            if leads_inside!(argument) {
                return execute(argv, argv + (argc + 1) * WORD);
            }
            at += 1;
        }
    }
}

/// The length of a word.
const WORD: usize = size_of::<usize>();

/// # Safety
/// There is a word at this address.
unsafe fn word(address: usize) -> usize {
    // SAFETY: see above.
    unsafe { *(address as *const usize) }
}

/// # Safety
/// There is a byte at this address.
unsafe fn byte(address: usize) -> u8 {
    // SAFETY: see above.
    unsafe { *(address as *const u8) }
}

/// # Safety
/// There is room for a byte at this address.
unsafe fn put(address: usize, byte: u8) {
    // SAFETY: see above.
    unsafe { *(address as *mut u8) = byte }
}

/// Whether the text at `address` begins with `wanted`.
///
/// # Safety
/// The text has an end, at which it differs from `wanted` if not before, or after it.
unsafe fn begins<const N: usize>(address: usize, wanted: &[u8; N]) -> bool {
    let mut at = 0;
    while at < N {
        // SAFETY: all before was equal to `wanted`, and so not the end, unless it was the last of it.
        if unsafe { byte(address + at) } != wanted[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Executes the program with its arguments and the mark, unless it has that already; `launch::seal` says what is done and why.
///
/// # Safety
/// At both addresses are pointers to texts with an end, and then a null pointer.
unsafe fn execute(argv: usize, envp: usize) {
    let mut environment = Room::<[usize; MAX_ENVIRONMENT + 2]> { none: () };
    let marked = &raw mut environment as usize;
    let mut path = Room::<[u8; PATH_MAX + 1]> { none: () };
    let path = &raw mut path as usize;
    // SAFETY: `environment` has room for one entry before and the null pointer after MAX_ENVIRONMENT others; `path` has room for an end after
    // what readlinkat(2) is allowed to write. Calls get texts with an end, all of which outlive them.
    unsafe {
        *(marked as *mut usize) = text(ENTRY);
        let mut count = 0;
        loop {
            let entry = word(envp + count * WORD);
            if count > MAX_ENVIRONMENT || (entry != 0 && begins(entry, b"RCTR_OCI_SEALED=")) {
                return;
            }
            *((marked + (count + 1) * WORD) as *mut usize) = entry;
            if entry == 0 {
                break;
            }
            count += 1;
        }
        let length = call(libc::SYS_readlinkat, [libc::AT_FDCWD as usize, text(b"/proc/self/exe\0"), path, PATH_MAX, 0]);
        if length < 2 {
            return;
        }
        let end = path + length as usize;
        put(end, 0);
        let mut slash = end;
        while slash > path && byte(slash) != b'/' {
            slash -= 1;
        }
        put(slash, 0);
        let folder = if slash == path { text(b"/\0") } else { path };
        let folder = open(libc::AT_FDCWD as isize, folder, libc::O_DIRECTORY);
        let program = if folder < 0 { folder } else { sealed(folder, slash + 1) };
        if program >= 0 {
            call(libc::SYS_execveat, [program as usize, text(b"\0"), argv, marked, libc::AT_EMPTY_PATH as usize]);
        }
        close(program);
        close(folder);
    }
}

/// The file `name` of `folder` as a lower-only overlay shows it, or a negative number.
///
/// # Safety
/// At `name` is a text with an end.
unsafe fn sealed(folder: isize, name: usize) -> isize {
    let mut layers = Room::<[u8; 48]> { none: () };
    let layers = &raw mut layers as usize;
    // SAFETY: there is room for both texts and twenty digits; calls get texts with an end, which outlive them.
    unsafe {
        let end = push(layers, b"/proc/self/fd/");
        let end = push_number(end, folder as usize);
        push(end, b":/dev\0");
        let context = call(libc::SYS_fsopen, [text(b"overlay\0"), CLOEXEC, 0, 0, 0]);
        if context < 0 {
            return context;
        }
        call(libc::SYS_fsconfig, [context as usize, SET_STRING, text(b"source\0"), text(b"rctr-sealed\0"), 0]);
        call(libc::SYS_fsconfig, [context as usize, SET_STRING, text(b"lowerdir\0"), layers, 0]);
        // What has failed before fails here.
        let mut program = call(libc::SYS_fsconfig, [context as usize, CREATE, 0, 0, 0]);
        if program == 0 {
            let mount = call(libc::SYS_fsmount, [context as usize, CLOEXEC, READ_ONLY, 0, 0]);
            program = if mount < 0 { mount } else { open(mount, name, 0) };
            close(mount);
        }
        close(context);
        program
    }
}

/// Writes a text to `address`, and returns where it ends.
///
/// # Safety
/// There is room for it.
unsafe fn push<const N: usize>(address: usize, text: &[u8; N]) -> usize {
    let mut at = 0;
    while at < N {
        // SAFETY: see above.
        unsafe { put(address + at, text[at]) };
        at += 1;
    }
    address + N
}

/// Writes a number to `address`, and returns where it ends.
///
/// # Safety
/// There is room for twenty digits.
unsafe fn push_number(address: usize, mut number: usize) -> usize {
    let (mut digits, mut rest) = (1, number);
    while rest > 9 {
        rest /= 10;
        digits += 1;
    }
    let mut at = digits;
    while at > 0 {
        at -= 1;
        // SAFETY: see above.
        unsafe { put(address + at, b'0' + (number % 10) as u8) };
        number /= 10;
    }
    address + digits
}

/// The address of a text, which ends in a zero.
fn text<const N: usize>(text: &'static [u8; N]) -> usize {
    &raw const *text as usize
}

/// # Safety
/// At `path` is a text with an end.
unsafe fn open(at: isize, path: usize, flags: c_int) -> isize {
    let flags = (libc::O_RDONLY | libc::O_CLOEXEC | flags) as usize;
    // SAFETY: see above.
    unsafe { call(libc::SYS_openat, [at as usize, path, flags, 0, 0]) }
}

fn close(fd: isize) {
    if fd >= 0 {
        // SAFETY: a plain integer; whoever gives it away has opened it and does not use it any more.
        unsafe { call(libc::SYS_close, [fd as usize, 0, 0, 0, 0]) };
    }
}

/// A system call, with the kernel's own result: a negative number is an errno.
///
/// # Safety
/// That of the call.
#[cfg(target_arch = "x86_64")]
unsafe fn call(number: libc::c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
    let result;
    // SAFETY: the registers are those of the kernel's interface (syscall(2)), and it changes no others.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e,
            lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// A system call, with the kernel's own result: a negative number is an errno.
///
/// # Safety
/// That of the call.
#[cfg(target_arch = "aarch64")]
unsafe fn call(number: libc::c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
    let result;
    // SAFETY: the registers are those of the kernel's interface (syscall(2)), and it changes no others.
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a as isize => result, in("x1") b, in("x2") c, in("x3") d, in("x4") e,
            options(nostack));
    }
    result
}
