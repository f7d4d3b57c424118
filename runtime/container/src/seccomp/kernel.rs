//! The default profile on the real kernel, in a thread of its own: a filter cannot be taken off again, but it binds only
//! the thread that loads it and what that thread starts.

#![allow(clippy::print_stdout, reason = "why a test is skipped")]

use std::process::Command;
use std::thread;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSyscall};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType, socket};

use super::{compile, default_filter};

/// Docker's 14 default capabilities.
const DOCKER: u64 = 0xa804_25fb;

#[test]
fn the_kernel_takes_the_default_profile() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: needs root");
    }
    let confined = thread::Builder::new().name("confined".to_owned()).spawn(confined).unwrap();
    confined.join().expect("the assertions above");
}

fn confined() {
    assert_eq!(mount(), Some(Errno::NOENT), "before: this is root");
    assert!(sys::ns::unshare(0).is_ok());
    load(&default_filter(DOCKER));
    assert_eq!(mount(), Some(Errno::PERM));
    assert_eq!(sys::ns::unshare(0).unwrap_err().errno(), Errno::PERM);
    assert_eq!(rustix::process::pivot_root("/", "/").err(), Some(Errno::PERM));
    assert_eq!(rustix::system::sethostname(b"x").err(), Some(Errno::PERM));
    assert_eq!(sys::bpf::load_device_program(&[]).unwrap_err().errno(), Errno::PERM);
    assert_eq!(rustix::process::chroot("/no such folder").err(), Some(Errno::NOENT), "allowed with CAP_SYS_CHROOT");
    assert!(rustix::process::getpid().as_raw_nonzero().get() > 0);
    for (family, expected) in [(1, None), (38, Some(Errno::PERM)), (40, Some(Errno::PERM))] {
        assert_eq!(socket(AddressFamily::from_raw(family), SocketType::DGRAM, None).err(), expected, "family {family}");
    }
    // glibc makes threads by clone3, and by clone only where clone3 answers ENOSYS: with EPERM there are none.
    assert!(thread::Builder::new().spawn(|| {}).is_ok_and(|thread| thread.join().is_ok()));
    assert!(Command::new("/bin/true").status().unwrap().success());
    load(&compile(&refusing("clone3")).unwrap());
    assert_eq!(thread::Builder::new().spawn(|| {}).err().and_then(|error| error.raw_os_error()), Some(1));
}

/// All allowed but one call, which answers EPERM.
fn refusing(name: &str) -> LinuxSeccomp {
    let mut rule = LinuxSyscall::default();
    rule.set_names(vec![name.to_owned()]).set_action(LinuxSeccompAction::ScmpActErrno);
    let mut profile = LinuxSeccomp::default();
    profile.set_default_action(LinuxSeccompAction::ScmpActAllow).set_syscalls(Some(vec![rule]));
    profile
}

fn mount() -> Option<Errno> {
    let flags = rustix::mount::MountFlags::empty();
    rustix::mount::mount("none", "/no such folder", "tmpfs", flags, None).err()
}

fn load(filter: &launch::Seccomp) {
    let instruction = |&(code, jt, jf, k): &(u16, u8, u8, u32)| sys::seccomp::Instruction { code, jt, jf, k };
    let program: Vec<_> = filter.program.iter().map(instruction).collect();
    sys::seccomp::load(&program, filter.flags).unwrap();
}
