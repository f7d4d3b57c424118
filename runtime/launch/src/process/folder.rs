//! The working folder.

use std::path::Path;

use rustix::io::Errno;
use sys::{Call, Error};

use crate::Failure;
use crate::failure::During;

/// Goes there; nowhere is the root.
pub(super) fn enter(folder: &Path) -> sys::Result<()> {
    let folder = if folder.as_os_str().is_empty() { Path::new("/") } else { folder };
    rustix::process::chdir(folder).call(|| format!("chdir({folder:?})"))
}

/// Why it could not go there, in runc's words, which callers look for.
pub(super) fn failure(folder: &Path, error: &Error) -> Failure {
    let say = |reason: &str| format!("chdir to cwd ({folder:?}) set in config.json failed: {reason}");
    let failure = match error.errno() {
        Errno::NOENT => Failure::not_found(say("no such file or directory")),
        Errno::ACCESS => Failure::not_executable(say("permission denied")),
        Errno::NOTDIR => Failure::not_executable(say("not a directory")),
        _ => Failure::runtime(say(&error.to_string())),
    };
    failure.because(error).about(folder)
}

/// Makes sure that the working folder is inside the container: the kernel's name for one that is not is "(unreachable)…", and for
/// one that is removed there is none (getcwd(2), CVE-2024-21626).
pub(super) fn verify(folder: &Path) -> Result<(), Failure> {
    let inside = rustix::process::getcwd(Vec::new()).call(|| "getcwd()").during(|| format!("working folder {folder:?}"))?;
    if inside.to_bytes().starts_with(b"/") {
        return Ok(());
    }
    Err(Failure::runtime(format!("working folder {folder:?}: it is outside of the container, the process would escape")))
}
