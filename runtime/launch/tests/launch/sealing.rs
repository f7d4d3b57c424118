//! Programs that nobody can write to (CVE-2019-5736).

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use launch::seal;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MountPropagationFlags, mount_bind, mount_change};
use sys::mount::{Attr, mount_setattr};
use sys::process::{Clone, Exec, clone3, wait};

use crate::Check;
use crate::fixture::Scratch;

pub const CHECKS: &[Check] = &[
    ("a_sealed_program_cannot_be_written", a_sealed_program_cannot_be_written),
    ("a_sealed_program_runs", a_sealed_program_runs),
    ("without_overlay_it_is_copied", without_overlay_it_is_copied),
];

fn exe() -> std::path::PathBuf {
    std::env::current_exe().unwrap()
}

/// Tries to open the file behind a descriptor for writing, as a container would with /proc/PID/exe.
fn reopen(fd: &OwnedFd) -> Errno {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    rustix::fs::open(&path, OFlags::WRONLY, Mode::empty()).expect_err("it can be written")
}

fn is_overlay(fd: &OwnedFd) -> bool {
    rustix::fs::fstatfs(fd).unwrap().f_type == 0x794c_7630
}

fn run(program: &OwnedFd) -> i32 {
    let args = [crate::probe::PATH, "exit", "9"].map(|word| std::ffi::CString::new(word).unwrap()).to_vec();
    let exec = Exec::new(args, vec![]);
    let child = clone3(&Clone::default(), || {
        let _ = exec.exec_fd(program);
        1
    });
    wait(child.unwrap().pidfd).unwrap().code()
}

fn a_sealed_program_cannot_be_written() {
    let sealed = seal(&exe()).unwrap().program;
    assert!(is_overlay(&sealed), "this kernel has overlay, but it was not used");
    assert_eq!(reopen(&sealed), Errno::ROFS);
    // Root may clear the flag of a mount, but not of this superblock.
    let clear = Attr { clear: u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), ..Attr::default() };
    let _ = mount_setattr(&sealed, clear, false);
    assert_eq!(reopen(&sealed), Errno::ROFS);
}

fn a_sealed_program_runs() {
    assert_eq!(run(&seal(&exe()).unwrap().program), 9);
    assert_eq!(seal(Path::new("/nonsuch/program")).unwrap_err().errno(), Errno::NOENT);
    assert_eq!(seal(Path::new("/usr/bin/nonsuch")).unwrap_err().errno(), Errno::NOENT);
    assert_eq!(seal(Path::new("/")).unwrap_err().errno(), Errno::ISDIR);
}

fn without_overlay_it_is_copied() {
    // Overlay refuses two layers of which one is in the other: here both that may be the second are the folder that the program is in.
    sys::ns::unshare(sys::ns::kind::MOUNT as i32).unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    mount_bind("/dev", "/dev/shm").unwrap();
    let folder = Path::new("/dev").join(format!("launch-seal-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let scratch = Scratch(folder);
    let program = scratch.0.join("program");
    std::fs::copy(exe(), &program).unwrap();
    let sealed = seal(&program).unwrap().program;
    assert!(!is_overlay(&sealed));
    let again = rustix::fs::open(format!("/proc/self/fd/{}", sealed.as_raw_fd()), OFlags::WRONLY, Mode::empty()).unwrap();
    assert_eq!(rustix::io::write(&again, b"x").unwrap_err(), Errno::PERM);
    assert_eq!(rustix::fs::ftruncate(&again, 0).unwrap_err(), Errno::PERM);
    drop(again);
    assert_eq!(run(&sealed), 9);
}
