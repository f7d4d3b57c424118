//! The system call filter.

use sys::seccomp::Instruction;

use crate::failure::During;
use crate::{Failure, Seccomp};

/// Loads it, if there is one.
pub(super) fn load(filter: Option<&Seccomp>) -> Result<(), Failure> {
    let Some(Seccomp { program, flags }) = filter else { return Ok(()) };
    let program: Vec<_> = program.iter().map(|&(code, jt, jf, k)| Instruction { code, jt, jf, k }).collect();
    sys::seccomp::load(&program, *flags).map(drop).during(|| "system call filter")
}
