//! Further processes in the container.

use launch::Failure;
use monitor::{Event, Exec, now};

use crate::client::Listens;
use crate::session::Session;
use crate::task::{self, INIT, Task};

impl Session {
    /// Runs a process whose output, end and input are those of the client `index` from now on. It is not logged.
    ///
    /// When that client goes, the process stays and its output is read and thrown away, as Docker does it: a lost
    /// connection must not kill a migration half-way.
    pub(crate) fn exec(&mut self, index: usize, exec: Exec) {
        self.used = true;
        let (stdin, detach) = (exec.stdin, exec.detach);
        if self.clients[index].task != INIT {
            return self.clients[index].refuse("this connection is that of another process");
        }
        match self.executed(exec) {
            Ok((task, start_time)) => {
                let client = &mut self.clients[index];
                client.task = task.number;
                client.listens = if detach { Listens::No } else { Listens::First };
                client.feeds = stdin && !detach;
                client.waits = true;
                client.tell(&Event::Started { pid: task.pid, start_time });
                self.tasks.push(task);
            }
            Err(Failure { kind, message, .. }) => self.clients[index].tell(&Event::Failed { kind, message }),
        }
    }

    /// Makes a task of it; also its start time.
    pub(crate) fn executed(&mut self, exec: Exec) -> Result<(Task, u64), Failure> {
        let runtime = |message: String| Failure::runtime(message);
        let Exec { mut process, stdin, detach, id } = exec;
        let target = self.container.target.as_ref().ok_or_else(|| runtime("the container is not running".to_owned()))?;
        // Or it would have the monitor's.
        process.oom_score_adj = process.oom_score_adj.or(self.container.oom_score);
        let broken = |error: sys::Error| runtime(format!("make streams: {error}"));
        let (stdio, mut streams) = match (&process.terminal, detach) {
            (Some(_), _) => (None, task::Streams::default()),
            (None, true) => (Some(task::nulls().map_err(broken)?), task::Streams::default()),
            (None, false) => {
                let (stdio, streams) = task::pipes(stdin).map_err(broken)?;
                (Some(stdio), streams)
            }
        };
        let started = now();
        let executed = launch::exec(&process, target, stdio)?;
        if let Some(master) = executed.terminal {
            streams = task::terminal(master).map_err(broken)?;
        }
        self.next += 1;
        let task = Task { number: self.next, pid: executed.pid, pidfd: executed.pidfd, started, streams, id };
        Ok((task, executed.start_time))
    }
}
