//! The calling conventions that a filter tells apart: `seccomp_data.arch`, and the x32 bit of `seccomp_data.nr`.

use oci_spec::runtime::Arch;

use super::table::{self, Call};

/// An ABI in which processes make system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Abi {
    X86_64,
    /// 32-bit pointers in 64-bit mode: it shares `AUDIT_ARCH_X86_64`, its numbers carry [`X32_BIT`].
    X32,
    X86,
    Aarch64,
    Arm,
}

/// `__X32_SYSCALL_BIT`.
pub(super) const X32_BIT: u32 = 0x4000_0000;

impl Abi {
    /// What this program itself uses.
    pub(super) const NATIVE: Abi = if cfg!(target_arch = "aarch64") { Abi::Aarch64 } else { Abi::X86_64 };

    /// What a kernel of this architecture can run, the architecture itself first.
    pub(super) fn family(self) -> &'static [Abi] {
        match self {
            Abi::X86_64 | Abi::X32 | Abi::X86 => &[Abi::X86_64, Abi::X32, Abi::X86],
            Abi::Aarch64 | Abi::Arm => &[Abi::Aarch64, Abi::Arm],
        }
    }

    /// The ABI that a profile names.
    pub(super) fn from_oci(arch: Arch, native: Abi) -> Option<Abi> {
        match arch {
            Arch::ScmpArchNative => Some(native),
            Arch::ScmpArchX86_64 => Some(Abi::X86_64),
            Arch::ScmpArchX32 => Some(Abi::X32),
            Arch::ScmpArchX86 => Some(Abi::X86),
            Arch::ScmpArchAarch64 => Some(Abi::Aarch64),
            Arch::ScmpArchArm => Some(Abi::Arm),
            _ => None,
        }
    }

    pub(super) fn to_oci(self) -> Arch {
        match self {
            Abi::X86_64 => Arch::ScmpArchX86_64,
            Abi::X32 => Arch::ScmpArchX32,
            Abi::X86 => Arch::ScmpArchX86,
            Abi::Aarch64 => Arch::ScmpArchAarch64,
            Abi::Arm => Arch::ScmpArchArm,
        }
    }

    /// `AUDIT_ARCH_*` (`linux/audit.h`).
    pub(super) fn audit(self) -> u32 {
        match self {
            Abi::X86_64 | Abi::X32 => 0xc000_003e,
            Abi::X86 => 0x4000_0003,
            Abi::Aarch64 => 0xc000_00b7,
            Abi::Arm => 0x4000_0028,
        }
    }

    /// Arguments are 64 bits wide. Of the others only the low words are compared, as libseccomp does, x32 included.
    pub(super) fn wide(self) -> bool {
        matches!(self, Abi::X86_64 | Abi::Aarch64)
    }

    /// The first number.
    pub(super) fn base(self) -> u32 {
        if self == Abi::X32 { X32_BIT } else { 0 }
    }

    /// Where the table of ordinary calls ends because something else begins: x32's numbers, the ARM private calls
    /// (`__ARM_NR_BASE`).
    pub(super) fn limit(self) -> Option<u32> {
        match self {
            Abi::X86_64 => Some(X32_BIT),
            Abi::Arm => Some(0x000f_0000),
            _ => None,
        }
    }

    /// Among the ordinary calls.
    pub(super) fn ordinary(self, number: u32) -> bool {
        self.limit().is_none_or(|limit| number < limit)
    }

    /// The number of a call.
    pub(super) fn number(self, call: &Call) -> Option<u32> {
        let number = match self {
            Abi::X86_64 => call.numbers[table::X86_64],
            Abi::X32 => return x32(call.numbers[table::X86_64]),
            Abi::X86 => call.numbers[table::X86],
            Abi::Aarch64 => call.numbers[table::AARCH64],
            Abi::Arm => call.numbers[table::ARM],
        };
        (number != table::NONE).then_some(number)
    }
}

/// x32 has the numbers of x86_64 but for the calls whose structures differ: those are at 512 and up
/// (`arch/x86/entry/syscalls/syscall_64.tbl`).
fn x32(number: u32) -> Option<u32> {
    let own = X32.get(number as usize).map_or(number, |&own| u32::from(own));
    (number != table::NONE && own != u32::from(ABSENT)).then_some(X32_BIT | own)
}

/// x32's numbers by those of x86_64, so that nobody looks through the lists below for each call of a profile.
static X32: [u16; 512] = {
    let mut own = [0; 512];
    let mut number = 0;
    while number < own.len() {
        own[number] = number as u16;
        number += 1;
    }
    let mut at = 0;
    while at < X32_MOVED.len() {
        own[X32_MOVED[at] as usize] = 512 + at as u16;
        at += 1;
    }
    let mut at = 0;
    while at < X32_LACKS.len() {
        own[X32_LACKS[at] as usize] = ABSENT;
        at += 1;
    }
    own
};

/// In [`X32`]: no such call.
const ABSENT: u16 = u16::MAX;

/// The x86_64 numbers of the calls that x32 has at 512, 513, … instead.
#[rustfmt::skip]
const X32_MOVED: [u32; 36] = [
    13,  // rt_sigaction
    15,  // rt_sigreturn
    16,  // ioctl
    19,  // readv
    20,  // writev
    45,  // recvfrom
    46,  // sendmsg
    47,  // recvmsg
    59,  // execve
    101, // ptrace
    127, // rt_sigpending
    128, // rt_sigtimedwait
    129, // rt_sigqueueinfo
    131, // sigaltstack
    222, // timer_create
    244, // mq_notify
    246, // kexec_load
    247, // waitid
    273, // set_robust_list
    274, // get_robust_list
    278, // vmsplice
    279, // move_pages
    295, // preadv
    296, // pwritev
    297, // rt_tgsigqueueinfo
    299, // recvmmsg
    307, // sendmmsg
    310, // process_vm_readv
    311, // process_vm_writev
    54,  // setsockopt
    55,  // getsockopt
    206, // io_setup
    209, // io_submit
    322, // execveat
    327, // preadv2
    328, // pwritev2
];

/// Calls of x86_64 that x32 never had: uselib, _sysctl, create_module, get_kernel_syms, query_module, nfsservctl,
/// set_thread_area, get_thread_area, epoll_ctl_old, epoll_wait_old, vserver.
const X32_LACKS: [u32; 11] = [134, 156, 174, 177, 178, 180, 205, 211, 214, 215, 236];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x32_numbers() {
        let number = |name| Abi::X32.number(table::find(name).unwrap());
        assert_eq!(number("read"), Some(X32_BIT));
        assert_eq!(number("execve"), Some(X32_BIT | 520));
        assert_eq!(number("pwritev2"), Some(X32_BIT | 547));
        assert_eq!(number("uselib"), None);
        assert_eq!(number("waitpid"), None);
    }
}
