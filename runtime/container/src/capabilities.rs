//! Capability names and sets (capabilities(7)). A set is a bit mask: bit N stands for capability N.

use oci_spec::runtime::{Capabilities, Capability};

/// A set of capabilities.
pub type Set = u64;

/// The highest capability known here.
pub(crate) const LAST: u32 = NAMES.len() as u32 - 1;

/// Names in the order of the kernel's numbers (`linux/capability.h`), with the type of oci-spec.
const NAMES: [(&str, Capability); 41] = [
    ("CHOWN", Capability::Chown),
    ("DAC_OVERRIDE", Capability::DacOverride),
    ("DAC_READ_SEARCH", Capability::DacReadSearch),
    ("FOWNER", Capability::Fowner),
    ("FSETID", Capability::Fsetid),
    ("KILL", Capability::Kill),
    ("SETGID", Capability::Setgid),
    ("SETUID", Capability::Setuid),
    ("SETPCAP", Capability::Setpcap),
    ("LINUX_IMMUTABLE", Capability::LinuxImmutable),
    ("NET_BIND_SERVICE", Capability::NetBindService),
    ("NET_BROADCAST", Capability::NetBroadcast),
    ("NET_ADMIN", Capability::NetAdmin),
    ("NET_RAW", Capability::NetRaw),
    ("IPC_LOCK", Capability::IpcLock),
    ("IPC_OWNER", Capability::IpcOwner),
    ("SYS_MODULE", Capability::SysModule),
    ("SYS_RAWIO", Capability::SysRawio),
    ("SYS_CHROOT", Capability::SysChroot),
    ("SYS_PTRACE", Capability::SysPtrace),
    ("SYS_PACCT", Capability::SysPacct),
    ("SYS_ADMIN", Capability::SysAdmin),
    ("SYS_BOOT", Capability::SysBoot),
    ("SYS_NICE", Capability::SysNice),
    ("SYS_RESOURCE", Capability::SysResource),
    ("SYS_TIME", Capability::SysTime),
    ("SYS_TTY_CONFIG", Capability::SysTtyConfig),
    ("MKNOD", Capability::Mknod),
    ("LEASE", Capability::Lease),
    ("AUDIT_WRITE", Capability::AuditWrite),
    ("AUDIT_CONTROL", Capability::AuditControl),
    ("SETFCAP", Capability::Setfcap),
    ("MAC_OVERRIDE", Capability::MacOverride),
    ("MAC_ADMIN", Capability::MacAdmin),
    ("SYSLOG", Capability::Syslog),
    ("WAKE_ALARM", Capability::WakeAlarm),
    ("BLOCK_SUSPEND", Capability::BlockSuspend),
    ("AUDIT_READ", Capability::AuditRead),
    ("PERFMON", Capability::Perfmon),
    ("BPF", Capability::Bpf),
    ("CHECKPOINT_RESTORE", Capability::CheckpointRestore),
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
    (1 << NAMES.len()) - 1
}

/// The set that a word of the command line means: `NET_ADMIN`, `cap_net_admin` or `ALL`, in any case.
pub fn parse(word: &str) -> Option<Set> {
    let upper = word.to_ascii_uppercase();
    if upper == "ALL" {
        return Some(all());
    }
    let name = upper.strip_prefix("CAP_").unwrap_or(&upper);
    NAMES.iter().position(|(known, _)| *known == name).map(|number| 1 << number)
}

/// The names in a set, as `CAP_NET_ADMIN`, in the order of the kernel's numbers. Numbers without a name are left out.
pub fn names(set: Set) -> Vec<String> {
    NAMES.iter().enumerate().filter(|(number, _)| set & (1 << number) != 0).map(|(_, (name, _))| format!("CAP_{name}")).collect()
}

/// A set in the form of an OCI configuration.
pub fn to_oci(set: Set) -> Capabilities {
    NAMES.iter().enumerate().filter(|(number, _)| set & (1 << number) != 0).map(|(_, (_, capability))| *capability).collect()
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
        while NAMES[number].1 as u32 != capabilities[at] as u32 {
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
