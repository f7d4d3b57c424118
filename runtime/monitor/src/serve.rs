//! Connections: their coming, their requests' turn, and their going.

use rustix::event::PollFlags;
use rustix::net::{SocketFlags, accept_with};

use crate::client::{Client, Listens};
use crate::session::{MAX_CLIENTS, Session};

impl Session {
    /// This client's next request may be input for which there is no room.
    pub(crate) fn must_wait(&self, client: &Client) -> bool {
        client.feeds && self.tasks.iter().any(|task| task.number == client.task && task.streams.input.is_full())
    }

    pub(crate) fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        while self.clients.len() < MAX_CLIENTS
            && let Ok(socket) = accept_with(&*self.listener, flags)
        {
            self.clients.push(Client::new(socket));
        }
    }

    pub(crate) fn on_client(&mut self, index: usize, flags: PollFlags) {
        if flags.contains(PollFlags::OUT) {
            self.clients[index].flush();
        }
        if self.must_wait(&self.clients[index]) {
            // Whoever has ended with input on its way loses what did not fit, or its end would be reported without end.
            self.clients[index].gone |= flags.intersects(PollFlags::HUP | PollFlags::ERR);
        } else if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR)
            && let Some(request) = self.clients[index].receive()
        {
            self.request(index, request);
        }
    }

    /// Forgets clients that have ended, and after the container's end all that have been told.
    pub(crate) fn sweep(&mut self) {
        if self.exit.is_some() && self.again.is_none() {
            self.last_words();
        }
        for index in (0..self.clients.len()).rev() {
            if self.clients[index].gone {
                let client = self.clients.swap_remove(index);
                self.left(&client);
            }
        }
    }

    /// The input that a client fed from the first byte on ends with it, as that of `docker run -i` does. Whoever came later may go.
    fn left(&mut self, client: &Client) {
        if client.feeds
            && client.listens == Listens::First
            && let Some(index) = self.find(client.task)
        {
            self.tasks[index].streams.input.end();
        }
    }

    /// Takes and answers what was asked around the container's end; then lets go of everyone who has nothing more to be told.
    fn last_words(&mut self) {
        self.accept();
        for index in 0..self.clients.len() {
            while let Some(request) = self.clients[index].receive() {
                self.request(index, request);
            }
            if self.clients[index].queue.is_empty() {
                self.clients[index].part();
            }
        }
    }
}
