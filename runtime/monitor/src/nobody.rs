//! Becoming somebody without rights, wherever that is: the host's nobody; where that id is not mapped, as in a container of few ids, the
//! last id that is; and where there is only root's, root without capabilities, to whom no file is open any more.

use std::io::ErrorKind;

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, Gid, Uid, clear_ambient_capability_set, set_capabilities, set_no_new_privs, set_thread_groups,
    set_thread_res_gid, set_thread_res_uid,
};
use sys::landlock::{Handled, Ruleset};
use sys::{Call, Error, Result};

/// The user and the group that own nothing.
const NOBODY: u32 = 65534;

/// Gives up all rights of the calling thread, which must be the only one, for good.
pub(crate) fn become_nobody() -> Result<()> {
    let (user, group) = (id("/proc/self/uid_map")?, id("/proc/self/gid_map")?);
    set_no_new_privs(true).call(|| "prctl(PR_SET_NO_NEW_PRIVS)")?;
    match set_thread_groups(&[]) {
        // Where a user namespace forbids it the groups stay, and open files of the host's groups: see below.
        Err(Errno::PERM) if are_groups_kept() => {}
        done => done.call(|| "setgroups()")?,
    }
    if let Some(group) = group.map(Gid::from_raw) {
        set_thread_res_gid(group, group, group).call(|| "setresgid()")?;
    }
    if let Some(user) = user.map(Uid::from_raw) {
        set_thread_res_uid(user, user, user).call(|| "setresuid()")?;
    }
    // They go with root's id, unless that stays (capabilities(7)).
    clear_ambient_capability_set().call(|| "prctl(PR_CAP_AMBIENT_CLEAR_ALL)")?;
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).call(|| "capset()")?;
    if user.is_some() && group.is_some() && !are_groups_kept() { Ok(()) } else { lock() }
}

/// No file is opened, no socket by an abstract name, and no process outside is sent a signal, as far as the kernel can do that.
fn lock() -> Result<()> {
    let fs = match sys::landlock::abi() {
        0 => return Ok(()),
        1 => 0x1fff,
        2 => 0x3fff,
        3 | 4 => 0x7fff,
        _ => 0xffff,
    };
    let scoped = if sys::landlock::abi() >= 6 { 3 } else { 0 };
    Ruleset::new(&Handled { fs, net: 0, scoped })?.restrict_self()
}

fn are_groups_kept() -> bool {
    std::fs::read("/proc/self/setgroups").is_ok_and(|text| text.starts_with(b"deny"))
}

/// Whom to become according to a map of this user namespace.
fn id(path: &str) -> Result<Option<u32>> {
    match std::fs::read_to_string(path) {
        Ok(map) => Ok(somebody(&map)),
        // A kernel without user namespaces, which has all ids.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Some(NOBODY)),
        Err(error) => Err(Error::new(format!("read({path:?})"), Errno::from_io_error(&error).unwrap_or(Errno::IO))),
    }
}

/// Nobody, if that is among the ids in this namespace, or the last one that is; none if there is only root's (user_namespaces(7)).
fn somebody(map: &str) -> Option<u32> {
    let ranges = map.lines().filter_map(|line| {
        let mut numbers = line.split_whitespace().filter_map(|number| number.parse::<u32>().ok());
        let (first, _outside, count) = (numbers.next()?, numbers.next()?, numbers.next()?);
        Some((first, first.checked_add(count.checked_sub(1)?)?))
    });
    let ranges: Vec<_> = ranges.collect();
    if ranges.iter().any(|(first, last)| (*first..=*last).contains(&NOBODY)) {
        return Some(NOBODY);
    }
    ranges.iter().map(|(_, last)| *last).max().filter(|last| *last != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_there_is() {
        assert_eq!(somebody("         0          0 4294967295\n"), Some(NOBODY));
        assert_eq!(somebody("0 100000 65536\n"), Some(NOBODY));
        assert_eq!(somebody("0 100000 1024\n"), Some(1023));
        assert_eq!(somebody("0 1000 1\n1 100000 999\n"), Some(999));
        assert_eq!(somebody("5000 9 1\n0 1000 1\n"), Some(5000));
        assert_eq!((somebody("0 1000 1\n"), somebody("")), (None, None));
    }
}
