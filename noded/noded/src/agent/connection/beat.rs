//! This node's heart: whoever listens hears a byte at a time.

use std::time::Duration;

use axum::body::{Body, Bytes};
use tokio::sync::watch;

/// How often it beats, and how many listen.
#[derive(Debug, Clone)]
pub(in crate::agent) struct Heart {
    every: Duration,
    listeners: watch::Sender<usize>,
}

/// One who listens.
struct Listener(watch::Sender<usize>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Heart {
    pub(in crate::agent) fn new(every: Duration) -> Heart {
        Heart { every, listeners: watch::Sender::new(0) }
    }

    /// Whether somebody listens: then the node's lease need not say each second that it lives.
    pub(in crate::agent) fn is_heard(&self) -> bool {
        *self.listeners.borrow() > 0
    }

    /// Beats until the listener is gone.
    pub(super) fn beats(&self) -> Body {
        self.listeners.send_modify(|count| *count += 1);
        let mut ticks = tokio::time::interval(self.every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let begin = (Listener(self.listeners.clone()), ticks);
        Body::from_stream(futures_util::stream::unfold(begin, |(listener, mut ticks)| async move {
            ticks.tick().await;
            Some((Ok::<_, std::convert::Infallible>(Bytes::from_static(b".")), (listener, ticks)))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;

    #[tokio::test]
    async fn it_knows_who_listens() {
        let heart = Heart::new(Duration::from_millis(1));
        assert!(!heart.is_heard());
        let mut beats = heart.beats().into_data_stream();
        for _ in 0..3 {
            assert_eq!(beats.next().await.unwrap().unwrap(), ".");
        }
        assert!(heart.is_heard());
        drop(beats);
        assert!(!heart.is_heard());
    }
}
