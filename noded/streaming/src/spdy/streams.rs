//! The open streams of a connection.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::mpsc;

/// Streams that a client may have open at once.
pub(super) const MAX_STREAMS: usize = 1024;

#[derive(Debug)]
struct Open {
    /// Gone once the client has ended its half.
    input: Option<mpsc::Sender<Bytes>>,
    /// Our half has ended.
    ended: bool,
    reset: Arc<AtomicBool>,
}

/// A stream is forgotten when both halves have ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Streams(Arc<Mutex<HashMap<u32, Open>>>);

impl Streams {
    fn lock(&self) -> MutexGuard<'_, HashMap<u32, Open>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a stream; `None` when there are too many.
    pub(super) fn open(&self, id: u32, input: Option<mpsc::Sender<Bytes>>) -> Option<Arc<AtomicBool>> {
        let mut all = self.lock();
        if all.len() >= MAX_STREAMS {
            return None;
        }
        let reset = Arc::new(AtomicBool::new(false));
        all.insert(id, Open { input, ended: false, reset: Arc::clone(&reset) });
        Some(reset)
    }

    /// Where bytes of the client go; `None` when there is no such stream, or its half has ended.
    pub(super) fn input(&self, id: u32) -> Option<mpsc::Sender<Bytes>> {
        self.lock().get(&id).and_then(|open| open.input.clone())
    }

    /// The client has ended its half.
    pub(super) fn end_input(&self, id: u32) {
        self.change(id, |open| open.input = None);
    }

    /// We have ended ours.
    pub(super) fn end_output(&self, id: u32) {
        self.change(id, |open| open.ended = true);
    }

    /// The client has ended both.
    pub(super) fn reset(&self, id: u32) {
        if let Some(open) = self.lock().remove(&id) {
            open.reset.store(true, Ordering::Relaxed);
        }
    }

    /// The connection has ended: no input comes any more.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    fn change(&self, id: u32, change: impl FnOnce(&mut Open)) {
        let mut all = self.lock();
        if let Some(open) = all.get_mut(&id) {
            change(open);
            if open.ended && open.input.is_none() {
                all.remove(&id);
            }
        }
    }
}
