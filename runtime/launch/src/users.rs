//! The caller's side of a new user namespace: who is who in it (user_namespaces(7)).

use std::fmt::Write as _;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};

use crate::child::procfs;
use crate::failure::During;
use crate::{Failure, IdRange, Mapper, Plan, Users};

/// Where newuidmap(1) and newgidmap(1) are looked for. Not in `PATH`: it would be the caller's word on what runs with the rights of a
/// setuid program.
const FOLDERS: [&str; 4] = ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"];

/// Settles what the process `pid` cannot do for itself, now that it is in its new user namespace.
pub(crate) fn settle(pid: u32, plan: &Plan) -> Result<(), Failure> {
    // Lowering it takes CAP_SYS_RESOURCE of the host's namespace, which the process has left.
    procfs::adjust_oom_score(&pid.to_string(), plan.process.oom_score_adj)?;
    match &plan.users {
        Some(users) => write(pid, users),
        None => Err(Failure::runtime("the plan has a user namespace without users")),
    }
}

fn write(pid: u32, users: &Users) -> Result<(), Failure> {
    match users.mapper {
        Mapper::Helpers => {
            helped(pid, "newgidmap", &users.gids)?;
            return helped(pid, "newuidmap", &users.uids);
        }
        // The kernel wants it first.
        Mapper::Itself => put(pid, "setgroups", "deny")?,
        Mapper::Caller => {}
    }
    put(pid, "gid_map", &text(&users.gids))?;
    put(pid, "uid_map", &text(&users.uids))
}

/// Writes one of the process's files, in one write as the kernel wants it.
fn put(pid: u32, file: &str, content: &str) -> Result<(), Failure> {
    let path = format!("{pid}/{file}");
    procfs::host()
        .and_then(|proc| procfs::open(&proc, &path))
        .and_then(|file| sys::fs::write_all(file.as_fd(), content.as_bytes()))
        .during(|| format!("write {file}: {}", content.trim_end().replace('\n', ", ")))
}

/// Lines as the kernel takes and shows them.
pub(crate) fn text(ranges: &[IdRange]) -> String {
    ranges.iter().fold(String::new(), |mut all, IdRange { inside, outside, size }| {
        let _ = writeln!(all, "{inside} {outside} {size}");
        all
    })
}

/// Has a map written by a program that is privileged to do so, and knows whom. Its environment is empty: it is setuid, or has capabilities.
fn helped(pid: u32, name: &str, ranges: &[IdRange]) -> Result<(), Failure> {
    let program = FOLDERS.iter().map(|folder| format!("{folder}/{name}")).find(|path| std::path::Path::new(path).exists());
    let Some(program) = program else {
        let why = format!("{name} is in none of {}: without it only the caller itself can be mapped", FOLDERS.join(", "));
        return Err(Failure::runtime(why));
    };
    let mut command = Command::new(&program);
    command.env_clear().current_dir("/").stdin(Stdio::null()).arg(pid.to_string());
    for IdRange { inside, outside, size } in ranges {
        command.args([inside, outside, size].map(u32::to_string));
    }
    let failed = |why: String| Failure::runtime(format!("{program}: {}: {why}", text(ranges).trim_end().replace('\n', ", ")));
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(format!("{}, {}", output.status, String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_the_kernel_takes_them() {
        let range = |inside, outside, size| IdRange { inside, outside, size };
        assert_eq!(text(&[range(0, 100_000, 65536), range(65536, 1000, 1)]), "0 100000 65536\n65536 1000 1\n");
    }
}
