//! What processes have open, and how much of it they may (proc(5)).

use std::path::{Path, PathBuf};

/// Of all processes of a container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Open {
    /// Files, pipes, sockets and all else that has a descriptor.
    pub(super) descriptors: u64,
    pub(super) sockets: u64,
    /// The limit of descriptors that its first process has; none if it may have as many as it likes, or has ended.
    pub(super) limit: Option<u64>,
}

impl Open {
    /// What these processes have, the `first` one being that with the limit. One that has ended meanwhile has nothing.
    pub(super) fn of(processes: &[u32], first: Option<u32>) -> Open {
        let mut open = Open { limit: first.and_then(limit_of), ..Open::default() };
        for process in processes {
            for entry in std::fs::read_dir(folder(*process).join("fd")).into_iter().flatten().flatten() {
                open.descriptors += 1;
                open.sockets += u64::from(is_socket(&entry.path()));
            }
        }
        open
    }
}

fn folder(process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}"))
}

fn is_socket(descriptor: &Path) -> bool {
    std::fs::read_link(descriptor).is_ok_and(|target| target.as_os_str().as_encoded_bytes().starts_with(b"socket:"))
}

fn limit_of(process: u32) -> Option<u64> {
    soft_limit(&std::fs::read_to_string(folder(process).join("limits")).ok()?)
}

/// The soft limit of open files in proc_pid_limits(5).
fn soft_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_has_open() {
        let own = std::process::id();
        let before = Open::of(&[own], Some(own));
        let _pair = (0..50).map(|_| std::os::unix::net::UnixStream::pair().unwrap()).collect::<Vec<_>>();
        let after = Open::of(&[own], Some(own));
        // Other tests of this process open and close, too.
        assert!(after.sockets >= before.sockets + 90, "{before:?} {after:?}");
        assert!(after.descriptors > after.sockets && after.limit.is_some(), "{after:?}");
        assert_eq!(Open::of(&[u32::MAX], Some(u32::MAX)), Open::default());
    }

    #[test]
    fn limits_have_a_soft_and_a_hard_side() {
        let text =
            "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(soft_limit(text), Some(1024));
        assert_eq!(soft_limit("Max open files unlimited unlimited files\n"), None);
        assert_eq!(soft_limit(""), None);
    }
}
