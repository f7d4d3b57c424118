//! System call filters: from an OCI `linux.seccomp` to classic BPF (seccomp(2)), and the usual default profile.
//!
//! ```text
//! LinuxSeccomp ── rules ──┐
//!                         ├─ Profile ── ranges ── Section per arch ── emit ── launch::Seccomp
//! default profile ────────┘
//! ```
//!
//! A filter is compiled once in a container's life: [`crate::Shared`] keeps it beside the container's record, and all processes that
//! join (a health check each second, say) take it from there, without a look at the profile, whatever has become of its text since.
//!
//! Between containers nothing is kept. The default profile takes 270 000 instructions to compile, some 70 µs of a start's 8 ms, and
//! another 210 000 to be read as JSON where a configuration brings it. The key of a file that holds the outcome would be a hash of the
//! profile's text, which has to be found first (80 000 to skip it, once to find it and once to read the rest), and the file opened, read
//! and verified: less than 1 % of a start would be won, at the price of files that somebody has to remove, and of trust in what is found
//! there. `rctr` and `noded` never have that text: [`default_filter`].
//!
//! | module | what |
//! |---|---|
//! | `table` | call names to numbers, all ABIs, a hash table made at compile time |
//! | `abi` | architectures, x32's numbers |
//! | `rules` | a profile read and checked |
//! | `ranges` | how rules combine; ranges of numbers with one answer |
//! | `emit` | binary search trees, comparisons, jumps |
//! | `profile` | what a container may call unless told otherwise |

mod abi;
mod action;
mod emit;
pub mod features;
#[cfg(test)]
mod kernel;
mod profile;
mod ranges;
mod rules;
mod table;
#[cfg(test)]
mod tests;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction};

use abi::Abi;
pub use profile::{default_filter, default_profile};

/// `BPF_MAXINSNS`.
const LONGEST: usize = 4096;

/// What keeps a profile from becoming a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More rules than the kernel takes in one program (`BPF_MAXINSNS`).
    #[error("the filter needs {0} instructions, the kernel takes 4096")]
    TooLong(usize),
    /// A condition on an argument that no call has.
    #[error("condition on argument {0}: system calls have arguments 0 to 5")]
    Argument(usize),
    /// An errno that the kernel would cut.
    #[error("errnoRet {errno} is above {most}")]
    Errno {
        /// As given.
        errno: u32,
        /// The highest possible.
        most: u32,
    },
    /// An errno for an action that returns none; the runtime specification asks for an error.
    #[error("{0} takes no errnoRet")]
    NoErrno(LinuxSeccompAction),
    /// Nobody would hold the listener, and every such call would fail with ENOSYS.
    #[error("SCMP_ACT_NOTIFY needs a listenerPath")]
    NoListener,
    /// The listener's own hand-over would wait for the listener.
    #[error("SCMP_ACT_NOTIFY cannot be used {0}")]
    Notify(&'static str),
    /// The runtime specification asks for an error.
    #[error("listenerMetadata without a listenerPath")]
    NoPath,
}

/// Compiles a profile for this machine's architecture.
///
/// The native architecture is always among those that may make calls, as with libseccomp; calls of one that is not
/// listed kill the thread. Names that no kernel known here has are skipped. Calls newer than all that the profile
/// names answer ENOSYS where its default refuses.
///
/// A filter that hands calls over comes with the place of its listener; the message that goes there is for the caller to write.
///
/// # Errors
/// [`Error`] names the part of the profile that no filter can express.
pub fn compile(seccomp: &LinuxSeccomp) -> Result<launch::Seccomp, Error> {
    let path = seccomp.listener_path().clone().filter(|path| !path.as_os_str().is_empty());
    if path.is_none() && seccomp.listener_metadata().as_ref().is_some_and(|metadata| !metadata.is_empty()) {
        return Err(Error::NoPath);
    }
    let mut filter = build(&rules::Profile::read(seccomp, Abi::NATIVE)?);
    if filter.flags & sys::seccomp::NEW_LISTENER != 0 {
        let path = path.ok_or(Error::NoListener)?;
        filter.listener = Some(launch::Listener { path, message: Vec::new() });
    }
    match filter.program.len() {
        0..=LONGEST => Ok(filter),
        len => Err(Error::TooLong(len)),
    }
}

fn build(profile: &rules::Profile) -> launch::Seccomp {
    let program = emit::program(&ranges::sections(profile), profile.default);
    launch::Seccomp { program, flags: profile.flags, listener: None }
}
