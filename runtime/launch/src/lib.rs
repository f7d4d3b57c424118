//! A [`Plan`] (data) becomes a running init: everything between clone and exec.

mod plan;
mod status;

pub use plan::*;
pub use status::*;

/// Whose fault a failed start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    /// The program does not exist in the container: exit code 127.
    NotFound,
    /// The program exists but cannot be executed: exit code 126.
    NotExecutable,
    /// Anything else: the runtime or the host.
    Runtime,
}
