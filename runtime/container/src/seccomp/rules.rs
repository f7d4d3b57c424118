//! A profile, read and checked, in the shape that the compiler works on.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator};

use super::abi::Abi;
use super::table::{self, Call};
use super::{Error, action};

/// What a filter is made from.
pub(super) struct Profile {
    /// The kernel's value (`SECCOMP_RET_*`) for all that no rule matches.
    pub(super) default: u32,
    /// The ABIs that may make calls at all, the native one always among them.
    pub(super) abis: Vec<Abi>,
    /// In the profile's order.
    pub(super) rules: Vec<Rule>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub(super) flags: u32,
}

/// One entry of `syscalls`.
pub(super) struct Rule {
    /// The calls it is about. Names unknown to all ABIs are gone.
    pub(super) calls: Vec<&'static Call>,
    /// The kernel's value.
    pub(super) action: u32,
    /// The rule matches when all conditions of one of these hold. None at all: it always matches.
    pub(super) alternatives: Vec<Vec<Condition>>,
}

/// A comparison of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    /// Which argument, 0 to 5.
    pub(super) index: u32,
    /// How.
    pub(super) op: LinuxSeccompOperator,
    /// With what; the mask of a masked comparison.
    pub(super) value: u64,
    /// The value of a masked comparison.
    pub(super) other: u64,
}

impl Profile {
    /// Reads an OCI `linux.seccomp`.
    pub(super) fn read(seccomp: &LinuxSeccomp, native: Abi) -> Result<Profile, Error> {
        let default = value(seccomp.default_action(), seccomp.default_errno_ret())?;
        let mut rules = Vec::new();
        for entry in seccomp.syscalls().iter().flatten() {
            rules.push(Rule {
                calls: entry.names().iter().filter_map(|name| table::find(name)).collect(),
                action: value(entry.action(), entry.errno_ret())?,
                alternatives: alternatives(entry.args().as_deref().unwrap_or_default())?,
            });
        }
        let flags = flags(seccomp, default, &rules)?;
        // An ABI that this kernel cannot run needs no rules: the kernel never reports it.
        let listed = |abi: Abi| seccomp.architectures().iter().flatten().any(|&arch| Abi::from_oci(arch, native) == Some(abi));
        let abis = native.family().iter().copied().filter(|&abi| abi == native || listed(abi)).collect();
        Ok(Profile { default, abis, rules, flags })
    }
}

/// `SECCOMP_FILTER_FLAG_*`, without those that mean nothing for this filter and that the kernel would refuse.
fn flags(seccomp: &LinuxSeccomp, default: u32, rules: &[Rule]) -> Result<u32, Error> {
    use sys::seccomp::{NEW_LISTENER, SPEC_ALLOW, TSYNC, WAIT_KILLABLE_RECV};
    let asked = seccomp.flags().as_ref().map(|flags| flags.iter().fold(0, |bits, &flag| bits | bit(flag)));
    // Nothing is not the same as none: runc's default.
    let flags = asked.unwrap_or(SPEC_ALLOW);
    let handed = |rule: &&Rule| rule.action == action::NOTIFY;
    if default == action::NOTIFY {
        return Err(Error::Notify("as the default action"));
    }
    if rules.iter().filter(handed).any(|rule| rule.calls.iter().any(|call| call.name == "write")) {
        return Err(Error::Notify("for write"));
    }
    Ok(match rules.iter().any(|rule| handed(&rule)) {
        // There is one thread. Both together would need another meaning of the result.
        true => flags & !TSYNC | NEW_LISTENER,
        false => flags & !WAIT_KILLABLE_RECV,
    })
}

/// The kernel's value of an action. The runtime specification demands an error for an errno where none can be given.
fn value(action: LinuxSeccompAction, errno: Option<u32>) -> Result<u32, Error> {
    let most = match action {
        // MAX_ERRNO: the kernel would clamp.
        LinuxSeccompAction::ScmpActErrno => 4095,
        LinuxSeccompAction::ScmpActTrace => 0xffff,
        _ if errno.is_some() => return Err(Error::NoErrno(action)),
        _ => 0,
    };
    match errno {
        Some(errno) if errno > most => Err(Error::Errno { errno, most }),
        _ => Ok(action.as_u32(errno)),
    }
}

/// All arguments of a rule must match. Where one argument is compared twice, each comparison is a rule of its own: so do
/// runc and crun, and profiles rely on it.
fn alternatives(args: &[LinuxSeccompArg]) -> Result<Vec<Vec<Condition>>, Error> {
    let mut conditions = Vec::with_capacity(args.len());
    for arg in args {
        let index = u32::try_from(arg.index()).ok().filter(|&index| index < 6).ok_or(Error::Argument(arg.index()))?;
        conditions.push(Condition { index, op: arg.op(), value: arg.value(), other: arg.value_two().unwrap_or(0) });
    }
    let twice = |at: usize| conditions[..at].iter().any(|condition| condition.index == conditions[at].index);
    Ok(match conditions.len() {
        0 => Vec::new(),
        len if (1..len).any(twice) => conditions.into_iter().map(|condition| vec![condition]).collect(),
        _ => vec![conditions],
    })
}

/// `linux/seccomp.h`.
pub(super) fn bit(flag: LinuxSeccompFilterFlag) -> u32 {
    match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => sys::seccomp::TSYNC,
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => sys::seccomp::LOG,
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => sys::seccomp::SPEC_ALLOW,
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => sys::seccomp::WAIT_KILLABLE_RECV,
    }
}
