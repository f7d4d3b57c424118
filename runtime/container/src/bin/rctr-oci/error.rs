//! What went wrong, as one line and an exit code.

use std::error::Error;

/// A failed verb.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) message: String,
    pub(crate) code: u8,
}

pub(crate) type Result<T> = std::result::Result<T, Failed>;

impl Failed {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Failed { message: message.into(), code: 1 }
    }

    /// The text that callers of runc look for.
    pub(crate) fn missing(id: &str) -> Self {
        Failed::new(format!("container {id:?}: container does not exist"))
    }

    /// The same.
    pub(crate) fn not_running(id: &str) -> Self {
        Failed::new(format!("container {id:?}: container not running"))
    }
}

/// The chain of an error in one line. (A `Failed` is no `Error` itself, or this could not be.)
impl<E: Error> From<E> for Failed {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message.push_str(": ");
            message.push_str(&cause.to_string());
            source = cause.source();
        }
        Failed::new(message.replace('\n', " "))
    }
}

/// Says what was being done.
pub(crate) trait Doing<T> {
    fn doing<S: AsRef<str>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Failed>> Doing<T> for std::result::Result<T, E> {
    fn doing<S: AsRef<str>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| {
            let Failed { message, code } = error.into();
            Failed { message: format!("{}: {message}", what().as_ref()), code }
        })
    }
}
