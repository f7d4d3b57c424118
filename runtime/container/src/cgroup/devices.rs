//! OCI device rules as a device program (`BPF_PROG_TYPE_CGROUP_DEVICE`): cgroup v2 has no devices controller.
//!
//! Rules are read as the v1 controller and runc read them: a rule of type `a` starts anew, with everything allowed or
//! everything refused; without one, everything is refused. Of the rules after it the last that matches decides, for
//! each kind of access by itself. Two differences, both to the safe side: an exception inside a wildcard works (runc
//! refuses it, v1 ignores it), and a refused kind of access is refused also when it is asked for together with another.
//!
//! Each rule is one comparison with the whole device, or with the part of it that is no wildcard. Comparing type, major and minor one after
//! the other would teach the kernel's verifier something on each way to the next rule, and it would follow all those ways: that took it
//! twice as long, 0.2 ms more for each container.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};
use sys::bpf::Instruction;

/// `BPF_DEVCG_ACC_*` (`linux/bpf.h`).
const MKNOD: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;
const ALL: i32 = MKNOD | READ | WRITE;

/// Compiles the rules. A program answers 1 to allow the access, 0 to refuse it.
pub(crate) fn program(rules: &[LinuxDeviceCgroup]) -> Vec<Instruction> {
    let anew = rules.iter().rposition(|rule| kind(rule) == LinuxDeviceType::A);
    let default = anew.is_some_and(|at| rules[at].allow());
    let exceptions = &rules[anew.map_or(0, |at| at + 1)..];
    // Before the first rule that differs from the default, rules change nothing.
    let first = exceptions.iter().position(|rule| rule.allow() != default).unwrap_or(exceptions.len());
    let mut program = vec![
        load(TYPE, 0),
        load(ACCESS, 0),
        load(OF_MAJOR, 4),
        load(OF_MINOR, 8),
        immediate(AND32, TYPE, 0xffff),
        immediate(RSH32, ACCESS, 16),
        // type << 12 | major, then (that) << 20 | minor: no number is longer (`linux/kdev_t.h`).
        register(MOV64_X, DEVICE, TYPE),
        immediate(LSH64, DEVICE, MAJOR_BITS),
        register(OR64_X, DEVICE, OF_MAJOR),
        register(MOV64_X, OF_MAJOR, DEVICE),
        immediate(LSH64, DEVICE, MINOR_BITS),
        register(OR64_X, DEVICE, OF_MINOR),
        register(MOV64_X, SCRATCH, TYPE),
        immediate(LSH64, SCRATCH, MINOR_BITS),
        register(OR64_X, OF_MINOR, SCRATCH),
    ];
    for rule in exceptions[first..].iter().rev() {
        program.extend(block(rule));
    }
    program.extend(answer(default));
    program
}

/// One rule. Falls through to the next where it does not decide; ACCESS loses what it allows.
fn block(rule: &LinuxDeviceCgroup) -> Vec<Instruction> {
    let kind = match kind(rule) {
        LinuxDeviceType::B => 1u32,
        LinuxDeviceType::C | LinuxDeviceType::U => 2,
        // Pipes are not devices, and `a` has been dealt with.
        LinuxDeviceType::P | LinuxDeviceType::A => return Vec::new(),
    };
    // A negative number is a wildcard too; one that is too long is no device.
    let number = |number: Option<i64>, bits: i32| match number {
        Some(number) if number >= 0 => u32::try_from(number).ok().filter(|number| number >> bits == 0).map(Some),
        _ => Some(None),
    };
    let (Some(major), Some(minor)) = (number(rule.major(), MAJOR_BITS), number(rule.minor(), MINOR_BITS)) else {
        return Vec::new();
    };
    let access = access(rule);
    let verdict = match (rule.allow(), access) {
        (_, 0) => return Vec::new(),
        (allow, ALL) => answer(allow).to_vec(),
        (true, some) => [immediate(AND32, ACCESS, !some), jump(JNE32, ACCESS, 0, 2)].into_iter().chain(answer(true)).collect(),
        (false, some) => [jump(JSET32, ACCESS, some, 1), jump(JA, 0, 0, 2)].into_iter().chain(answer(false)).collect(),
    };
    // As long as the verdict is what is jumped over.
    let past = verdict.len() as i16;
    let test = match (major, minor) {
        (None, None) => vec![jump(JNE32, TYPE, kind as i32, past)],
        (Some(major), None) => vec![jump(JNE32, OF_MAJOR, (kind << MAJOR_BITS | major) as i32, past)],
        (None, Some(minor)) => vec![jump(JNE32, OF_MINOR, (kind << MINOR_BITS | minor) as i32, past)],
        (Some(major), Some(minor)) => {
            let low = major << MINOR_BITS | minor;
            let [first, second] = wide(SCRATCH, u64::from(kind) << 32 | u64::from(low));
            vec![first, second, Instruction { regs: SCRATCH << 4 | DEVICE, ..jump(JNE64_X, 0, 0, past) }]
        }
    };
    test.into_iter().chain(verdict).collect()
}

