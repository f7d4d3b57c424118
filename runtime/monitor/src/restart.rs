//! Whether a container that has ended is started again, and when: Docker's policies with Docker's patience.

use launch::{Exit, Nanos};
use serde::{Deserialize, Serialize};

use crate::Restart;

/// The first pause before a restart, in milliseconds. It doubles from one to the next.
const FIRST: u64 = 100;
/// The longest one.
const LONGEST: u64 = 60_000;
/// A container that has run for so long is well: what comes after begins anew.
const LONG: Nanos = 10_000_000_000;

/// A restart policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// It stays as it ended.
    #[default]
    No,
    /// It is started again, after the host's restart even if somebody has stopped it.
    Always,
    /// The same, unless somebody has stopped it.
    UnlessStopped,
    /// It is started again when it ends with another code than 0, at most so many times; 0 is without end.
    OnFailure(u32),
}

impl Policy {
    /// Milliseconds until a container is started again that has ended by itself in this way, after `count` restarts the last of which came
    /// after `delay` milliseconds. `None` when it is not.
    pub fn delay(self, exit: &Exit, count: u32, delay: u64) -> Option<u64> {
        let again = match self {
            Policy::No => false,
            Policy::Always | Policy::UnlessStopped => true,
            Policy::OnFailure(most) => exit.code != 0 && (most == 0 || count < most),
        };
        again.then(|| next(exit, delay))
    }

    /// Whether the restart of the host restarts a container with this policy, by how it was found.
    pub fn after_boot(self, exit: &Exit, stopped: bool, count: u32) -> bool {
        match self {
            Policy::Always => true,
            Policy::UnlessStopped => !stopped,
            Policy::No | Policy::OnFailure(_) => !stopped && self.delay(exit, count, 0).is_some(),
        }
    }
}

impl Restart {
    /// Milliseconds until a container is started again in any case.
    pub fn pause(&self, exit: &Exit) -> u64 {
        next(exit, self.delay)
    }
}

/// The pause after the one of `delay` milliseconds.
fn next(exit: &Exit, delay: u64) -> u64 {
    let ran = exit.finished.saturating_sub(exit.started);
    match delay {
        // One that could not be started has not run at all.
        _ if exit.started > 0 && ran >= LONG => FIRST,
        0 => FIRST,
        delay => (delay * 2).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exit(code: i32, seconds: u64) -> Exit {
        Exit { code, started: 1, finished: 1 + seconds * 1_000_000_000, ..Exit::default() }
    }

    #[test]
    fn policies_decide() {
        for (policy, code, count, again) in [
            (Policy::No, 1, 0, false),
            (Policy::Always, 0, 9, true),
            (Policy::UnlessStopped, 0, 9, true),
            (Policy::OnFailure(0), 0, 0, false),
            (Policy::OnFailure(0), 1, 99, true),
            (Policy::OnFailure(2), 137, 1, true),
            (Policy::OnFailure(2), 137, 2, false),
        ] {
            assert_eq!(policy.delay(&exit(code, 0), count, 0).is_some(), again, "{policy:?} {code} {count}");
        }
    }

    #[test]
    fn pauses_double_and_begin_anew_after_a_good_run() {
        let mut delay = 0;
        let mut all = Vec::new();
        for _ in 0..12 {
            delay = next(&exit(1, 9), delay);
            all.push(delay);
        }
        assert_eq!(all, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 51_200, 60_000, 60_000]);
        assert_eq!(next(&exit(1, 10), delay), 100);
        assert_eq!(next(&Exit { finished: u64::MAX, ..Exit::default() }, 400), 800);
    }

    #[test]
    fn the_hosts_restart_restarts_what_nobody_has_stopped() {
        for (policy, code, stopped, again) in [
            (Policy::No, 255, false, false),
            (Policy::Always, 0, true, true),
            (Policy::UnlessStopped, 255, false, true),
            (Policy::UnlessStopped, 255, true, false),
            (Policy::OnFailure(1), 255, false, true),
            (Policy::OnFailure(1), 0, false, false),
            (Policy::OnFailure(1), 255, true, false),
        ] {
            assert_eq!(policy.after_boot(&exit(code, 0), stopped, 0), again, "{policy:?} {code} {stopped}");
        }
    }
}
