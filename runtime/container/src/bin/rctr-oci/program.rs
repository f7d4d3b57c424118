//! This program: its name, its words, and how it makes itself unwritable.

use std::ffi::CString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use launch::seal;
use rustix::fs::{Access, access, statfs};
use rustix::process::geteuid;
use sys::entry::MARK;
use sys::process::Exec;

use crate::error::{Doing, Failed, Result};

/// What it was called.
pub(crate) fn name() -> String {
    let first = std::env::args_os().next().unwrap_or_default();
    Path::new(&first).file_name().map_or_else(|| "rctr-oci".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The words after its name.
pub(crate) fn words() -> Result<Vec<String>> {
    let text = |word: std::ffi::OsString| word.into_string().map_err(|word| Failed::new(format!("{word:?} is not UTF-8")));
    std::env::args_os().skip(1).map(text).collect()
}

/// Called runc, it is one. Who is not root has a folder of its own (XDG Base Directory Specification), and so has who is root only in a user
/// namespace, which podman(1) sets `USER` for.
pub(crate) fn default_root(name: &str) -> PathBuf {
    let name = if name == "runc" { "runc" } else { "rctr-oci" };
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty());
    let other = || !geteuid().is_root() || std::env::var_os("USER").is_some_and(|user| !user.is_empty() && user != "root");
    own.filter(|_| other()).map_or_else(|| PathBuf::from("/run"), PathBuf::from).join(name)
}

/// The runtime folder of the user, unless that is root (pam_systemd(8)).
pub(crate) fn user() -> Option<PathBuf> {
    let uid = rustix::process::geteuid();
    let usual = || PathBuf::from(format!("/run/user/{}", uid.as_raw()));
    (!uid.is_root()).then(|| std::env::var_os("XDG_RUNTIME_DIR").map_or_else(usual, PathBuf::from))
}

/// Three lines, as callers parse them.
pub(crate) fn version(name: &str) -> String {
    let (version, commit) = (env!("CARGO_PKG_VERSION"), option_env!("RCTR_COMMIT").unwrap_or("unknown"));
    // Below 1.0 callers of runc would think of ancient bugs.
    let version = if name == "runc" { format!("1.3.0+rctr-{version}") } else { version.to_owned() };
    format!("{name} version {version}\ncommit: {commit}\nspec: {}\n", crate::spec::VERSION)
}

/// Goes on in a copy of this program that no container can write to (CVE-2019-5736). Returns there, or at once where it is one already:
/// mostly the first instructions of all have done it (`sys::entry`), unless there is no overlayfs. The mark in the environment is seen by no
/// child: those get the environment of a configuration.
pub(crate) fn seal_self() -> Result<()> {
    if std::env::var_os(MARK).is_some() && looks_sealed() {
        return Ok(());
    }
    let itself = std::env::current_exe().doing(|| "find this program")?;
    let sealed = seal(&itself).doing(|| "seal this program")?;
    let string = |bytes: Vec<u8>| CString::new(bytes).doing(|| "seal this program");
    let args = std::env::args_os().map(|arg| string(arg.into_vec())).collect::<Result<Vec<_>>>()?;
    let mut env = vec![string(format!("{MARK}=1").into_bytes())?];
    env.extend(environment()?);
    match Exec::new(args, env).exec_fd(&sealed.program).doing(|| "execute the sealed program")? {}
}

/// The environment of the caller, for a program that it wants to run.
pub(crate) fn environment() -> Result<Vec<CString>> {
    let entries = std::env::vars_os().filter(|(key, _)| key != MARK).map(|(key, value)| {
        let mut entry = key.into_vec();
        entry.push(b'=');
        entry.extend(value.into_vec());
        CString::new(entry).doing(|| "environment")
    });
    entries.collect()
}

/// A program by its name, in the folders of `PATH` (execvp(3)); relative ones are none of them.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
    let executable = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    found.into_iter().find(executable).ok_or_else(|| Failed::new(format!("{name:?}: executable file not found in $PATH")))
}

/// A caller's environment alone does not decide: sealed programs are on an overlay or in memory.
fn looks_sealed() -> bool {
    const OVERLAYFS: i64 = 0x794c_7630;
    const TMPFS: i64 = 0x0102_1994;
    statfs("/proc/self/exe").is_ok_and(|fs| matches!(fs.f_type, OVERLAYFS | TMPFS))
}
