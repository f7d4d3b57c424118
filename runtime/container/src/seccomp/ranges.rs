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

/// A rule's effect on one number.
struct Effect<'a> {
    number: u32,
    rule: &'a Rule,
    /// The value of the first argument of `socketcall(2)` or `ipc(2)`.
    selector: Option<u32>,
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
        let mut effects = effects(profile, abi);
        // Stable: rules of one number stay in the profile's order.
        effects.sort_by_key(|effect| effect.number);
        let ordinary = effects.partition_point(|effect| abi.ordinary(effect.number));
        let (ordinary, private) = effects.split_at(ordinary);
        let default = Target::Return(profile.default);
        self.push(abi.base(), default);
        self.add_effects(profile, abi, ordinary);
        if let Some(last) = last_known(profile, abi) {
            self.push(last + 1, Target::Return(action::ENOSYS));
        }
        if let Some(limit) = abi.limit() {
            self.push(limit, default);
        }
        self.add_effects(profile, abi, private);
    }

    fn add_effects(&mut self, profile: &Profile, abi: Abi, effects: &[Effect<'a>]) {
        for group in effects.chunk_by(|a, b| a.number == b.number) {
            let number = group[0].number;
            let target = self.target(abi, group).unwrap_or(Target::Return(profile.default));
            self.push(number, target);
            self.push(number + 1, Target::Return(profile.default));
        }
    }

    fn target(&mut self, abi: Abi, group: &[Effect<'a>]) -> Option<Target> {
        let always = |effect: &&Effect<'_>| effect.selector.is_none() && effect.rule.alternatives.is_empty();
        if let Some(effect) = group.iter().find(always) {
            return Some(Target::Return(effect.rule.action));
        }
        let branches: Vec<_> = group.iter().flat_map(branches).collect();
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

fn effects(profile: &Profile, abi: Abi) -> Vec<Effect<'_>> {
    let mut effects = Vec::with_capacity(512);
    for rule in profile.rules.iter().filter(|rule| rule.action != profile.default) {
        for call in &rule.calls {
            if let Some(number) = abi.number(call) {
                effects.push(Effect { number, rule, selector: None });
            }
            if let Some((number, selector)) = multiplexer(abi, call) {
                effects.push(Effect { number, rule, selector: Some(selector) });
            }
        }
    }
    effects
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

/// The highest number that the profile's author knew. What is newer answers ENOSYS, so that programs fall back (glibc
/// treats EPERM as final): runc's rule. Not where the default lets calls pass, and a tracer knows better.
fn last_known(profile: &Profile, abi: Abi) -> Option<u32> {
    if action::permits(profile.default) || action::kind(profile.default) == action::TRACE {
        return None;
    }
    let calls = profile.rules.iter().flat_map(|rule| &rule.calls);
    let numbers = calls.flat_map(|call| [abi.number(call), multiplexer(abi, call).map(|(number, _)| number)]);
    numbers.flatten().filter(|&number| abi.ordinary(number)).max()
}
