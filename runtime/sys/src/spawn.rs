//! Starting a program of our own beside this process, from a descriptor, while other threads run.

use std::ffi::{CString, c_short};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::Pid;

use crate::{Call, Error, Result};

/// Runs the program behind `program` with `args` (the first is its name) and an empty environment, in a session of its own, with
/// `/dev/null` as descriptors 0 to 2 and `socket` as 3. No signal is blocked or ignored there. What this process was itself given by a
/// careless caller is not passed on: all its descriptors above 2 become close-on-exec.
///
/// Unlike [`crate::process::clone3`] this may be called in a threaded process: posix_spawn(3) shares memory with the child only until
/// it executes, and copies no page table.
///
/// # Errors
/// Those of execve(2), with the program's first argument.
pub fn spawn(program: impl AsFd, args: &[CString], socket: impl AsFd) -> Result<Pid> {
    let call = || format!("posix_spawn({:?})", args.first());
    crate::fds::close_on_exec_from(3)?;
    // Out of the way of what the child puts in 0 to 3 before it executes the program.
    let program = rustix::io::fcntl_dupfd_cloexec(&program, 10).call(call)?;
    let path = CString::new(format!("/proc/self/fd/{}", program.as_raw_fd())).map_err(|_| Error::new(call(), Errno::INVAL))?;
    let argv: Vec<*mut libc::c_char> = args.iter().map(|arg| arg.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect();
    let envp: [*mut libc::c_char; 1] = [ptr::null_mut()];
    let (mut actions, mut attributes) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    let mut pid: libc::pid_t = 0;
    // SAFETY: both objects are initialised before use and destroyed after; all strings and arrays outlive the calls; the arrays end in
    // a null pointer; argv is not written to.
    let failed = unsafe {
        libc::posix_spawn_file_actions_init(actions.as_mut_ptr());
        libc::posix_spawnattr_init(attributes.as_mut_ptr());
        for fd in 0..3 {
            libc::posix_spawn_file_actions_addopen(actions.as_mut_ptr(), fd, c"/dev/null".as_ptr(), libc::O_RDWR, 0);
        }
        libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), socket.as_fd().as_raw_fd(), 3);
        let (mut none, mut all) = (MaybeUninit::uninit(), MaybeUninit::uninit());
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigfillset(all.as_mut_ptr());
        libc::posix_spawnattr_setsigmask(attributes.as_mut_ptr(), none.as_ptr());
        libc::posix_spawnattr_setsigdefault(attributes.as_mut_ptr(), all.as_ptr());
        let flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID;
        libc::posix_spawnattr_setflags(attributes.as_mut_ptr(), flags as c_short);
        let failed =
            libc::posix_spawn(&raw mut pid, path.as_ptr(), actions.as_ptr(), attributes.as_ptr(), argv.as_ptr(), envp.as_ptr());
        libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr());
        libc::posix_spawnattr_destroy(attributes.as_mut_ptr());
        failed
    };
    if failed != 0 {
        return Err(Error::new(call(), Errno::from_raw_os_error(failed)));
    }
    Pid::from_raw(pid).ok_or_else(|| Error::new(call(), Errno::SRCH))
}

/// glibc 2.26 and newer; the libc crate has it for few targets.
const POSIX_SPAWN_SETSID: libc::c_int = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_socket_arrives_as_descriptor_three_and_nothing_else() {
        let (ours, theirs) = crate::socket::pair().unwrap();
        let shell = std::fs::File::open("/bin/sh").unwrap();
        let script = c"exec >&3; for fd in /proc/$$/fd/*; do found=\"$found ${fd##*/}\"; done; echo \"$$$found $HOME\"".to_owned();
        let pid = spawn(&shell, &[c"sh".to_owned(), c"-c".to_owned(), script], theirs).unwrap();
        let mut buffer = [0; 64];
        let (length, _) = crate::socket::receive(&ours, &mut buffer).unwrap();
        let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
        // 4 is the folder that the shell lists.
        assert_eq!(said.trim_end(), format!("{} 0 1 2 3 4", pid.as_raw_nonzero()));
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
    }
}
