//! What restricts the program from inside: Landlock, then the system call filter.

use sys::seccomp::{Instruction, NEW_LISTENER};

use super::landlock;
use crate::failure::During;
use crate::handshake::Parent;
use crate::{Failure, Process, Seccomp};

/// Loads both, if there are any. The filter comes last: it need not allow what the other needs.
pub(super) fn load(process: &Process, parent: &Parent) -> Result<(), Failure> {
    if let Some(rules) = &process.landlock {
        landlock::restrict(rules).during(|| "Landlock")?;
    }
    let Some(Seccomp { program, flags, listener }) = &process.seccomp else { return Ok(()) };
    if listener.is_none() && flags & NEW_LISTENER != 0 {
        return Err(Failure::runtime("system call filter: it hands calls over, and there is nobody to answer them"));
    }
    let program: Vec<_> = program.iter().map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect();
    match sys::seccomp::load(&program, *flags).during(|| "system call filter")? {
        Some(listener) => parent.hand_over(&listener).during(|| "system call filter"),
        None => Ok(()),
    }
}
