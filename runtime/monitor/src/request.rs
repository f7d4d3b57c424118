//! What clients ask for once the container runs.

use std::os::fd::AsFd;

use launch::{Kind, Status};
use monitor::{Event, Request};

use crate::client::Listens;
use crate::end;
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
            Request::Frozen(frozen) => self.frozen(index, frozen),
            Request::Keep { name } => {
                let cleanup = &mut self.container.cleanup;
                cleanup.discard.clear();
                cleanup.unlink.retain(|path| *path != name);
                self.clients[index].tell(&Event::Done);
            }
            Request::Renamed { from, to } => {
                let unlink = &mut self.container.cleanup.unlink;
                unlink.iter_mut().filter(|path| **path == from).for_each(|path| path.clone_from(&to));
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

    /// Writes down whether the container's processes run. At its end there is nothing to write any more.
    fn frozen(&mut self, index: usize, frozen: bool) {
        if let Some(init) = self.find(INIT) {
            let (pid, since, start_time) = (self.tasks[init].pid, self.tasks[init].started, self.container.start_time);
            let status = match frozen {
                true => Status::Paused { pid, start_time, since },
                false => Status::Running { pid, start_time, since },
            };
            if let Err(error) = end::try_record(self.container.folder.as_fd(), &status) {
                return self.clients[index].refuse(&format!("write down whether it is paused: {error}"));
            }
        }
        self.clients[index].tell(&Event::Done);
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
