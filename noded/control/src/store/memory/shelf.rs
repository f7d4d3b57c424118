//! One kind: what is there, and what has happened lately.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::watch;

use super::super::Entry;
use super::Event;

/// So many bytes of events a kind keeps at most; how many events, and for how long, others say.
const KEPT_BYTES: usize = 16 << 20;

pub(super) struct Shelf {
    pub(super) entries: BTreeMap<Arc<str>, Arc<Entry>>,
    pub(super) history: VecDeque<Past>,
    pub(super) bytes: usize,
    /// Everything after this revision is in the history.
    pub(super) complete_after: u64,
    pub(super) changed: watch::Sender<u64>,
}

/// An event, and when it was seen here.
pub(super) struct Past {
    pub(super) seen: Instant,
    pub(super) event: Arc<Event>,
}

impl Shelf {
    /// Empty, with a history since then.
    pub(super) fn new(began: u64) -> Self {
        let (entries, history, changed) = (BTreeMap::new(), VecDeque::new(), watch::Sender::new(0));
        Self { entries, history, bytes: 0, complete_after: began, changed }
    }

    pub(super) fn put(&mut self, event: Event, most: usize, now: Instant) {
        let key: Arc<str> = event.key().into();
        match &event.after {
            Some(entry) => drop(self.entries.insert(key, entry.clone())),
            None => drop(self.entries.remove(&key)),
        }
        self.bytes += event.size();
        self.history.push_back(Past { seen: now, event: Arc::new(event) });
        while self.history.len() > most || self.bytes > KEPT_BYTES && self.history.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(Past { event, .. }) = self.history.pop_front() {
            self.bytes -= event.size();
            self.complete_after = event.revision;
        }
    }

    /// Drops what was seen before then. What has happened at one revision is not parted.
    pub(super) fn forget(&mut self, then: Instant) {
        while self.history.front().is_some_and(|past| past.seen < then) {
            self.drop_oldest();
        }
        // room for the most that there ever was would stay
        if self.history.capacity() > 2 * self.history.len() + 64 {
            self.history.shrink_to_fit();
        }
    }
}
