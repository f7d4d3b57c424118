//! The end of a container.

use std::os::fd::BorrowedFd;

use launch::{Exit, Report, Status};
use monitor::now;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{AtFlags, Mode, OFlags, fstat, openat, unlinkat};
use sys::Call;

use crate::session::Session;
use crate::task::INIT;
use crate::{cgroup, cleanup, hooks};

/// How long a killed process may take to end. It is longer only if the kernel hangs.
const KILLED: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

const SIGKILL: i32 = 9;

impl Session {
    /// Init, the task `index`, has ended with `code`.
    pub(crate) fn end(&mut self, index: usize, code: i32) {
        let finished = now();
        let container = &mut self.container;
        // Nobody can join from here on, and what this holds of the container goes.
        container.target = None;
        // Its sockets hold the network namespace.
        self.resolver = None;
        // Held as others are from here on, if it is started again.
        self.container.hold.extend(self.relays.end());
        let container = &mut self.container;
        if let (false, Some(group)) = (container.own_pids, &container.kill) {
            cgroup::kill(group);
        }
        self.drain(index);
        let init = self.tasks.remove(index);
        self.end_executed();
        let container = &mut self.container;
        // Before the record: whoever reads of the end reads of its cause, too.
        let oom = container.memory.take().is_some_and(|memory| memory.ran_out(code));
        let exit = Exit { code, oom, started: init.started, finished, error: None };
        drop(init);
        container.kill_at = None;
        container.log = None;
        let pause = self.pause(&exit);
        self.again = pause.map(Session::pause_of);
        let container = &mut self.container;
        if !container.own_pids {
            // Something of it may still run.
            cleanup::groups(&container.cleanup, container.kill.as_deref());
        }
        // What is told to be gone is free for others: its ports and its address, and its name and all that is found by it.
        cleanup::free(&container.cleanup, container.netfilter.as_deref());
        let hidden = pause.is_none() && cleanup::hide(&container.cleanup) && !container.cleanup.discard.is_empty();
        if !hidden {
            let status = match pause {
                Some(delay) => Status::Restarting { exit: exit.clone(), delay },
                None => Status::Exited(exit.clone()),
            };
            // Nobody could be told of a failure: a reader then finds a process that is no more.
            let _ = container.record(status);
        }
        if pause.is_none() {
            container.hold.clear();
        }
        if oom {
            container.tell("oom", &[]);
        }
        let ran = finished.saturating_sub(exit.started) / 1_000_000_000;
        container.tell_end(&[("exitCode", code.to_string()), ("execDuration", ran.to_string())]);
        for client in self.clients.iter_mut().filter(|client| client.task == INIT) {
            client.exited(&exit);
        }
        self.exit = Some(exit);
        self.remove();
    }

    /// Removes what nobody waits for. The socket of one that is started again stays: somebody may not want that. So does the charge of it.
    fn remove(&mut self) {
        let container = &mut self.container;
        // First, as its cgroup namespace is among them, and their files are among those to be removed.
        container.mounts = None;
        cleanup::groups(&container.cleanup, container.kill.as_deref());
        if let Some((id, hooks)) = container.hooks.take() {
            hooks::stopped(&id, &hooks);
        }
        if self.again.is_none() {
            cleanup::trees(&container.cleanup);
            container.charge = None;
            cleanup::discard(&container.cleanup);
            if !container.cleanup.discard.is_empty() {
                container.tell("destroy", &[]);
                container.tell_gone_volumes();
            }
        }
    }

    /// Ends what was executed in the container. With a pid namespace the kernel has done that.
    fn end_executed(&mut self) {
        for task in &self.tasks {
            let _ = sys::process::signal(&task.pidfd, SIGKILL);
        }
        for task in &self.tasks {
            let _ = poll(&mut [PollFd::new(&task.pidfd, PollFlags::IN)], Some(&KILLED));
        }
        self.reap();
    }
}

/// Replaces the container's record.
///
/// # Errors
/// There is no room for it, and there was none before.
pub(crate) fn try_record(folder: BorrowedFd<'_>, report: &Report) -> sys::Result<()> {
    let text = serde_json::to_vec(report).unwrap_or_default();
    // The container's own log may have filled the disk.
    sys::fs::replace(folder, RECORD, &text).or_else(|error| overwrite(folder, text).map_err(|_| error))
}

/// Sets this process's share of the blame when memory runs out.
pub(crate) fn set_oom_score(score: i32) {
    let _ = std::fs::write("/proc/self/oom_score_adj", score.to_string());
}

const RECORD: &str = "status.json";

/// The container's record as it is, if there is one.
pub(crate) fn read(folder: BorrowedFd<'_>) -> Option<Vec<u8>> {
    let file = openat(folder, RECORD, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    sys::fs::read_all(file, 1 << 20).ok()
}

/// Puts the record back as it was.
pub(crate) fn restore(folder: BorrowedFd<'_>, before: Option<Vec<u8>>) {
    let _ = match before {
        Some(text) => sys::fs::replace(folder, RECORD, &text),
        None => unlinkat(folder, RECORD, AtFlags::empty()).call(|| "unlinkat()"),
    };
}

/// Writes over the record of the start, which needs no new block. It is one write within one page, so a reader sees the old text or the
/// new one; blanks at the end are part of JSON.
fn overwrite(folder: BorrowedFd<'_>, mut text: Vec<u8>) -> sys::Result<()> {
    let file = openat(folder, RECORD, OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let file = file.call(|| format!("openat({RECORD:?})"))?;
    let length = fstat(&file).call(|| format!("fstat({RECORD:?})"))?.st_size as usize;
    text.resize(text.len().max(length), b' ');
    sys::fs::write_all(file, &text)
}
