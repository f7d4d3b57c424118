//! Readers of what happens.

use std::sync::Arc;

use tokio::sync::watch;

use super::super::kind_of;
use super::shelf::Past;
use super::{Event, Gone, Memory};

/// A reader of what happens to keys of one kind.
pub struct Watch {
    memory: Arc<Memory>,
    prefix: String,
    cursor: u64,
    life: u64,
    changed: watch::Receiver<u64>,
}

impl Watch {
    /// One that has read all up to a revision, in some life of the memory.
    pub(super) fn new(memory: Arc<Memory>, prefix: &str, (cursor, life): (u64, u64), changed: watch::Receiver<u64>) -> Self {
        Self { memory, prefix: prefix.into(), cursor, life, changed }
    }

    /// The revision up to which everything was read.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next events, not so many that a reader who stalls would keep much; waits until there is one. An answer without events says that the store is gone.
    ///
    /// # Errors
    /// That this reader was too slow: what comes next is gone.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, Gone> {
        loop {
            self.changed.borrow_and_update();
            let events = self.ready()?;
            if !events.is_empty() || self.changed.changed().await.is_err() {
                return Ok(events);
            }
        }
    }

    /// What is there to read now.
    ///
    /// # Errors
    /// That this reader was too slow: what comes next is gone.
    pub fn ready(&mut self) -> Result<Vec<Arc<Event>>, Gone> {
        const MOST: usize = 256;
        const MOST_BYTES: usize = 16 << 10;
        let state = self.memory.read();
        let Some(shelf) = state.shelves.get(kind_of(&self.prefix)) else { return Ok(Vec::new()) };
        if self.cursor < shelf.complete_after || self.life != state.life {
            return Err(Gone { asked: self.cursor, oldest: shelf.complete_after });
        }
        let from = shelf.history.partition_point(|past| past.event.revision <= self.cursor);
        let (mut found, mut bytes) = (Vec::new(), 0);
        for Past { event, .. } in shelf.history.range(from..) {
            // what has happened at one revision is not parted
            if (found.len() >= MOST || bytes >= MOST_BYTES) && event.revision != self.cursor {
                return Ok(found);
            }
            self.cursor = event.revision;
            if event.key().starts_with(&self.prefix) {
                bytes += event.size();
                found.push(event.clone());
            }
        }
        // all of this kind is read: up to here nothing else happened to it
        self.cursor = self.cursor.max(state.revision);
        Ok(found)
    }
}
