//! Rules become ranges of system call numbers, one list per `AUDIT_ARCH_*`.
//!
//! How rules combine follows libseccomp and runc: a rule with the default action changes nothing; a rule without
//! conditions wins over all with some, and the first of several; among rules with conditions the first that matches
//! wins (libseccomp has no order there and refuses contradictions).

use oci_spec::runtime::LinuxSeccompOperator;

use super::abi::{Abi, X32_BIT};
use super::action;
use super::rules::{Condition, Profile, Rule};
use super::table::Call;

/// The program of one `AUDIT_ARCH_*`.
pub(super) struct Section<'a> {
    /// What `seccomp_data.arch` says.
    pub(super) audit: u32,
    /// In order of numbers, the first starts at 0, neighbours differ.
    pub(super) ranges: Vec<Range>,
    /// What [`Target::Chain`] refers to.
    pub(super) chains: Vec<Chain<'a>>,
}

/// All numbers from `start` to the next range's start.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) target: Target,
}

/// What happens with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An answer.
    Return(u32),
    /// Arguments decide.
    Chain(usize),
}

/// Branches tried in order.
#[derive(PartialEq)]
pub(super) struct Chain<'a> {
    /// Compare all 64 bits of arguments.
    pub(super) wide: bool,
    pub(super) branches: Vec<Branch<'a>>,
}

/// The answer `action` when all conditions hold.
#[derive(PartialEq)]
pub(super) struct Branch<'a> {
    /// `socketcall(2)` and `ipc(2)`: which call.
    pub(super) selector: Option<Condition>,
    pub(super) conditions: &'a [Condition],
    pub(super) action: u32,
}

/// What the rules say of the numbers from `base` on. Numbers are few and dense, so each has its place: nothing is sorted.
struct Numbers<'a> {
    base: u32,
    /// Up to the highest number that a rule names.
    said: Vec<Said>,
    /// What [`Said::If`] refers to, in the profile's order.
    conditional: Vec<Vec<Effect<'a>>>,
}

/// What the rules say of one number.
#[derive(Clone, Copy)]
enum Said {
    Nothing,
    /// A rule without conditions has it: this answer.
    Always(u32),
    /// Rules have it under conditions.
    If(usize),
}

/// A rule that depends on arguments.
#[derive(Clone, Copy)]
struct Effect<'a> {
    rule: &'a Rule,
    /// The value of the first argument of `socketcall(2)` or `ipc(2)`.
    selector: Option<u32>,
}

impl<'a> Numbers<'a> {
    fn new(base: u32, room: usize) -> Self {
        Numbers { base, said: Vec::with_capacity(room), conditional: Vec::new() }
    }

    fn add(&mut self, number: u32, effect: Effect<'a>, default: u32) {
        let at = (number - self.base) as usize;
        if at >= self.said.len() {
            self.said.resize(at + 1, Said::Nothing);
        }
        if effect.rule.action == default {
            return;
        }
        let always = effect.selector.is_none() && effect.rule.alternatives.is_empty();
        match self.said[at] {
            Said::Always(_) => {}
            _ if always => self.said[at] = Said::Always(effect.rule.action),
            Said::If(list) => self.conditional[list].push(effect),
            Said::Nothing => {
                self.said[at] = Said::If(self.conditional.len());
                self.conditional.push(vec![effect]);
            }
        }
    }

    /// The first number that no rule names, nor any above it.
    fn end(&self) -> u32 {
        self.base + self.said.len() as u32
    }
}

/// All sections of a profile, that of the native ABI first.
pub(super) fn sections(profile: &Profile) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    for &abi in &profile.abis {
        match sections.last_mut() {
            Some(section) if section.audit == abi.audit() => section.add(profile, abi),
            _ => {
                let mut section = Section { audit: abi.audit(), ranges: Vec::with_capacity(256), chains: Vec::new() };
                section.add(profile, abi);
                if abi == Abi::X86_64 {
                    // Until x32 says otherwise: to be mistaken for x86_64 was CVE-2009-0835's kind of hole.
                    section.push(X32_BIT, Target::Return(action::KILL_THREAD));
                }
                sections.push(section);
            }
        }
    }
    sections
}

