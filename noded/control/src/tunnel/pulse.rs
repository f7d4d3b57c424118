//! Nodes that are heard: each says every second, over its connection, that it lives. Nothing of that is written.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use tokio::sync::{Notify, watch};

use super::Link;

/// The path at which a node is listened to: its answer goes on for as long as it lives, a byte at a time.
pub const PATH: &str = "/beat";

/// After such a silence somebody wants to know at once that the node is there again.
const SILENCE: Duration = Duration::from_secs(2);

/// A node that does not let itself be listened to is asked again after this.
const AGAIN: Duration = Duration::from_secs(5);

/// When each node was last heard.
#[derive(Debug, Clone, Default)]
pub struct Pulse(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    beats: Mutex<Beats>,
    returned: Notify,
    /// Somebody listens: with several control planes that is one, and to the others nodes renew their leases.
    wanted: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Beats {
    last: HashMap<String, Instant>,
    returned: Vec<String>,
}

/// Nodes are listened to until it is dropped.
#[derive(Debug)]
pub struct Listening(Pulse);

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.0.wanted.send_modify(|count| *count -= 1);
    }
}

impl Pulse {
    /// Listens to all nodes that are connected.
    pub fn listen(&self) -> Listening {
        self.0.wanted.send_modify(|count| *count += 1);
        Listening(self.clone())
    }

    /// When a node was last heard.
    pub fn last(&self, node: &str) -> Option<Instant> {
        self.beats().last.get(node).copied()
    }

    /// Waits until a node is heard that was silent for a while, or never heard before.
    pub async fn returned(&self) {
        self.0.returned.notified().await;
    }

    /// Those nodes; each is named once.
    pub fn take_returned(&self) -> Vec<String> {
        std::mem::take(&mut self.beats().returned)
    }

    fn beat(&self, node: &str) {
        let mut beats = self.beats();
        let before = beats.last.insert(node.to_owned(), Instant::now());
        if before.is_none_or(|at| at.elapsed() >= SILENCE) {
            beats.returned.push(node.to_owned());
            self.0.returned.notify_one();
        }
    }

    fn beats(&self) -> std::sync::MutexGuard<'_, Beats> {
        self.0.beats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens to a node while somebody wants to know; it never ends by itself.
    pub(super) async fn follow(&self, link: &Link) {
        let mut wanted = self.0.wanted.subscribe();
        loop {
            // the sender lives as long as this does
            drop(wanted.wait_for(|count| *count > 0).await);
            let has_ended = tokio::select! {
                () = self.hear(link) => true,
                unwanted = wanted.wait_for(|count| *count == 0) => {
                    drop(unwanted);
                    false
                }
            };
            if has_ended {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    async fn hear(&self, link: &Link) {
        let Ok(answer) = link.get(PATH).await else { return };
        if !answer.status().is_success() {
            return;
        }
        let mut body = answer.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            if frame.data_ref().is_some_and(|bytes| !bytes.is_empty()) {
                self.beat(link.node());
            }
        }
    }
}
