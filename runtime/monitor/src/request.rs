//! What clients ask for once the container runs.

use launch::{Kind, Status};
use monitor::log::Writer;
use monitor::{Event, NetworkChange, Request};
use net::dns::Resolver;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::client::Listens;
use crate::session::Session;
use crate::task::INIT;

impl Session {
    /// Does what the client `index` asks. Input, sizes and signals have no answer.
    pub(crate) fn request(&mut self, index: usize, request: Request) {
        let task = self.find(self.clients[index].task);
        let client = &mut self.clients[index];
        match request {
            Request::Launch(_) | Request::Start => client.refuse("the container has been started already"),
            Request::Attach { stdin } => {
                client.listens = Listens::Late { missed: 0 };
                client.feeds = stdin;
                client.tell(&Event::Done);
                self.answer_end(index);
            }
            Request::Wait => {
                client.waits = true;
                self.answer_end(index);
            }
            Request::Exec(exec) => self.exec(index, *exec),
            Request::Networks(change) => self.networks(index, *change),
            Request::Frozen(frozen) => {
                self.container.frozen = frozen;
                let written = self.write_state();
                self.written(index, written);
            }
            Request::Stop => {
                (self.container.ending, self.container.stopped, self.container.anew) = (true, true, false);
                self.stay();
                let written = self.write_state();
                self.written(index, written);
            }
            Request::ReopenLog => self.reopen_log(index),
            Request::KillGroup => self.kill_group(task),
            Request::Policy(policy) => {
                self.container.restart.policy = policy;
                client.tell(&Event::Done);
            }
            Request::Keep { name } => {
                let cleanup = &mut self.container.cleanup;
                cleanup.discard.clear();
                cleanup.unlink.retain(|path| *path != name);
                self.clients[index].tell(&Event::Done);
            }
            Request::Renamed { from, to } => {
                let unlink = &mut self.container.cleanup.unlink;
                unlink.iter_mut().filter(|path| **path == from).for_each(|path| path.clone_from(&to));
                if let (Some((actor, _)), Some(name)) = (&mut self.container.events, to.file_name()) {
                    actor.attributes.insert("name".to_owned(), name.to_string_lossy().into_owned());
                }
                self.clients[index].tell(&Event::Done);
            }
            Request::Stdin(bytes) if client.feeds => {
                if let Some(task) = task {
                    self.tasks[task].streams.input.push(&bytes);
                }
            }
            Request::StdinEnd if client.feeds => {
                if let Some(task) = task {
                    self.tasks[task].streams.input.end();
                }
            }
            // It has not said that it would.
            Request::Stdin(_) | Request::StdinEnd => {}
            Request::Resize { rows, columns } => {
                if let Some(task) = task {
                    self.tasks[task].streams.resize(rows, columns);
                }
            }
            Request::Signal(signal) => {
                if let Some(task) = task {
                    // It may be ending just now.
                    let _ = sys::process::signal(&self.tasks[task].pidfd, signal);
                }
            }
        }
    }

    /// Goes on with the log in a new file. The old one is kept where that cannot be made: its end would be lost otherwise.
    fn reopen_log(&mut self, index: usize) {
        if self.exit.is_some() {
            return self.clients[index].refuse("the container is not running");
        }
        let reopened = match &self.container.log_path {
            None => Ok(()),
            Some((path, limits)) => Writer::at(path, *limits).map(|log| self.container.log = Some(log)),
        };
        self.written(index, reopened);
    }

    /// Kills a process that was executed with what it has started, unless that is in a group of its own. It is not reaped yet, so the number
    /// of the group is still its own.
    fn kill_group(&self, task: Option<usize>) {
        let Some(task) = task.map(|at| &self.tasks[at]).filter(|task| task.number != INIT) else { return };
        if let Some(group) = Pid::from_raw(task.pid as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        // One that has left its group.
        let _ = sys::process::signal(&task.pidfd, Signal::KILL.as_raw());
    }

    /// The container is in other networks now.
    fn networks(&mut self, index: usize, change: NetworkChange) {
        self.container.using.retain(|used| used.kind != "network");
        self.container.using.extend(change.using);
        let cleanup = &mut self.container.cleanup;
        cleanup.unlink.retain(|path| !change.gone.contains(path));
        cleanup.folders.retain(|path| !change.gone.contains(path));
        cleanup.nftables.extend(change.undo.nftables);
        cleanup.unlink.extend(change.undo.unlink);
        cleanup.folders.extend(change.undo.folders);
        self.relays.change(&change.relays);
        let mut passed = std::mem::take(&mut self.clients[index].passed).into_iter();
        if change.names.zones.is_empty() {
            // None of its networks has names: its sockets are made again when one has.
            self.resolver = None;
        }
        match (&mut self.resolver, passed.next(), passed.next()) {
            (Some(resolver), ..) => resolver.change(change.names),
            (none, Some(datagrams), Some(connections)) if change.sockets && self.exit.is_none() => {
                *none = Some(Resolver::new(datagrams, connections, change.names));
            }
            _ => {}
        }
        self.clients[index].tell(&Event::Done);
    }

    /// Answers that it is done, or what became of writing it down.
    fn written(&mut self, index: usize, written: sys::Result<()>) {
        match written {
            Ok(()) => self.clients[index].tell(&Event::Done),
            Err(error) => self.clients[index].refuse(&format!("write it down: {error}")),
        }
    }

    /// Writes down anew what the container is doing. At its end there is nothing to write any more.
    pub(crate) fn write_state(&mut self) -> sys::Result<()> {
        let Some(init) = self.find(INIT) else { return Ok(()) };
        let (pid, since, start_time) = (self.tasks[init].pid, self.tasks[init].started, self.container.start_time);
        self.container.record(match self.container.frozen {
            true => Status::Paused { pid, start_time, since },
            false => Status::Running { pid, start_time, since },
        })
    }

    fn answer_end(&mut self, index: usize) {
        if let (Some(exit), client) = (&self.exit, &mut self.clients[index])
            && client.task == INIT
        {
            client.exited(exit);
        }
    }
}

impl crate::client::Client {
    pub(crate) fn refuse(&mut self, message: &str) {
        self.tell(&Event::Failed { kind: Kind::Runtime, message: message.to_owned() });
    }
}
