//! A user namespace from inside.

use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Gid, Uid, set_dumpable_behavior};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use sys::Call;

use super::procfs;
use crate::create::hide;
use crate::failure::During;
use crate::handshake::Parent;
use crate::{Failure, IdRange, Mapper, Process, Users};

/// Waits until the new namespace that it is in has users. Who maps without privileges must own the files in `/proc/PID`, which takes a
/// process that can be dumped; nobody but its own user could look into it, and it has not entered anything yet. It stays one until
/// [`hide`] is called.
pub(crate) fn wait(users: Option<&Users>, parent: &Parent) -> Result<(), Failure> {
    if users.is_some_and(|users| users.mapper != Mapper::Caller) {
        set_dumpable_behavior(DumpableBehavior::Dumpable).call(|| "prctl(PR_SET_DUMPABLE, 1)").during(|| "be mapped")?;
    }
    parent.unmapped()
}

/// Becomes the namespace's root: what it makes from here on belongs to that. Where root is not mapped it becomes the process's own user.
/// All capabilities stay, they are not those of an id.
fn become_root(process: &Process) -> Result<(), Failure> {
    let gid = |gid| set_thread_res_gid(Gid::from_raw(gid), Gid::from_raw(gid), Gid::from_raw(gid));
    let uid = |uid| set_thread_res_uid(Uid::from_raw(uid), Uid::from_raw(uid), Uid::from_raw(uid));
    or_else(gid, process.gid, "setresgid").during(|| "become root of the user namespace")?;
    or_else(uid, process.uid, "setresuid").during(|| "become root of the user namespace")?;
    // Another user may be another dumper (`fs.suid_dumpable`).
    hide()
}

fn or_else(set: impl Fn(u32) -> rustix::io::Result<()>, other: u32, call: &str) -> sys::Result<()> {
    match set(0) {
        Err(Errno::INVAL) => set(other).call(|| format!("{call}({other}): not mapped")),
        done => done.call(|| format!("{call}(0)")),
    }
}

/// Takes its place in the user namespace that it is in, as its root. `proc` is the host's. True when groups cannot be changed there.
pub(crate) fn settle(proc: &OwnedFd, process: &Process) -> Result<bool, Failure> {
    let denied = groups_denied(proc)?;
    become_root(process)?;
    Ok(denied)
}

/// Whether the caller's user namespace forbids setgroups(2).
fn groups_denied(proc: &OwnedFd) -> Result<bool, Failure> {
    Ok(read(proc, "setgroups")?.starts_with("deny"))
}

/// Makes sure that the namespace just joined has the users that the plan was made for.
pub(crate) fn compare(proc: &OwnedFd, users: &Users) -> Result<(), Failure> {
    for (file, wanted) in [("uid_map", &users.uids), ("gid_map", &users.gids)] {
        let have = parse(&read(proc, file)?);
        if sorted(&have) != sorted(wanted) {
            let why =
                format!("the user namespace that is joined has another {file} than the configuration: {have:?}, not {wanted:?}");
            return Err(Failure::runtime(why));
        }
    }
    Ok(())
}

fn read(proc: &OwnedFd, file: &str) -> Result<String, Failure> {
    let bytes = procfs::read(proc.as_fd(), &format!("self/{file}")).during(|| "look at the user namespace")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn sorted(ranges: &[IdRange]) -> Vec<IdRange> {
    let mut all = ranges.to_vec();
    all.sort_unstable();
    all
}

fn parse(text: &str) -> Vec<IdRange> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok());
    let line = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        Some(IdRange { inside: number(words.next())?, outside: number(words.next())?, size: number(words.next())? })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read_as_the_kernel_shows_them() {
        let shown = "         0     100000      65536\n     65536       1000          1\n";
        let range = |inside, outside, size| IdRange { inside, outside, size };
        assert_eq!(parse(shown), [range(0, 100_000, 65536), range(65536, 1000, 1)]);
        assert_eq!(sorted(&[range(5, 1, 1), range(0, 7, 1)]), [range(0, 7, 1), range(5, 1, 1)]);
    }
}
