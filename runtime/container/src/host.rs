//! What the kernel offers, asked once before anything is decided.

use std::path::PathBuf;

use oci_spec::runtime::{Process, Spec};
use rustix::process::{getegid, geteuid};
use rustix::thread::{CapabilitySet, capabilities, capability_is_in_bounding_set, secure_computing_mode};

use crate::cgroup::Hierarchies;
use crate::compile::LANDLOCK;
use crate::{Error, capabilities as caps, rdt};

/// Facts about the host that decide how a configuration is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Where cgroups are mounted.
    pub cgroup: Hierarchies,
    /// The highest capability the kernel knows.
    pub last_cap: u32,
    /// Capabilities that this process has and so can give, bit N for capability N.
    pub grantable: caps::Set,
    /// Effective user and group of this process, when it may not take others on: then it maps only itself into a user namespace, or
    /// needs newuidmap(1).
    pub identity: Option<(u32, u32)>,
    /// Mounts that are there cannot lose what they forbid: they come from outside this user namespace (mount_namespaces(7)).
    pub locked: bool,
    /// The kernel filters system calls.
    pub seccomp: bool,
    /// AppArmor is active.
    pub apparmor: bool,
    /// SELinux is active. Only known after [`Host::asked`].
    pub selinux: bool,
    /// Version of Landlock's ABI, 0 where there is none. Only known after [`Host::asked`].
    pub landlock: u32,
    /// Where Intel RDT's file system is mounted. Only known after [`Host::asked`].
    pub resctrl: Option<PathBuf>,
}

impl Host {
    /// Asks the kernel: about ten system calls.
    ///
    /// # Errors
    /// No cgroup file system is mounted, or mountinfo cannot be read.
    pub fn gather() -> Result<Host, Error> {
        let grantable = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.permitted);
        let anybody = grantable.contains(CapabilitySet::SETUID | CapabilitySet::SETGID);
        Ok(Host {
            cgroup: Hierarchies::detect()?,
            last_cap: last_cap(),
            grantable: grantable.bits(),
            identity: (!anybody).then(|| (geteuid().as_raw(), getegid().as_raw())),
            locked: !sys::ns::is_first_of_users(),
            seccomp: secure_computing_mode().is_ok(),
            apparmor: rustix::fs::access("/sys/kernel/security/apparmor", rustix::fs::Access::EXISTS).is_ok(),
            selinux: false,
            landlock: 0,
            resctrl: None,
        })
    }

    /// Whether this process may open trees to mount. Who may not does so in the container's user namespace.
    pub fn mounts(&self) -> bool {
        CapabilitySet::from_bits_retain(self.grantable).contains(CapabilitySet::SYS_ADMIN)
    }

    /// The same for a container with a user namespace, in which its processes begin with all capabilities (user_namespaces(7)).
    pub fn in_user_namespace(&self) -> Host {
        Host { grantable: u64::MAX >> (63 - self.last_cap.min(63)), ..self.clone() }
    }

    /// Asks also what only few configurations need to know, if this is one that does.
    pub fn asked(mut self, spec: &Spec) -> Host {
        if spec.annotations().as_ref().is_some_and(|annotations| annotations.contains_key(LANDLOCK)) {
            self.landlock = sys::landlock::abi();
        }
        if let Some(linux) = spec.linux() {
            self.resctrl = linux.intel_rdt().as_ref().and_then(|_| rdt::mounted());
            self.selinux = linux.mount_label().as_ref().is_some_and(|label| !label.is_empty()) && selinux();
        }
        spec.process().iter().fold(self, Host::asked_process)
    }

    /// [`Host::asked`], for a process that joins a container.
    pub fn asked_process(mut self, process: &Process) -> Host {
        if process.selinux_label().as_ref().is_some_and(|label| !label.is_empty()) {
            self.selinux = self.selinux || selinux();
        }
        self
    }
}

/// The kernel answers `EINVAL` for a capability it does not know (prctl(2), `PR_CAPBSET_READ`). This also works where
/// `/proc/sys` is hidden.
fn last_cap() -> u32 {
    let known = |cap: u32| capability_is_in_bounding_set(CapabilitySet::from_bits_retain(1 << cap)).is_ok();
    let mut last = caps::LAST;
    while last > 0 && !known(last) {
        last -= 1;
    }
    while last < 62 && known(last + 1) {
        last += 1;
    }
    last
}

/// SELinux is active where its file system is mounted (selinux(8)).
fn selinux() -> bool {
    const SELINUX_MAGIC: i64 = 0xf97c_ff8c;
    rustix::fs::statfs("/sys/fs/selinux").is_ok_and(|fs| fs.f_type == SELINUX_MAGIC)
}
