//! Looks from inside a container: a small static program, one word per check, plain lines as answers.
//!
//! ```text
//! probe WORD [ARG…] [-- WORD [ARG…]]…      several checks in one start, in order
//! ```
//!
//! By the name of criu it speaks as that one does, and does nothing.
//!
//! A check that is refused answers with the errno's name; only a misspelt word fails (exit 64).

#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::exit, reason = "a program that prints")]

mod act;
mod criu;
mod files;
mod look;
mod refused;

fn main() {
    if std::env::args().next().as_deref() == Some("criu") {
        return criu::main();
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    for check in args.split(|arg| arg == "--") {
        let words: Vec<&str> = check.iter().map(String::as_str).collect();
        let known = look::check(&words) || files::check(&words) || refused::check(&words) || act::check(&words);
        if !known {
            eprintln!("probe: no such check: {words:?}");
            std::process::exit(64);
        }
    }
}

/// `ok`, or the name of the errno.
fn verdict<T>(result: Result<T, impl Into<std::io::Error>>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(error) => name(&error.into()),
    }
}

/// The errno's name where tests care, else the system's words.
fn name(error: &std::io::Error) -> String {
    use rustix::io::Errno;
    let known = [
        (Errno::PERM, "EPERM"),
        (Errno::ACCESS, "EACCES"),
        (Errno::ROFS, "EROFS"),
        (Errno::NOENT, "ENOENT"),
        (Errno::NOSYS, "ENOSYS"),
        (Errno::INVAL, "EINVAL"),
        (Errno::NXIO, "ENXIO"),
        (Errno::NODEV, "ENODEV"),
        (Errno::NOTDIR, "ENOTDIR"),
        (Errno::ISDIR, "EISDIR"),
        (Errno::NOSPC, "ENOSPC"),
        (Errno::AGAIN, "EAGAIN"),
        (Errno::CONNREFUSED, "ECONNREFUSED"),
        (Errno::NETUNREACH, "ENETUNREACH"),
        (Errno::IO, "EIO"),
    ];
    let code = error.raw_os_error().unwrap_or(0);
    known.iter().find(|(errno, _)| errno.raw_os_error() == code).map_or_else(|| error.to_string(), |(_, name)| (*name).to_owned())
}
