//! What went wrong, as one line, in parts for programs, and as an exit code.

use std::error::Error;
use std::path::Path;

use launch::{Failure, Parts};

/// A failed verb.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) message: String,
    pub(crate) code: u8,
    pub(crate) parts: Box<Parts>,
}

pub(crate) type Result<T> = std::result::Result<T, Failed>;

impl Failed {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Failed { message: message.into(), code: 1, parts: Box::default() }
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
impl<E: Error + 'static> From<E> for Failed {
    fn from(error: E) -> Self {
        let first: &(dyn Error + 'static) = &error;
        let chain: Vec<&(dyn Error + 'static)> = std::iter::successors(Some(first), |error| (*error).source()).collect();
        let texts: Vec<String> = chain.iter().map(|error| error.to_string().replace('\n', " ")).collect();
        let mut parts = chain.last().map(|last| parts(*last)).unwrap_or_default();
        if let Some(path) = chain.iter().find_map(|error| error.downcast_ref::<container::Error>()?.path()) {
            parts.path.get_or_insert_with(|| path.display().to_string());
        }
        let steps = texts[..texts.len() - 1].join(": ");
        let parts = if steps.is_empty() { parts } else { parts.during(&steps) };
        Failed { message: texts.join(": "), code: 1, parts: Box::new(parts) }
    }
}

/// What the innermost error knows.
fn parts(error: &(dyn Error + 'static)) -> Parts {
    if let Some(Failure { parts, .. }) = error.downcast_ref() {
        return Parts::clone(parts);
    }
    if let Some(error) = error.downcast_ref::<sys::Error>() {
        return Parts::from(error);
    }
    let errno = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    Parts { errno: errno.map(|errno| sys::Error::new("", rustix::io::Errno::from_raw_os_error(errno)).name()), ..Parts::default() }
}

/// Says what was being done.
pub(crate) trait Doing<T> {
    fn doing<S: AsRef<str>>(self, what: impl FnOnce() -> S) -> Result<T>;

    /// To a file of the host.
    fn doing_to<S: AsRef<str>>(self, path: &Path, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Failed>> Doing<T> for std::result::Result<T, E> {
    fn doing<S: AsRef<str>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| {
            let Failed { message, code, parts } = error.into();
            let what = what();
            let what = what.as_ref();
            Failed { message: format!("{what}: {message}"), code, parts: Box::new(parts.during(what)) }
        })
    }

    fn doing_to<S: AsRef<str>>(self, path: &Path, what: impl FnOnce() -> S) -> Result<T> {
        self.doing(what).map_err(|mut failed| {
            failed.parts.path.get_or_insert_with(|| path.display().to_string());
            failed
        })
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn parts_come_from_the_error_values() {
        let inner: std::result::Result<(), sys::Error> = Err(sys::Error::new("open(\"x\")", Errno::ACCESS).about("/a/x"));
        let failed = inner.doing(|| "read it").doing(|| "begin").unwrap_err();
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(failed.message, "begin: read it: open(\"x\") = EACCES (Permission denied)");
        let all = Parts { step: text("begin: read it"), call: text("open(\"x\")"), path: text("/a/x"), errno: text("EACCES") };
        assert_eq!(*failed.parts, all);
        let failed = Failed::from(container::Error::NoSource("/nonsuch".into()));
        let Parts { path, call, .. } = *failed.parts;
        assert_eq!((path, call), (text("/nonsuch"), None));
    }
}