fn kind(rule: &LinuxDeviceCgroup) -> LinuxDeviceType {
    rule.typ().unwrap_or(LinuxDeviceType::A)
}

/// The kinds of access a rule is about: all if it names none. A letter nobody knows allows nothing and refuses all.
fn access(rule: &LinuxDeviceCgroup) -> i32 {
    let letters = rule.access().as_deref().filter(|letters| !letters.is_empty()).unwrap_or("rwm");
    letters.chars().fold(0, |bits, letter| {
        bits | match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            _ if rule.allow() => 0,
            _ => ALL,
        }
    })
}

/// The lengths of a device number's halves in the kernel.
const MAJOR_BITS: i32 = 12;
const MINOR_BITS: i32 = 20;

// Registers: r0 the answer, r1 the context (`struct bpf_cgroup_dev_ctx`: access and type, major, minor).
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
/// Type and major.
const OF_MAJOR: u8 = 4;
/// Type and minor.
const OF_MINOR: u8 = 5;
/// All three.
const DEVICE: u8 = 6;
const SCRATCH: u8 = 7;

// Operations (`linux/bpf.h`), the 32-bit ones where there are two. 32-bit jumps: Linux 5.1.
const LDX_W: u8 = 0x61;
const AND32: u8 = 0x54;
const RSH32: u8 = 0x74;
const MOV64: u8 = 0xb7;
const LSH64: u8 = 0x67;
const MOV64_X: u8 = 0xbf;
const OR64_X: u8 = 0x4f;
const JNE64_X: u8 = 0x5d;
const LOAD_WIDE: u8 = 0x18;
const JA: u8 = 0x05;
const JNE32: u8 = 0x56;
const JSET32: u8 = 0x46;
const EXIT: u8 = 0x95;

fn load(register: u8, off: i16) -> Instruction {
    Instruction { code: LDX_W, regs: 0x10 | register, off, imm: 0 }
}

fn immediate(code: u8, register: u8, imm: i32) -> Instruction {
    Instruction { code, regs: register, off: 0, imm }
}

fn register(code: u8, to: u8, from: u8) -> Instruction {
    Instruction { code, regs: from << 4 | to, off: 0, imm: 0 }
}

/// A constant of 64 bits, which takes two places.
fn wide(register: u8, value: u64) -> [Instruction; 2] {
    [immediate(LOAD_WIDE, register, value as u32 as i32), immediate(0, 0, (value >> 32) as i32)]
}

fn jump(code: u8, register: u8, imm: i32, off: i16) -> Instruction {
    Instruction { code, regs: register, off, imm }
}

fn answer(allow: bool) -> [Instruction; 2] {
    [immediate(MOV64, 0, allow.into()), immediate(EXIT, 0, 0)]
}

#[cfg(test)]
mod tests;
