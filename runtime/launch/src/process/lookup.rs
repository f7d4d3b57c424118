//! The program: found in the container as its user, and executed. Texts are runc's (that is, Go's), which callers look for.

use std::convert::Infallible;
use std::ffi::CString;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, stat};
use rustix::io::Errno;
use sys::Error;
use sys::process::Exec;

use crate::failure::During;
use crate::{Failure, Process};

/// A program that was found, with all that execve needs.
pub(super) struct Program {
    path: CString,
    exec: Exec,
}

/// Finds the program of `process` and lays out its arguments and environment.
///
/// # Errors
/// `NotFound` when there is none, `NotExecutable` when it is something else.
pub(super) fn program(process: &Process) -> Result<Program, Failure> {
    let Some(name) = process.args.first() else { return Err(Failure::runtime("no program is given")) };
    let path = match name.contains('/') {
        true => executable(Path::new(name)).map(|()| PathBuf::from(name)).map_err(|errno| refused(name, errno))?,
        false => in_path(name, search_path(&process.env))
            .ok_or_else(|| Failure::not_found(format!("exec: {name:?}: executable file not found in $PATH")))?,
    };
    let strings = |list: &[String]| list.iter().map(|text| string(text)).collect::<Result<Vec<_>, _>>();
    let path = string(&path.to_string_lossy())?;
    Ok(Program { path, exec: Exec::new(strings(&process.args)?, strings(&process.env)?) })
}

impl Program {
    /// Becomes the program; returns only when that fails.
    pub(super) fn execute(&self) -> Result<Infallible, Failure> {
        self.exec.exec(&self.path).map_err(|error| unexecuted(&self.path.to_string_lossy(), &error))
    }
}

fn string(text: &str) -> Result<CString, Failure> {
    CString::new(text).map_err(|_| Error::new(format!("execve({text:?})"), Errno::INVAL)).during(|| "arguments and environment")
}

/// The last `PATH` of an environment: as with getenv in most shells, a later setting wins.
fn search_path(env: &[String]) -> &str {
    env.iter().rev().find_map(|entry| entry.strip_prefix("PATH=")).unwrap_or("")
}

/// The first executable file of that name.
fn in_path(name: &str, path: &str) -> Option<PathBuf> {
    if name.is_empty() || path.is_empty() {
        return None;
    }
    let folders = path.split(':').map(|folder| if folder.is_empty() { "." } else { folder });
    folders.map(|folder| Path::new(folder).join(name)).find(|file| executable(file).is_ok())
}

/// Whether this user may execute that file.
fn executable(file: &Path) -> Result<(), Errno> {
    // By effective ids, which are those that execve will have (faccessat2(2)).
    let allowed = accessat(CWD, file, Access::EXEC_OK, AtFlags::EACCESS);
    match allowed {
        Ok(()) if FileType::from_raw_mode(stat(file)?.st_mode) == FileType::Directory => Err(Errno::ISDIR),
        other => other,
    }
}

fn refused(name: &str, errno: Errno) -> Failure {
    let call = Error::new(format!("faccessat2({name:?}, X_OK)"), errno);
    let failure = match errno {
        Errno::NOENT => Failure::not_found(format!("exec: {name:?}: stat {name}: no such file or directory")),
        Errno::NOTDIR => Failure::not_executable(format!("exec: {name:?}: stat {name}: not a directory")),
        Errno::ISDIR => Failure::not_executable(format!("exec: {name:?}: is a directory")),
        Errno::ACCESS => Failure::not_executable(format!("exec: {name:?}: permission denied")),
        _ => Failure::not_executable(format!("exec: {name:?}: {call}")),
    };
    failure.because(&call).about(Path::new(name))
}

fn unexecuted(path: &str, error: &Error) -> Failure {
    let failure = match error.errno() {
        // The file is there: what is not is the interpreter it names.
        Errno::NOENT => Failure::not_found(format!("exec {path}: no such file or directory")),
        Errno::NOEXEC => Failure::not_executable(format!("exec {path}: exec format error")),
        Errno::ACCESS => Failure::not_executable(format!("exec {path}: permission denied")),
        Errno::TOOBIG => Failure::not_executable(format!("exec {path}: argument list too long")),
        Errno::NOTDIR | Errno::ISDIR | Errno::LOOP | Errno::TXTBSY | Errno::PERM => {
            Failure::not_executable(format!("exec {path}: {error}"))
        }
        _ => Failure::runtime(format!("exec {path}: {error}")),
    };
    failure.because(error).about(Path::new(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn process(program: &str) -> Process {
        Process { args: vec![program.to_owned()], env: vec!["PATH=/nowhere:/usr/bin:/bin".to_owned()], ..Process::default() }
    }

    fn fails(program: &str) -> (Kind, String) {
        let failure = super::program(&process(program)).err().unwrap();
        (failure.kind, failure.message)
    }

    #[test]
    fn a_program_is_found_in_path() {
        assert_eq!(program(&process("sh")).ok().unwrap().path.to_str().unwrap(), "/usr/bin/sh");
        assert_eq!(program(&process("/bin/sh")).ok().unwrap().path.to_str().unwrap(), "/bin/sh");
    }

    #[test]
    fn texts_are_those_that_callers_look_for() {
        let text = |(kind, message): (Kind, String), wanted: Kind, text: &str| assert_eq!((kind, &*message), (wanted, text));
        text(fails("nonsuch"), Kind::NotFound, "exec: \"nonsuch\": executable file not found in $PATH");
        text(fails("/nonsuch"), Kind::NotFound, "exec: \"/nonsuch\": stat /nonsuch: no such file or directory");
        text(fails("/etc/passwd"), Kind::NotExecutable, "exec: \"/etc/passwd\": permission denied");
        text(fails("/etc"), Kind::NotExecutable, "exec: \"/etc\": is a directory");
        text(fails("/etc/passwd/x"), Kind::NotExecutable, "exec: \"/etc/passwd/x\": stat /etc/passwd/x: not a directory");
    }

    #[test]
    fn the_last_path_wins_and_none_finds_nothing() {
        assert_eq!(search_path(&["PATH=/a".into(), "X=1".into(), "PATH=/b".into()]), "/b");
        assert_eq!(in_path("sh", ""), None);
        assert_eq!(in_path("", "/bin"), None);
    }
}
