//! Device access programs on cgroup v2 (bpf(2), `BPF_PROG_TYPE_CGROUP_DEVICE`).

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use crate::{Error, Result};

/// One eBPF instruction: `struct bpf_insn`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// Operation.
    pub code: u8,
    /// Destination register in the low half, source register in the high half.
    pub regs: u8,
    /// Jump or memory offset.
    pub off: i16,
    /// Operand.
    pub imm: i32,
}

const PROG_LOAD: libc::c_int = 5;
const PROG_ATTACH: libc::c_int = 8;
const TYPE_CGROUP_DEVICE: u32 = 15;
const ATTACH_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 1 << 1;

/// The leading fields of `union bpf_attr` for `BPF_PROG_LOAD`.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// The leading fields of `union bpf_attr` for `BPF_PROG_ATTACH`.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

fn bpf<T>(command: libc::c_int, attr: &T) -> libc::c_long {
    // SAFETY: the attribute is a plain structure of the size given, and lives through the call.
    unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) }
}

/// Loads a device program. It stays loaded while the descriptor or a cgroup it is attached to lives.
pub fn load_device_program(program: &[Instruction]) -> Result<OwnedFd> {
    let attr = Load {
        prog_type: TYPE_CGROUP_DEVICE,
        insn_cnt: program.len() as u32,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    match bpf(PROG_LOAD, &attr) {
        // SAFETY: a new descriptor that nobody else owns.
        fd @ 0.. => Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) }),
        _ => Err(Error::last("bpf(BPF_PROG_LOAD, BPF_PROG_TYPE_CGROUP_DEVICE)")),
    }
}

/// Attaches a loaded device program to the cgroup v2 folder behind `cgroup`.
pub fn attach_device_program(cgroup: impl AsFd, program: impl AsFd) -> Result<()> {
    let attr = Attach {
        target_fd: cgroup.as_fd().as_raw_fd() as u32,
        attach_bpf_fd: program.as_fd().as_raw_fd() as u32,
        attach_type: ATTACH_CGROUP_DEVICE,
        attach_flags: ALLOW_MULTI,
    };
    if bpf(PROG_ATTACH, &attr) == 0 { Ok(()) } else { Err(Error::last("bpf(BPF_PROG_ATTACH, BPF_CGROUP_DEVICE)")) }
}
