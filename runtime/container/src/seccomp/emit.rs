//! Ranges become classic BPF.
//!
//! ```text
//! ld arch ── jeq x86_64 ── ld nr ── jge ─┬─ jge ─┬─ ret ALLOW
//!               │                        │       └─ ld args[0] ── jeq ─┬─ ret ALLOW
//!            jeq i386 ── …               └─ …                          └─ ret ERRNO
//!               │
//!            ret KILL
//! ```
//!
//! Jumps go forward only, so the program is written from its end: whatever a jump leads to is already there. Its two
//! distances have 8 bits; what is farther away gets a copy (`ret`) or a long jump (`ja`) next to it.
//!
//! Arguments are loaded only after the number has been decided on: the kernel (since 5.11) finds calls that are
//! allowed whatever their arguments, and never runs the filter for them again.

use oci_spec::runtime::LinuxSeccompOperator;

use super::action;
use super::ranges::{Chain, Range, Section, Target};
use super::rules::Condition;

/// code, jt, jf, k: `struct sock_filter`.
pub(super) type Instruction = (u16, u8, u8, u32);

pub(super) const LD: u16 = 0x20;
pub(super) const AND: u16 = 0x54;
pub(super) const JA: u16 = 0x05;
pub(super) const JEQ: u16 = 0x15;
pub(super) const JGT: u16 = 0x25;
pub(super) const JGE: u16 = 0x35;
pub(super) const RET: u16 = 0x06;

/// Offsets in `struct seccomp_data`; argument N is at `ARGS + 8 * N`, low word first (little endian).
pub(super) const NR: u32 = 0;
pub(super) const ARCH: u32 = 4;
pub(super) const ARGS: u32 = 16;

/// How far a jump reaches, less what may still come between.
const REACH: usize = 250;

