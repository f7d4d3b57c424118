//! Capability names and sets (capabilities(7)). A set is a bit mask: bit N stands for capability N.

use std::str::FromStr;

use oci_spec::runtime::{Capabilities, Capability};

/// A set of capabilities.
pub type Set = u64;

/// The highest capability known here.
pub(crate) const LAST: u32 = ORDER.len() as u32 - 1;

/// The type of oci-spec in the order of the kernel's numbers (`linux/capability.h`). Names are those of crate `caps`.
const ORDER: [Capability; 41] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::DacReadSearch,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::LinuxImmutable,
    Capability::NetBindService,
    Capability::NetBroadcast,
    Capability::NetAdmin,
    Capability::NetRaw,
    Capability::IpcLock,
    Capability::IpcOwner,
    Capability::SysModule,
    Capability::SysRawio,
    Capability::SysChroot,
    Capability::SysPtrace,
    Capability::SysPacct,
    Capability::SysAdmin,
    Capability::SysBoot,
    Capability::SysNice,
    Capability::SysResource,
    Capability::SysTime,
    Capability::SysTtyConfig,
    Capability::Mknod,
    Capability::Lease,
    Capability::AuditWrite,
    Capability::AuditControl,
    Capability::Setfcap,
    Capability::MacOverride,
    Capability::MacAdmin,
    Capability::Syslog,
    Capability::WakeAlarm,
    Capability::BlockSuspend,
    Capability::AuditRead,
    Capability::Perfmon,
    Capability::Bpf,
    Capability::CheckpointRestore,
];

/// What Docker gives a container unless told otherwise: 14 capabilities.
pub const DEFAULT: Set = set(&[
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fowner,
    Capability::Fsetid,
    Capability::Kill,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::NetRaw,
    Capability::SysChroot,
    Capability::Mknod,
    Capability::AuditWrite,
    Capability::Setfcap,
]);

/// All capabilities known here.
pub const fn all() -> Set {
    (1 << ORDER.len()) - 1
}

/// The set that a word of the command line means: `NET_ADMIN`, `cap_net_admin` or `ALL`, in any case.
pub fn parse(word: &str) -> Option<Set> {
    let upper = word.to_ascii_uppercase();
    if upper == "ALL" {
        return Some(all());
    }
    let name = if upper.starts_with("CAP_") { upper } else { format!("CAP_{upper}") };
    caps::Capability::from_str(&name).ok().map(|capability| capability.bitmask())
}

/// The names in a set, as `CAP_NET_ADMIN`, in the order of the kernel's numbers. Numbers without a name are left out.
pub fn names(set: Set) -> Vec<String> {
    let mut named: Vec<_> = caps::all().into_iter().filter(|capability| set & capability.bitmask() != 0).collect();
    named.sort_unstable_by_key(caps::Capability::index);
    named.iter().map(ToString::to_string).collect()
}

/// A set in the form of an OCI configuration.
pub fn to_oci(set: Set) -> Capabilities {
    ORDER.iter().enumerate().filter(|(number, _)| set & (1 << number) != 0).map(|(_, capability)| *capability).collect()
}

/// A set from an OCI configuration.
pub fn from_oci(capabilities: &Capabilities) -> Set {
    capabilities.iter().map(|capability| set(&[*capability])).fold(0, |all, one| all | one)
}

const fn set(capabilities: &[Capability]) -> Set {
    let mut set = 0;
    let mut at = 0;
    while at < capabilities.len() {
        let mut number = 0;
        while ORDER[number] as u32 != capabilities[at] as u32 {
            number += 1;
        }
        set |= 1 << number;
        at += 1;
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(parse("NET_ADMIN"), Some(1 << 12));
        assert_eq!(parse("cap_net_admin"), Some(1 << 12));
        assert_eq!(parse("all"), Some(0x1ff_ffff_ffff));
        assert_eq!(parse("NET_ADMN"), None);
        assert_eq!(parse("CAP_CAP_CHOWN"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn docker_default() {
        // CapEff of a container of Docker without options.
        assert_eq!(DEFAULT, 0xa804_25fb);
        assert_eq!(names(DEFAULT).len(), 14);
    }

    #[test]
    fn numbers_are_those_of_the_kernel() {
        for capability in caps::all() {
            let name = capability.to_string();
            assert_eq!(parse(&name), Some(capability.bitmask()), "{name}");
            let oci = ORDER[usize::from(capability.index())].to_string().to_ascii_uppercase();
            assert_eq!(oci.replace("CAP_", ""), name.replace("CAP_", ""));
        }
        assert_eq!(LAST, u32::from(caps::Capability::CAP_CHECKPOINT_RESTORE.index()));
    }

    #[test]
    fn oci_and_back() {
        for set in [0, 1, DEFAULT, all()] {
            assert_eq!(from_oci(&to_oci(set)), set);
        }
    }
}