impl<'a> Section<'a> {
    fn add(&mut self, profile: &'a Profile, abi: Abi) {
        let default = Target::Return(profile.default);
        let (ordinary, private) = numbers(profile, abi);
        self.push(abi.base(), default);
        self.add_numbers(&ordinary, abi, default);
        if newer_is_unknown(profile) && !ordinary.said.is_empty() {
            self.push(ordinary.end(), Target::Return(action::ENOSYS));
        }
        if let Some(limit) = abi.limit() {
            self.push(limit, default);
        }
        self.add_numbers(&private, abi, default);
    }

    fn add_numbers(&mut self, numbers: &Numbers<'a>, abi: Abi, default: Target) {
        for (number, said) in (numbers.base..).zip(&numbers.said) {
            let target = match *said {
                Said::Nothing => default,
                Said::Always(answer) => Target::Return(answer),
                Said::If(list) => self.chain(&numbers.conditional[list], abi).unwrap_or(default),
            };
            self.push(number, target);
        }
        if !numbers.said.is_empty() {
            self.push(numbers.end(), default);
        }
    }

    fn chain(&mut self, effects: &[Effect<'a>], abi: Abi) -> Option<Target> {
        let branches: Vec<_> = effects.iter().flat_map(branches).collect();
        if branches.is_empty() {
            return None;
        }
        let chain = Chain { wide: abi.wide(), branches };
        let at = self.chains.iter().position(|known| *known == chain).unwrap_or_else(|| {
            self.chains.push(chain);
            self.chains.len() - 1
        });
        Some(Target::Chain(at))
    }

    /// From `start` on. A range of no length vanishes, neighbours with the same target become one.
    fn push(&mut self, start: u32, target: Target) {
        if self.ranges.last().is_some_and(|last| last.start == start) {
            self.ranges.pop();
        }
        if self.ranges.last().is_none_or(|last| last.target != target) {
            self.ranges.push(Range { start, target });
        }
    }
}

/// What the profile says of the ordinary calls of an ABI, and of those beyond its [`Abi::limit`].
fn numbers(profile: &Profile, abi: Abi) -> (Numbers<'_>, Numbers<'_>) {
    let (mut ordinary, mut private) = (Numbers::new(abi.base(), 512), Numbers::new(abi.limit().unwrap_or(0), 0));
    for rule in &profile.rules {
        let mut add = |number: u32, selector: Option<u32>| {
            let numbers = if abi.ordinary(number) { &mut ordinary } else { &mut private };
            numbers.add(number, Effect { rule, selector }, profile.default);
        };
        for call in &rule.calls {
            if let Some(number) = abi.number(call) {
                add(number, None);
            }
            if let Some((number, selector)) = multiplexer(abi, call) {
                add(number, Some(selector));
            }
        }
    }
    (ordinary, private)
}

/// The other way to make a call, on i386.
fn multiplexer(abi: Abi, call: &Call) -> Option<(u32, u32)> {
    call.multiplexed.filter(|_| abi == Abi::X86)
}

fn branches<'a>(effect: &Effect<'a>) -> Vec<Branch<'a>> {
    let rule = effect.rule;
    let Some(value) = effect.selector else {
        let branch = |conditions: &'a Vec<Condition>| Branch { selector: None, conditions, action: rule.action };
        return rule.alternatives.iter().map(branch).collect();
    };
    // The arguments of a multiplexed call are in memory, where no filter sees them: what a rule would permit under
    // conditions is not permitted, what it would refuse is refused always.
    if !rule.alternatives.is_empty() && action::permits(rule.action) {
        return Vec::new();
    }
    let selector = Condition { index: 0, op: LinuxSeccompOperator::ScmpCmpEq, value: value.into(), other: 0 };
    vec![Branch { selector: Some(selector), conditions: &[], action: rule.action }]
}

/// What is newer than all that the profile's author knew answers ENOSYS, so that programs fall back (glibc treats EPERM as
/// final): runc's rule. Not where the default lets calls pass, and a tracer knows better.
fn newer_is_unknown(profile: &Profile) -> bool {
    !action::permits(profile.default) && action::kind(profile.default) != action::TRACE
}
