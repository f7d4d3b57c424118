//! OCI device rules as a device program (`BPF_PROG_TYPE_CGROUP_DEVICE`): cgroup v2 has no devices controller.
//!
//! Rules are read as the v1 controller and runc read them: a rule of type `a` starts anew, with everything allowed or
//! everything refused; without one, everything is refused. Of the rules after it the last that matches decides, for
//! each kind of access by itself. Two differences, both to the safe side: an exception inside a wildcard works (runc
//! refuses it, v1 ignores it), and a refused kind of access is refused also when it is asked for together with another.

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
        immediate(AND32, TYPE, 0xffff),
        immediate(RSH32, ACCESS, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
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
        LinuxDeviceType::B => 1,
        LinuxDeviceType::C | LinuxDeviceType::U => 2,
        // Pipes are not devices, and `a` has been dealt with.
        LinuxDeviceType::P | LinuxDeviceType::A => return Vec::new(),
    };
    // A negative number is a wildcard too; one beyond 32 bits is no device.
    let number = |number: Option<i64>| number.filter(|&number| number >= 0).map(u32::try_from).transpose();
    let (Ok(major), Ok(minor)) = (number(rule.major()), number(rule.minor())) else { return Vec::new() };
    let access = access(rule);
    let verdict = match (rule.allow(), access) {
        (_, 0) => return Vec::new(),
        (allow, ALL) => answer(allow).to_vec(),
        (true, some) => [immediate(AND32, ACCESS, !some), jump(JNE32, ACCESS, 0, 2)].into_iter().chain(answer(true)).collect(),
        (false, some) => [jump(JSET32, ACCESS, some, 1), jump(JA, 0, 0, 2)].into_iter().chain(answer(false)).collect(),
    };
    let mut tests = vec![(TYPE, kind)];
    tests.extend(major.map(|major| (MAJOR, major as i32)));
    tests.extend(minor.map(|minor| (MINOR, minor as i32)));
    let len = tests.len() + verdict.len();
    let test = |(at, (register, value))| jump(JNE32, register, value, (len - at - 1) as i16);
    tests.into_iter().enumerate().map(test).chain(verdict).collect()
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

// Registers: r0 the answer, r1 the context (`struct bpf_cgroup_dev_ctx`: access and type, major, minor).
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

// Operations (`linux/bpf.h`), the 32-bit ones where there are two. 32-bit jumps: Linux 5.1.
const LDX_W: u8 = 0x61;
const AND32: u8 = 0x54;
const RSH32: u8 = 0x74;
const MOV64: u8 = 0xb7;
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

fn jump(code: u8, register: u8, imm: i32, off: i16) -> Instruction {
    Instruction { code, regs: register, off, imm }
}

fn answer(allow: bool) -> [Instruction; 2] {
    [immediate(MOV64, 0, allow.into()), immediate(EXIT, 0, 0)]
}

#[cfg(test)]
mod tests;
