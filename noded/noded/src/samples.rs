//! How fast processor time is used: from two readings of the same counter.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Readings closer together say nothing, in nanoseconds.
const APART: u64 = 1_000_000_000;

/// The last reading of each container and pod.
#[derive(Debug, Default)]
pub(crate) struct Samples(Mutex<HashMap<String, Sample>>);

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// When, in nanoseconds since 1970.
    at: u64,
    /// Nanoseconds of processor time by then.
    used: u64,
    /// Billionths of a processor, once there were two readings.
    rate: Option<u64>,
}

impl Samples {
    /// Takes a reading, and answers how many billionths of a processor were used since the one before.
    pub(crate) fn rate(&self, id: &str, at: u64, used: u64) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = all.get_mut(id) else {
            all.insert(id.to_owned(), Sample { at, used, rate: None });
            return None;
        };
        let apart = at.saturating_sub(last.at);
        // A counter that went back is that of another run.
        if used < last.used {
            *last = Sample { at, used, rate: None };
        } else if apart >= APART {
            let rate = u128::from(used - last.used) * 1_000_000_000 / u128::from(apart);
            *last = Sample { at, used, rate: u64::try_from(rate).ok() };
        }
        last.rate
    }

    /// It is gone.
    pub(crate) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_two_readings() {
        let samples = Samples::default();
        assert_eq!(samples.rate("a", 10 * APART, 100), None);
        // Half a processor for two seconds.
        assert_eq!(samples.rate("a", 12 * APART, 100 + APART), Some(500_000_000));
        // Too soon: the same as before.
        assert_eq!(samples.rate("a", 12 * APART + 5, 100 + APART), Some(500_000_000));
        assert_eq!(samples.rate("a", 13 * APART, 5), None);
        samples.forget("a");
        assert_eq!(samples.rate("a", 20 * APART, 6), None);
    }
}
