//! What went wrong between clone and exec, as it crosses the border between two processes.

use serde::{Deserialize, Serialize};

/// Whose fault a failed start is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// The program does not exist in the container: exit code 127.
    NotFound,
    /// The program exists but cannot be executed: exit code 126.
    NotExecutable,
    /// Anything else: the runtime or the host.
    Runtime,
}

/// Why a container or a process in it could not be started. One line: the step, the call, its path and errno.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// Whose fault it is.
    pub kind: Kind,
    /// What was being done, and how it failed.
    pub message: String,
}

/// How far [`crate::start`] has come.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stage {
    /// Nobody waits to be started.
    #[error("nobody waits to be started")]
    Gone,
    /// Init could not execute its program, and has ended.
    #[error(transparent)]
    Failed(Failure),
}

impl Failure {
    /// The fault of the runtime or the host.
    pub(crate) fn runtime(message: impl Into<String>) -> Self {
        Failure { kind: Kind::Runtime, message: message.into() }
    }

    /// The program is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Failure { kind: Kind::NotFound, message: message.into() }
    }

    /// The program is there but cannot be run.
    pub(crate) fn not_executable(message: impl Into<String>) -> Self {
        Failure { kind: Kind::NotExecutable, message: message.into() }
    }
}

/// Says during which step something failed; the text is built only when it did.
pub(crate) trait During<T> {
    fn during<S: AsRef<str>>(self, step: impl FnOnce() -> S) -> Result<T, Failure>;
}

impl<T> During<T> for sys::Result<T> {
    fn during<S: AsRef<str>>(self, step: impl FnOnce() -> S) -> Result<T, Failure> {
        self.map_err(|error| Failure::runtime(format!("{}: {error}", step().as_ref())))
    }
}

impl<T> During<T> for Result<T, Failure> {
    fn during<S: AsRef<str>>(self, step: impl FnOnce() -> S) -> Result<T, Failure> {
        self.map_err(|failure| Failure { message: format!("{}: {}", step().as_ref(), failure.message), ..failure })
    }
}
