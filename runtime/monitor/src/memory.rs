//! Whether the kernel has killed a process of the container for want of memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::rc::Rc;

use rustix::fs::{Mode, OFlags, openat};

/// What a container is killed with then, as an exit code.
const KILLED: i32 = 128 + 9;

/// The container's cgroup, which is its own and new: any count there is its.
pub(crate) struct Memory {
    group: Rc<OwnedFd>,
    /// The cgroup above a scope, and its count before the container's start. systemd removes a scope as soon as nothing runs in it, maybe before
    /// anybody has read how that came; the kernel counts in all cgroups above, too.
    above: Option<(OwnedFd, u64)>,
}

impl Memory {
    /// Of a container that has just been made in `group`, one of `cgroups`.
    pub(crate) fn new(group: Rc<OwnedFd>, cgroups: &[PathBuf]) -> Memory {
        let is_scope = cgroups.iter().any(|path| path.extension().is_some_and(|kind| kind == "scope"));
        let open = || {
            let above = openat(&group, "..", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
            let count = kills(above.as_fd())?;
            Some((above, count))
        };
        let above = if is_scope { open() } else { None };
        Memory { group, above }
    }

    /// Whether that is how a container has ended whose exit code is `code`.
    pub(crate) fn ran_out(&self, code: i32) -> bool {
        match (kills(self.group.as_fd()), &self.above) {
            (Some(count), _) => count > 0,
            (None, Some((above, before))) => code == KILLED && kills(above.as_fd()).is_some_and(|now| now > *before),
            (None, None) => false,
        }
    }
}

/// How often that has happened in a cgroup; none when it is gone.
fn kills(group: BorrowedFd<'_>) -> Option<u64> {
    ["memory.events", "memory.oom_control"].into_iter().find_map(|name| {
        let file = openat(group, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        counted(&sys::fs::read_all(file, 4096).ok()?)
    })
}

/// The line `oom_kill COUNT` of both files (cgroup-v2.rst, memory.events; v1 since Linux 4.13).
fn counted(text: &[u8]) -> Option<u64> {
    let count = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"oom_kill "))?;
    std::str::from_utf8(count).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kills_are_told_from_pressure() {
        assert_eq!(counted(b"low 0\nhigh 3\nmax 17\noom 2\noom_kill 0\noom_group_kill 0\n"), Some(0));
        assert_eq!(counted(b"low 0\nhigh 0\nmax 17\noom 2\noom_kill 1\n"), Some(1));
        assert_eq!(counted(b"oom_kill_disable 0\nunder_oom 0\noom_kill 12\n"), Some(12));
        assert_eq!(counted(b"oom_kill_disable 1\nunder_oom 0\n"), None);
    }

    /// Folders with such files, as the kernel has them.
    #[test]
    fn a_scope_that_is_gone_is_counted_above() {
        let root = tempfile::tempdir().unwrap();
        let count = |at: PathBuf, count: u64| std::fs::write(at, format!("oom_kill {count}\n")).unwrap();
        let made = |name: &str| {
            let own = root.path().join(name);
            std::fs::create_dir(&own).unwrap();
            count(own.join("memory.events"), 0);
            (Memory::new(Rc::new(sys::fs::open_dir(&own).unwrap()), std::slice::from_ref(&own)), own)
        };
        count(root.path().join("memory.events"), 4);
        let (scope, own) = made("a.scope");
        let (other, folder) = made("b");
        assert!(!scope.ran_out(KILLED));
        count(root.path().join("memory.events"), 5);
        assert!(!scope.ran_out(KILLED), "its own count is what counts");
        for gone in [own, folder] {
            std::fs::remove_dir_all(gone).unwrap();
        }
        assert!(scope.ran_out(KILLED) && !scope.ran_out(1));
        assert!(!other.ran_out(KILLED), "whose folder nobody else removes");
    }
}
