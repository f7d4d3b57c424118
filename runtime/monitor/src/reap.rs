//! Signals, and processes that have ended.

use launch::Exit;
use monitor::now;
use rustix::process::{WaitOptions, WaitStatus};

use crate::session::Session;
use crate::task::INIT;

const SIGTERM: i32 = 15;
const SIGCHLD: i32 = 17;

/// Those that are read from a descriptor instead of being delivered: SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM, SIGCHLD.
pub(crate) const SIGNALS: [i32; 7] = [1, 2, 3, 10, 12, SIGTERM, SIGCHLD];

impl Session {
    pub(crate) fn on_signals(&mut self) {
        let mut ended = false;
        while let Some(signal) = sys::signal::read(&self.signals) {
            ended |= signal == SIGCHLD;
            if signal == SIGTERM {
                // The host's end is nobody's wish: the next start of the host starts the container by its policy.
                self.container.ending = true;
                self.stay();
                self.signal_init(SIGTERM);
            }
        }
        if ended {
            self.reap();
        }
    }

    /// Reaps whatever has ended: tasks, whose status is kept by their process number (which stays theirs until here), and orphans that
    /// the container left to its subreaper.
    pub(crate) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get() as u32;
            self.relays.ended(pid, status);
            let Some(index) = self.tasks.iter().position(|task| task.pid == pid) else { continue };
            let code = code(status);
            match self.tasks[index].number {
                INIT => self.end(index, code),
                _ => self.executed_ended(index, code),
            }
        }
    }

    fn executed_ended(&mut self, index: usize, code: i32) {
        let finished = now();
        self.drain(index);
        let task = self.tasks.remove(index);
        let (number, started) = (task.number, task.started);
        if !self.checked(number, code) {
            self.container.tell("exec_die", &[("execID", task.id), ("exitCode", code.to_string())]);
        }
        let exit = Exit { code, started, finished, ..Exit::default() };
        for client in self.clients.iter_mut().filter(|client| client.task == number) {
            client.exited(&exit);
        }
    }
}

/// The exit code of a shell for such an end.
pub(crate) fn code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => 255,
    }
}
