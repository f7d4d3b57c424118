//! When to try again.

use std::hash::{BuildHasher, RandomState};
#[cfg(test)]
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::error::Failure;

/// How patient to be.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// Tries of one request, the first one included.
    pub(super) tries: u32,
    /// Before the second try; it doubles with each further one.
    pub(super) pause: Duration,
    /// Longest that a registry may ask us to wait.
    pub(super) longest: Duration,
    /// How long nothing may come before a request is given up.
    pub(super) stall: Duration,
    #[cfg(test)]
    pub(super) slept: Option<Arc<Mutex<Vec<Duration>>>>,
}

impl Default for Patience {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Patience {
            tries: 5,
            pause: Duration::from_millis(500),
            longest: seconds(60),
            stall: seconds(30),
            #[cfg(test)]
            slept: None,
        }
    }
}

impl Patience {
    /// How long to wait before the next try, after `failed` tries of which the last one ended with `failure`. `None`: give
    /// up.
    pub(super) fn next(&self, failed: u32, failure: &Failure) -> Option<Duration> {
        if failed >= self.tries || !failure.is_transient() {
            return None;
        }
        let pause = self.pause.saturating_mul(1 << (failed - 1).min(16));
        match failure.retry_after() {
            Some(after) if after > self.longest => None,
            // A moment more: clocks differ, and a registry may count in whole seconds.
            Some(after) => Some(after.max(pause)),
            None => Some(pause.mul_f64(1.0 + fraction() / 2.0)),
        }
    }

    pub(super) async fn wait(&self, time: Duration) {
        #[cfg(test)]
        if let Some(slept) = &self.slept {
            slept.lock().unwrap().push(time);
            return;
        }
        tokio::time::sleep(time).await;
    }
}

/// From 0 to 1, by chance: clients that failed together must not come back together.
fn fraction() -> f64 {
    f64::from(u32::try_from(RandomState::new().hash_one(0) >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_end() {
        let patience = Patience::default();
        let lost = Failure::Lost(String::new());
        let pauses: Vec<f64> = (1..).map_while(|failed| patience.next(failed, &lost)).map(|pause| pause.as_secs_f64()).collect();
        assert_eq!(pauses.len(), 4);
        for (pause, least) in pauses.iter().zip([0.5, 1.0, 2.0, 4.0]) {
            assert!((least..=least * 1.5).contains(pause), "{pause}");
        }
    }

    #[test]
    fn the_registry_says_when() {
        let patience = Patience::default();
        let limited = |seconds| Failure::RateLimited { limit: None, counted: None, after: Some(Duration::from_secs(seconds)) };
        assert_eq!(patience.next(1, &limited(7)), Some(Duration::from_secs(7)));
        assert_eq!(patience.next(1, &limited(0)), Some(Duration::from_millis(500)));
        assert_eq!(patience.next(1, &limited(61)), None);
    }

    #[test]
    fn what_does_not_get_better() {
        let patience = Patience::default();
        for failure in [Failure::NoSuchHost, Failure::Refused, Failure::Login { status: 401 }, Failure::TooLarge { limit: 1 }] {
            assert_eq!(patience.next(1, &failure), None);
        }
    }
}
