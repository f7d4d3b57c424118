//! Why a build fails.

use super::dockerfile::Invalid;
use crate::Error;

/// What went wrong in a step.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The Dockerfile, or what an instruction asks for, makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// A program of a `RUN` has failed.
    #[error("process {command:?} did not complete successfully: exit code: {code}")]
    Process {
        /// What was run.
        command: String,
        /// Its exit code.
        code: i32,
    },
    /// A file that is to be copied is not there.
    #[error("{what}: not found{hint}")]
    Missing {
        /// Its path.
        what: String,
        /// Why perhaps.
        hint: &'static str,
    },
    /// A base image cannot be had.
    #[error("{0}")]
    Base(String, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The store, or a container.
    #[error(transparent)]
    Engine(Box<Error>),
    /// A system call.
    #[error("{0}")]
    System(String, #[source] sys::Error),
    /// Somebody has ended it, or another stage failed.
    #[error("canceled")]
    Canceled,
}

impl From<Error> for BuildError {
    fn from(error: Error) -> Self {
        BuildError::Engine(Box::new(error))
    }
}

impl From<images::Error> for BuildError {
    fn from(error: images::Error) -> Self {
        Error::from(error).into()
    }
}

/// A build that failed, and where.
#[derive(Debug, thiserror::Error)]
#[error("{}", at.map(|(line, _)| format!("line {line}")).unwrap_or_else(|| "build".to_owned()))]
pub struct BuildFailed {
    /// First and last line of the instruction.
    pub at: Option<(usize, usize)>,
    /// The words there that it is about.
    pub about: Option<String>,
    /// What is wrong.
    #[source]
    pub error: BuildError,
}

impl From<Invalid> for BuildFailed {
    fn from(invalid: Invalid) -> Self {
        let Invalid { line, problem, about } = invalid;
        BuildFailed { at: Some((line, line)), about, error: BuildError::Invalid(problem) }
    }
}

impl From<BuildError> for BuildFailed {
    fn from(error: BuildError) -> Self {
        BuildFailed { at: None, about: None, error }
    }
}

/// Says what a system call was for.
pub(super) trait For<T> {
    fn to<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, BuildError>;
}

impl<T> For<T> for sys::Result<T> {
    fn to<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T, BuildError> {
        self.map_err(|source| BuildError::System(what().into(), source))
    }
}
