//! What went wrong between clone and exec, as it crosses the border between two processes.

use std::path::Path;

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
    /// The same in parts.
    pub parts: Box<Parts>,
}

/// The parts of a failure that has them, for programs that read logs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// What was being done, from the outermost step to the innermost.
    pub step: Option<String>,
    /// The system call as it was made.
    pub call: Option<String>,
    /// What it was about, in the container or on the host.
    pub path: Option<String>,
    /// The symbol of the error number, such as `ENOENT`.
    pub errno: Option<String>,
}

impl From<&sys::Error> for Parts {
    fn from(error: &sys::Error) -> Self {
        let path = error.path().map(|path| path.display().to_string());
        Parts { step: None, call: Some(error.call().to_owned()), path, errno: Some(error.name()) }
    }
}

impl Parts {
    /// Says what was being done around what is said already.
    #[must_use]
    pub fn during(self, outer: &str) -> Self {
        let step = self.step.map_or_else(|| outer.to_owned(), |inner| format!("{outer}: {inner}"));
        Parts { step: Some(step), ..self }
    }
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
    pub fn runtime(message: impl Into<String>) -> Self {
        Failure { kind: Kind::Runtime, message: message.into(), parts: Box::default() }
    }

    /// The program is not there.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Failure { kind: Kind::NotFound, ..Failure::runtime(message) }
    }

    /// The program is there but cannot be run.
    pub(crate) fn not_executable(message: impl Into<String>) -> Self {
        Failure { kind: Kind::NotExecutable, ..Failure::runtime(message) }
    }

    /// The path it is about, unless a step further inside has named one.
    pub(crate) fn about(mut self, path: &Path) -> Self {
        self.parts.path.get_or_insert_with(|| path.display().to_string());
        self
    }

    /// The system call behind it.
    pub(crate) fn because(self, error: &sys::Error) -> Self {
        let Parts { step, path, .. } = *self.parts;
        Failure { parts: Box::new(Parts { step, path, ..Parts::from(error) }), ..self }
    }
}

/// Says during which step something failed; the text is built only when it did.
pub(crate) trait During<T> {
    fn during<S: AsRef<str>>(self, step: impl FnOnce() -> S) -> Result<T, Failure>;
}

impl<T> During<T> for sys::Result<T> {
    fn during<S: AsRef<str>>(self, step: impl FnOnce() -> S) -> Result<T, Failure> {
        self.map_err(|error| Failure { parts: Box::new(Parts::from(&error)), ..Failure::runtime(error.to_string()) }).during(step)
    }
}

impl<T> During<T> for Result<T, Failure> {
    fn during<S: AsRef<str>>(self, step: impl FnOnce() -> S) -> Result<T, Failure> {
        self.map_err(|Failure { kind, message, parts }| {
            let step = step();
            let step = step.as_ref();
            Failure { kind, message: format!("{step}: {message}"), parts: Box::new(parts.during(step)) }
        })
    }
}
