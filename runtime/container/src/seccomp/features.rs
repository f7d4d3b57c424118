//! What filters can be made of, for runtime-spec's features document.

use oci_spec::runtime::{Arch, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator};

use super::rules::bit;

/// The actions that this kernel has.
pub fn actions() -> Vec<String> {
    use LinuxSeccompAction::*;
    let known = [
        ScmpActAllow,
        ScmpActErrno,
        ScmpActKill,
        ScmpActKillProcess,
        ScmpActKillThread,
        ScmpActLog,
        ScmpActNotify,
        ScmpActTrace,
        ScmpActTrap,
    ];
    known.iter().filter(|action| sys::seccomp::knows_action(action.as_u32(None) & 0xffff_0000)).map(ToString::to_string).collect()
}

/// The comparisons.
pub fn operators() -> Vec<String> {
    use LinuxSeccompOperator::*;
    let all = [ScmpCmpEq, ScmpCmpGe, ScmpCmpGt, ScmpCmpLe, ScmpCmpLt, ScmpCmpMaskedEq, ScmpCmpNe];
    all.iter().map(ToString::to_string).collect()
}

/// The architectures that rules are made for. Others are recognised: this kernel runs no program of theirs, and needs no rules.
pub fn architectures() -> Vec<String> {
    let all = [Arch::ScmpArchAarch64, Arch::ScmpArchArm, Arch::ScmpArchX32, Arch::ScmpArchX86, Arch::ScmpArchX86_64];
    all.iter().map(ToString::to_string).collect()
}

const FLAGS: [LinuxSeccompFilterFlag; 4] = [
    LinuxSeccompFilterFlag::SeccompFilterFlagTsync,
    LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow,
    LinuxSeccompFilterFlag::SeccompFilterFlagLog,
    LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv,
];

/// The flags that are recognised, and those of them that this kernel has.
pub fn flags() -> (Vec<String>, Vec<String>) {
    let supported = |flag: &&LinuxSeccompFilterFlag| match **flag {
        // Only together with a listener.
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
            sys::seccomp::knows_flags(bit(**flag) | sys::seccomp::NEW_LISTENER)
        }
        _ => sys::seccomp::knows_flags(bit(**flag)),
    };
    (FLAGS.iter().map(ToString::to_string).collect(), FLAGS.iter().filter(supported).map(ToString::to_string).collect())
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_those_of_the_specification() {
        assert!(super::operators().contains(&"SCMP_CMP_MASKED_EQ".to_owned()));
        assert!(super::architectures().contains(&"SCMP_ARCH_X86_64".to_owned()));
        let (known, supported) = super::flags();
        assert!(known.contains(&"SECCOMP_FILTER_FLAG_SPEC_ALLOW".to_owned()), "{known:?}");
        assert!(supported.iter().all(|flag| known.contains(flag)) && supported.len() >= 3, "{supported:?}");
        let actions = super::actions();
        assert!(actions.contains(&"SCMP_ACT_ALLOW".to_owned()) && actions.contains(&"SCMP_ACT_NOTIFY".to_owned()), "{actions:?}");
    }
}
