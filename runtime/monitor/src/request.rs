//! What clients ask for once the container runs.

use launch::Kind;
use monitor::{Event, Request};

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
