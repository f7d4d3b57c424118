//! Monitors that this process has started are its children until they end, and stay as zombies until they are waited for. A command ends before
//! they do; in a daemon they would heap up.

use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, WaitOptions, waitpid};

/// Monitors that were not waited for.
#[derive(Debug, Default)]
pub(crate) struct Children(Mutex<Vec<Pid>>);

impl Children {
    /// Another one.
    pub(crate) fn add(&self, pid: Pid) {
        self.reap();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(pid);
    }

    /// Waits for those that have ended.
    pub(crate) fn reap(&self) {
        let runs = |pid: &Pid| matches!(waitpid(Some(*pid), WaitOptions::NOHANG), Ok(None));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(runs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::zombie_processes, reason = "it is waited for by what is tested")]
    fn a_child_that_has_ended_is_waited_for() {
        let children = Children::default();
        let child = std::process::Command::new("true").spawn().unwrap();
        let pid = Pid::from_raw(child.id() as i32).unwrap();
        children.add(pid);
        let process = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        rustix::event::poll(&mut [rustix::event::PollFd::new(&process, rustix::event::PollFlags::IN)], None).unwrap();
        children.reap();
        assert!(matches!(waitpid(Some(pid), WaitOptions::NOHANG), Err(rustix::io::Errno::CHILD)));
        assert!(children.0.lock().unwrap().is_empty());
    }
}
