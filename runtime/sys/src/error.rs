//! An error that remembers the call: `openat2("etc/passwd", O_RDONLY) = ENOENT (No such file or directory)`.

use std::path::{Path, PathBuf};
use std::{fmt, io};

use rustix::io::Errno;

/// The outcome of a system call.
pub type Result<T> = std::result::Result<T, Error>;

/// A system call that failed: the call as it was made, and its errno.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    // Both small: errors of other crates hold some of these.
    call: Box<str>,
    errno: i32,
    path: Option<Box<PathBuf>>,
}

impl Error {
    /// The failure `errno` of `call`, a rendered call such as `mkdirat(rootfs, "dev")`.
    pub fn new(call: impl Into<String>, errno: Errno) -> Self {
        Error { call: call.into().into(), errno: errno.raw_os_error(), path: None }
    }

    /// The call as it was made.
    pub fn call(&self) -> &str {
        &self.call
    }

    /// The error number.
    pub fn errno(&self) -> Errno {
        Errno::from_raw_os_error(self.errno)
    }

    /// The symbol of the error number, such as `ENOENT`; the number itself where it has none here.
    pub fn name(&self) -> String {
        name(self.errno).map_or_else(|| self.errno.to_string(), str::to_owned)
    }

    /// The path that the call was about, for who wants it without the words around it. The text has it already.
    #[must_use]
    pub fn about(self, path: impl AsRef<Path>) -> Self {
        Error { path: Some(Box::new(path.as_ref().to_owned())), ..self }
    }

    /// What [`Error::about`] was told.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref().map(PathBuf::as_path)
    }

    /// What just failed in this thread, from libc's `errno`.
    pub(crate) fn last(call: impl Into<String>) -> Self {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
        Error { call: call.into().into(), errno, path: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = io::Error::from_raw_os_error(self.errno).to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        match name(self.errno) {
            Some(name) => write!(f, "{} = {name} ({text})", self.call),
            None => write!(f, "{} = {} ({text})", self.call, self.errno),
        }
    }
}

impl std::error::Error for Error {}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(io::Error::from_raw_os_error(error.errno).kind(), error)
    }
}

/// Names the call behind a failure; the text is built only when there is one.
pub trait Call<T> {
    /// Attaches the rendered call: `fstat(&fd).call(|| format!("fstat({name})"))`.
    fn call<S: Into<String>>(self, call: impl FnOnce() -> S) -> Result<T>;
}

impl<T> Call<T> for rustix::io::Result<T> {
    fn call<S: Into<String>>(self, call: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|errno| Error::new(call(), errno))
    }
}

impl<T> Call<T> for io::Result<T> {
    fn call<S: Into<String>>(self, call: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| Error { call: call().into().into(), errno: error.raw_os_error().unwrap_or(libc::EIO), path: None })
    }
}

macro_rules! names {
    ($($name:ident)*) => {
        /// The symbolic name of the error numbers that these programs meet, as strace prints them.
        fn name(errno: i32) -> Option<&'static str> {
            match errno {
                $(libc::$name => Some(stringify!($name)),)*
                _ => None,
            }
        }
    };
}

names! {
    EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST
    EXDEV ENODEV ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE EROFS EMLINK EPIPE EDOM ERANGE
    EDEADLK ENAMETOOLONG ENOSYS ENOTEMPTY ELOOP ENODATA EOVERFLOW ENOTSOCK EMSGSIZE EPROTONOSUPPORT EOPNOTSUPP
    EAFNOSUPPORT EADDRINUSE EADDRNOTAVAIL ENETDOWN ENETUNREACH ECONNRESET ENOBUFS ENOTCONN ETIMEDOUT ECONNREFUSED
    EHOSTUNREACH EALREADY EINPROGRESS ESTALE EDQUOT ECANCELED EUSERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_like_strace() {
        let error = Error::new("mkdirat(rootfs, \"dev\")", Errno::ROFS);
        assert_eq!(error.to_string(), "mkdirat(rootfs, \"dev\") = EROFS (Read-only file system)");
    }
}
