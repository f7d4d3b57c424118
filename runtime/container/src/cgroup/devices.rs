//! OCI device rules as a `BPF_PROG_TYPE_CGROUP_DEVICE` program (cgroup v2 has no devices controller).

use oci_spec::runtime::LinuxDeviceCgroup;
use sys::bpf::Instruction;

/// Compiles the rules.
pub(crate) fn program(_rules: &[LinuxDeviceCgroup]) -> Vec<Instruction> {
    Vec::new()
}
