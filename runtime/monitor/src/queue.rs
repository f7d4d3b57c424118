//! Packets that a client has not yet taken.

use std::collections::VecDeque;

/// With this many bytes waiting, a client is behind. The socket's own buffer (some 200 KiB) is full by then, too.
const LIMIT: usize = 64 << 10;

/// What waits for one client.
///
/// The policy for a client that is behind: one that was attached before the start is the container's standard output, as a pipe to
/// a slow reader would be: nothing is read from the container until it has caught up, and nothing is lost (`docker run` does the
/// same). One that came later must not be able to stop a service by stopping its terminal: it misses output, and is told how much; the log
/// has it. Neither is thrown out: only its own end does that.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    packets: VecDeque<Box<[u8]>>,
    bytes: usize,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// More output may be read for this client.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes < LIMIT
    }

    pub(crate) fn push(&mut self, packet: &[u8]) {
        self.bytes += packet.len();
        self.packets.push_back(packet.into());
    }

    pub(crate) fn front(&self) -> Option<&[u8]> {
        self.packets.front().map(|packet| &**packet)
    }

    pub(crate) fn pop(&mut self) {
        let packet = self.packets.pop_front();
        self.bytes -= packet.map_or(0, |packet| packet.len());
        if self.packets.is_empty() {
            // An idle client costs nothing.
            self.packets = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_ends_at_the_limit_and_comes_back() {
        let mut queue = Queue::default();
        queue.push(&vec![0; LIMIT - 1]);
        assert!(queue.has_room());
        queue.push(&[0]);
        assert!(!queue.has_room());
        queue.pop();
        assert!(queue.has_room() && !queue.is_empty());
        assert_eq!(queue.front(), Some(&[0][..]));
        queue.pop();
        queue.pop();
        assert!(queue.is_empty() && queue.bytes == 0);
    }
}
