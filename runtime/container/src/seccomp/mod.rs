//! System call filters: from an OCI `linux.seccomp` to classic BPF, and the usual default profile.

use oci_spec::runtime::LinuxSeccomp;

/// What keeps a profile from becoming a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel takes 4096 instructions (`BPF_MAXINSNS`).
    #[error("the filter needs {0} instructions, the kernel takes 4096")]
    TooLong(usize),
}

/// Compiles a profile.
///
/// # Errors
/// [`Error`] names the part of the profile that no filter can express.
pub fn compile(_seccomp: &LinuxSeccomp) -> Result<launch::Seccomp, Error> {
    Err(Error::TooLong(0))
}

/// The default profile for a process with these capabilities (bit N for capability N).
pub fn default_profile(_capabilities: u64) -> LinuxSeccomp {
    LinuxSeccomp::default()
}

/// The compiled [`default_profile`].
pub fn default_filter(_capabilities: u64) -> launch::Seccomp {
    launch::Seccomp { program: Vec::new(), flags: 0 }
}