/// The whole program.
pub(super) fn program(sections: &[Section<'_>], default: u32) -> Vec<Instruction> {
    let mut writer = Writer { code: Vec::with_capacity(1024), returns: Vec::new(), default };
    let mut entries = Vec::new();
    for section in sections.iter().rev() {
        let mut chains = vec![None; section.chains.len()];
        let tree = writer.tree(section, &section.ranges, &mut chains);
        entries.push((section.audit, writer.load(NR, tree)));
    }
    let mut next = To::Return(action::KILL_THREAD);
    for (audit, entry) in entries {
        next = writer.jump(JEQ, audit, entry, next);
    }
    writer.load(ARCH, next);
    writer.code.reverse();
    writer.code
}

/// Where a jump goes.
#[derive(Clone, Copy)]
enum To {
    /// To any instruction that returns this.
    Return(u32),
    /// To this one, counted from the program's end.
    At(usize),
}

struct Writer {
    /// Last instruction first.
    code: Vec<Instruction>,
    /// The latest `ret` of each value.
    returns: Vec<(u32, usize)>,
    default: u32,
}

impl Writer {
    fn push(&mut self, instruction: Instruction) -> usize {
        self.code.push(instruction);
        self.code.len() - 1
    }

    /// A conditional jump.
    fn jump(&mut self, code: u16, k: u32, yes: To, no: To) -> To {
        let (yes, no) = (self.near(yes), self.near(no));
        let here = self.code.len();
        To::At(self.push((code, (here - yes - 1) as u8, (here - no - 1) as u8, k)))
    }

    /// A load; execution goes on at `then`.
    fn load(&mut self, offset: u32, then: To) -> To {
        self.fall(then);
        To::At(self.push((LD, 0, 0, offset)))
    }

    /// Makes `to` the next instruction.
    fn fall(&mut self, to: To) {
        match to {
            To::At(at) if at + 1 == self.code.len() => {}
            To::At(at) => {
                let distance = self.code.len() - at - 1;
                self.push((JA, 0, 0, distance as u32));
            }
            To::Return(value) => {
                self.ret(value);
            }
        }
    }

    fn ret(&mut self, value: u32) -> usize {
        let at = self.push((RET, 0, 0, value));
        self.returns.retain(|&(known, _)| known != value);
        self.returns.push((value, at));
        at
    }

    /// An instruction within reach that leads to `to`.
    fn near(&mut self, to: To) -> usize {
        let reach = |at: usize| self.code.len() - at <= REACH;
        match to {
            To::At(at) if reach(at) => at,
            To::At(_) => {
                self.fall(to);
                self.code.len() - 1
            }
            To::Return(value) => match self.returns.iter().find(|&&(known, at)| known == value && reach(at)) {
                Some(&(_, at)) => at,
                None => self.ret(value),
            },
        }
    }

    /// A binary search over `ranges`, of which the first is where the number is if no comparison says otherwise.
    fn tree(&mut self, section: &Section<'_>, ranges: &[Range], chains: &mut [Option<To>]) -> To {
        match ranges {
            [] => To::Return(self.default),
            [one] => self.target(section, one.target, chains),
            [around, one, rest] if around.target == rest.target && one.start + 1 == rest.start => {
                let no = self.target(section, around.target, chains);
                let yes = self.target(section, one.target, chains);
                self.jump(JEQ, one.start, yes, no)
            }
            _ => {
                let middle = ranges.len() / 2;
                let high = self.tree(section, &ranges[middle..], chains);
                let low = self.tree(section, &ranges[..middle], chains);
                self.jump(JGE, ranges[middle].start, high, low)
            }
        }
    }

    fn target(&mut self, section: &Section<'_>, target: Target, chains: &mut [Option<To>]) -> To {
        match target {
            Target::Return(value) => To::Return(value),
            Target::Chain(at) => match chains[at] {
                Some(to) => to,
                None => *chains[at].insert(self.chain(&section.chains[at])),
            },
        }
    }

    fn chain(&mut self, chain: &Chain<'_>) -> To {
        let mut next = To::Return(self.default);
        for branch in chain.branches.iter().rev() {
            let mut yes = To::Return(branch.action);
            for condition in branch.selector.iter().chain(branch.conditions).rev() {
                yes = self.condition(condition, chain.wide, yes, next);
            }
            next = yes;
        }
        next
    }

    fn condition(&mut self, condition: &Condition, wide: bool, yes: To, no: To) -> To {
        use LinuxSeccompOperator::*;
        let &Condition { index, op, value, other } = condition;
        let low = ARGS + 8 * index;
        let high = wide.then_some(low + 4);
        match op {
            ScmpCmpEq => self.masked((low, high), u64::MAX, value, yes, no),
            ScmpCmpNe => self.masked((low, high), u64::MAX, value, no, yes),
            ScmpCmpMaskedEq => self.masked((low, high), value, other, yes, no),
            ScmpCmpGt => self.greater((low, high), JGT, value, yes, no),
            ScmpCmpLe => self.greater((low, high), JGT, value, no, yes),
            ScmpCmpGe => self.greater((low, high), JGE, value, yes, no),
            ScmpCmpLt => self.greater((low, high), JGE, value, no, yes),
        }
    }

    /// `argument & mask == value & mask`, word by word.
    fn masked(&mut self, (low, high): (u32, Option<u32>), mask: u64, value: u64, yes: To, no: To) -> To {
        let low = self.word(low, mask as u32, value as u32, yes, no);
        match high {
            Some(high) => self.word(high, (mask >> 32) as u32, (value >> 32) as u32, low, no),
            None => low,
        }
    }

    fn word(&mut self, offset: u32, mask: u32, value: u32, yes: To, no: To) -> To {
        if mask == 0 {
            return yes;
        }
        let mut compare = self.jump(JEQ, value & mask, yes, no);
        if mask != u32::MAX {
            compare = To::At(self.push((AND, 0, 0, mask)));
        }
        self.load(offset, compare)
    }

    /// `argument > value` (or `>=`, in the low word): the high words decide unless they are equal.
    fn greater(&mut self, (low, high): (u32, Option<u32>), code: u16, value: u64, yes: To, no: To) -> To {
        let compare = self.jump(code, value as u32, yes, no);
        let compare = self.load(low, compare);
        let Some(high) = high else { return compare };
        let equal = self.jump(JEQ, (value >> 32) as u32, compare, no);
        let above = self.jump(JGT, (value >> 32) as u32, yes, equal);
        self.load(high, above)
    }
}
